//! Files: the memory map, positioned reads, reads ahead, atomic replacement.

#[cfg(feature = "encode")]
mod atomic;
#[cfg(feature = "encode")]
mod early_sync;
mod file_section;
mod map;
mod read_at;
mod sequential;

#[cfg(feature = "encode")]
pub(crate) use atomic::AtomicFile;
#[cfg(feature = "convert")]
pub(crate) use atomic::{SealedFile, folder_of, permission_bits};
#[cfg(feature = "encode")]
pub use atomic::{write_file, write_file_like};
pub use file_section::FileSection;
pub(crate) use map::map_or_read;
pub use read_at::ReadAt;
pub use sequential::SequentialReader;
