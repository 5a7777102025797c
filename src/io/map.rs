//! The only place that maps files into memory.
#![allow(unsafe_code)]

use super::file_section::regular_file_length;
use super::read_at::ReadAt;
use memmap2::Mmap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;

/// A whole file mapped read-only.
pub(crate) struct Map(Mmap);

impl Map {
    /// Maps the regular file at `path`.
    ///
    /// # Safety
    /// The file must not be truncated or modified, by this process or another, as long as the map
    /// exists.
    ///
    /// # Errors
    /// Those of the operating system; `InvalidInput` if it is not a regular file.
    pub(crate) unsafe fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        regular_file_length(&file)?;
        // SAFETY: the map is read-only, and the caller guarantees that the file does not change.
        let map = unsafe { Mmap::map(&file)? };
        Ok(Self(map))
    }
}

impl ReadAt for Map {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at<'b>(&'b self, range: Range<u64>, buffer: &'b mut Vec<u8>) -> io::Result<&'b [u8]> {
        self.0[..].read_at(range, buffer)
    }

    fn in_memory(&self) -> Option<&[u8]> {
        Some(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_borrows_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        std::fs::write(&path, b"abc").unwrap();
        // SAFETY: nothing else opens the file.
        let map = unsafe { Map::open(&path) }.unwrap();
        assert_eq!((map.size(), map.in_memory()), (3, Some(&b"abc"[..])));
        assert_eq!(map.read_at(1..3, &mut Vec::new()).unwrap(), b"bc");
        assert!(map.read_at(1..4, &mut Vec::new()).is_err());
    }
}
