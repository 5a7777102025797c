//! The only place that maps files into memory.
#![allow(unsafe_code)]

use super::file_section::{FileSection, regular_file_length};
use super::read_at::ReadAt;
use memmap2::Mmap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;

/// A whole file mapped read-only.
struct Map(Mmap);

/// Maps the regular file at `path`. Where the system cannot map it, as on some network drives, in
/// some FUSE file systems or in a small address space, the file is read by position instead.
///
/// # Safety
/// The file must not be truncated or modified, by this process or another, as long as the source
/// exists.
///
/// # Errors
/// Those of opening the file; `InvalidInput` if it is not a regular file.
pub(crate) unsafe fn map_or_read(path: &Path) -> io::Result<Box<dyn ReadAt>> {
    // SAFETY: the map is read-only, and the caller guarantees that the file does not change.
    map_or_read_by(path, |file| unsafe { Mmap::map(file) })
}

fn map_or_read_by(
    path: &Path,
    map: impl FnOnce(&File) -> io::Result<Mmap>,
) -> io::Result<Box<dyn ReadAt>> {
    let file = File::open(path)?;
    let length = regular_file_length(&file)?;
    Ok(match map(&file) {
        Ok(map) => Box::new(Map(map)),
        Err(_) => Box::new(FileSection::new(file, 0..length)),
    })
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
        let map = unsafe { map_or_read(&path) }.unwrap();
        assert_eq!((map.size(), map.in_memory()), (3, Some(&b"abc"[..])));
        assert_eq!(map.read_at(1..3, &mut Vec::new()).unwrap(), b"bc");
        assert!(map.read_at(1..4, &mut Vec::new()).is_err());
        // SAFETY: nothing else opens the folder.
        assert!(unsafe { map_or_read(directory.path()) }.is_err());
    }

    #[test]
    fn a_file_that_cannot_be_mapped_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        std::fs::write(&path, b"abc").unwrap();
        let refuse = |_: &File| Err(io::ErrorKind::Unsupported.into());
        let source = map_or_read_by(&path, refuse).unwrap();
        assert_eq!((source.size(), source.in_memory()), (3, None));
        assert_eq!(source.read_at(1..3, &mut Vec::new()).unwrap(), b"bc");
        assert!(source.read_at(1..4, &mut Vec::new()).is_err());
        let missing = map_or_read_by(&directory.path().join("b"), refuse);
        assert_eq!(missing.err().unwrap().kind(), io::ErrorKind::NotFound);
    }
}
