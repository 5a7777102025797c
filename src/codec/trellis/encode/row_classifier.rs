//! Classes of rows by their root mean square (RMS).

use crate::codec::trellis::classes::MAX_CLASS;

/// Partial sums of numbers in a row: a sum in one order would wait for each addition.
pub(super) const LANES: usize = 16;

/// Classifies rows by the logarithm of their RMS, with columns normalised.
#[derive(Clone, Debug, Default)]
pub(super) struct RowClassifier {
    /// One over each column's mean square; empty when all rows have class 0.
    pub(super) weights: Vec<f32>,
    /// The binary logarithm of the RMS at the centre of class 0, and the distance between classes.
    pub(super) base: f32,
    pub(super) spacing: f32,
}

impl RowClassifier {
    pub(super) fn class(&self, row: &[f32]) -> u8 {
        if self.weights.is_empty() {
            return 0;
        }
        class(self.log2_rms(row), self.base, self.spacing)
    }

    pub(super) fn log2_rms(&self, row: &[f32]) -> f32 {
        let mut sums = [0f32; LANES];
        let ((rows, row_rest), (weights, rest)) =
            (row.as_chunks::<LANES>(), self.weights.as_chunks::<LANES>());
        for (row, weights) in rows.iter().zip(weights) {
            for ((sum, x), w) in sums.iter_mut().zip(row).zip(weights) {
                *sum += x * x * w;
            }
        }
        for ((sum, x), w) in sums.iter_mut().zip(row_rest).zip(rest) {
            *sum += x * x * w;
        }
        let sum: f32 = sums.iter().sum();
        0.5 * (sum / row.len().max(1) as f32).max(f32::MIN_POSITIVE).log2()
    }
}

/// The class of a logarithm.
pub(super) fn class(log2_rms: f32, base: f32, spacing: f32) -> u8 {
    // NaN and negative values become 0.
    ((log2_rms - base) / spacing).round().min(f32::from(MAX_CLASS)) as u8
}

/// The distance between classes in log2 RMS: a fifth in RMS.
pub(super) const MIN_SPACING: f32 = 0.25;

/// Base and spacing of classes that cover all values but the smallest and largest ones.
pub(super) fn class_range(values: &[f32]) -> (f32, f32) {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f32::total_cmp);
    let at = |quantile: f32| sorted[((sorted.len() - 1) as f32 * quantile) as usize];
    let (low, high) = (at(0.002), at(0.998));
    let spacing = ((high - low) / f32::from(MAX_CLASS)).max(MIN_SPACING);
    (low, spacing)
}
