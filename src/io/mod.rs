//! Files: the memory map, positioned reads, atomic replacement.

mod atomic;
mod map;
mod read_at;

pub(crate) use atomic::{AtomicFile, SealedFile};
pub(crate) use map::Map;
pub use read_at::{FileSection, ReadAt};
