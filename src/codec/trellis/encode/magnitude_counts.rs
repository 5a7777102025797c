//! Counting the magnitudes of many weights.

use crate::codec::entropy::{MAX_MAGNITUDE, MagnitudeCounts};

/// The magnitude of all integers that are escaped. Magnitudes fit into bytes.
pub(super) const ESCAPED: u8 = MAX_MAGNITUDE as u8 + 1;

/// Counts of magnitudes, in a table for each profile.
///
/// Neighbouring weights are counted in two tables, since a count that follows one of an equal
/// magnitude in the same table would wait for it.
pub(super) struct CountTables {
    tables: Vec<[[u32; 256]; 2]>,
}

impl CountTables {
    pub(super) fn new(profiles: usize) -> Self {
        Self { tables: vec![[[0; 256]; 2]; profiles] }
    }

    /// Counts magnitudes of one profile.
    fn add(&mut self, magnitudes: &[u8], profile: u8) {
        let [even, odd] = &mut self.tables[usize::from(profile)];
        let (pairs, rest) = magnitudes.as_chunks::<2>();
        for [a, b] in pairs {
            even[usize::from(*a)] += 1;
            odd[usize::from(*b)] += 1;
        }
        rest.iter().for_each(|magnitude| even[usize::from(*magnitude)] += 1);
    }

    /// Counts magnitudes of a row; `profile` is that of a class of columns, and `classes` are those of
    /// the columns, none if all have class 0.
    pub(super) fn add_row(
        &mut self,
        magnitudes: &[u8],
        classes: &[u8],
        profile: impl Fn(u8) -> u8,
    ) {
        match classes {
            [] => self.add(magnitudes, profile(0)),
            _ => self.add_each(magnitudes, classes.iter().map(|&class| profile(class))),
        }
    }

    /// Counts each magnitude in the table of its own profile.
    pub(super) fn add_each(&mut self, magnitudes: &[u8], profiles: impl Iterator<Item = u8>) {
        for (number, (&magnitude, profile)) in magnitudes.iter().zip(profiles).enumerate() {
            self.tables[usize::from(profile)][number % 2][usize::from(magnitude)] += 1;
        }
    }

    /// The counts of each profile.
    pub(super) fn totals(&self) -> Vec<MagnitudeCounts> {
        let total = |[even, odd]: &[[u32; 256]; 2]| {
            MagnitudeCounts(std::array::from_fn(|m| u64::from(even[m]) + u64::from(odd[m])))
        };
        self.tables.iter().map(total).collect()
    }
}

/// The largest magnitude for which [`round_magnitude`] is exact.
const LARGEST: f32 = 255.0;

/// A number from which on `f32` holds integers only: adding it rounds to the nearest integer.
const ROUNDING: f32 = (1 << 23) as f32;

/// The integer nearest to a magnitude, at most 255, as a byte and as a number. NaN becomes 255.
#[inline]
pub(super) fn round_magnitude(magnitude: f32) -> (u8, f32) {
    let rounded = magnitude.min(LARGEST) + ROUNDING;
    (rounded.to_bits() as u8, rounded - ROUNDING)
}

/// A number between 2^23 and 2^24 whose 16 lowest bits are 0: adding an integer of 16 bits to it gives
/// that integer in two's complement.
const SIGNED_ROUNDING: f32 = (3 << 22) as f32;

/// The integer nearest to a number whose magnitude is less than 2^15. NaN becomes 0.
#[inline]
pub(super) fn round_signed(number: f32) -> i16 {
    (number + SIGNED_ROUNDING).to_bits() as i16
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn magnitudes_are_rounded_to_nearest() {
        let rounded = [-0.05, 0.0, 0.49, 0.51, 1.4, 254.6, 255.0, 1e9, f32::NAN];
        let expected = [0, 0, 0, 1, 1, 255, 255, 255, 255];
        assert_eq!(rounded.map(|x| round_magnitude(x).0), expected);
        assert_eq!(rounded.map(|x| round_magnitude(x).1), expected.map(f32::from));
    }

    #[test]
    fn signed_numbers_are_rounded_to_nearest() {
        let rounded = [-32_763.0, -1.51, -0.49, 0.0, 0.51, 1.49, 32_763.0, f32::NAN];
        assert_eq!(rounded.map(round_signed), [-32_763, -2, 0, 0, 1, 1, 32_763, 0]);
    }

    proptest! {
        #[test]
        fn counts_match_a_naive_count(weights in prop::collection::vec((0u8..5, any::<u8>()), 0..99)) {
            let mut expected = vec![MagnitudeCounts::default(); 5];
            let (mut each, mut single) = (CountTables::new(5), CountTables::new(5));
            for &(profile, magnitude) in &weights {
                expected[usize::from(profile)].add(magnitude.into());
            }
            let magnitudes: Vec<u8> = weights.iter().map(|weight| weight.1).collect();
            each.add_each(&magnitudes, weights.iter().map(|weight| weight.0));
            prop_assert_eq!(&each.totals(), &expected);
            for profile in 0..5 {
                let of_profile = weights.iter().filter(|weight| weight.0 == profile);
                single.add(&of_profile.map(|weight| weight.1).collect::<Vec<_>>(), profile);
            }
            prop_assert_eq!(&single.totals(), &expected);
        }
    }
}
