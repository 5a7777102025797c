//! Choosing, pricing and writing of frequency tables.

use super::bit_writer::BitWriter;
use super::histogram::Histogram;
use crate::codec::entropy::frequencies::{Frequencies, LENGTH_BITS};
use crate::codec::entropy::rans::PRECISION;
use constriction::stream::model::{
    ContiguousCategoricalEntropyModel as Categorical, IterableEntropyModel,
};

impl Frequencies {
    /// The frequencies that minimise the code length of the counted symbols.
    ///
    /// `None` when fewer than two values occur. Such data need no code.
    pub(crate) fn from_histogram(histogram: &Histogram) -> Option<Self> {
        let symbols: Vec<u8> = histogram.present().collect();
        let counts: Vec<f64> =
            symbols.iter().map(|&s| histogram.counts()[usize::from(s)] as f64).collect();
        // Minimises the cross entropy. constriction computes logarithms with the portable crate
        // `libm`, so that the result is the same on all platforms.
        type Model = Categorical<u16, Vec<u16>, { PRECISION as usize }>;
        let model = Model::from_floating_point_probabilities_perfect(&counts).ok()?;
        let mut table = [0; 256];
        for (position, _, frequency) in model.symbol_table() {
            table[usize::from(symbols[position])] = frequency.get();
        }
        Some(Self(table))
    }

    /// Code length of a symbol in bits; infinite for frequency 0.
    pub(crate) fn bits(&self, symbol: u8) -> f32 {
        match self.0[usize::from(symbol)] {
            0 => f32::INFINITY,
            frequency => ((PRECISION << 16) - log2_q16(frequency.into())) as f32 / 65536.0,
        }
    }

    /// Code length of the counted symbols in bits, rounded up.
    ///
    /// Every counted symbol must have a nonzero frequency.
    pub(crate) fn cost_bits(&self, histogram: &Histogram) -> u64 {
        self.cost_q16(histogram.counts()).div_ceil(1 << 16) as u64
    }

    /// The fewest symbols, as frequent as the table says, whose code takes at least so many bits.
    pub(crate) fn symbols_of_bits(&self, bits: u64) -> u64 {
        // Of as many symbols as the frequencies sum to.
        let cost = self.cost_q16(&self.0.map(u64::from));
        (u128::from(bits) << (16 + PRECISION)).div_ceil(cost) as u64
    }

    /// Code length of counted symbols in units of 2^-16 bits.
    fn cost_q16(&self, counts: &[u64; 256]) -> u128 {
        let costs = counts.iter().zip(log2s_q16(&self.0.map(u64::from)));
        costs.map(|(&count, log2)| u128::from(count) * u128::from((PRECISION << 16) - log2)).sum()
    }

    /// Appends the table in the format that [`read`](Self::read) describes.
    pub(crate) fn write(&self, out: &mut BitWriter) {
        let occurs = |&symbol: &usize| self.0[symbol] > 0;
        let first = (0..256).find(occurs).unwrap_or(0);
        let last = (0..256).rfind(occurs).unwrap_or(0);
        out.put(first as u32, 8);
        out.put(last as u32, 8);
        for &frequency in &self.0[first..=last] {
            let length = u16::BITS - frequency.leading_zeros();
            out.put(length, LENGTH_BITS);
            if length > 1 {
                out.put(u32::from(frequency) - (1 << (length - 1)), length - 1);
            }
        }
    }
}

/// The number of counted symbols times their entropy, in bits: a lower bound of the code length with
/// any table (Shannon, 1948). Rounded down; the relative error is about 2^-16.
pub(crate) fn entropy_bits(histogram: &Histogram) -> u64 {
    let total = log2_q16(histogram.total().max(1));
    let counts = histogram.counts();
    let bits: u128 = counts
        .iter()
        .zip(log2s_q16(counts))
        .map(|(&count, log2)| u128::from(count) * u128::from(total - log2))
        .sum();
    (bits >> 16) as u64
}

/// `log2(x)` in units of 2^-16, rounded down. Each squaring of the mantissa yields one bit.
///
/// The arithmetic uses integers only, so that choices by cost are the same on all platforms.
fn log2_q16(x: u64) -> u32 {
    let [result] = log2_array([x]);
    result
}

/// The logarithms of all counts; 0 for a count of 0.
fn log2s_q16(counts: &[u64; 256]) -> [u32; 256] {
    let mut all = [0; 256];
    let groups = counts.as_chunks::<8>().0.iter().zip(all.as_chunks_mut().0);
    groups.for_each(|(counts, out)| *out = log2_array(counts.map(|count| count.max(1))));
    all
}

/// Several logarithms at a time: one waits for each of its squarings.
fn log2_array<const N: usize>(x: [u64; N]) -> [u32; N] {
    let exponents = x.map(u64::ilog2);
    let mut mantissas: [u64; N] =
        std::array::from_fn(|i| ((u128::from(x[i]) << 31) >> exponents[i]) as u64);
    let mut results = exponents.map(u64::from);
    for _ in 0..16 {
        for (mantissa, result) in mantissas.iter_mut().zip(&mut results) {
            let square = (u64::from(*mantissa as u32) * u64::from(*mantissa as u32)) >> 31;
            let bit = square >> 32;
            *mantissa = if bit == 1 { square >> 1 } else { square };
            *result = *result << 1 | bit;
        }
    }
    results.map(|result| result as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::entropy::BitReader;
    use proptest::prelude::*;

    fn histogram(counts: &[(u8, usize)]) -> Histogram {
        let mut histogram = Histogram::default();
        for &(symbol, count) in counts {
            histogram.count(&vec![symbol; count]);
        }
        histogram
    }

    #[test]
    fn code_lengths_of_symbols_as_frequent_as_the_table_says() {
        // One bit a symbol, and 0.8113 bits.
        for (counts, symbols) in [([9, 9], 1000), ([9, 3], 1233)] {
            let counts = [(3, counts[0]), (7, counts[1])];
            let frequencies = Frequencies::from_histogram(&histogram(&counts)).unwrap();
            assert_eq!(frequencies.symbols_of_bits(1000), symbols);
        }
    }

    #[test]
    fn log2_matches_floating_point() {
        for x in (1..=4096u64).chain([1 << 40, (1 << 50) - 1, u64::MAX]) {
            let error = (x as f64).log2() - f64::from(log2_q16(x)) / 65536.0;
            assert!((-1e-12..1.0 / 32768.0).contains(&error), "{x}: {error}");
        }
    }

    #[test]
    fn known_table() {
        let table = Frequencies::from_histogram(&histogram(&[(5, 3), (7, 1)])).unwrap();
        assert_eq!((table.get()[5], table.get()[6], table.get()[7]), (3072, 0, 1024));
        assert_eq!(table.cost_bits(&histogram(&[(7, 10)])), 20);
        let mut out = BitWriter::default();
        table.write(&mut out);
        // 5, 7; length 12 and 1024 in 11 bits; length 0; length 11 and 0 in 10 bits.
        assert_eq!(out.finish(), [5, 7, 0b0000_1100, 0b0100_0000, 0b0101_1000, 0, 0]);
    }

    #[test]
    fn fewer_than_two_values_need_no_table() {
        assert_eq!(Frequencies::from_histogram(&histogram(&[])), None);
        assert_eq!(Frequencies::from_histogram(&histogram(&[(9, 100)])), None);
    }

    proptest! {
        #[test]
        fn tables_round_trip_and_code_near_the_entropy(
            counts in prop::collection::vec((any::<u8>(), 1usize..2000), 2..256)
        ) {
            let histogram = histogram(&counts);
            let Some(table) = Frequencies::from_histogram(&histogram) else {
                prop_assert!(histogram.present().count() < 2);
                return Ok(());
            };
            let mut out = BitWriter::default();
            table.write(&mut out);
            let bytes = out.finish();
            let mut input = BitReader::new(&bytes);
            prop_assert_eq!(&Frequencies::read(&mut input).unwrap(), &table);
            prop_assert!(input.finish().unwrap().is_empty());

            let total = histogram.total() as f64;
            let entropy: f64 = histogram.present().map(|symbol| {
                let count = histogram.counts()[usize::from(symbol)] as f64;
                count * (total / count).log2()
            }).sum();
            let cost = table.cost_bits(&histogram) as f64;
            let bits = entropy_bits(&histogram) as f64;
            prop_assert!((bits - entropy).abs() <= total / 16384.0 + 1.0);
            prop_assert!(cost >= entropy - 1.0 && cost <= entropy * 1.02 + total * 0.02 + 1.0);
        }
    }
}
