//! A stored basis: axes learned from the matrix itself, in which its columns are not correlated
//! (Karhunen, 1947; Loève, 1948).

use super::integers::IntegerMatrix;
use super::{BAND, Integers, OrthogonalTransform};
use crate::arch::Kernel;
use crate::error::{Error, Result};
use faer::linalg::matmul::matmul;
use faer::linalg::solvers::DenseSolveCore;
use faer::{Accum, Mat, MatRef, Par, Side};
use std::ops::Range;
use std::sync::OnceLock;

/// A rotation by stored matrices along the diagonal, all of the same size but the last.
///
/// Row `j` of a block is the direction of coordinate `j`, in integers of `unit`.
#[derive(Debug)]
pub(crate) struct Basis {
    block: usize,
    unit: f32,
    blocks: Vec<IntegerMatrix>,
    /// The inverse matrices, which only an encoder needs.
    forward: OnceLock<Vec<Mat<f32>>>,
}

/// The root mean square of stored entries. Their rounding then leaks about a thousandth of the
/// mean energy from loud coordinates into quiet ones; finer costs more than that is worth.
const PRECISION: f64 = 6.0;

impl Basis {
    /// From stored integers, block by block, row by row.
    ///
    /// # Errors
    /// `Corrupt` when a block's integers are too large.
    pub(crate) fn new(columns: usize, block: usize, unit: f32, entries: &[i16]) -> Result<Self> {
        let mut rest = entries;
        let sizes = block_sizes(columns, block);
        let blocks = sizes.map(|size| {
            let (entries, after) = rest
                .split_at_checked(size * size)
                .ok_or_else(|| Error::corrupt("a basis without all its entries"))?;
            rest = after;
            IntegerMatrix::new(size, entries.to_vec())
        });
        let blocks = blocks.collect::<Result<_>>()?;
        Ok(Self { block, unit, blocks, forward: OnceLock::new() })
    }

    /// The basis that decorrelates what the Gram matrices saw; `None` when it cannot be stored.
    ///
    /// O(n · block²) for n columns.
    pub(crate) fn learn(gram: &Gram) -> Option<Self> {
        let block = gram.block;
        let unit = (1.0 / (PRECISION * (block as f64).sqrt())) as f32;
        let blocks: Option<Vec<_>> = gram
            .blocks
            .iter()
            .map(|gram| {
                let size = gram.nrows();
                let eigen = gram.self_adjoint_eigen(Side::Lower).ok()?;
                let vectors = eigen.U();
                // Loudest first; the sign that makes the largest entry positive.
                let direction = |j: usize| {
                    let axis = vectors.col(size - 1 - j);
                    let peak = axis
                        .iter()
                        .copied()
                        .fold(0.0f64, |peak, x| if x.abs() > peak.abs() { x } else { peak });
                    let sign = if peak < 0.0 { -1.0 } else { 1.0 };
                    (0..size).map(move |c| sign * axis[c])
                };
                let entries: Vec<f64> = (0..size).flat_map(direction).collect();
                IntegerMatrix::round(size, &entries, unit.into())
            })
            .collect();
        let basis = Self { block, unit, blocks: blocks?, forward: OnceLock::new() };
        let invertible = basis.inverses().iter().all(|m| m.norm_l2().is_finite());
        invertible.then_some(basis)
    }

    pub(crate) fn block(&self) -> usize {
        self.block
    }

    pub(crate) fn unit(&self) -> f32 {
        self.unit
    }

    /// The rows of all blocks, in order.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &[i16]> {
        self.blocks.iter().flat_map(IntegerMatrix::rows)
    }

    fn inverses(&self) -> &[Mat<f32>] {
        self.forward.get_or_init(|| {
            let inverse = |block: &IntegerMatrix| {
                let (size, unit) = (block.columns(), f64::from(self.unit));
                let matrix = Mat::from_fn(size, size, |i, j| block.entry(i, j) * unit);
                let inverse = matrix.partial_piv_lu().inverse();
                Mat::from_fn(size, size, |i, j| inverse[(i, j)] as f32)
            };
            self.blocks.iter().map(inverse).collect()
        })
    }

    fn columns(&self) -> usize {
        self.blocks.iter().map(IntegerMatrix::columns).sum()
    }
}

impl OrthogonalTransform for Basis {
    fn forward(&self, _: Kernel, rows: &mut [f32]) {
        let columns = self.columns();
        let count = rows.len() / columns.max(1);
        let mut start = 0;
        for inverse in self.inverses() {
            let size = inverse.nrows();
            let mut product = Mat::<f32>::zeros(count, size);
            let matrix = MatRef::from_row_major_slice(rows, count, columns);
            let block = matrix.subcols(start, size);
            matmul(product.as_mut(), Accum::Replace, block, inverse.as_ref(), 1.0, Par::Seq);
            for (i, row) in rows.chunks_exact_mut(columns).enumerate() {
                for (j, value) in row[start..start + size].iter_mut().enumerate() {
                    *value = product[(i, j)];
                }
            }
            start += size;
        }
    }

    fn tiles(&self) -> Vec<Range<usize>> {
        let columns = self.columns();
        (0..columns).step_by(self.block).map(|at| at..columns.min(at + self.block)).collect()
    }

    fn inverse<'i>(
        &self,
        kernel: Kernel,
        tile: Range<usize>,
        _: u32,
        points: &'i mut [[i16; BAND]],
        wide: &'i mut [[i32; BAND]],
    ) -> Integers<'i> {
        self.blocks[tile.start / self.block].combine(kernel, points, 0, wide);
        Integers::Long(wide)
    }

    fn units(&self) -> Vec<f32> {
        vec![self.unit; self.columns()]
    }
}

/// Sums of products of columns, within blocks: what a basis is learned from.
pub(crate) struct Gram {
    block: usize,
    blocks: Vec<Mat<f64>>,
}

impl Gram {
    pub(crate) fn new(columns: usize, block: usize) -> Self {
        let blocks = block_sizes(columns, block).map(|size| Mat::zeros(size, size)).collect();
        Self { block, blocks }
    }

    /// Adds whole rows; O(block) for each number.
    pub(crate) fn add(&mut self, rows: &[f32]) {
        let columns: usize = self.blocks.iter().map(Mat::nrows).sum();
        // In double precision, and few at a time: it is the sums that need the digits.
        for rows in rows.chunks(columns.max(1) * 256) {
            let count = rows.len() / columns.max(1);
            let mut start = 0;
            for gram in &mut self.blocks {
                let size = gram.nrows();
                let part =
                    Mat::from_fn(count, size, |i, j| f64::from(rows[i * columns + start + j]));
                matmul(gram.as_mut(), Accum::Add, part.transpose(), part.as_ref(), 1.0, Par::Seq);
                start += size;
            }
        }
    }

    /// The sums, block by block.
    #[cfg(feature = "analysis")]
    pub(crate) fn blocks(&self) -> &[Mat<f64>] {
        &self.blocks
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (sum, other) in self.blocks.iter_mut().zip(&other.blocks) {
            *sum += other;
        }
    }
}

fn block_sizes(columns: usize, block: usize) -> impl Iterator<Item = usize> {
    let block = block.max(1);
    (0..columns).step_by(block).map(move |start| block.min(columns - start))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows whose second column nearly repeats the first, and so on.
    fn correlated(rows: usize, columns: usize) -> Vec<f32> {
        let noise = |i: usize| ((i * 2654435761) % 1000) as f32 / 500.0 - 1.0;
        let row = |r: usize| {
            let common = noise(r * 31 + 7);
            (0..columns).map(move |c| common + 0.1 * noise(r * 1009 + c * 13))
        };
        (0..rows).flat_map(row).collect()
    }

    #[test]
    fn coordinates_concentrate_and_lead_back() {
        for (columns, block) in [(12, 12), (12, 5), (7, 16)] {
            let rows = correlated(300, columns);
            let mut gram = Gram::new(columns, block);
            gram.add(&rows);
            let basis = Basis::learn(&gram).unwrap();
            let mut coordinates = rows.clone();
            basis.forward(Kernel::best(), &mut coordinates);
            let energy = |values: &[f32]| values.iter().map(|x| x * x).sum::<f32>();
            let first: f32 = coordinates.iter().step_by(columns).map(|x| x * x).sum();
            assert!(first > 0.4 * energy(&rows));
            assert!((energy(&coordinates) / energy(&rows) - 1.0).abs() < 0.02);
            // In steps of 1/1000 back again.
            for tile in basis.tiles() {
                let mut points = vec![[0; BAND]; tile.len()];
                for (lane, row) in coordinates.chunks(columns).take(BAND).enumerate() {
                    for (value, x) in points.iter_mut().zip(&row[tile.clone()]) {
                        value[lane] = (x * 1000.0).round() as i16;
                    }
                }
                let mut wide =
                    points.iter().map(|values| values.map(i32::from)).collect::<Vec<_>>();
                let integers =
                    basis.inverse(Kernel::best(), tile.clone(), 9000, &mut points, &mut wide);
                let Integers::Long(wide) = integers else { panic!("products are long") };
                for (values, column) in wide.iter().zip(tile) {
                    for (lane, &value) in values.iter().enumerate() {
                        let back = value as f32 * basis.unit() / 1000.0;
                        assert!((back - rows[lane * columns + column]).abs() < 0.003);
                    }
                }
            }
        }
    }

    #[test]
    fn stored_integers_lead_back() {
        let mut gram = Gram::new(10, 4);
        gram.add(&correlated(50, 10));
        let basis = Basis::learn(&gram).unwrap();
        let entries: Vec<i16> = basis.rows().flatten().copied().collect();
        assert_eq!(entries.len(), 4 * 4 + 4 * 4 + 2 * 2);
        let again = Basis::new(10, 4, basis.unit(), &entries).unwrap();
        assert_eq!(again.blocks, basis.blocks);
        assert!(Basis::new(10, 4, 1.0, &entries[1..]).is_err());
        assert!(Basis::new(10, 4, 1.0, &[i16::MIN; 36]).is_err());
    }
}
