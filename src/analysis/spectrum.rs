//! Singular values, and how much of them is noise.

use super::concentration::{participation, stable_rank};
use super::marchenko_pastur::{MarchenkoPastur, threshold};
use super::weights::Weights;
use crate::error::{Error, Result};
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::{Accum, Mat, MatRef, Par, Side};
use serde::Serialize;

/// A matrix's singular values, of evenly spread rows and columns where it is large: at most 1024
/// on its shorter side, and 2^24 weights in all.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Spectrum {
    /// Rows that were taken.
    pub rows: usize,
    /// Columns that were taken.
    pub columns: usize,
    /// How many singular values there are: the smaller of both.
    pub count: usize,
    /// The largest 128, then others evenly spread down to the last: at most 256, in falling order.
    pub values: Vec<SingularValue>,
    /// The participation ratio of squared singular values, (Σs²)² ÷ Σs⁴: k for k equal ones.
    pub effective_rank: f64,
    /// Σs² ÷ the largest s².
    pub stable_rank: f64,
    /// The deviation of the noise that the bulk looks like: the median singular value over that of
    /// unit noise (Gavish and Donoho, 2014), in the unit of the weights.
    pub noise_sigma: f64,
    /// Where the singular values of such noise end, σ(√rows + √columns) (Marchenko and Pastur,
    /// 1967).
    pub noise_edge: f64,
    /// What the largest of such noise exceeds but once in a thousand matrices (Johnstone, 2001).
    pub threshold: f64,
    /// How many exceed the threshold.
    pub above_threshold: usize,
    /// The share of the energy that these hold.
    pub energy_above: f64,
}

/// One singular value, and what noise would have in its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SingularValue {
    /// 1 for the largest.
    pub rank: usize,
    /// The singular value, in the unit of the weights.
    pub value: f64,
    /// The quantile of the Marchenko–Pastur law at this rank, for noise of `noise_sigma`.
    pub noise: f64,
}

/// Singular values that are computed at most: the shorter side.
const SHORT: usize = 1024;

/// Weights that are taken at most.
const MOST: usize = 1 << 24;

/// The largest of this many are all told.
const ALL_UP_TO: usize = 128;

/// Singular values that are told, at most.
const POINTS: usize = 256;

impl Spectrum {
    /// O(short² · long), of which are `SHORT` and `MOST` at most.
    pub(super) fn of(weights: &Weights<'_>) -> Result<Self> {
        let (rows, columns) = taken(weights.rows(), weights.columns());
        let (numbers, rows) = submatrix(weights, rows, columns)?;
        let squares = squared_singular_values(&numbers, columns)?;
        Ok(Self::from_squares(&squares, rows, columns, weights.rms()))
    }

    /// From squared singular values of a matrix in units of `unit`, in falling order.
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
            values: told(count).map(value).collect(),
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

/// Places of the singular values that are told.
fn told(count: usize) -> impl Iterator<Item = usize> {
    let first = count.min(if count > POINTS { ALL_UP_TO } else { count });
    let (rest, places) = (count - first, (POINTS - ALL_UP_TO).min(count - first));
    (0..first).chain((1..=places).map(move |place| first + rest * place / places - 1))
}

/// How many rows and columns are taken.
fn taken(rows: usize, columns: usize) -> (usize, usize) {
    let short = rows.min(columns).min(SHORT);
    let long = rows.max(columns).min(MOST / short.max(1));
    if rows < columns { (short, long) } else { (long, short) }
}

/// Evenly spread rows and columns, and how many rows these are.
fn submatrix(weights: &Weights<'_>, rows: usize, columns: usize) -> Result<(Vec<f32>, usize)> {
    let mut numbers = Vec::with_capacity(rows * columns);
    let place = |number: usize| (2 * number + 1) * weights.columns() / (2 * columns);
    let pick = |piece: Vec<f32>| -> Vec<f32> {
        let rows = piece.chunks_exact(weights.columns());
        rows.flat_map(|row| (0..columns).map(|number| row[place(number)])).collect()
    };
    weights.fold(rows, pick, |piece| numbers.extend(piece))?;
    let found = numbers.len() / columns;
    Ok((numbers, found))
}

/// By the Gram matrix of the shorter side, in double precision; in falling order.
fn squared_singular_values(numbers: &[f32], columns: usize) -> Result<Vec<f64>> {
    let rows = numbers.len() / columns;
    let gram = if rows < columns {
        let matrix = MatRef::from_row_major_slice(numbers, rows, columns);
        gram(matrix.transpose())
    } else {
        gram(MatRef::from_row_major_slice(numbers, rows, columns))
    };
    let values = gram.self_adjoint_eigenvalues(Side::Lower);
    let values = values.map_err(|_| Error::invalid("a matrix without singular values"))?;
    Ok(values.into_iter().rev().map(|value| value.max(0.0)).collect())
}

/// Rows that are multiplied at once.
const STRIP: usize = 512;

/// The lower half of `AᵀA`.
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
    use super::super::rotation::normal;
    use super::*;
    use crate::dtype::Dtype;

    fn gaussian(seed: u64, count: usize) -> Vec<f32> {
        let mut random = fastrand::Rng::with_seed(seed);
        (0..count).map(|_| normal(&mut random) as f32).collect()
    }

    fn spectrum(numbers: &[f32], columns: usize) -> Spectrum {
        let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
        let (source, rows): (&[u8], usize) = (&bytes, numbers.len() / columns);
        Spectrum::of(&Weights::new(&source, Dtype::F32, (rows, columns)).unwrap()).unwrap()
    }

    #[test]
    fn nothing_stands_out_of_noise() {
        for (seed, rows, columns) in [(1, 400, 100), (2, 150, 150), (3, 64, 500)] {
            let noise: Vec<f32> = gaussian(seed, rows * columns).iter().map(|x| 0.3 * x).collect();
            let found = spectrum(&noise, columns);
            assert_eq!((found.above_threshold, found.energy_above), (0, 0.0), "{rows}");
            assert_eq!(found.count, rows.min(columns));
            assert!((found.noise_sigma / 0.3 - 1.0).abs() < 0.02, "{}", found.noise_sigma);
            let edge = found.noise_sigma * ((rows as f64).sqrt() + (columns as f64).sqrt());
            assert!((found.noise_edge - edge).abs() < 1e-9);
            // The law's quantiles go through the values.
            for SingularValue { value, noise, .. } in &found.values[..found.count / 2] {
                assert!((value / noise - 1.0).abs() < 0.06, "{value} {noise}");
            }
        }
    }

    #[test]
    fn what_is_beside_noise_stands_out() {
        let (rows, columns, rank) = (600, 200, 5);
        let (left, right) = (gaussian(4, rows * rank), gaussian(5, columns * rank));
        let mut numbers = gaussian(6, rows * columns);
        for (at, x) in numbers.iter_mut().enumerate() {
            let (row, column) = (at / columns, at % columns);
            *x += (0..rank).map(|k| left[row * rank + k] * right[column * rank + k]).sum::<f32>();
        }
        let found = spectrum(&numbers, columns);
        assert_eq!(found.above_threshold, rank);
        assert!((0.75..0.9).contains(&found.energy_above), "{}", found.energy_above);
        assert!((found.noise_sigma - 1.0).abs() < 0.02);
    }

    /// k ones along the diagonal: k equal singular values.
    #[test]
    fn equal_singular_values_count_for_their_rank() {
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
    fn many_are_told_in_few_points() {
        assert_eq!(told(256).count(), 256);
        let told: Vec<usize> = told(1000).collect();
        assert_eq!((told.len(), told[127], told[255]), (256, 127, 999));
        assert!(told.is_sorted_by(|a, b| a < b));
        assert_eq!((taken(30_522, 384), taken(512, 1 << 16)), ((30_522, 384), (512, 32_768)));
        assert_eq!((taken(2048, 8192), taken(0, 5)), ((1024, 8192), (0, 5)));
    }
}
