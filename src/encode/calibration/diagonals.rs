//! Statistics from files with another convention of names.

use crate::error::Result;
use std::collections::BTreeSet;

/// A weight as the matrix that is encoded.
#[cfg_attr(not(feature = "convert"), allow(dead_code))] // only files have other names
#[derive(Clone, Copy, Debug)]
pub(crate) struct WeightShape<'w> {
    pub(crate) name: &'w str,
    /// The dimensions of the tensor.
    pub(crate) shape: &'w [usize],
    /// Rows and columns of the matrix.
    pub(crate) rows: usize,
    pub(crate) columns: usize,
}

/// Diagonals of the second moments of inputs, under names of another convention.
///
/// A weight that is stored as outputs × inputs has one number for each column. One that is stored
/// as inputs × outputs has one for each row. No weight has both.
pub(crate) trait Diagonals: Send + Sync {
    /// The numbers for the columns of a weight.
    ///
    /// # Errors
    /// Those of reading; `InvalidArgument` for a weight of another size.
    fn columns(&self, weight: WeightShape<'_>) -> Result<Option<Vec<f64>>>;

    /// The numbers for the rows of a weight.
    ///
    /// # Errors
    /// As [`columns`](Self::columns).
    fn rows(&self, weight: WeightShape<'_>) -> Result<Option<Vec<f64>>>;

    /// The entries that serve none of these weights.
    fn unused(&self, names: &BTreeSet<&str>) -> Vec<&str>;
}
