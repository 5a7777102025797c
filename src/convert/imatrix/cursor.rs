//! Fields of a file, read in order.

use crate::error::{Error, Result};
use crate::io::ReadAt;

/// The longest name that is read.
const MAX_NAME_BYTES: u64 = 1 << 16;

/// A position in a file.
pub(super) struct Cursor<'s> {
    source: &'s dyn ReadAt,
    at: u64,
    buffer: Vec<u8>,
}

impl<'s> Cursor<'s> {
    pub(super) fn new(source: &'s dyn ReadAt) -> Self {
        Self { source, at: 0, buffer: Vec::new() }
    }

    pub(super) fn offset(&self) -> u64 {
        self.at
    }

    /// Passes over bytes. Returns the offset of the first.
    ///
    /// # Errors
    /// `Truncated` if the file has fewer.
    pub(super) fn skip(&mut self, bytes: u64) -> Result<u64> {
        let start = self.at;
        match start.checked_add(bytes) {
            Some(end) if end <= self.source.size() => {
                self.at = end;
                Ok(start)
            }
            _ => Err(Error::truncated().at_offset(self.source.size())),
        }
    }

    /// # Errors
    /// `Truncated`; `Io`.
    fn take(&mut self, bytes: u64) -> Result<&[u8]> {
        let start = self.skip(bytes)?;
        Ok(self.source.read_at(start..self.at, &mut self.buffer)?)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N as u64)?);
        Ok(array)
    }

    pub(super) fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn i32(&mut self) -> Result<i32> {
        self.array().map(i32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// A name of this many bytes.
    ///
    /// # Errors
    /// `Truncated`; `LimitExceeded`; `Corrupt` if it is not UTF-8; `Io`.
    pub(super) fn name(&mut self, bytes: u64) -> Result<String> {
        let start = self.at;
        // A length that the file cannot hold is a truncation.
        self.skip(bytes)?;
        self.at = start;
        Error::check_limit("a name", bytes, MAX_NAME_BYTES)
            .map_err(|error| error.at_offset(start))?;
        let name = String::from_utf8(self.take(bytes)?.to_vec());
        name.map_err(|_| Error::corrupt("a name is not UTF-8").at_offset(start))
    }
}
