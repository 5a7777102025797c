//! Rounding of real matrices to integers.

use crate::codec::transform::integers::IntegerMatrix;

impl IntegerMatrix {
    /// Rounds reals to integer multiples of `unit`. `None` when a column is too large.
    pub(super) fn round(columns: usize, reals: &[f64], unit: f64) -> Option<Self> {
        let limit = f64::from(i16::MAX);
        let entries = reals.iter().map(|x| (x / unit).round().clamp(-limit, limit) as i16);
        Self::new(columns, entries.collect()).ok()
    }

    /// One entry.
    pub(super) fn entry(&self, row: usize, column: usize) -> f64 {
        self.entries[row * self.columns() + column].into()
    }
}
