//! A sample of rows that tables are trained with.

use crate::codec::quantizer::Feedback;
use std::borrow::Cow;
use std::sync::Arc;

/// A sample of a tensor's rows, in transform coordinates.
#[derive(Clone)]
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

    /// Evenly spaced rows of about `weights` weights in total.
    pub(super) fn thinned(&self, weights: usize) -> Cow<'_, Self> {
        let stride = self.values.len() / weights.max(1);
        if stride < 2 {
            return Cow::Borrowed(self);
        }
        let rows = self.rows().step_by(stride);
        let mut values = Vec::with_capacity(self.values.len().div_ceil(stride));
        rows.for_each(|row| values.extend_from_slice(row));
        let weight = self.weight * self.values.len() as f64 / values.len().max(1) as f64;
        let feedback = self.feedback.clone();
        Cow::Owned(Self { columns: self.columns, values, weight, feedback })
    }
}
