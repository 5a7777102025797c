//! Rows that are searched together.

use super::rows::Lanes;
use crate::codec::quantizer::viterbi::ROWS;

/// Up to 16 rows to quantise.
pub(crate) struct RowGroup {
    /// By column, in lattice steps. NaN marks a weight that is stored separately: its point is free
    /// and has no error.
    pub(super) values: Vec<Lanes<f32>>,
    /// By class of column and row: the start of the cost table.
    pub(super) starts: Vec<Lanes<u32>>,
    /// The lattice points, by column.
    pub(crate) points: Vec<Lanes<i16>>,
    /// Weights that became too large for the lattice by feedback and have to be stored separately:
    /// column and row.
    pub(crate) outliers: Vec<(usize, usize)>,
    /// The sum of weighted squared errors and λ times bits, over all rows.
    pub(crate) cost: f64,
    /// The number of rows; further lanes do not count.
    pub(super) rows: usize,
}

impl RowGroup {
    /// A group of up to 16 rows.
    pub(crate) fn new(values: Vec<Lanes<f32>>, starts: Vec<Lanes<u32>>, rows: usize) -> Self {
        let points = vec![[0; ROWS]; values.len()];
        Self { values, starts, points, outliers: Vec::new(), cost: 0.0, rows }
    }
}
