//! Orthogonal maps of rows, in floating point.

use super::blocks::max_block;
use crate::arch::Kernel;
use crate::codec::transform::{Gram, Hadamard};
use crate::coordinates::Coordinates;
use crate::error::{Error, Result};
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par, Side};
use rustdct::{DctPlanner, TransformType2And3};
use std::sync::Arc;

/// An orthogonal map of rows, or of several of them together.
pub(super) struct Rotation {
    system: Coordinates,
    columns: usize,
    map: Map,
}

enum Map {
    Identity,
    Hadamard(Hadamard),
    HadamardBoth(Hadamard),
    Dct(Arc<dyn TransformType2And3<f32>>),
    /// Matrices along the diagonal; their columns are the axes.
    Blocks(Vec<Mat<f32>>),
}

impl Rotation {
    /// The map to a system. `gram` holds the sums that principal axes are learned from, in the
    /// blocks of [`Coordinates::Klt`].
    ///
    /// # Errors
    /// `InvalidArgument` where there are no principal axes to be found.
    pub(super) fn new(system: Coordinates, columns: usize, gram: &Gram) -> Result<Self> {
        let block = max_block(system, columns);
        let map = match system {
            Coordinates::Identity => Map::Identity,
            Coordinates::RandomRotation => Map::Blocks(random(columns, block)),
            Coordinates::Hadamard => {
                Map::Hadamard(Hadamard::with_fixed_signs(block.ilog2(), columns))
            }
            Coordinates::HadamardBothSides => {
                Map::HadamardBoth(Hadamard::with_fixed_signs(block.ilog2(), columns))
            }
            Coordinates::Dct => Map::Dct(DctPlanner::new().plan_dct2(columns)),
            Coordinates::Klt | Coordinates::KltBlocks => Map::Blocks(principal(gram, block)?),
        };
        Ok(Self { system, columns, map })
    }

    /// Where it leads.
    pub(super) fn system(&self) -> Coordinates {
        self.system
    }

    /// Turns whole rows, in place.
    pub(super) fn turn(&self, rows: &mut [f32]) {
        match &self.map {
            Map::Identity => {}
            Map::Hadamard(hadamard) => hadamard.forward(Kernel::best(), rows),
            Map::HadamardBoth(hadamard) => {
                hadamard.forward(Kernel::best(), rows);
                mix_rows(rows, self.columns);
            }
            Map::Dct(dct) => transform(dct.as_ref(), rows, self.columns),
            Map::Blocks(blocks) => multiply(blocks, rows, self.columns),
        }
    }
}

/// Hadamard matrices over rows: those at hand, up to 256 together.
fn mix_rows(rows: &mut [f32], columns: usize) {
    let count = rows.len() / columns.max(1);
    if count == 0 {
        return;
    }
    let block_log2 = count.ilog2().min(Hadamard::MAX_BLOCK_LOG2);
    let hadamard = Hadamard::with_fixed_signs(block_log2, count);
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

/// The cosine transform of each row.
fn transform(dct: &dyn TransformType2And3<f32>, rows: &mut [f32], columns: usize) {
    let mut scratch = vec![0.0; dct.get_scratch_len()];
    let scale = (2.0 / columns as f64).sqrt() as f32;
    for row in rows.chunks_exact_mut(columns.max(1)) {
        dct.process_dct2_with_scratch(row, &mut scratch);
        row.iter_mut().for_each(|x| *x *= scale);
        row[0] *= std::f32::consts::FRAC_1_SQRT_2;
    }
}

/// Each row times the blocks.
fn multiply(blocks: &[Mat<f32>], rows: &mut [f32], columns: usize) {
    let count = rows.len() / columns.max(1);
    let mut start = 0;
    for block in blocks {
        let size = block.nrows();
        // Transposed, so that what belongs to a row lies together.
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

fn sizes(columns: usize, block: usize) -> impl Iterator<Item = usize> {
    (0..columns).step_by(block.max(1)).map(move |start| block.min(columns - start))
}

/// Random orthogonal matrices: the Q of Gaussian matrices' QR, with the signs that make R's
/// diagonal positive (Mezzadri, 2007). Blocks of the same size are the same.
fn random(columns: usize, block: usize) -> Vec<Mat<f32>> {
    let mut blocks: Vec<Mat<f32>> = Vec::new();
    for size in sizes(columns, block) {
        let same = blocks.last().filter(|last| last.nrows() == size);
        let matrix = same.cloned().unwrap_or_else(|| haar(size));
        blocks.push(matrix);
    }
    blocks
}

fn haar(size: usize) -> Mat<f32> {
    let mut random = fastrand::Rng::with_seed(size as u64);
    let gaussian = Mat::from_fn(size, size, |_, _| normal(&mut random));
    let qr = gaussian.qr();
    let (q, r) = (qr.compute_Q(), qr.R());
    Mat::from_fn(size, size, |i, j| (q[(i, j)] * r[(j, j)].signum()) as f32)
}

/// A normal number (Box and Muller, 1958).
pub(super) fn normal(random: &mut fastrand::Rng) -> f64 {
    let radius = (-2.0 * (1.0 - random.f64()).ln()).sqrt();
    radius * (std::f64::consts::TAU * random.f64()).cos()
}

/// Eigenvectors of the blocks along the diagonal, loudest first.
fn principal(gram: &Gram, block: usize) -> Result<Vec<Mat<f32>>> {
    let wide = gram.blocks().iter();
    let parts = wide.flat_map(|gram| {
        (0..gram.nrows()).step_by(block.max(1)).map(move |start| {
            let size = block.min(gram.nrows() - start);
            gram.submatrix(start, start, size, size)
        })
    });
    parts
        .map(|part| {
            let eigen = part.self_adjoint_eigen(Side::Lower);
            let eigen = eigen.map_err(|_| Error::invalid("a matrix without principal axes"))?;
            let (axes, size) = (eigen.U(), part.nrows());
            Ok(Mat::from_fn(size, size, |i, j| axes[(i, size - 1 - j)] as f32))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn noise(seed: u64, count: usize) -> Vec<f32> {
        let mut random = fastrand::Rng::with_seed(seed);
        (0..count).map(|_| normal(&mut random) as f32).collect()
    }

    fn energy(numbers: &[f32]) -> f64 {
        numbers.iter().map(|&x| f64::from(x).powi(2)).sum()
    }

    fn rotation(system: Coordinates, columns: usize, rows: &[f32]) -> Rotation {
        let mut gram = Gram::new(columns, max_block(Coordinates::Klt, columns));
        gram.add(rows);
        Rotation::new(system, columns, &gram).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn energy_and_angles_stay(rows in 2usize..40, columns in 1usize..700, seed: u64) {
            let before = noise(seed, rows * columns);
            for system in Coordinates::ALL {
                let mut after = before.clone();
                rotation(system, columns, &before).turn(&mut after);
                prop_assert!((energy(&after) / energy(&before) - 1.0).abs() < 1e-5);
                if system == Coordinates::HadamardBothSides {
                    continue; // rows are mixed: their angles are others
                }
                let product = |numbers: &[f32]| -> f64 {
                    let (a, b) = numbers[..2 * columns].split_at(columns);
                    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
                };
                let error = (product(&after) - product(&before)).abs();
                prop_assert!(error < 1e-5 * energy(&before), "{system:?}: {error}");
            }
        }
    }

    #[test]
    fn a_cosine_is_one_coefficient() {
        for (columns, wave) in [(384, 17), (100, 0), (7, 6)] {
            let angle = |i: usize| (i as f64 + 0.5) * wave as f64 * std::f64::consts::PI;
            let mut row: Vec<f32> =
                (0..columns).map(|i| (angle(i) / columns as f64).cos() as f32).collect();
            let all = energy(&row);
            rotation(Coordinates::Dct, columns, &row.clone()).turn(&mut row);
            assert!((f64::from(row[wave]).powi(2) / all - 1.0).abs() < 1e-5);
        }
    }

    /// Of two rows in a thousand columns the rotated energy lies on two axes, the louder first.
    #[test]
    fn principal_axes_are_sorted_and_hold_all() {
        let rows = noise(3, 2 * 1000);
        let mut turned = rows.clone();
        rotation(Coordinates::Klt, 1000, &rows).turn(&mut turned);
        let on_axis = |j: usize| energy(&[turned[j], turned[1000 + j]]);
        assert!(on_axis(0) > on_axis(1) && on_axis(0) + on_axis(1) > 0.99999 * energy(&rows));
    }

    /// A random rotation favours no axis: the entries of Haar matrices have variance 1 ÷ n.
    #[test]
    fn random_rotations_are_even() {
        let q = haar(128);
        let diagonal: f64 = (0..128).map(|i| f64::from(q[(i, i)])).sum();
        // The trace of a Haar matrix is nearly standard normal (Diaconis and Shahshahani, 1994).
        assert!(diagonal.abs() < 4.0, "{diagonal}");
        let column = energy(q.col_as_slice(5));
        assert!((column - 1.0).abs() < 1e-5);
    }
}
