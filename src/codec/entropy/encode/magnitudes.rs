//! Fitting, pricing and writing of magnitude distributions.

use super::bit_writer::BitWriter;
use crate::codec::entropy::alphabet::{Alphabet, CENTRE, ESCAPE};
use crate::codec::entropy::frequencies::Frequencies;
use crate::codec::entropy::magnitude_distribution::{
    LEVEL_BITS, MAGNITUDE_BITS, MAX_LEVEL, MAX_MAGNITUDE, MagnitudeDistribution, RICE_BITS,
};
use crate::codec::entropy::rans::PRECISION;

/// Uncoded bits of an escaped integer.
const ESCAPED_BITS: f32 = 16.0;

/// The probability of a magnitude at which its level costs as much as escaping it.
const RARE: f64 = 4e-5;

impl Alphabet {
    /// The symbol of integer `k`, [`ESCAPE`] when there is none.
    pub(crate) fn symbol(self, k: i32) -> u8 {
        let symbol = (k >> self.bypass) + CENTRE;
        if (1..=255).contains(&symbol) { symbol as u8 } else { ESCAPE }
    }

    /// The magnitude of integer `k`.
    pub(crate) fn magnitude_of(self, k: i32) -> usize {
        match self.symbol(k) {
            ESCAPE => MAX_MAGNITUDE + 1,
            symbol => self.magnitude(symbol),
        }
    }
}

/// Counts of magnitudes up to [`MAX_MAGNITUDE`], and one count of all larger ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MagnitudeCounts(pub(crate) [u64; MAX_MAGNITUDE + 2]);

impl Default for MagnitudeCounts {
    fn default() -> Self {
        Self([0; MAX_MAGNITUDE + 2])
    }
}

impl MagnitudeCounts {
    pub(crate) fn add(&mut self, magnitude: usize) {
        self.0[magnitude.min(MAX_MAGNITUDE + 1)] += 1;
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (sum, count) in self.0.iter_mut().zip(&other.0) {
            *sum += count;
        }
    }

    pub(crate) fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

impl MagnitudeDistribution {
    /// Fits a distribution to counts.
    ///
    /// With `mirrored_zero` (alphabets with bypass bits), magnitude 0 has two symbols like all
    /// others; otherwise it has one. With `by_parity`, even and odd magnitudes belong to separate
    /// tables ([`Coset::Even`](crate::codec::entropy::Coset::Even) and
    /// [`Coset::Odd`](crate::codec::entropy::Coset::Odd)).
    pub(crate) fn from_counts(
        counts: &MagnitudeCounts,
        mirrored_zero: bool,
        by_parity: bool,
    ) -> Self {
        let total = counts.total().max(1) as f64;
        // For larger magnitudes escapes are cheaper than levels.
        let rare = (total * RARE).max(1.0);
        let last = (0..=MAX_MAGNITUDE).rfind(|&m| counts.0[m] as f64 >= rare);
        let last = last.unwrap_or(0).max(1);
        let escaped: u64 = counts.0[last + 1..].iter().sum();
        let mut totals = [0u64; 2];
        for (magnitude, count) in counts.0[..=last].iter().enumerate() {
            totals[if by_parity { magnitude % 2 } else { 0 }] += count;
        }
        // Every symbol gets a frequency of 1 in addition to its weight; subtract it here.
        let unit = |magnitude: usize| {
            let total = totals[if by_parity { magnitude % 2 } else { 0 }];
            (total + escaped) as f64 / f64::from(1 << PRECISION)
        };
        let weights: Vec<f64> = (0..=last)
            .map(|magnitude| {
                let symbols = if magnitude == 0 && !mirrored_zero { 1.0 } else { 2.0 };
                counts.0[magnitude] as f64 / symbols - unit(magnitude)
            })
            .collect();
        let heaviest = weights.iter().copied().fold(1e-9, f64::max);
        let level = |weight: f64| -> Option<i32> {
            let level = (8.0 * (heaviest / weight).log2()).round();
            (weight > 0.0 && level <= f64::from(MAX_LEVEL)).then_some(level as i32)
        };
        let mut levels: Vec<u8> = Vec::with_capacity(last + 1);
        for &weight in &weights {
            // A weight that rounds to the least frequency continues the line through the two
            // levels before it, which has the shortest code.
            let line = match levels[..] {
                [.., before, last] => 2 * i32::from(last) - i32::from(before),
                _ => i32::from(MAX_LEVEL),
            };
            let level =
                level(weight).unwrap_or(line.max(8 * PRECISION as i32)).clamp(0, MAX_LEVEL.into());
            levels.push(level as u8);
        }
        let sides = if by_parity { 2.0 } else { 1.0 };
        let escape = level(escaped as f64 / sides - unit(0)).unwrap_or(MAX_LEVEL.into());
        Self { levels, escape: escape.max(0) as u8 }
    }

    /// Whether `k` has a symbol. If not, it is escaped.
    pub(crate) fn reaches(&self, alphabet: Alphabet, k: i32) -> bool {
        alphabet.magnitude_of(k) < self.levels.len()
    }

    /// Code length of an integer in bits, without bypass bits. `table` must be a table of this
    /// distribution and alphabet.
    pub(crate) fn bits(&self, table: &Frequencies, alphabet: Alphabet, k: i32) -> f32 {
        match self.reaches(alphabet, k) {
            true => table.bits(alphabet.symbol(k)),
            false => table.bits(ESCAPE) + ESCAPED_BITS,
        }
    }

    /// Appends the distribution in the format that [`read`](Self::read) describes.
    pub(crate) fn write(&self, out: &mut BitWriter) {
        let differences: Vec<i32> = self.second_differences().collect();
        let size =
            |rice: u32| differences.iter().map(|&d| BitWriter::rice_length(d, rice)).sum::<u32>();
        let rice = (0..1 << RICE_BITS).min_by_key(|&rice| size(rice)).unwrap_or(0);
        out.put(self.levels.len() as u32 - 1, MAGNITUDE_BITS);
        out.put(self.escape.into(), LEVEL_BITS);
        out.put(rice, RICE_BITS);
        for difference in differences {
            out.put_rice(difference, rice);
        }
    }

    /// The difference of each level from the line through the two levels before it.
    fn second_differences(&self) -> impl Iterator<Item = i32> + '_ {
        let (mut before, mut last) = (0, 0);
        self.levels.iter().map(move |&level| {
            let level = i32::from(level);
            let line = 2 * last - before;
            (before, last) = (last, level);
            level - line
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::entropy::{BitReader, Coset};
    use proptest::prelude::*;

    const EVEN: Alphabet = Alphabet { coset: Coset::Even, bypass: 0 };
    const ODD: Alphabet = Alphabet { coset: Coset::Odd, bypass: 0 };

    fn fit(counts: &[u64]) -> MagnitudeDistribution {
        let mut all = MagnitudeCounts::default();
        all.0[..counts.len()].copy_from_slice(counts);
        MagnitudeDistribution::from_counts(&all, false, true)
    }

    /// Expected counts of magnitudes of a Gaussian with standard deviation `sigma` lattice steps.
    fn gaussian(sigma: f64, total: f64) -> Vec<u64> {
        let density = |m: usize| (-0.5 * (m as f64 / sigma).powi(2)).exp() / sigma / 2.5066;
        (0..=254).map(|m| (total * density(m) * if m == 0 { 1.0 } else { 2.0 }) as u64).collect()
    }

    #[test]
    fn tables_are_short_and_code_near_the_entropy() {
        for sigma in [0.7, 2.0, 4.0, 9.0, 25.0] {
            let counts = gaussian(sigma, 1e6);
            let distribution = fit(&counts);
            let mut out = BitWriter::default();
            distribution.write(&mut out);
            let bytes = out.finish();
            assert!(bytes.len() < 8 + counts.iter().filter(|&&c| c > 40).count(), "{sigma}");
            for alphabet in [EVEN, ODD] {
                let table = distribution.frequencies(alphabet);
                let (mut cost, mut entropy, mut total) = (0.0, 0.0, 0.0);
                for symbol in 1..=255u8 {
                    let magnitude = alphabet.magnitude(symbol);
                    let symbols = if magnitude == 0 { 1.0 } else { 2.0 };
                    let count = counts.get(magnitude).map_or(0.0, |&c| c as f64 / symbols);
                    if table.get()[usize::from(symbol)] > 0 && count > 0.0 {
                        cost += count * (12.0 - f64::from(table.get()[usize::from(symbol)]).log2());
                        entropy -= count * count.log2();
                        total += count;
                    }
                }
                entropy += total * total.log2();
                let excess = (cost - entropy) / total;
                assert!(excess < 0.003, "{sigma} {alphabet:?}: {excess}");
            }
        }
    }

    #[test]
    fn integers_and_symbols_round_trip() {
        for bypass in 0..6 {
            for coset in [Coset::Whole, Coset::Even, Coset::Odd] {
                let alphabet = Alphabet { coset, bypass };
                for k in -5000..5000 {
                    match alphabet.symbol(k) {
                        ESCAPE => assert!((k >> bypass).abs() > 126),
                        symbol => {
                            let low = k & ((1 << bypass) - 1);
                            assert_eq!(alphabet.integer(symbol) + low, k);
                        }
                    }
                }
            }
        }
    }

    proptest! {
        #[test]
        fn distributions_round_trip(
            counts in prop::collection::vec(0u64..5000, 1..256),
            mirrored: bool,
            by_parity: bool,
        ) {
            let mut all = MagnitudeCounts::default();
            all.0[..counts.len()].copy_from_slice(&counts);
            let distribution = MagnitudeDistribution::from_counts(&all, mirrored, by_parity);
            let mut out = BitWriter::default();
            distribution.write(&mut out);
            let bytes = out.finish();
            let mut input = BitReader::new(&bytes);
            prop_assert_eq!(&MagnitudeDistribution::read(&mut input).unwrap(), &distribution);
            prop_assert!(input.finish().unwrap().is_empty());
        }
    }
}
