//! The file header.

use super::layout::{self, CRC_BYTES, FORMAT_VERSION, KNOWN_FEATURES, MAGIC, MIN_READER};
use crate::error::{Error, Location, Result};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

/// The base-2 logarithm of the largest alignment: 64 KiB.
const MAX_ALIGNMENT_LOG2: u8 = 16;

/// The content of the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Contiguous payloads start at multiples of 2 to this power.
    alignment_log2: u8,
}

impl Header {
    pub(crate) const BYTES: usize = size_of::<layout::Header>();

    /// # Errors
    /// `InvalidArgument` unless `alignment` is a power of two up to 65,536.
    pub(crate) fn new(alignment: u32) -> Result<Self> {
        if !alignment.is_power_of_two() || alignment > 1 << MAX_ALIGNMENT_LOG2 {
            return Err(Error::invalid("alignment: not a power of two up to 65536"));
        }
        Ok(Self { alignment_log2: alignment.trailing_zeros() as u8 })
    }

    pub(crate) fn alignment(self) -> u64 {
        1 << self.alignment_log2
    }

    pub(crate) fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut header = layout::Header {
            magic: MAGIC,
            format_version: FORMAT_VERSION.into(),
            min_reader: MIN_READER.into(),
            alignment_log2: self.alignment_log2,
            ..layout::Header::new_zeroed()
        };
        let covered = Self::BYTES - CRC_BYTES;
        header.crc = crc32fast::hash(&header.as_bytes()[..covered]).into();
        zerocopy::transmute!(header)
    }

    /// Reads the header at the start of `bytes`.
    ///
    /// # Errors
    /// `NotOcc`, `Truncated`, `ChecksumMismatch`, `UnsupportedVersion`, `Unsupported` or `Corrupt`,
    /// checked in this order, so that a newer version is distinguished from damage.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self> {
        if bytes.iter().zip(&MAGIC).any(|(byte, magic)| byte != magic) || bytes.is_empty() {
            return Err(Error::not_occ(bytes));
        }
        let (header, _) = layout::Header::read_from_prefix(bytes)
            .map_err(|_| Error::truncated().at_offset(bytes.len() as u64))?;
        let covered = &header.as_bytes()[..Self::BYTES - CRC_BYTES];
        Error::check_crc(header.crc.get(), crc32fast::hash(covered))
            .map_err(|error| error.at_offset(0))?;
        let (found, min_reader) = (header.format_version.get(), header.min_reader.get());
        if found != FORMAT_VERSION {
            let (supported, at) = (FORMAT_VERSION, Location::default());
            return Err(Error::UnsupportedVersion { found, min_reader, supported, at });
        }
        let unknown = header.required_features.get() & !KNOWN_FEATURES;
        if unknown != 0 {
            return Err(Error::unsupported(format!("required features {unknown:#x}")));
        }
        if header.reserved != [0; 3] || header.reserved_too != [0; 28] || min_reader > found {
            return Err(Error::corrupt("header: reserved bytes are not zero").at_offset(0));
        }
        if header.alignment_log2 > MAX_ALIGNMENT_LOG2 {
            return Err(Error::corrupt("header: alignment above 65536").at_offset(0));
        }
        Ok(Self { alignment_log2: header.alignment_log2 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header with one byte replaced and a correct CRC.
    fn with(at: usize, value: u8) -> Result<Header> {
        let mut bytes = Header::new(256).unwrap().to_bytes();
        bytes[at] = value;
        let crc = crc32fast::hash(&bytes[..60]);
        bytes[60..].copy_from_slice(&crc.to_le_bytes());
        Header::parse(&bytes)
    }

    #[test]
    fn headers_round_trip() {
        let header = Header::new(4096).unwrap();
        assert_eq!(Header::parse(&header.to_bytes()).unwrap(), header);
        assert_eq!(header.alignment(), 4096);
        assert!(Header::new(3).is_err() && Header::new(1 << 17).is_err());
    }

    #[test]
    fn invalid_headers_have_specific_errors() {
        assert!(matches!(Header::parse(b""), Err(Error::NotOcc { .. })));
        assert!(matches!(Header::parse(b"\x89PNG\r\n\x1a\n"), Err(Error::NotOcc { .. })));
        assert!(matches!(Header::parse(&MAGIC), Err(Error::Truncated { .. })));
        let newer = with(8, 3);
        assert!(matches!(newer, Err(Error::UnsupportedVersion { found: 3, supported: 0, .. })));
        assert!(matches!(with(16, 1), Err(Error::Unsupported { .. })));
        assert!(with(24, 1).is_ok(), "unknown optional features are ignored");
        assert!(matches!(with(12, 17), Err(Error::Corrupt { .. })));
        assert!(matches!(with(59, 1), Err(Error::Corrupt { .. })));
        let mut damaged = Header::new(256).unwrap().to_bytes();
        damaged[8] = 3;
        assert!(matches!(Header::parse(&damaged), Err(Error::ChecksumMismatch { .. })));
    }
}
