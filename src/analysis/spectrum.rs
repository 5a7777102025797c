//! Singular values, compared with those of noise.

use super::concentration::{participation, stable_rank};
use super::marchenko_pastur::{MarchenkoPastur, threshold};
use super::weights::Weights;
use crate::error::{Error, Result};
use crate::linear_algebra::self_adjoint_eigenvalues;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::{Accum, Mat, MatRef, Par};
use serde::Serialize;

/// The singular values s of a matrix. Large matrices are reduced to evenly spread rows and columns:
/// at most 1024 in the shorter dimension and 2^24 weights in total.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Spectrum {
    /// Number of rows used.
    pub rows: usize,
    /// Number of columns used.
    pub columns: usize,
    /// Number of singular values: the smaller of `rows` and `columns`.
    pub count: usize,
    /// Singular values in decreasing order: all if there are at most 256, else the 128 largest and
    /// 128 evenly spread ones down to the smallest.
    pub values: Vec<SingularValue>,
    /// The participation ratio (Σs²)² ÷ Σs⁴: k for k equal singular values.
    pub effective_rank: f64,
    /// The stable rank Σs² ÷ max s².
    pub stable_rank: f64,
    /// The standard deviation of noise with the same median singular value (Gavish and Donoho, 2014),
    /// in the unit of the weights.
    pub noise_sigma: f64,
    /// The upper edge of the singular values of this noise, `noise_sigma` · (√rows + √columns)
    /// (Marchenko and Pastur, 1967).
    pub noise_edge: f64,
    /// The 99.9 % quantile of the largest singular value of this noise (Johnstone, 2001).
    pub threshold: f64,
    /// Number of singular values above the threshold.
    pub above_threshold: usize,
    /// Their share of the energy Σs².
    pub energy_above: f64,
}

/// A singular value, and that of noise at the same rank.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SingularValue {
    /// Rank; 1 for the largest.
    pub rank: usize,
    /// The singular value, in the unit of the weights.
    pub value: f64,
    /// The quantile of the Marchenko–Pastur distribution at this rank, for noise of standard
    /// deviation [`noise_sigma`](Spectrum::noise_sigma).
    pub noise: f64,
}

/// The largest size of the shorter dimension.
const MAX_SHORT: usize = 1024;

/// The largest number of weights.
const MAX_WEIGHTS: usize = 1 << 24;

/// Number of largest singular values that are all reported.
const LARGEST: usize = 128;

/// The largest number of reported singular values.
const MAX_VALUES: usize = 256;

impl Spectrum {
    /// O(short² · long) for the sizes of the shorter and the longer dimension.
    pub(super) fn of(weights: &Weights<'_>) -> Result<Self> {
        let (rows, columns) = reduced_shape(weights.rows(), weights.columns());
        let (numbers, rows) = submatrix(weights, rows, columns)?;
        let squares = squared_singular_values(&numbers, columns)?;
        Ok(Self::from_squares(&squares, rows, columns, weights.rms()))
    }

    /// From squared singular values in units of `unit`², in decreasing order.
    fn from_squares(squares: &[f64], rows: usize, columns: usize, unit: f64) -> Self {
        let count = squares.len();
        let (short, long) = (rows.min(columns), rows.max(columns));
        let law = MarchenkoPastur::new(short, long);
        let median = match count {
            0 => 0.0,
            _ => 0.5 * (squares[(count - 1) / 2] + squares[count / 2]),
        };
        let variance = median / (long as f64 * law.quantile(0.5));
        let threshold = variance * threshold(short, long);
        let above_threshold = squares.iter().filter(|&&square| square > threshold).count();
        let sum: f64 = squares.iter().sum();
        let above: f64 = squares.iter().take(above_threshold).sum();
        let value = |at: usize| {
            let below = 1.0 - (at as f64 + 0.5) / count as f64;
            let noise = variance * long as f64 * law.quantile(below);
            SingularValue {
                rank: at + 1,
                value: squares[at].sqrt() * unit,
                noise: noise.sqrt() * unit,
            }
        };
        let edge = (rows as f64).sqrt() + (columns as f64).sqrt();
        Self {
            rows,
            columns,
            count,
            values: reported(count).map(value).collect(),
            effective_rank: participation(squares),
            stable_rank: stable_rank(squares),
            noise_sigma: variance.sqrt() * unit,
            noise_edge: variance.sqrt() * edge * unit,
            threshold: threshold.sqrt() * unit,
            above_threshold,
            energy_above: if sum > 0.0 { above / sum } else { 0.0 },
        }
    }
}

/// Indices of the reported singular values.
fn reported(count: usize) -> impl Iterator<Item = usize> {
    let first = if count > MAX_VALUES { LARGEST } else { count };
    let (rest, others) = (count - first, (MAX_VALUES - LARGEST).min(count - first));
    (0..first).chain((1..=others).map(move |number| first + rest * number / others - 1))
}

/// The numbers of rows and columns that are used.
fn reduced_shape(rows: usize, columns: usize) -> (usize, usize) {
    let short = rows.min(columns).min(MAX_SHORT);
    let long = rows.max(columns).min(MAX_WEIGHTS / short.max(1));
    if rows < columns { (short, long) } else { (long, short) }
}

/// Evenly spread rows and columns, and the number of these rows.
fn submatrix(weights: &Weights<'_>, rows: usize, columns: usize) -> Result<(Vec<f32>, usize)> {
    let mut numbers = Vec::with_capacity(rows * columns);
    let column = |number: usize| (2 * number + 1) * weights.columns() / (2 * columns);
    let pick = |piece: Vec<f32>| -> Vec<f32> {
        let rows = piece.chunks_exact(weights.columns());
        rows.flat_map(|row| (0..columns).map(|number| row[column(number)])).collect()
    };
    weights.fold(rows, pick, |piece| numbers.extend(piece))?;
    let found = numbers.len() / columns;
    Ok((numbers, found))
}

/// The eigenvalues of the Gram matrix of the shorter dimension, in F64, in decreasing order.
fn squared_singular_values(numbers: &[f32], columns: usize) -> Result<Vec<f64>> {
    let rows = numbers.len() / columns;
    let gram = if rows < columns {
        let matrix = MatRef::from_row_major_slice(numbers, rows, columns);
        gram(matrix.transpose())
    } else {
        gram(MatRef::from_row_major_slice(numbers, rows, columns))
    };
    let values = self_adjoint_eigenvalues(gram.as_ref())
        .ok_or_else(|| Error::invalid("eigenvalue decomposition does not converge"))?;
    Ok(values.into_iter().rev().map(|value| value.max(0.0)).collect())
}

/// Rows that are converted to F64 and multiplied at once.
const STRIP: usize = 512;

/// The lower triangle of AᵀA.
fn gram(matrix: MatRef<'_, f32>) -> Mat<f64> {
    let (rows, columns) = (matrix.nrows(), matrix.ncols());
    let mut gram = Mat::zeros(columns, columns);
    for start in (0..rows).step_by(STRIP) {
        let strip = matrix.subrows(start, STRIP.min(rows - start));
        let strip = Mat::from_fn(strip.nrows(), columns, |i, j| f64::from(strip[(i, j)]));
        triangular::matmul(
            gram.as_mut(),
            BlockStructure::TriangularLower,
            Accum::Add,
            strip.transpose(),
            BlockStructure::Rectangular,
            strip.as_ref(),
            BlockStructure::Rectangular,
            1.0,
            Par::Seq,
        );
    }
    gram
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::Dtype;
    use crate::gaussian::gaussian_noise;

    fn spectrum(numbers: &[f32], columns: usize) -> Spectrum {
        let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
        let (source, rows): (&[u8], usize) = (&bytes, numbers.len() / columns);
        Spectrum::of(&Weights::new(&source, Dtype::F32, (rows, columns)).unwrap()).unwrap()
    }

    #[test]
    fn noise_has_no_singular_value_above_threshold() {
        for (seed, rows, columns) in [(1, 400, 100), (2, 150, 150), (3, 64, 500)] {
            let noise: Vec<f32> = gaussian_noise(seed)
                .take(rows * columns)
                .collect::<Vec<_>>()
                .iter()
                .map(|x| 0.3 * x)
                .collect();
            let found = spectrum(&noise, columns);
            assert_eq!((found.above_threshold, found.energy_above), (0, 0.0), "{rows}");
            assert_eq!(found.count, rows.min(columns));
            assert!((found.noise_sigma / 0.3 - 1.0).abs() < 0.02, "{}", found.noise_sigma);
            let edge = found.noise_sigma * ((rows as f64).sqrt() + (columns as f64).sqrt());
            assert!((found.noise_edge - edge).abs() < 1e-9);
            // The quantiles of the distribution match the singular values.
            for SingularValue { value, noise, .. } in &found.values[..found.count / 2] {
                assert!((value / noise - 1.0).abs() < 0.06, "{value} {noise}");
            }
        }
    }

    #[test]
    fn low_rank_part_is_above_threshold() {
        let (rows, columns, rank) = (600, 200, 5);
        let (left, right) = (
            gaussian_noise(4).take(rows * rank).collect::<Vec<_>>(),
            gaussian_noise(5).take(columns * rank).collect::<Vec<_>>(),
        );
        let mut numbers = gaussian_noise(6).take(rows * columns).collect::<Vec<_>>();
        for (at, x) in numbers.iter_mut().enumerate() {
            let (row, column) = (at / columns, at % columns);
            *x += (0..rank).map(|k| left[row * rank + k] * right[column * rank + k]).sum::<f32>();
        }
        let found = spectrum(&numbers, columns);
        assert_eq!(found.above_threshold, rank);
        assert!((0.75..0.9).contains(&found.energy_above), "{}", found.energy_above);
        assert!((found.noise_sigma - 1.0).abs() < 0.02);
    }

    /// k equal elements on the diagonal: k equal singular values.
    #[test]
    fn equal_singular_values_give_their_rank() {
        let (columns, rank) = (96, 12);
        let mut numbers = vec![0.0; 128 * columns];
        (0..rank).for_each(|k| numbers[k * columns + k] = 7.0);
        let found = spectrum(&numbers, columns);
        assert!((found.effective_rank - 12.0).abs() < 1e-6, "{}", found.effective_rank);
        assert!((found.stable_rank - 12.0).abs() < 1e-6, "{}", found.stable_rank);
        assert_eq!((found.above_threshold, found.noise_edge), (12, 0.0));
        assert!((found.values[11].value - 7.0).abs() < 1e-5 && found.values[12].value < 1e-5);
        assert_eq!(spectrum(&[0.0; 4096], 64).effective_rank, 0.0);
    }

    #[test]
    fn reported_values_are_limited() {
        assert_eq!(reported(256).count(), 256);
        let reported: Vec<usize> = reported(1000).collect();
        assert_eq!((reported.len(), reported[127], reported[255]), (256, 127, 999));
        assert!(reported.is_sorted_by(|a, b| a < b));
        assert_eq!(
            (reduced_shape(30_522, 384), reduced_shape(512, 1 << 16)),
            ((30_522, 384), (512, 32_768))
        );
        assert_eq!((reduced_shape(2048, 8192), reduced_shape(0, 5)), ((1024, 8192), (0, 5)));
    }
}
