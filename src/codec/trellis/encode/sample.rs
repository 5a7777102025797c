//! A sample of rows that tables are trained with.

use crate::codec::quantizer::Feedback;
use std::sync::Arc;

/// A sample of a tensor's rows, in transform coordinates.
pub(super) struct Sample {
    pub(super) columns: usize,
    /// Row by row.
    pub(super) values: Vec<f32>,
    /// Rows of the tensor for each row of the sample.
    pub(super) weight: f64,
    /// The feedback of errors in the search.
    pub(super) feedback: Option<Arc<Feedback>>,
}

impl Sample {
    pub(super) fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values.chunks_exact(self.columns)
    }

    /// Every `stride`-th row from `first` on.
    pub(super) fn part(&self, first: usize, stride: usize) -> Self {
        let rows = self.rows().skip(first).step_by(stride);
        let values: Vec<f32> = rows.flatten().copied().collect();
        let weight = self.weight * self.values.len() as f64 / values.len().max(1) as f64;
        let feedback = self.feedback.clone();
        Self { columns: self.columns, values, weight, feedback }
    }

    /// Evenly spaced rows of about `weights` weights in total.
    pub(super) fn thinned(&self, weights: usize) -> Self {
        self.part(0, (self.values.len() / weights.max(1)).max(1))
    }
}
