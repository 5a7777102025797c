//! Learning of bases, and the forward transform with a stored basis.

use crate::codec::transform::integers::IntegerMatrix;
use crate::codec::transform::stored_basis::{StoredBasis, block_sizes};
use crate::linear_algebra::{inverse, self_adjoint_eigen};
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};

/// The root mean square of stored entries. Rounding then leaks about a thousandth of the mean energy
/// from coordinates with large variance to those with small variance; a finer unit costs more bits
/// than it saves.
const ENTRY_RMS: f64 = 6.0;

/// Gram matrices of rows: sums of products of columns within blocks.
pub(crate) struct Gram {
    block: usize,
    blocks: Vec<Mat<f64>>,
}

impl Gram {
    /// Zero matrices for blocks of `block` columns; the last block may have fewer.
    pub(crate) fn new(columns: usize, block: usize) -> Self {
        let blocks = block_sizes(columns, block).map(|size| Mat::zeros(size, size)).collect();
        Self { block, blocks }
    }

    /// Adds whole rows. O(block) for each value.
    pub(crate) fn add(&mut self, rows: &[f32]) {
        let columns: usize = self.blocks.iter().map(Mat::nrows).sum();
        // The sums need double precision. Batches bound the memory of the converted rows.
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

    /// The Gram matrix of each block of columns, in order.
    pub(crate) fn blocks(&self) -> &[Mat<f64>] {
        &self.blocks
    }

    /// Adds the sums of other rows.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (sum, other) in self.blocks.iter_mut().zip(&other.blocks) {
            *sum += other;
        }
    }

    /// The eigenvectors of each block, rounded to integers, by descending eigenvalue. `None` when the
    /// decomposition fails or the integers are too large.
    ///
    /// O(n · block²) for n columns.
    pub(super) fn principal_basis(&self) -> Option<StoredBasis> {
        let block = self.block;
        let unit = (1.0 / (ENTRY_RMS * (block as f64).sqrt())) as f32;
        let blocks: Option<Vec<_>> = self
            .blocks()
            .iter()
            .map(|gram| {
                let size = gram.nrows();
                let (_, vectors) = self_adjoint_eigen(gram.as_ref())?;
                // Descending eigenvalues, with the sign that makes the largest entry positive.
                let direction = |j: usize| {
                    let vector = vectors.col(size - 1 - j);
                    let peak = vector
                        .iter()
                        .copied()
                        .fold(0.0f64, |peak, x| if x.abs() > peak.abs() { x } else { peak });
                    let sign = if peak < 0.0 { -1.0 } else { 1.0 };
                    (0..size).map(move |c| sign * vector[c])
                };
                let entries: Vec<f64> = (0..size).flat_map(direction).collect();
                IntegerMatrix::round(size, &entries, unit.into())
            })
            .collect();
        Some(StoredBasis::from_blocks(block, unit, blocks?))
    }
}

impl StoredBasis {
    /// The value of an entry 1.
    pub(crate) fn unit(&self) -> f32 {
        self.unit
    }

    /// The matrices along the diagonal: basis vectors in rows.
    pub(crate) fn matrices(&self) -> impl Iterator<Item = Mat<f64>> {
        self.blocks.iter().map(|block| self.matrix(block))
    }

    fn matrix(&self, block: &IntegerMatrix) -> Mat<f64> {
        let (size, unit) = (block.columns(), f64::from(self.unit));
        Mat::from_fn(size, size, |i, j| block.entry(i, j) * unit)
    }

    /// The rows of all blocks, in order.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &[i16]> {
        self.blocks.iter().flat_map(IntegerMatrix::rows)
    }
}

/// The inverses of the matrices of a stored basis: rows times these are coordinates.
pub(super) struct InverseBasis {
    columns: usize,
    blocks: Vec<Mat<f32>>,
}

impl InverseBasis {
    /// O(n · block²) for n columns.
    pub(super) fn new(basis: &StoredBasis) -> Self {
        let rounded = |block: &IntegerMatrix| {
            let inverse = inverse(basis.matrix(block));
            Mat::from_fn(inverse.nrows(), inverse.ncols(), |i, j| inverse[(i, j)] as f32)
        };
        let blocks: Vec<_> = basis.blocks.iter().map(rounded).collect();
        Self { columns: blocks.iter().map(Mat::nrows).sum(), blocks }
    }

    /// Whether all matrices are invertible.
    pub(super) fn is_finite(&self) -> bool {
        self.blocks.iter().all(|matrix| matrix.norm_l2().is_finite())
    }

    /// Maps whole rows to coordinates, in place.
    pub(super) fn apply(&self, rows: &mut [f32]) {
        let columns = self.columns;
        let count = rows.len() / columns.max(1);
        let mut start = 0;
        for inverse in &self.blocks {
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
}

#[cfg(test)]
mod tests {
    use super::super::ForwardTransform;
    use super::*;
    use crate::arch::Kernel;
    use crate::codec::transform::{BAND, Integers, Transform};
    use crate::gaussian::gaussian_noise;

    /// Rows with strongly correlated columns.
    fn correlated(rows: usize, columns: usize) -> Vec<f32> {
        let mut normal = gaussian_noise(1).map(|x| 0.5 * x);
        let mut row = || -> Vec<f32> {
            let common = normal.next().unwrap();
            normal.by_ref().take(columns).map(|x| common + 0.1 * x).collect()
        };
        (0..rows).flat_map(|_| row()).collect()
    }

    #[test]
    fn energy_is_concentrated_and_the_inverse_restores_rows() {
        for (columns, block) in [(12, 12), (12, 5), (7, 16)] {
            let rows = correlated(300, columns);
            let mut gram = Gram::new(columns, block);
            gram.add(&rows);
            let learned = ForwardTransform::learn(&gram).unwrap();
            let mut coordinates = rows.clone();
            learned.apply(Kernel::best(), &mut coordinates);
            let Transform::StoredBasis(basis) = &**learned.transform() else {
                panic!("a learned transform is a stored basis")
            };
            let transform = learned.transform().as_orthogonal();
            let energy = |values: &[f32]| values.iter().map(|x| x * x).sum::<f32>();
            let first: f32 = coordinates.iter().step_by(columns).map(|x| x * x).sum();
            assert!(first > 0.4 * energy(&rows));
            assert!((energy(&coordinates) / energy(&rows) - 1.0).abs() < 0.02);
            // The inverse of coordinates that are rounded to multiples of 1/1000.
            for tile in transform.tiles() {
                let mut points = vec![[0; BAND]; tile.len()];
                for (lane, row) in coordinates.chunks(columns).take(BAND).enumerate() {
                    for (value, x) in points.iter_mut().zip(&row[tile.clone()]) {
                        value[lane] = (x * 1000.0).round() as i16;
                    }
                }
                let mut wide =
                    points.iter().map(|values| values.map(i32::from)).collect::<Vec<_>>();
                let integers =
                    transform.inverse(Kernel::best(), tile.clone(), 9000, &mut points, &mut wide);
                let Integers::I32(wide) = integers else { panic!("products have 32 bits") };
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
    fn stored_integers_restore_the_basis() {
        let mut gram = Gram::new(10, 4);
        gram.add(&correlated(50, 10));
        let basis = gram.principal_basis().unwrap();
        let entries: Vec<i16> = basis.rows().flatten().copied().collect();
        assert_eq!(entries.len(), 4 * 4 + 4 * 4 + 2 * 2);
        let mut rest = entries.iter().copied();
        let next = |size: usize| Ok(rest.by_ref().take(size * size).collect());
        let again = StoredBasis::new(10, 4, basis.unit(), next).unwrap();
        assert_eq!(again.blocks, basis.blocks);
    }
}
