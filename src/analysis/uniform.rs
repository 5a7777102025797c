//! The plain yardstick: a uniform quantiser, and what its symbols take.

use super::quantised::{Quantised, nearest};
use crate::arch::Kernel;
use crate::codec::entropy::rans::{EncodeTables, RansEncoder};
use crate::codec::entropy::{BitWriter, Frequencies, Histogram};

/// A symmetric uniform quantiser of 2^bits − 1 levels: −m … m with m = 2^(bits − 1) − 1, the
/// outermost at the largest magnitude.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Uniform {
    step: f64,
    most: i32,
}

impl Uniform {
    /// Fits the levels to these numbers. `bits` is 2 to 8.
    ///
    /// # Panics
    /// For other `bits`.
    pub fn symmetric(numbers: &[f32], bits: u32) -> Self {
        Self::with_peak(numbers.iter().fold(0f64, |peak, &x| peak.max(f64::from(x).abs())), bits)
    }

    /// For numbers that are no larger than this.
    ///
    /// # Panics
    /// As [`symmetric`](Self::symmetric).
    pub fn with_peak(peak: f64, bits: u32) -> Self {
        assert!((2..=8).contains(&bits), "a uniform quantiser has 2 to 8 bits");
        let most = (1 << (bits - 1)) - 1;
        Self { step: peak / f64::from(most), most }
    }

    /// The distance between levels; 0 where all numbers were.
    pub fn step(&self) -> f64 {
        self.step
    }

    /// The nearest level's number, from −m to m.
    pub fn level(&self, number: f32) -> i32 {
        if self.step == 0.0 {
            return 0;
        }
        nearest(f64::from(number) / self.step, self.most)
    }

    /// The nearest level.
    pub fn nearest(&self, number: f32) -> f32 {
        (f64::from(self.level(number)) * self.step) as f32
    }

    fn symbols(&self, numbers: &[f32]) -> Vec<u8> {
        numbers.iter().map(|&x| (self.level(x) + self.most) as u8).collect()
    }

    /// Bits a number that the histogram of levels holds (Shannon, 1948).
    pub fn entropy(&self, numbers: &[f32]) -> f64 {
        self.quantised(numbers).entropy()
    }

    pub(super) fn quantised(&self, numbers: &[f32]) -> Quantised {
        Quantised::of(numbers, self.step, self.most)
    }

    /// Bytes that the levels really take, coded as in a file: the frequency table and the rANS
    /// stream, without a file's headers. Numbers that all have the same level take none.
    pub fn coded_bytes(&self, numbers: &[f32]) -> usize {
        let symbols = self.symbols(numbers);
        let mut histogram = Histogram::default();
        histogram.count(&symbols);
        let Some(frequencies) = Frequencies::from_histogram(&histogram) else { return 0 };
        let mut table = BitWriter::default();
        frequencies.write(&mut table);
        let (tables, mut buffer, mut stream) =
            (EncodeTables::new([&frequencies]), Vec::new(), Vec::new());
        let mut encoder = RansEncoder::new(&tables, symbols.len(), Kernel::best(), &mut buffer);
        encoder.put(&symbols);
        encoder.finish(&mut stream).unwrap_or_else(|_| unreachable!("every level was counted"));
        table.finish().len() + stream.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_reach_from_peak_to_peak() {
        let two = Uniform::symmetric(&[-3.0, 1.0, 2.0], 2);
        assert_eq!([-3.0, 1.0, 2.0].map(|x| two.nearest(x)), [-3.0, 0.0, 3.0]);
        assert_eq!(Uniform::symmetric(&[-7.0, 3.2], 4).nearest(3.2), 3.0);
        let nothing = Uniform::symmetric(&[0.0; 5], 3);
        assert_eq!((nothing.nearest(0.0), nothing.coded_bytes(&[0.0; 5])), (0.0, 0));
    }

    #[test]
    fn entropy_is_that_of_the_histogram_and_rans_is_near_it() {
        // A quarter each of −1 and 1, half 0: one and a half bits.
        let numbers = [0.0, 1.0, 0.0, -1.0].repeat(1 << 14);
        let quantiser = Uniform::symmetric(&numbers, 2);
        assert_eq!(quantiser.entropy(&numbers), 1.5);
        let ideal = numbers.len() as f64 * 1.5 / 8.0;
        let coded = quantiser.coded_bytes(&numbers) as f64;
        assert!(coded >= ideal && coded < ideal + 160.0, "{coded} for {ideal}");
    }
}
