//! The trailer: the position of the index.

use super::layout::{self, END_MAGIC};
use crate::error::{Error, Result};
use zerocopy::IntoBytes;

/// The position of the index and its checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trailer {
    pub(crate) index_offset: u64,
    pub(crate) index_length: u64,
    pub(crate) index_crc: u32,
}

impl Trailer {
    pub(crate) const BYTES: usize = size_of::<layout::Trailer>();

    /// Bytes before the trailer's own CRC.
    const COVERED: usize = Self::BYTES - 12;

    pub(crate) fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut trailer = layout::Trailer {
            index_offset: self.index_offset.into(),
            index_length: self.index_length.into(),
            file_length: (self.index_offset + self.index_length + Self::BYTES as u64).into(),
            index_crc: self.index_crc.into(),
            crc: 0.into(),
            magic: END_MAGIC,
        };
        trailer.crc = crc32fast::hash(&trailer.as_bytes()[..Self::COVERED]).into();
        zerocopy::transmute!(trailer)
    }

    /// Reads the trailer from the last bytes of a file of `file_length` bytes.
    ///
    /// # Errors
    /// `Truncated` if the magic number is missing, `ChecksumMismatch` or `Corrupt`.
    pub(crate) fn parse(bytes: &[u8; Self::BYTES], file_length: u64) -> Result<Self> {
        let at = file_length - Self::BYTES as u64;
        let trailer: layout::Trailer = zerocopy::transmute!(*bytes);
        if trailer.magic != END_MAGIC {
            return Err(Error::truncated().at_offset(file_length));
        }
        let computed = crc32fast::hash(&bytes[..Self::COVERED]);
        Error::check_crc(trailer.crc.get(), computed).map_err(|error| error.at_offset(at))?;
        let (index_offset, index_length) = (trailer.index_offset.get(), trailer.index_length.get());
        if trailer.file_length.get() != file_length
            || index_offset.checked_add(index_length) != Some(at)
        {
            return Err(Error::corrupt("trailer: lengths contradict the file").at_offset(at));
        }
        Ok(Self { index_offset, index_length, index_crc: trailer.index_crc.get() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailers_round_trip_and_damage_is_detected() {
        let trailer = Trailer { index_offset: 64, index_length: 40, index_crc: 7 };
        let bytes = trailer.to_bytes();
        assert_eq!(Trailer::parse(&bytes, 144).unwrap(), trailer);
        assert!(Trailer::parse(&bytes, 145).is_err());
        for at in 0..bytes.len() {
            let mut damaged = bytes;
            damaged[at] ^= 1;
            assert!(Trailer::parse(&damaged, 144).is_err(), "byte {at}");
        }
    }
}
