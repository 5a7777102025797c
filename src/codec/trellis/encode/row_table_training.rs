//! Row tables from samples of bytes.

use crate::codec::entropy::{Frequencies, Histogram};
use crate::codec::trellis::row_table::RowTable;

impl RowTable {
    /// The table of a sample of bytes. Bytes that are not in the sample may not be codable.
    pub(super) fn new(bytes: &[u8]) -> Self {
        let mut histogram = Histogram::default();
        histogram.count(bytes);
        match Frequencies::from_histogram(&histogram) {
            Some(frequencies) => Self::Coded(Box::new(frequencies)),
            None => Self::Constant(bytes.first().copied().unwrap_or(0)),
        }
    }

    /// The nearest byte that can be coded.
    pub(super) fn nearest(&self, byte: u8) -> u8 {
        match self {
            Self::Constant(constant) => *constant,
            Self::Coded(frequencies) if frequencies.get()[usize::from(byte)] > 0 => byte,
            Self::Coded(frequencies) => {
                let codable = (0..=255u8).filter(|&b| frequencies.get()[usize::from(b)] > 0);
                codable.min_by_key(|b| b.abs_diff(byte)).unwrap_or(byte)
            }
        }
    }
}
