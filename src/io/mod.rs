//! Files: the memory map, positioned reads, atomic replacement.

mod atomic;
mod map;
mod source;

pub(crate) use atomic::{AtomicFile, SealedFile};
pub(crate) use map::Map;
pub use source::{ByteSource, FileSection};
