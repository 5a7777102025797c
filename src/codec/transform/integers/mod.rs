//! Stored integer matrices and their products with bands.

#[cfg(target_arch = "x86_64")]
mod avx2;

use super::BAND;
#[cfg(target_arch = "x86_64")]
use crate::arch::Avx2;
use crate::arch::Kernel;
use crate::error::{Error, Result};
use std::ops::Range;

/// A row-major matrix of integers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IntegerMatrix {
    columns: usize,
    pub(super) entries: Vec<i16>,
    /// The entries of pairs of rows, column by column.
    pairs: Vec<[i16; 2]>,
}

/// The largest sum of magnitudes in a column. Its product with 2^15 - 1 fits `i32`.
const MAX_COLUMN_SUM: u32 = (1 << 16) - 1;

impl IntegerMatrix {
    /// `columns` entries in each row.
    ///
    /// # Errors
    /// `Corrupt` when products with integers of magnitude below 2^15 could overflow 32 bits.
    pub(super) fn new(columns: usize, entries: Vec<i16>) -> Result<Self> {
        let matrix = Self { columns, pairs: pairs(columns, &entries), entries };
        let mut sums = vec![0u32; columns];
        for row in matrix.rows() {
            for (sum, &entry) in sums.iter_mut().zip(row) {
                *sum = sum.saturating_add(u32::from(entry.unsigned_abs()));
            }
        }
        if sums.iter().any(|&sum| sum > MAX_COLUMN_SUM) {
            return Err(Error::corrupt("the entries of a stored matrix are too large"));
        }
        Ok(matrix)
    }

    /// Bytes of a matrix in memory: the entries, and their pairs.
    pub(super) fn bytes(rows: usize, columns: usize) -> u64 {
        let entries = rows as u64 * columns as u64;
        let pairs = rows.div_ceil(2) as u64 * columns as u64;
        entries * size_of::<i16>() as u64 + pairs * size_of::<[i16; 2]>() as u64
    }

    pub(super) fn rows(&self) -> impl ExactSizeIterator<Item = &[i16]> {
        self.entries.chunks_exact(self.columns.max(1))
    }

    pub(super) fn columns(&self) -> usize {
        self.columns
    }

    /// `out[c] = Σ weights[k] · self[k][first + c]` in every lane of `lanes`; unspecified in the
    /// others. O(rows) for each value.
    ///
    /// No weight may be −2^15. Then sums of two products do not overflow.
    pub(super) fn combine(
        &self,
        kernel: Kernel,
        weights: &[[i16; BAND]],
        lanes: &Range<usize>,
        first: usize,
        out: &mut [[i32; BAND]],
    ) {
        if lanes.len() <= FEW_LANES {
            for lane in lanes.clone() {
                kernel.run(
                    #[inline(always)]
                    || self.combine_lane(weights, lane, first, out),
                );
            }
            return;
        }
        match kernel.avx2() {
            #[cfg(target_arch = "x86_64")]
            Some(token) => self.combine_in_pairs(token, weights, first, out),
            None => self.combine_portable(weights, first, out),
        }
    }

    #[cfg(target_arch = "x86_64")]
    fn combine_in_pairs(
        &self,
        token: Avx2,
        weights: &[[i16; BAND]],
        first: usize,
        out: &mut [[i32; BAND]],
    ) {
        let pair = |rows: &[[i16; BAND]]| -> [[i16; 2]; BAND] {
            let second = rows.get(1).unwrap_or(&[0; BAND]);
            std::array::from_fn(|lane| [rows[0][lane], second[lane]])
        };
        let weights: Vec<_> = weights.chunks(2).map(pair).collect();
        let height = self.rows().len().div_ceil(2);
        let entries = &self.pairs[first * height..][..out.len() * height];
        avx2::combine(token, &weights, entries, out);
    }

    /// The sums of one lane: as vectors of columns instead of lanes.
    #[inline(always)]
    fn combine_lane(
        &self,
        weights: &[[i16; BAND]],
        lane: usize,
        first: usize,
        out: &mut [[i32; BAND]],
    ) {
        let mut sums = vec![0; out.len()];
        for (weights, row) in weights.iter().zip(self.rows()) {
            let weight = i32::from(weights[lane]);
            for (sum, &entry) in sums.iter_mut().zip(&row[first..]) {
                *sum += weight * i32::from(entry);
            }
        }
        for (out, sum) in out.iter_mut().zip(sums) {
            out[lane] = sum;
        }
    }

    /// Tiles of columns keep the sums in the L1 cache.
    fn combine_portable(&self, weights: &[[i16; BAND]], first: usize, out: &mut [[i32; BAND]]) {
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

/// The entries of pairs of rows, column by column. A missing last row is zero.
fn pairs(columns: usize, entries: &[i16]) -> Vec<[i16; 2]> {
    let columns = columns.max(1);
    let height = (entries.len() / columns).div_ceil(2);
    let mut pairs = vec![[0; 2]; columns * height];
    for (number, row) in entries.chunks_exact(columns).enumerate() {
        for (column, &entry) in row.iter().enumerate() {
            pairs[column * height + number / 2][number % 2] = entry;
        }
    }
    pairs
}

/// Columns of a tile.
const TILE: usize = 16;

/// So many lanes are combined one by one, which takes less time than all of them together.
const FEW_LANES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_agree_with_a_naive_product() {
        for (height, width) in [(0, 3), (1, 1), (2, 5), (3, 16), (5, 18), (8, 33)] {
            let entry = |i: usize| (i * 7919 % 2001) as i16 - 1000;
            let matrix = IntegerMatrix::new(width, (0..height * width).map(entry).collect());
            let matrix = matrix.unwrap();
            let weights: Vec<[i16; BAND]> = (0..height)
                .map(|k| std::array::from_fn(|lane| (lane * 31 + k * 17) as i16 - 500))
                .collect();
            for first in [0, width / 2] {
                let sum = |column: usize, lane: usize| -> i32 {
                    let product = |k: usize| {
                        i32::from(weights[k][lane]) * i32::from(entry(k * width + first + column))
                    };
                    (0..height).map(product).sum()
                };
                for kernel in Kernel::all() {
                    for mut lanes in [0..BAND, 1..BAND, 5..6, 28..BAND] {
                        let mut out = vec![[0x55; BAND]; width - first];
                        matrix.combine(kernel, &weights, &lanes, first, &mut out);
                        for (column, sums) in out.iter().enumerate() {
                            assert!(lanes.all(|lane| sums[lane] == sum(column, lane)));
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn the_largest_products_do_not_overflow() {
        let matrix = IntegerMatrix::new(1, vec![i16::MIN, 16384, -16383]).unwrap();
        let most = i16::MAX;
        for kernel in Kernel::all() {
            let mut out = [[0; BAND]];
            let weights = [[-most; BAND], [most; BAND], [-most; BAND]];
            matrix.combine(kernel, &weights, &(0..BAND), 0, &mut out);
            assert_eq!(out[0], [i32::from(most) * MAX_COLUMN_SUM as i32; BAND]);
        }
        assert!(IntegerMatrix::new(1, vec![i16::MIN, 16384, -16384]).is_err());
        assert!(IntegerMatrix::new(2, vec![i16::MIN, 16384, 0, -16383, 1, i16::MIN]).is_ok());
    }
}
