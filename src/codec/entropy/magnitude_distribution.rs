//! Parametric distributions of signed integers by magnitude.
//!
//! Weights in decorrelated coordinates are symmetric about zero and their distribution is smooth.
//! A [`MagnitudeDistribution`] therefore stores one quantised logarithm for each magnitude, as second
//! differences with Rice codes: about a tenth of the bits of a frequency table. Small matrices can
//! then afford many tables.

use super::{Alphabet, BitReader, CENTRE, Coset, ESCAPE, Frequencies};
use crate::error::{Error, Result};

/// Levels are negative logarithms in eighths of a bit: level 0 is the largest weight, level 127 is
/// 2^-15.9 of it.
pub(super) const LEVEL_BITS: u32 = 7;
pub(super) const MAX_LEVEL: u8 = (1 << LEVEL_BITS) - 1;

/// Bits of the field that holds the largest magnitude with a level.
pub(super) const MAGNITUDE_BITS: u32 = 8;

/// Bits of the field that holds the Rice parameter.
pub(super) const RICE_BITS: u32 = 3;

/// The largest magnitude that can have a level.
pub(crate) const MAX_MAGNITUDE: usize = 254;

/// 2^24 · 2^(-j/8).
const POWERS: [u32; 8] =
    [16777216, 15384775, 14107901, 12937002, 11863283, 10878679, 9975792, 9147842];

/// One level for each magnitude from 0 up, and one for the escape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MagnitudeDistribution {
    pub(super) levels: Vec<u8>,
    pub(super) escape: u8,
}

impl MagnitudeDistribution {
    /// The largest magnitude with a symbol in an alphabet without bypass bits.
    pub(crate) fn reach(&self, coset: Coset) -> usize {
        let symbols = match coset {
            Coset::Whole => (CENTRE - 1) as usize,
            Coset::Even | Coset::Odd => MAX_MAGNITUDE,
        };
        self.levels.len().saturating_sub(1).min(symbols)
    }

    /// The frequencies of an alphabet's symbols.
    ///
    /// Each symbol with a level, and the escape, has a frequency of 1 plus a part of the remainder
    /// in proportion to its weight. The arithmetic uses integers only, so that decoders on all
    /// platforms agree.
    pub(crate) fn frequencies(&self, alphabet: Alphabet) -> Frequencies {
        let mut weights = [None; 256];
        weights[usize::from(ESCAPE)] = Some(weight(self.escape));
        for symbol in 1..=255u8 {
            let level = self.levels.get(alphabet.magnitude(symbol));
            weights[usize::from(symbol)] = level.map(|&level| weight(level));
        }
        Frequencies::from_weights(&weights)
    }

    /// Reads a distribution: the largest magnitude (8 bits), the level of the escape (7 bits), the
    /// Rice parameter (3 bits), then the Rice codes of the levels' second differences.
    ///
    /// # Errors
    /// `Corrupt` or `Truncated`.
    pub(crate) fn read(input: &mut BitReader<'_>) -> Result<Self> {
        let last = input.take(MAGNITUDE_BITS)? as usize;
        if !(1..=MAX_MAGNITUDE).contains(&last) {
            return Err(Error::corrupt("a magnitude distribution has too few or too many levels"));
        }
        let escape = input.take(LEVEL_BITS)? as u8;
        let rice = input.take(RICE_BITS)?;
        let mut levels = Vec::with_capacity(last + 1);
        let (mut before, mut previous) = (0i64, 0i64);
        for _ in 0..=last {
            let level = 2 * previous - before + i64::from(input.take_rice(rice)?);
            if !(0..=i64::from(MAX_LEVEL)).contains(&level) {
                return Err(Error::corrupt("a level of a magnitude distribution is out of range"));
            }
            levels.push(level as u8);
            (before, previous) = (previous, level);
        }
        Ok(Self { levels, escape })
    }
}

/// The weight of a level: 2^24 · 2^(-level/8), rounded down.
fn weight(level: u8) -> u32 {
    POWERS[usize::from(level % 8)] >> (level / 8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EVEN: Alphabet = Alphabet { coset: Coset::Even, bypass: 0 };
    const ODD: Alphabet = Alphabet { coset: Coset::Odd, bypass: 0 };

    #[test]
    fn known_frequencies() {
        // Level 8 is half of level 0. 4096 - 4 is distributed over 1 + 1/2 + 1/2; the weight of
        // the escape is negligible.
        let distribution = MagnitudeDistribution { levels: vec![0, 0, 8], escape: 127 };
        let table = distribution.frequencies(EVEN);
        assert_eq!(table.get()[127..130], [1024, 2047, 1024]);
        assert_eq!(table.get()[0], 1);
        let odd = distribution.frequencies(ODD);
        assert_eq!((odd.get()[127], odd.get()[128]), (2047, 2048));
    }

    proptest! {
        #[test]
        fn every_readable_distribution_has_valid_tables(
            bytes in prop::collection::vec(any::<u8>(), 0..99)
        ) {
            let read = MagnitudeDistribution::read(&mut BitReader::new(&bytes));
            let Ok(distribution) = read else { return Ok(()) };
            for coset in [Coset::Whole, Coset::Even, Coset::Odd] {
                for bypass in [0, 3] {
                    let table = distribution.frequencies(Alphabet { coset, bypass });
                    let sum: u32 = table.get().iter().map(|&f| u32::from(f)).sum();
                    prop_assert_eq!(sum, 4096);
                    prop_assert!(table.get().iter().all(|&f| f < 4096));
                }
            }
        }
    }
}
