//! Distributions of signed integers by magnitude: a few bits each, unfolded into frequencies.
//!
//! Weights in good coordinates are as often negative as positive, and their distribution is
//! smooth. So a *profile* stores one logarithm for each magnitude, as differences of differences,
//! where a table of frequencies would take ten times the bits. That makes many tables affordable,
//! even for small matrices.

use super::rans::PRECISION;
use super::{BitReader, BitWriter, Frequencies};
use crate::error::{Error, Result};

/// Levels are logarithms in eighths of a bit: 0 is the most frequent, 127 is 2^-15.9 of it.
const LEVEL_BITS: u32 = 7;
const MAX_LEVEL: u8 = (1 << LEVEL_BITS) - 1;

/// Bits that hold the largest magnitude with a level.
const MAGNITUDE_BITS: u32 = 8;

/// The largest magnitude a profile can have a level for.
pub(crate) const MAX_MAGNITUDE: usize = 254;

/// The symbol that announces an integer stored outside the stream.
pub(crate) const ESCAPE: u8 = 0;

/// The symbol of the integer 0; integer `k` has symbol `CENTRE + k`.
pub(crate) const CENTRE: i32 = 128;

/// 2^24 · 2^(-j/8).
const POWERS: [u32; 8] =
    [16777216, 15384775, 14107901, 12937002, 11863283, 10878679, 9975792, 9147842];

/// Which integers an alphabet consists of; decides their magnitudes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coset {
    /// The integer `k` itself.
    Whole,
    /// The lattice point `2k`.
    Even,
    /// The lattice point `2k + 1`.
    Odd,
}

/// How integers become symbols: the top bits are the symbol, `bypass` low bits go beside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Alphabet {
    pub(crate) coset: Coset,
    /// Low bits of each integer that are stored as they are.
    pub(crate) bypass: u32,
}

impl Alphabet {
    /// The symbol of integer `k`: [`ESCAPE`] when it is out of the alphabet's reach.
    pub(crate) fn symbol(self, k: i32) -> u8 {
        let symbol = (k >> self.bypass) + CENTRE;
        if (1..=255).contains(&symbol) { symbol as u8 } else { ESCAPE }
    }

    /// The integer of a symbol, its low bits zero.
    pub(crate) fn integer(self, symbol: u8) -> i32 {
        (i32::from(symbol) - CENTRE) << self.bypass
    }

    /// The magnitude that a symbol's frequency is looked up by. With low bits apart a symbol
    /// stands for a run of integers, whose mirror image is the run of symbol −1 − q.
    fn magnitude(self, symbol: u8) -> usize {
        let q = i32::from(symbol) - CENTRE;
        let magnitude = match (self.bypass, self.coset) {
            (0, Coset::Whole) => q.abs(),
            (0, Coset::Even) => (2 * q).abs(),
            (0, Coset::Odd) => (2 * q + 1).abs(),
            _ if q < 0 => -1 - q,
            _ => q,
        };
        magnitude as usize
    }

    /// The magnitude of integer `k`.
    pub(crate) fn magnitude_of(self, k: i32) -> usize {
        match self.symbol(k) {
            ESCAPE => MAX_MAGNITUDE + 1,
            symbol => self.magnitude(symbol),
        }
    }
}

/// How often magnitudes occur: counts up to [`MAX_MAGNITUDE`], and all beyond together.
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

/// A level for each magnitude from 0 up, and one for the escape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Profile {
    levels: Vec<u8>,
    escape: u8,
}

/// Bits of an integer beside its escape.
const ESCAPED_BITS: f32 = 16.0;

impl Profile {
    /// The profile of a distribution. With `mirrored_zero`, magnitude 0 stands for as many
    /// symbols as the others do (where low bits are apart); else for one, where they stand for
    /// two. With `by_parity`, even and odd magnitudes have tables of their own.
    pub(crate) fn from_counts(
        counts: &MagnitudeCounts,
        mirrored_zero: bool,
        by_parity: bool,
    ) -> Self {
        let total = counts.total().max(1) as f64;
        // Beyond, a magnitude takes more from the others than escapes cost it.
        let rare = (total * RARE).max(1.0);
        let last = (0..=MAX_MAGNITUDE).rfind(|&m| counts.0[m] as f64 >= rare);
        let last = last.unwrap_or(0).max(1);
        let escaped: u64 = counts.0[last + 1..].iter().sum();
        let mut totals = [0u64; 2];
        for (magnitude, count) in counts.0[..=last].iter().enumerate() {
            totals[if by_parity { magnitude % 2 } else { 0 }] += count;
        }
        // Every symbol gets a frequency of 1 on top of its share, taken off here.
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
            // What gets the least frequency anyway continues the line, which costs the least.
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

    /// The largest magnitude with a symbol, in an alphabet without low bits apart.
    pub(crate) fn reach(&self, coset: Coset) -> usize {
        let symbols = match coset {
            Coset::Whole => (CENTRE - 1) as usize,
            Coset::Even | Coset::Odd => MAX_MAGNITUDE,
        };
        self.levels.len().saturating_sub(1).min(symbols)
    }

    /// Whether the alphabet has a symbol for `k`; if not, it is escaped.
    pub(crate) fn reaches(&self, alphabet: Alphabet, k: i32) -> bool {
        alphabet.magnitude_of(k) < self.levels.len()
    }

    /// Bits that an integer takes by a table of this profile's, without those beside its symbol.
    pub(crate) fn bits(&self, table: &Frequencies, alphabet: Alphabet, k: i32) -> f32 {
        match self.reaches(alphabet, k) {
            true => table.bits(alphabet.symbol(k)),
            false => table.bits(ESCAPE) + ESCAPED_BITS,
        }
    }

    /// The frequencies of an alphabet's symbols.
    ///
    /// Each symbol with a level, and the escape, has a frequency of 1 and a share of the rest in
    /// proportion to its weight. Integers only: a decoder does the same.
    pub(crate) fn frequencies(&self, alphabet: Alphabet) -> Frequencies {
        let mut weights = [None; 256];
        weights[usize::from(ESCAPE)] = Some(weight(self.escape));
        for symbol in 1..=255u8 {
            let level = self.levels.get(alphabet.magnitude(symbol));
            weights[usize::from(symbol)] = level.map(|&level| weight(level));
        }
        Frequencies::from_shares(&weights)
    }

    /// Appends the profile.
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

    /// Each level's distance from the line through the two before it.
    fn second_differences(&self) -> impl Iterator<Item = i32> + '_ {
        let (mut before, mut last) = (0, 0);
        self.levels.iter().map(move |&level| {
            let level = i32::from(level);
            let line = 2 * last - before;
            (before, last) = (last, level);
            level - line
        })
    }

    /// Reads what [`write`](Self::write) wrote.
    ///
    /// # Errors
    /// `Corrupt` or `Truncated`.
    pub(crate) fn read(input: &mut BitReader<'_>) -> Result<Self> {
        let last = input.take(MAGNITUDE_BITS)? as usize;
        if !(1..=MAX_MAGNITUDE).contains(&last) {
            return Err(Error::corrupt("a profile of no magnitudes, or too many"));
        }
        let escape = input.take(LEVEL_BITS)? as u8;
        let rice = input.take(RICE_BITS)?;
        let mut levels = Vec::with_capacity(last + 1);
        let (mut before, mut previous) = (0i64, 0i64);
        for _ in 0..=last {
            let level = 2 * previous - before + i64::from(input.take_rice(rice)?);
            if !(0..=i64::from(MAX_LEVEL)).contains(&level) {
                return Err(Error::corrupt("a profile's level out of range"));
            }
            levels.push(level as u8);
            (before, previous) = (previous, level);
        }
        Ok(Self { levels, escape })
    }
}

/// Bits that hold the Rice parameter of a profile.
const RICE_BITS: u32 = 3;

/// A magnitude of this probability costs as much in the table as its escapes do.
const RARE: f64 = 4e-5;

fn weight(level: u8) -> u32 {
    POWERS[usize::from(level % 8)] >> (level / 8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EVEN: Alphabet = Alphabet { coset: Coset::Even, bypass: 0 };
    const ODD: Alphabet = Alphabet { coset: Coset::Odd, bypass: 0 };

    fn profile(counts: &[u64]) -> Profile {
        let mut all = MagnitudeCounts::default();
        all.0[..counts.len()].copy_from_slice(counts);
        Profile::from_counts(&all, false, true)
    }

    /// Magnitudes of a Gaussian with this many lattice points to a standard deviation.
    fn gaussian(sigma: f64, total: f64) -> Vec<u64> {
        let density = |m: usize| (-0.5 * (m as f64 / sigma).powi(2)).exp() / sigma / 2.5066;
        (0..=254).map(|m| (total * density(m) * if m == 0 { 1.0 } else { 2.0 }) as u64).collect()
    }

    #[test]
    fn known_frequencies() {
        // Level 8 is half of level 0. Shares of 4096 - 4 over 1 + 1/2 + 1/2 and next to nothing.
        let profile = Profile { levels: vec![0, 0, 8], escape: 127 };
        let table = profile.frequencies(EVEN);
        assert_eq!(table.get()[127..130], [1024, 2047, 1024]);
        assert_eq!(table.get()[0], 1);
        let odd = profile.frequencies(ODD);
        assert_eq!((odd.get()[127], odd.get()[128]), (2047, 2048));
    }

    #[test]
    fn tables_cost_little_and_code_well() {
        for sigma in [0.7, 2.0, 4.0, 9.0, 25.0] {
            let counts = gaussian(sigma, 1e6);
            let profile = profile(&counts);
            let mut out = BitWriter::default();
            profile.write(&mut out);
            let bytes = out.finish();
            assert!(bytes.len() < 8 + counts.iter().filter(|&&c| c > 40).count(), "{sigma}");
            for alphabet in [EVEN, ODD] {
                let table = profile.frequencies(alphabet);
                let (mut cost, mut entropy, mut total) = (0.0, 0.0, 0.0);
                for symbol in 1..=255u8 {
                    let magnitude = alphabet.magnitude(symbol);
                    let share = if magnitude == 0 { 1.0 } else { 2.0 };
                    let count = counts.get(magnitude).map_or(0.0, |&c| c as f64 / share);
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
    fn integers_and_symbols_lead_back() {
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
        fn profiles_come_back(
            counts in prop::collection::vec(0u64..5000, 1..256),
            mirrored: bool,
            by_parity: bool,
        ) {
            let mut all = MagnitudeCounts::default();
            all.0[..counts.len()].copy_from_slice(&counts);
            let profile = Profile::from_counts(&all, mirrored, by_parity);
            let mut out = BitWriter::default();
            profile.write(&mut out);
            let bytes = out.finish();
            let mut input = BitReader::new(&bytes);
            prop_assert_eq!(&Profile::read(&mut input).unwrap(), &profile);
            prop_assert!(input.finish().unwrap().is_empty());
        }

        #[test]
        fn every_profile_that_reads_makes_tables(bytes in prop::collection::vec(any::<u8>(), 0..99)) {
            let Ok(profile) = Profile::read(&mut BitReader::new(&bytes)) else { return Ok(()) };
            for coset in [Coset::Whole, Coset::Even, Coset::Odd] {
                for bypass in [0, 3] {
                    let table = profile.frequencies(Alphabet { coset, bypass });
                    let sum: u32 = table.get().iter().map(|&f| u32::from(f)).sum();
                    prop_assert_eq!(sum, 4096);
                    prop_assert!(table.get().iter().all(|&f| f < 4096));
                }
            }
        }
    }
}
