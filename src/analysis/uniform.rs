//! Uniform quantisation as a baseline.

use super::uniform_levels::{UniformLevels, nearest_level};
use crate::arch::Kernel;
use crate::codec::entropy::rans::{EncodeTables, StreamCount, put_sequence};
use crate::codec::entropy::{BitWriter, Frequencies, Histogram};

/// A symmetric uniform quantiser with 2^bits − 1 levels −m … m, m = 2^(bits − 1) − 1. The outermost
/// levels are at ± the largest magnitude.
///
/// ```
/// use occ::analysis::Uniform;
/// let quantizer = Uniform::symmetric(&[-7.0, 3.2, 1.0], 4);
/// assert_eq!((quantizer.step(), quantizer.level(3.2)), (1.0, 3));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Uniform {
    step: f64,
    most: i32,
}

impl Uniform {
    /// The quantiser for an array of numbers. `bits` is from 2 to 8.
    ///
    /// # Panics
    /// If `bits` is out of range.
    pub fn symmetric(numbers: &[f32], bits: u32) -> Self {
        Self::with_peak(numbers.iter().fold(0f64, |peak, &x| peak.max(f64::from(x).abs())), bits)
    }

    /// The quantiser for numbers with largest magnitude `peak`. `bits` is from 2 to 8.
    ///
    /// # Panics
    /// If `bits` is out of range.
    pub fn with_peak(peak: f64, bits: u32) -> Self {
        assert!((2..=8).contains(&bits), "bits of a uniform quantizer must be from 2 to 8");
        let most = (1 << (bits - 1)) - 1;
        Self { step: peak / f64::from(most), most }
    }

    /// The distance between levels; 0 if all numbers are 0.
    pub fn step(&self) -> f64 {
        self.step
    }

    /// The index of the nearest level, from −m to m.
    pub fn level(&self, number: f32) -> i32 {
        if self.step == 0.0 {
            return 0;
        }
        nearest_level(f64::from(number) / self.step, self.most)
    }

    /// The value of the nearest level.
    pub fn nearest(&self, number: f32) -> f32 {
        (f64::from(self.level(number)) * self.step) as f32
    }

    fn symbols(&self, numbers: &[f32]) -> Vec<u8> {
        numbers.iter().map(|&x| (self.level(x) + self.most) as u8).collect()
    }

    /// The entropy of the levels in bits per number (Shannon, 1948).
    pub fn entropy(&self, numbers: &[f32]) -> f64 {
        self.levels(numbers).entropy()
    }

    pub(super) fn levels(&self, numbers: &[f32]) -> UniformLevels {
        UniformLevels::of(numbers, self.step, self.most)
    }

    /// Bytes of the levels coded as in an `.occ` file: frequency table and rANS stream, without
    /// headers. 0 if all numbers have the same level. O(n).
    pub fn coded_bytes(&self, numbers: &[f32]) -> usize {
        let symbols = self.symbols(numbers);
        let mut histogram = Histogram::default();
        histogram.count(&symbols);
        let Some(frequencies) = Frequencies::from_histogram(&histogram) else { return 0 };
        let mut table = BitWriter::default();
        frequencies.write(&mut table);
        let (tables, kernel) = (EncodeTables::new([&frequencies]), Kernel::best());
        let (one, buffer, mut coded) = (StreamCount::One, &mut Vec::new(), Vec::new());
        put_sequence(&tables, &symbols, one, kernel, buffer, &mut coded)
            .unwrap_or_else(|_| unreachable!("every level was counted"));
        // A stream follows its length.
        table.finish().len() + coded.len() - size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outermost_levels_are_at_the_peak() {
        let two = Uniform::symmetric(&[-3.0, 1.0, 2.0], 2);
        assert_eq!([-3.0, 1.0, 2.0].map(|x| two.nearest(x)), [-3.0, 0.0, 3.0]);
        assert_eq!(Uniform::symmetric(&[-7.0, 3.2], 4).nearest(3.2), 3.0);
        let zeros = Uniform::symmetric(&[0.0; 5], 3);
        assert_eq!((zeros.nearest(0.0), zeros.coded_bytes(&[0.0; 5])), (0.0, 0));
    }

    #[test]
    fn coded_size_is_close_to_the_entropy() {
        // Levels −1, 0 and 1 with shares ¼, ½ and ¼: 1.5 bits.
        let numbers = [0.0, 1.0, 0.0, -1.0].repeat(1 << 14);
        let quantizer = Uniform::symmetric(&numbers, 2);
        assert_eq!(quantizer.entropy(&numbers), 1.5);
        let ideal = numbers.len() as f64 * 1.5 / 8.0;
        let coded = quantizer.coded_bytes(&numbers) as f64;
        assert!(coded >= ideal && coded < ideal + 160.0, "{coded} for {ideal}");
    }
}
