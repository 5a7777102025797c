//! Counting of byte values.

/// Counts of the 256 byte values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Histogram([u64; 256]);

impl Default for Histogram {
    fn default() -> Self {
        Self([0; 256])
    }
}

impl Histogram {
    /// From the count of each byte value.
    pub(crate) fn from_counts(counts: [u64; 256]) -> Self {
        Self(counts)
    }

    /// Counts one byte.
    pub(crate) fn count_byte(&mut self, byte: u8) {
        self.0[usize::from(byte)] += 1;
    }

    /// Counts `bytes`. O(n); for few bytes, the time to merge tables prevails.
    pub(crate) fn count(&mut self, bytes: &[u8]) {
        // Four tables avoid store-to-load dependencies within runs of one value.
        let mut tables = [[0u32; 256]; 4];
        for part in bytes.chunks(u32::MAX as usize) {
            let (quads, rest) = part.as_chunks::<4>();
            for quad in quads {
                for (table, &byte) in tables.iter_mut().zip(quad) {
                    table[usize::from(byte)] += 1;
                }
            }
            for &byte in rest {
                tables[0][usize::from(byte)] += 1;
            }
            for table in &mut tables {
                for (sum, count) in self.0.iter_mut().zip(table) {
                    *sum += u64::from(std::mem::take(count));
                }
            }
        }
    }

    /// Adds another histogram's counts.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (sum, count) in self.0.iter_mut().zip(&other.0) {
            *sum += count;
        }
    }

    /// The counts multiplied by a ratio. Values that occur still do.
    pub(crate) fn scaled(&self, numerator: u64, denominator: u64) -> Self {
        Self(self.0.map(|count| scale(count, numerator, denominator)))
    }

    /// With one more of each byte value.
    pub(crate) fn with_all(&self) -> Self {
        Self(self.0.map(|count| count + 1))
    }

    /// The count of each byte value.
    pub(crate) fn counts(&self) -> &[u64; 256] {
        &self.0
    }

    /// The sum of all counts.
    pub(crate) fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The byte values that occur, ascending.
    pub(crate) fn present(&self) -> impl Iterator<Item = u8> + '_ {
        (0..=255u8).filter(|&symbol| self.0[usize::from(symbol)] > 0)
    }
}

/// A count multiplied by a ratio, rounded up.
pub(crate) fn scale(count: u64, numerator: u64, denominator: u64) -> u64 {
    let product = u128::from(count) * u128::from(numerator);
    product.div_ceil(u128::from(denominator.max(1))) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn merged_counts_match_a_naive_count(
            bytes in prop::collection::vec(any::<u8>(), 0..999),
            cut in 0usize..999,
        ) {
            let (a, b) = bytes.split_at(cut.min(bytes.len()));
            let (mut left, mut right) = (Histogram::default(), Histogram::default());
            left.count(a);
            right.count(b);
            left.merge(&right);
            let mut one_by_one = Histogram::default();
            bytes.iter().for_each(|&byte| one_by_one.count_byte(byte));
            prop_assert_eq!(&left, &one_by_one);
            for value in 0..=255u8 {
                let expected = bytes.iter().filter(|&&byte| byte == value).count() as u64;
                prop_assert_eq!(left.counts()[usize::from(value)], expected);
            }
            prop_assert_eq!(left.total(), bytes.len() as u64);
            prop_assert!(left.present().all(|value| bytes.contains(&value)));
        }
    }
}
