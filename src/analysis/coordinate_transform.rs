//! Transforms of rows to each coordinate system, in floating point.

use super::blocks::max_block;
use crate::arch::Kernel;
use crate::codec::transform::{Gram, Hadamard, block_sizes};
use crate::coordinates::Coordinates;
use crate::error::{Error, Result};
use crate::gaussian::standard_normal;
use crate::linear_algebra::{self_adjoint_eigen, thin_qr};
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};
use rustdct::{DctPlanner, TransformType2And3};
use std::sync::Arc;

/// An orthogonal transform of rows to a coordinate system.
pub(super) struct CoordinateTransform {
    coordinates: Coordinates,
    columns: usize,
    kind: TransformKind,
}

enum TransformKind {
    Identity,
    Hadamard(Hadamard),
    HadamardBothSides(Hadamard),
    Dct(Arc<dyn TransformType2And3<f32>>),
    /// Orthogonal matrices along the diagonal. Their columns are the basis vectors.
    Blocks(Vec<Mat<f32>>),
}

impl CoordinateTransform {
    /// The transform of rows with a number of columns. `gram` has the Gram matrices from which the
    /// bases of KLTs are computed, in the blocks of [`Coordinates::Klt`].
    ///
    /// # Errors
    /// `InvalidArgument` if an eigenvalue decomposition does not converge.
    pub(super) fn new(coordinates: Coordinates, columns: usize, gram: &Gram) -> Result<Self> {
        let block = max_block(coordinates, columns);
        let kind = match coordinates {
            Coordinates::Identity => TransformKind::Identity,
            Coordinates::RandomRotation => TransformKind::Blocks(random_rotations(columns, block)),
            Coordinates::Hadamard => {
                TransformKind::Hadamard(Hadamard::with_fixed_signs(block.ilog2(), columns))
            }
            Coordinates::HadamardBothSides => {
                TransformKind::HadamardBothSides(Hadamard::with_fixed_signs(block.ilog2(), columns))
            }
            Coordinates::Dct => TransformKind::Dct(DctPlanner::new().plan_dct2(columns)),
            Coordinates::Klt | Coordinates::KltBlocks => {
                TransformKind::Blocks(klt_bases(gram, block)?)
            }
        };
        Ok(Self { coordinates, columns, kind })
    }

    /// The coordinate system.
    pub(super) fn coordinates(&self) -> Coordinates {
        self.coordinates
    }

    /// Transforms whole rows in place. [`Coordinates::HadamardBothSides`] also combines these rows.
    pub(super) fn apply(&self, rows: &mut [f32]) {
        match &self.kind {
            TransformKind::Identity => {}
            TransformKind::Hadamard(hadamard) => hadamard.forward(Kernel::best(), rows),
            TransformKind::HadamardBothSides(hadamard) => {
                hadamard.forward(Kernel::best(), rows);
                transform_columns(rows, self.columns);
            }
            TransformKind::Dct(dct) => cosine_transform(dct.as_ref(), rows, self.columns),
            TransformKind::Blocks(blocks) => multiply(blocks, rows, self.columns),
        }
    }
}

/// Hadamard transform of each column, over blocks of up to 256 of the given rows.
fn transform_columns(rows: &mut [f32], columns: usize) {
    let count = rows.len() / columns.max(1);
    if count == 0 {
        return;
    }
    let hadamard = Hadamard::with_fixed_signs(Hadamard::max_block_log2(count), count);
    let mut column = vec![0.0; count];
    for start in 0..columns {
        for (x, row) in column.iter_mut().zip(rows.chunks_exact(columns)) {
            *x = row[start];
        }
        hadamard.forward(Kernel::best(), &mut column);
        for (x, row) in column.iter().zip(rows.chunks_exact_mut(columns)) {
            row[start] = *x;
        }
    }
}

/// The orthonormal DCT-II of each row.
fn cosine_transform(dct: &dyn TransformType2And3<f32>, rows: &mut [f32], columns: usize) {
    let mut scratch = vec![0.0; dct.get_scratch_len()];
    let scale = (2.0 / columns as f64).sqrt() as f32;
    for row in rows.chunks_exact_mut(columns.max(1)) {
        dct.process_dct2_with_scratch(row, &mut scratch);
        row.iter_mut().for_each(|x| *x *= scale);
        row[0] *= std::f32::consts::FRAC_1_SQRT_2;
    }
}

/// Multiplies each row by the block-diagonal matrix.
fn multiply(blocks: &[Mat<f32>], rows: &mut [f32], columns: usize) {
    let count = rows.len() / columns.max(1);
    let mut start = 0;
    for block in blocks {
        let size = block.nrows();
        // The product is transposed, so that each of its columns is contiguous.
        let mut product = Mat::<f32>::zeros(size, count);
        let matrix = MatRef::from_row_major_slice(rows, count, columns).subcols(start, size);
        let (left, right) = (block.transpose(), matrix.transpose());
        matmul(product.as_mut(), Accum::Replace, left, right, 1.0, Par::Seq);
        for (i, row) in rows.chunks_exact_mut(columns).enumerate() {
            row[start..start + size].copy_from_slice(product.col_as_slice(i));
        }
        start += size;
    }
}

/// Haar-distributed random orthogonal matrices. Blocks of the same size are equal.
fn random_rotations(columns: usize, block: usize) -> Vec<Mat<f32>> {
    let mut blocks: Vec<Mat<f32>> = Vec::new();
    for size in block_sizes(columns, block) {
        let same = blocks.last().filter(|last| last.nrows() == size);
        let matrix = same.cloned().unwrap_or_else(|| haar(size));
        blocks.push(matrix);
    }
    blocks
}

/// The factor Q of the QR decomposition of a Gaussian matrix, with signs such that the diagonal of R
/// is positive (Mezzadri, 2007).
fn haar(size: usize) -> Mat<f32> {
    let mut random = fastrand::Rng::with_seed(size as u64);
    let gaussian = Mat::from_fn(size, size, |_, _| standard_normal(&mut random));
    let (q, diagonal) = thin_qr(gaussian);
    Mat::from_fn(size, size, |i, j| (q[(i, j)] * diagonal[j].signum()) as f32)
}

/// Eigenvectors of the diagonal blocks, by decreasing eigenvalue.
fn klt_bases(gram: &Gram, block: usize) -> Result<Vec<Mat<f32>>> {
    let wide = gram.blocks().iter();
    let parts = wide.flat_map(|gram| {
        (0..gram.nrows()).step_by(block.max(1)).map(move |start| {
            let size = block.min(gram.nrows() - start);
            gram.submatrix(start, start, size, size)
        })
    });
    parts
        .map(|part| {
            let Some((_, vectors)) = self_adjoint_eigen(part) else {
                return Err(Error::invalid("eigenvalue decomposition does not converge"));
            };
            let size = part.nrows();
            Ok(Mat::from_fn(size, size, |i, j| vectors[(i, size - 1 - j)] as f32))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gaussian::gaussian_noise;
    use proptest::prelude::*;

    fn energy(numbers: &[f32]) -> f64 {
        numbers.iter().map(|&x| f64::from(x).powi(2)).sum()
    }

    fn transform(coordinates: Coordinates, columns: usize, rows: &[f32]) -> CoordinateTransform {
        let mut gram = Gram::new(columns, max_block(Coordinates::Klt, columns));
        gram.add(rows);
        CoordinateTransform::new(coordinates, columns, &gram).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn energy_and_angles_are_preserved(rows in 2usize..40, columns in 1usize..700, seed: u64) {
            let before = gaussian_noise(seed).take(rows * columns).collect::<Vec<_>>();
            for coordinates in Coordinates::ALL {
                let mut after = before.clone();
                transform(coordinates, columns, &before).apply(&mut after);
                prop_assert!((energy(&after) / energy(&before) - 1.0).abs() < 1e-5);
                if coordinates == Coordinates::HadamardBothSides {
                    continue; // combines rows, so their angles change
                }
                let product = |numbers: &[f32]| -> f64 {
                    let (a, b) = numbers[..2 * columns].split_at(columns);
                    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
                };
                let error = (product(&after) - product(&before)).abs();
                prop_assert!(error < 1e-5 * energy(&before), "{coordinates:?}: {error}");
            }
        }
    }

    #[test]
    fn dct_of_a_cosine_is_one_coefficient() {
        for (columns, wave) in [(384, 17), (100, 0), (7, 6)] {
            let angle = |i: usize| (i as f64 + 0.5) * wave as f64 * std::f64::consts::PI;
            let mut row: Vec<f32> =
                (0..columns).map(|i| (angle(i) / columns as f64).cos() as f32).collect();
            let all = energy(&row);
            transform(Coordinates::Dct, columns, &row.clone()).apply(&mut row);
            assert!((f64::from(row[wave]).powi(2) / all - 1.0).abs() < 1e-5);
        }
    }

    /// The energy of two rows lies in the first two coordinates.
    #[test]
    fn klt_coordinates_are_sorted_by_energy() {
        let rows = gaussian_noise(3).take(2 * 1000).collect::<Vec<_>>();
        let mut transformed = rows.clone();
        transform(Coordinates::Klt, 1000, &rows).apply(&mut transformed);
        let column = |j: usize| energy(&[transformed[j], transformed[1000 + j]]);
        assert!(column(0) > column(1) && column(0) + column(1) > 0.99999 * energy(&rows));
    }

    #[test]
    fn random_rotations_are_haar_distributed() {
        let q = haar(128);
        let diagonal: f64 = (0..128).map(|i| f64::from(q[(i, i)])).sum();
        // The trace of a Haar matrix is nearly standard normal (Diaconis and Shahshahani, 1994).
        assert!(diagonal.abs() < 4.0, "{diagonal}");
        let column = energy(q.col_as_slice(5));
        assert!((column - 1.0).abs() < 1e-5);
    }
}
