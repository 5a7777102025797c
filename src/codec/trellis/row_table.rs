//! The coding of one byte of each row: its class or its scale.

use crate::codec::entropy::{BitReader, Frequencies};
use crate::error::{Error, Result};

/// The same byte for all rows, which takes no bits in chunks, or a frequency table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RowTable {
    Constant(u8),
    Coded(Box<Frequencies>),
}

impl RowTable {
    pub(super) fn frequencies(&self) -> Option<&Frequencies> {
        match self {
            Self::Constant(_) => None,
            Self::Coded(frequencies) => Some(frequencies),
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
            return Err(Error::corrupt("codec parameters: a row class or scale is out of range"));
        }
        Ok(table)
    }
}
