//! How a byte that every row has, its class or its scale, is coded.

use crate::codec::entropy::{BitReader, BitWriter, Frequencies, Histogram};
use crate::error::{Error, Result};

/// The same for all rows, at no cost; or by a frequency table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RowTable {
    Constant(u8),
    Coded(Box<Frequencies>),
}

impl RowTable {
    /// For bytes that occur like these. Others need not be codable.
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

    pub(super) fn frequencies(&self) -> Option<&Frequencies> {
        match self {
            Self::Constant(_) => None,
            Self::Coded(frequencies) => Some(frequencies),
        }
    }

    pub(super) fn write(&self, out: &mut BitWriter) {
        match self {
            Self::Constant(byte) => {
                out.put(0, 1);
                out.put((*byte).into(), 8);
            }
            Self::Coded(frequencies) => {
                out.put(1, 1);
                frequencies.write(out);
            }
        }
    }

    /// # Errors
    /// `Corrupt` for bytes above `max`, `Truncated`.
    pub(super) fn read(input: &mut BitReader<'_>, max: u8) -> Result<Self> {
        let (table, last) = match input.take(1)? {
            0 => {
                let byte = input.take(8)? as u8;
                (Self::Constant(byte), byte)
            }
            _ => {
                let frequencies = Frequencies::read(input)?;
                let last = frequencies.get().iter().rposition(|&f| f > 0).unwrap_or(0) as u8;
                (Self::Coded(Box::new(frequencies)), last)
            }
        };
        if last > max {
            return Err(Error::corrupt("a row's byte out of range"));
        }
        Ok(table)
    }
}
