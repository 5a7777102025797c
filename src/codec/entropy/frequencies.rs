//! Frequency tables: symbol probabilities of 12 bits.

use super::BitReader;
use super::rans::PRECISION;
use crate::error::{Error, Result};

/// The sum of all frequencies of a table.
const TOTAL: u32 = 1 << PRECISION;

/// Bits of the field that holds the bit length (0 to 12) of one frequency.
pub(super) const LENGTH_BITS: u32 = 4;

/// The frequency of each byte value: at least two are nonzero, their sum is 4096. Values with
/// frequency 0 cannot be coded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frequencies(pub(super) [u16; 256]);

impl Frequencies {
    /// Distributes the total in proportion to `weights`.
    ///
    /// Each value with a weight gets 1 plus its proportional part of the remainder. Cumulative
    /// sums are rounded down. At least two values must have a weight; weights must be nonzero.
    /// The arithmetic uses integers only, so that decoders on all platforms agree.
    pub(crate) fn from_weights(weights: &[Option<u32>; 256]) -> Self {
        let total: u64 = weights.iter().flatten().map(|&weight| u64::from(weight)).sum();
        let rest = u64::from(TOTAL) - weights.iter().flatten().count() as u64;
        let mut sum = 0;
        Self(weights.map(|weight| match weight {
            Some(weight) => {
                let below = rest * sum / total;
                sum += u64::from(weight);
                (1 + rest * sum / total - below) as u16
            }
            None => 0,
        }))
    }

    /// The frequency of each byte value.
    pub(crate) fn get(&self) -> &[u16; 256] {
        &self.0
    }

    /// Reads a table: the first and the last value with a nonzero frequency (8 bits each), then for
    /// each value from first to last the bit length of its frequency (4 bits) and the bits below
    /// the leading one.
    ///
    /// # Errors
    /// `Corrupt` for a table with fewer than two values, a zero at either end or another sum than
    /// 4096; `Truncated`.
    pub(crate) fn read(input: &mut BitReader<'_>) -> Result<Self> {
        let first = input.take(8)? as usize;
        let last = input.take(8)? as usize;
        if first >= last {
            return Err(Error::corrupt("a frequency table has fewer than two values"));
        }
        let mut table = [0; 256];
        for frequency in &mut table[first..=last] {
            *frequency = match input.take(LENGTH_BITS)? {
                0 => 0,
                length @ 1..=PRECISION => (1 << (length - 1)) + input.take(length - 1)? as u16,
                _ => return Err(Error::corrupt("a frequency exceeds 4095")),
            };
        }
        if table[first] == 0 || table[last] == 0 {
            return Err(Error::corrupt("a frequency table starts or ends with a zero"));
        }
        if table.iter().map(|&frequency| u32::from(frequency)).sum::<u32>() != TOTAL {
            return Err(Error::corrupt("a frequency table does not sum to 4096"));
        }
        Ok(Self(table))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_table() {
        // 5, 7; length 12 and 1024 in 11 bits; length 0; length 11 and 0 in 10 bits.
        let bytes = [5, 7, 0b0000_1100, 0b0100_0000, 0b0101_1000, 0, 0];
        let table = Frequencies::read(&mut BitReader::new(&bytes)).unwrap();
        assert_eq!(table.get()[5..8], [3072, 0, 1024]);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            if let Ok(table) = Frequencies::read(&mut BitReader::new(&bytes)) {
                prop_assert_eq!(table.get().iter().map(|&f| u32::from(f)).sum::<u32>(), TOTAL);
            }
        }
    }
}
