//! The one place that maps files into memory.
#![allow(unsafe_code)]

use memmap2::Mmap;
use std::fs::File;
use std::io;
use std::ops::Deref;
use std::path::Path;

/// A whole file mapped read-only.
pub(crate) struct Map(Mmap);

impl Map {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        if !file.metadata()?.is_file() {
            let what = "not a regular file, which a memory map needs";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        // SAFETY: the map is only ever read. Should another process truncate or rewrite the file
        // meanwhile, reads may fault or change; `occ` itself never does either, it replaces files
        // by renaming, and the public documentation of `Reader::open` passes the duty on.
        let map = unsafe { Mmap::map(&file)? };
        Ok(Self(map))
    }
}

impl Deref for Map {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
