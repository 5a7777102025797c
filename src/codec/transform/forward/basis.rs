//! Learning of bases, and the forward transform with a stored basis.

use crate::codec::transform::integers::IntegerMatrix;
use crate::codec::transform::stored_basis::{StoredBasis, block_sizes};
use crate::linear_algebra::{inverse, log2_determinant, self_adjoint_eigen};
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};

/// The root mean square of stored entries. Rounding then leaks about a thousandth of the mean energy
/// from coordinates with large variance to those with small variance; a finer unit costs more bits
/// than it saves.
const ENTRY_RMS: f64 = 6.0;

/// Rows whose products are summed in single precision.
const ROWS: usize = 256;

/// The expected binary logarithm of the ratio of the product of variances and the determinant of the
/// covariance of `rows` rows of `columns` independent normal numbers.
fn determinant_bias(rows: usize, columns: usize) -> Option<f64> {
    let digamma = |x: f64| x.ln() - 0.5 / x;
    let rows = if rows >= 2 * columns { rows as f64 } else { return None };
    let sum: f64 =
        (0..columns).map(|i| digamma(0.5 * rows) - digamma(0.5 * (rows - i as f64))).sum();
    Some(sum / std::f64::consts::LN_2)
}

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
    ///
    /// Products of up to [`ROWS`] rows are in single precision, and their sums in double precision.
    pub(crate) fn add(&mut self, rows: &[f32]) {
        let columns: usize = self.blocks.iter().map(Mat::nrows).sum();
        for rows in rows.chunks(columns.max(1) * ROWS) {
            let count = rows.len() / columns.max(1);
            let rows = MatRef::from_row_major_slice(rows, count, columns);
            let mut start = 0;
            for gram in &mut self.blocks {
                let size = gram.nrows();
                let part = rows.subcols(start, size);
                let mut product = Mat::<f32>::zeros(size, size);
                let replace = Accum::Replace;
                matmul(product.as_mut(), replace, part.transpose(), part, 1.0, Par::Seq);
                for k in 0..size {
                    let sums = gram.col_mut(k).iter_mut().zip(product.col(k).iter());
                    sums.for_each(|(sum, &x)| *sum += f64::from(x));
                }
                start += size;
            }
        }
    }

    /// The bits per weight that coordinates without correlations save over columns of different
    /// variances, at errors that are small compared to `floor`, for a matrix with `rows` rows of which
    /// `sampled` were added. It is half the logarithm of the ratio of the product of variances and the
    /// determinant (Hadamard, 1893). `None` when there are too few rows.
    ///
    /// The determinant of a sample is too small by an amount that is known for normal distributions
    /// (Wishart, 1928). O(n · block²) for n columns.
    pub(crate) fn saved_bits(&self, rows: usize, sampled: usize, floor: f64) -> Option<f64> {
        let (mut saved, mut columns) = (0.0, 0);
        for gram in &self.blocks {
            let size = gram.nrows();
            let count = sampled as f64;
            let mut covariance = gram.clone();
            for j in 0..size {
                covariance.col_mut(j).iter_mut().for_each(|x| *x /= count);
                covariance[(j, j)] += floor;
            }
            let variances: f64 = (0..size).map(|j| covariance[(j, j)].log2()).sum();
            let excess = determinant_bias(sampled, size)? - determinant_bias(rows, size)?;
            saved += 0.5 * (variances - log2_determinant(covariance)? - excess);
            columns += size;
        }
        Some(saved / f64::from(u32::try_from(columns.max(1)).ok()?))
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
                let mut wide = Vec::new();
                let integers = transform.inverse(
                    Kernel::best(),
                    tile.clone(),
                    &(0..BAND),
                    9000,
                    &mut points,
                    &mut wide,
                );
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

    /// Correlated columns whose determinant is known, from few rows and from many.
    #[test]
    fn saved_bits_do_not_depend_on_the_size_of_the_sample() {
        let (columns, block) = (64, 32);
        // The covariance of a block is 0.25 in all entries, and 0.0025 more on the diagonal.
        let ratio = 0.2525f64.powi(32) / (0.0025f64.powi(31) * (0.0025 + 32.0 * 0.25));
        let expected = 0.5 * ratio.log2() / 32.0;
        let halves = [correlated(8192, block), correlated(8192, block)];
        // The second block has other rows.
        let joined = |count: usize| -> Vec<f32> {
            let [a, b] = [0, 1].map(|i| halves[i].chunks_exact(block));
            a.take(count).zip(b.rev()).flat_map(|(a, b)| [a, b].concat()).collect()
        };
        for (count, tolerance) in [(128, 0.1), (512, 0.05), (8192, 0.01)] {
            let mut gram = Gram::new(columns, block);
            gram.add(&joined(count));
            let saved = gram.saved_bits(1 << 20, count, 0.0).unwrap();
            assert!((saved - expected).abs() < tolerance, "{count}: {saved} {expected}");
            // A floor far above all variances leaves nothing to save.
            assert!(gram.saved_bits(1 << 20, count, 1e6).unwrap() < 0.01);
        }
        let mut gram = Gram::new(columns, block);
        gram.add(&joined(40));
        assert_eq!(gram.saved_bits(1 << 20, 40, 0.0), None);
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
