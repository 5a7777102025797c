//! Scales of weights that were quantised before, for the weighting of errors.

use serde::{Deserialize, Serialize};
use std::num::NonZeroUsize;

/// Factors of rows and of columns by which stored elements are multiplied to get weights, as far as
/// a product of two such factors can express the scales beside a tensor. Errors of elements are
/// divided by them, so that errors of weights are the same everywhere.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct QuantizationScales {
    /// The factors of rows.
    pub rows: ScaleRuns,
    /// The factors of columns.
    pub columns: ScaleRuns,
}

/// A factor for each run of rows or columns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ScaleRuns {
    /// Rows or columns in a run; the last one may be shorter.
    pub length: NonZeroUsize,
    /// Binary logarithms of the factors, in eighths. Their mean is about 0.
    pub eighths: Vec<i16>,
}

/// The largest ratio of a scale and the median, as a binary logarithm.
const MAX_LOG: f64 = 8.0;

impl ScaleRuns {
    /// `logs` are those of runs of `size` rows or columns. `None` for runs of unknown length.
    fn new(size: usize, logs: &[f64]) -> Option<Self> {
        let mean = logs.iter().sum::<f64>() / logs.len().max(1) as f64;
        let eighths = logs.iter().map(|log| ((log - mean) * 8.0).round() as i16).collect();
        Some(Self { length: run_length(size, logs.len())?, eighths })
    }

    /// The binary logarithm of the factor of a row or a column.
    pub(super) fn log2(&self, number: usize) -> f64 {
        self.eighths.get(number / self.length).map_or(0.0, |&eighths| f64::from(eighths) / 8.0)
    }

    /// Whether all factors are in a range that [`fit`](QuantizationScales::fit) does not exceed.
    fn are_valid(&self) -> bool {
        let most = (2.0 * 8.0 * MAX_LOG) as u16;
        self.eighths.iter().all(|eighths| eighths.unsigned_abs() <= most)
    }

    /// Whether the factors differ.
    pub(super) fn vary(&self) -> bool {
        self.eighths.windows(2).any(|pair| pair[0] != pair[1])
    }
}

/// The length of runs that divide `size` rows or columns. Blocks are powers of two, and the last one
/// may be incomplete; or they divide the size.
fn run_length(size: usize, runs: usize) -> Option<NonZeroUsize> {
    let power = size.checked_div(runs)?.max(1);
    let power = if size.is_multiple_of(runs) { power } else { power + 1 }.next_power_of_two();
    let length = match size.div_ceil(power) == runs {
        true => power,
        false if size.is_multiple_of(runs) => size / runs,
        false => return None,
    };
    NonZeroUsize::new(length)
}

impl QuantizationScales {
    /// Fits the scales of blocks, row by row of blocks, of a matrix of `rows` × `columns`: the least
    /// squares of logarithms. Scales that are not positive and finite are taken as typical ones.
    /// `None` when no factors differ, or the blocks do not divide the matrix. O(scales · log scales).
    pub(crate) fn fit(
        scales: &[f32],
        block_columns: usize,
        [rows, columns]: [usize; 2],
    ) -> Option<Self> {
        let is_scale = |scale: &f32| scale.is_finite() && *scale > 0.0;
        let mut sorted: Vec<f32> = scales.iter().copied().filter(is_scale).collect();
        sorted.sort_unstable_by(f32::total_cmp);
        let median = f64::from(*sorted.get(sorted.len() / 2)?).log2();
        let log = |scale: &f32| match is_scale(scale) {
            true => (f64::from(*scale).log2() - median).clamp(-MAX_LOG, MAX_LOG),
            false => 0.0,
        };
        let logs: Vec<f64> = scales.iter().map(log).collect();
        let mean =
            |logs: &mut dyn Iterator<Item = f64>, count: usize| logs.sum::<f64>() / count as f64;
        let blocks = logs.chunks(block_columns);
        let of_rows: Vec<f64> =
            blocks.clone().map(|row| mean(&mut row.iter().copied(), block_columns)).collect();
        let of_column = |at: usize| mean(&mut blocks.clone().map(|row| row[at]), blocks.len());
        let of_columns: Vec<f64> = (0..block_columns).map(of_column).collect();
        let found = Self {
            rows: ScaleRuns::new(rows, &of_rows)?,
            columns: ScaleRuns::new(columns, &of_columns)?,
        };
        (found.rows.vary() || found.columns.vary()).then_some(found)
    }

    /// Whether scales that may come from a file are in range.
    pub(crate) fn are_valid(&self) -> bool {
        self.rows.are_valid() && self.columns.are_valid()
    }

    /// The weights of rows of stored elements; `number` maps a row of `values` to its row in the
    /// tensor.
    pub(super) fn weights(
        &self,
        values: &[f32],
        columns: usize,
        number: impl Fn(usize) -> usize,
    ) -> Vec<f32> {
        let factors: Vec<f32> =
            (0..columns).map(|at| self.columns.log2(at).exp2() as f32).collect();
        let rows = values.chunks_exact(columns).enumerate();
        rows.flat_map(|(at, row)| {
            let factor = self.rows.log2(number(at)).exp2() as f32;
            row.iter().zip(&factors).map(move |(x, of_column)| x * factor * of_column)
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_divide_a_matrix() {
        for (size, runs, length) in [
            (576, 5, Some(128)),
            (1536, 12, Some(128)),
            (512, 512, Some(1)),
            (512, 1, Some(512)),
            (300, 3, Some(128)),
            (300, 1, Some(512)),
            (192, 2, Some(128)),
            (960, 10, Some(96)),
            (1024, 56, None),
            (10, 11, None),
            (10, 0, None),
        ] {
            assert_eq!(run_length(size, runs).map(NonZeroUsize::get), length, "{size} {runs}");
        }
    }

    #[test]
    fn products_of_factors_are_found() {
        // Factors of rows 1, 4, 16 and of columns 1, 2.
        let scales = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0].map(|scale| scale * 1e-5);
        let found = QuantizationScales::fit(&scales, 2, [300, 256]).unwrap();
        assert_eq!((found.rows.length.get(), found.columns.length.get()), (128, 128));
        assert_eq!(
            (&*found.rows.eighths, &*found.columns.eighths),
            (&[-16, 0, 16][..], &[-4, 4][..])
        );
        assert_eq!(
            [0, 127, 128, 299, 400].map(|row| found.rows.log2(row)),
            [-2.0, -2.0, 0.0, 2.0, 0.0]
        );
        let weights = found.weights(&[1.0; 512], 256, |at| at * 256);
        let expected = [-2.5f32, -1.5, 1.5, 2.5].map(f32::exp2);
        assert_eq!([weights[0], weights[255], weights[256], weights[511]], expected);
    }

    #[test]
    fn scales_that_do_not_differ_or_fit_are_none() {
        assert_eq!(QuantizationScales::fit(&[0.5; 6], 2, [300, 256]), None);
        assert_eq!(QuantizationScales::fit(&[0.5], 1, [300, 256]), None);
        assert_eq!(QuantizationScales::fit(&[1.0, 2.0, 3.0], 1, [256, 256]), None);
        assert_eq!(QuantizationScales::fit(&[f32::NAN, 0.0, -1.0], 1, [300, 256]), None);
        // Blocks without weights have no scale.
        let scales = [0.0, 1.0, 4.0, f32::INFINITY];
        let found = QuantizationScales::fit(&scales, 1, [512, 256]).unwrap();
        assert_eq!(found.rows.eighths, [4, -12, 4, 4]);
    }
}
