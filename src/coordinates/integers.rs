//! Small integer matrices that a file stores: bases and axes.

use super::BAND;
use crate::error::{Error, Result};
use crate::kernel::Kernel;

/// Row-major integers, `columns` to a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IntegerMatrix {
    columns: usize,
    entries: Vec<i16>,
}

/// What the magnitudes in a column sum to at most: times 2^15, it still fits an `i32`.
const MAX_COLUMN_SUM: u32 = (1 << 16) - 1;

impl IntegerMatrix {
    /// # Errors
    /// `Corrupt` when products with integers below 2^15 could overflow 32 bits.
    pub(super) fn new(columns: usize, entries: Vec<i16>) -> Result<Self> {
        let matrix = Self { columns, entries };
        let mut sums = vec![0u32; columns];
        for row in matrix.rows() {
            for (sum, &entry) in sums.iter_mut().zip(row) {
                *sum = sum.saturating_add(u32::from(entry.unsigned_abs()));
            }
        }
        if sums.iter().any(|&sum| sum > MAX_COLUMN_SUM) {
            return Err(Error::corrupt("a basis whose columns are too large"));
        }
        Ok(matrix)
    }

    /// Rounds reals in units of `unit`; `None` when a column gets too large.
    pub(super) fn round(columns: usize, reals: &[f64], unit: f64) -> Option<Self> {
        let limit = f64::from(i16::MAX);
        let entries = reals.iter().map(|x| (x / unit).round().clamp(-limit, limit) as i16);
        Self::new(columns, entries.collect()).ok()
    }

    pub(super) fn rows(&self) -> impl ExactSizeIterator<Item = &[i16]> {
        self.entries.chunks_exact(self.columns.max(1))
    }

    pub(super) fn columns(&self) -> usize {
        self.columns
    }

    pub(super) fn entry(&self, row: usize, column: usize) -> f64 {
        self.entries[row * self.columns + column].into()
    }

    /// `out[c] = Σ weights[k] · self[k][first + c]` in every lane.
    pub(super) fn combine(
        &self,
        kernel: Kernel,
        weights: &[[i16; BAND]],
        first: usize,
        out: &mut [[i32; BAND]],
    ) {
        kernel.run(
            #[inline(always)]
            || self.combine_inlined(weights, first, out),
        );
    }

    /// Products of 16 bits each are what every machine multiplies fastest; and sums of a few
    /// columns at a time stay in the first-level cache.
    #[inline(always)]
    fn combine_inlined(&self, weights: &[[i16; BAND]], first: usize, out: &mut [[i32; BAND]]) {
        for (tile, out) in out.chunks_mut(TILE).enumerate() {
            out.fill([0; BAND]);
            let first = first + tile * TILE;
            for (weights, row) in weights.iter().zip(self.rows()) {
                for (sums, &entry) in out.iter_mut().zip(&row[first..]) {
                    for (sum, &weight) in sums.iter_mut().zip(weights) {
                        *sum += i32::from(weight) * i32::from(entry);
                    }
                }
            }
        }
    }
}

/// Columns whose sums are made at a time.
const TILE: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_products_fit() {
        let matrix = IntegerMatrix::new(1, vec![i16::MIN, 16384, -16383]).unwrap();
        let far = i16::MAX;
        for kernel in Kernel::all() {
            let mut out = [[0; BAND]];
            matrix.combine(kernel, &[[-far; BAND], [far; BAND], [-far; BAND]], 0, &mut out);
            assert_eq!(out[0], [i32::from(far) * MAX_COLUMN_SUM as i32; BAND]);
        }
        assert!(IntegerMatrix::new(1, vec![i16::MIN, 16384, -16384]).is_err());
        assert!(IntegerMatrix::new(2, vec![i16::MIN, 16384, 0, -16383, 1, i16::MIN]).is_ok());
    }
}
