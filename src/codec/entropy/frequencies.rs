//! Probabilities of 12 bits: made from counts, priced, stored.

use super::rans::PRECISION;
use super::{BitReader, BitWriter, Histogram};
use crate::error::{Error, Result};
use constriction::stream::model::{
    ContiguousCategoricalEntropyModel as Categorical, IterableEntropyModel,
};

/// What the frequencies of a table sum to.
const TOTAL: u32 = 1 << PRECISION;

/// Bits that hold the bit length (0 to 12) of one frequency.
const LENGTH_BITS: u32 = 4;

/// A frequency for each byte value: 0 for those that never occur, 4096 in sum, at least two of
/// them nonzero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frequencies([u16; 256]);

impl Frequencies {
    /// The frequencies that code the counted symbols in the fewest bits.
    ///
    /// `None` when fewer than two values occur: such data cost no bits at all.
    pub(crate) fn from_histogram(histogram: &Histogram) -> Option<Self> {
        let symbols: Vec<u8> = histogram.present().collect();
        let counts: Vec<f64> =
            symbols.iter().map(|&s| histogram.counts()[usize::from(s)] as f64).collect();
        // Minimises the cross entropy; its logarithms are of a portable library, so the result
        // is the same on every machine.
        type Model = Categorical<u16, Vec<u16>, { PRECISION as usize }>;
        let model = Model::from_floating_point_probabilities_perfect(&counts).ok()?;
        let mut table = [0; 256];
        for (position, _, frequency) in model.symbol_table() {
            table[usize::from(symbols[position])] = frequency.get();
        }
        Some(Self(table))
    }

    /// Each value with a weight gets a frequency of 1 and its share of the rest, rounded so that
    /// the sums over all smaller values are rounded down. At least two values need a weight, and
    /// a weight is not zero.
    pub(crate) fn from_shares(weights: &[Option<u32>; 256]) -> Self {
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

    /// Bits that one symbol costs; infinite where it has no frequency.
    pub(crate) fn bits(&self, symbol: u8) -> f32 {
        match self.0[usize::from(symbol)] {
            0 => f32::INFINITY,
            frequency => ((PRECISION << 16) - log2_q16(frequency.into())) as f32 / 65536.0,
        }
    }

    /// The frequency of each byte value.
    pub(crate) fn get(&self) -> &[u16; 256] {
        &self.0
    }

    /// Bits that the counted symbols cost under this table, rounded up.
    ///
    /// Every counted symbol must have a frequency.
    pub(crate) fn cost_bits(&self, histogram: &Histogram) -> u64 {
        let cost: u128 = histogram
            .present()
            .map(|symbol| {
                let frequency = u64::from(self.0[usize::from(symbol)]);
                let count = u128::from(histogram.counts()[usize::from(symbol)]);
                count * u128::from((PRECISION << 16) - log2_q16(frequency))
            })
            .sum();
        cost.div_ceil(1 << 16) as u64
    }

    /// Appends the table: the first and last value that occur (8 bits each), then for each value
    /// between them the bit length of its frequency (4 bits) and the bits below its leading one.
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

    /// Reads what [`write`](Self::write) wrote.
    ///
    /// # Errors
    /// `Corrupt` unless the table is one that `write` could have written.
    pub(crate) fn read(input: &mut BitReader<'_>) -> Result<Self> {
        let first = input.take(8)? as usize;
        let last = input.take(8)? as usize;
        if first >= last {
            return Err(Error::corrupt("a frequency table of fewer than two values"));
        }
        let mut table = [0; 256];
        for frequency in &mut table[first..=last] {
            *frequency = match input.take(LENGTH_BITS)? {
                0 => 0,
                length @ 1..=PRECISION => (1 << (length - 1)) + input.take(length - 1)? as u16,
                _ => return Err(Error::corrupt("a frequency above 4095")),
            };
        }
        if table[first] == 0 || table[last] == 0 {
            return Err(Error::corrupt("a frequency table with an empty end"));
        }
        if table.iter().map(|&frequency| u32::from(frequency)).sum::<u32>() != TOTAL {
            return Err(Error::corrupt("a frequency table does not sum to 4096"));
        }
        Ok(Self(table))
    }
}

/// Bits that the counted symbols hold at least, whatever the table: their number times their
/// entropy. Rounded down, give or take a bit in 2^16.
pub(crate) fn entropy_bits(histogram: &Histogram) -> u64 {
    let total = log2_q16(histogram.total().max(1));
    let bits: u128 = histogram
        .present()
        .map(|symbol| {
            let count = histogram.counts()[usize::from(symbol)];
            u128::from(count) * u128::from(total - log2_q16(count))
        })
        .sum();
    (bits >> 16) as u64
}

/// `log2(x)` in units of 2^-16, rounded down: bit by bit, by squaring the mantissa.
///
/// Integers only, so that choices by cost are the same on every machine.
fn log2_q16(x: u64) -> u32 {
    let exponent = x.ilog2();
    let mut mantissa = ((u128::from(x) << 31) >> exponent) as u64;
    let mut result = exponent;
    for _ in 0..16 {
        mantissa = (mantissa * mantissa) >> 31;
        let bit = mantissa >> 32;
        mantissa >>= bit;
        result = result << 1 | bit as u32;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn histogram(counts: &[(u8, usize)]) -> Histogram {
        let mut histogram = Histogram::default();
        for &(symbol, count) in counts {
            histogram.count(&vec![symbol; count]);
        }
        histogram
    }

    #[test]
    fn log2_is_the_logarithm() {
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
        // 5, 7, then 12:1024 over 11 bits, 0, 11:0 over 10 bits
        assert_eq!(out.finish(), [5, 7, 0b0000_1100, 0b0100_0000, 0b0101_1000, 0, 0]);
    }

    #[test]
    fn fewer_than_two_values_need_no_table() {
        assert_eq!(Frequencies::from_histogram(&histogram(&[])), None);
        assert_eq!(Frequencies::from_histogram(&histogram(&[(9, 100)])), None);
    }

    proptest! {
        #[test]
        fn tables_come_back_and_stay_near_the_entropy(
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

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            if let Ok(table) = Frequencies::read(&mut BitReader::new(&bytes)) {
                prop_assert_eq!(table.get().iter().map(|&f| u32::from(f)).sum::<u32>(), TOTAL);
            }
        }
    }
}
