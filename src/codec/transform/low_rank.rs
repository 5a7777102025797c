//! The low-rank part `μ + θJ` of a matrix: a mean row, a few basis vectors, and coefficients of each
//! row.

use super::BAND;
use super::integers::IntegerMatrix;
use crate::arch::Kernel;
use crate::error::Result;
use std::ops::Range;

/// Mean and basis vectors in integers. A row is `scale · (mean + Σ coefficient · vector)`.
#[derive(Debug)]
pub(crate) struct LowRank {
    scale: f32,
    has_mean: bool,
    /// The mean, if there is one, then the basis vectors.
    pub(super) vectors: IntegerMatrix,
}

impl LowRank {
    /// The largest coefficient.
    pub(crate) const MAX_COEFFICIENT: i16 = i16::MAX;

    /// From stored integers: the mean, if there is one, then the basis vectors, row by row.
    ///
    /// # Errors
    /// `Corrupt` when the integers are too large.
    pub(crate) fn new(
        columns: usize,
        has_mean: bool,
        scale: f32,
        entries: Vec<i16>,
    ) -> Result<Self> {
        Ok(Self::from_matrix(has_mean, scale, IntegerMatrix::new(columns, entries)?))
    }

    /// Bytes in memory of a mean and basis vectors, `rows` of them together.
    pub(crate) fn bytes(rows: usize, columns: usize) -> u64 {
        IntegerMatrix::bytes(rows, columns)
    }

    pub(super) fn from_matrix(has_mean: bool, scale: f32, vectors: IntegerMatrix) -> Self {
        Self { scale, has_mean, vectors }
    }

    /// The value of a product 1 of coefficient and entry.
    pub(crate) fn scale(&self) -> f32 {
        self.scale
    }

    pub(crate) fn has_mean(&self) -> bool {
        self.has_mean
    }

    /// The number of integers in the mean and the basis vectors.
    #[cfg(feature = "encode")]
    pub(crate) fn entries(&self) -> usize {
        self.vectors.entries.len()
    }

    /// Number of coefficients of a row.
    pub(crate) fn rank(&self) -> usize {
        self.vectors.rows().len() - usize::from(self.has_mean)
    }

    /// The product of the coefficients of a band with the columns from `first` on, plus the mean.
    /// Multiplied by [`scale`](Self::scale) it is the low-rank part. Unspecified in lanes outside of
    /// `lanes`. O(rank) for each value.
    pub(crate) fn product(
        &self,
        kernel: Kernel,
        coefficients: &[[i16; BAND]],
        lanes: &Range<usize>,
        first: usize,
        out: &mut [[i32; BAND]],
    ) {
        if self.has_mean {
            let weights = [&[[1; BAND]], coefficients].concat();
            self.vectors.combine(kernel, &weights, lanes, first, out);
        } else {
            self.vectors.combine(kernel, coefficients, lanes, first, out);
        }
    }
}
