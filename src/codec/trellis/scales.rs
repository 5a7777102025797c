//! Scales of rows and columns: what a tensor is divided by before it is coded, so that errors
//! count less where scales are large.

use super::row_table::RowTable;
use serde::{Deserialize, Serialize};

/// The byte of the scale 1.
pub(super) const SCALE_ONE: u8 = 128;

/// Bytes that scales of columns may have: from 2^−8 to nearly 2^8.
pub(super) const COLUMN_SCALES: std::ops::RangeInclusive<u8> = 64..=191;

/// A scale: eighths between powers of two, (8 + byte mod 8) · 2^(byte div 8 − 19).
pub(super) fn scale(byte: u8) -> f32 {
    // The bits of such a number: a biased exponent, and the eighths atop the fraction.
    let (exponent, eighths) = (127 - 16 + u32::from(byte >> 3), u32::from(byte & 7));
    f32::from_bits(exponent << 23 | eighths << 20)
}

/// The byte whose scale is nearest to 2 to a power.
fn byte_near(log2: f64) -> u8 {
    let exponent = log2.floor();
    let eighths = ((log2 - exponent).exp2() * 8.0 - 8.0).round();
    (f64::from(SCALE_ONE) + 8.0 * exponent + eighths).clamp(0.0, 255.0) as u8
}

/// What rows are scaled by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RowScales {
    /// Nothing: errors count alike in all rows.
    #[default]
    None,
    /// Their loudness: quiet rows come as near, relative to their size, as loud ones.
    Loudness,
    /// Their rank: for vocabularies, whose first rows are the most frequent.
    Rank,
}

/// Which scales a tensor has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scaling {
    pub(crate) rows: RowScales,
    /// Whether columns are scaled by their loudness.
    pub(crate) columns: bool,
}

/// Finds a row's scale.
#[derive(Clone, Copy, Debug)]
enum RowScaler {
    /// Its deviation over the tensor's.
    Loudness { rms: f64 },
    /// By its number; the mean logarithm over all rows is 0.
    Rank { rows: usize, mean: f64 },
}

/// Rows so many times as loud as the one in the middle are out of all proportion.
const EXTREME_ROW: f64 = 1e4;

/// Words of rank *r* occur about as often as 1 ÷ *r* (Zipf, 1935). An error in a word's row is met
/// that often, so it may grow with *r*; its square as the root of *r* does nearly all that can be
/// done, and stays modest where ranks mean little. The first rows are often unused bytes and marks.
const RANK_EXPONENT: f64 = 0.25;
const FIRST_RANK: f64 = 32.0;

impl RowScaler {
    fn by_rank(rows: usize) -> Self {
        let sum: f64 = (0..rows).map(log2_rank).sum();
        Self::Rank { rows, mean: sum / rows.max(1) as f64 }
    }

    /// For rows like these. The few that are out of all proportion do not count: all others would
    /// seem silent beside them.
    fn by_loudness(values: &[f32], columns: usize) -> Self {
        let mut squares: Vec<f64> = values.chunks_exact(columns).map(mean_square).collect();
        squares.sort_unstable_by(f64::total_cmp);
        let middle = squares.get(squares.len() / 2).copied().unwrap_or(0.0);
        let ordinary = squares.partition_point(|&x| x <= middle * EXTREME_ROW * EXTREME_ROW);
        let mean = squares[..ordinary].iter().sum::<f64>() / ordinary.max(1) as f64;
        Self::Loudness { rms: mean.sqrt().max(f32::MIN_POSITIVE.into()) }
    }

    /// The byte whose scale is nearest.
    fn byte(self, number: usize, row: &[f32]) -> u8 {
        byte_near(match self {
            Self::Loudness { rms } => {
                (mean_square(row).sqrt() / rms).max(f32::MIN_POSITIVE.into()).log2()
            }
            Self::Rank { mean, .. } => RANK_EXPONENT * (log2_rank(number) - mean),
        })
    }

    /// A table for the bytes of all rows, of which these are a sample.
    fn table(self, values: &[f32], columns: usize) -> RowTable {
        let bytes: Vec<u8> = match self {
            Self::Loudness { .. } => {
                values.chunks_exact(columns).map(|row| self.byte(0, row)).collect()
            }
            Self::Rank { rows, .. } => (0..rows).map(|number| self.byte(number, &[])).collect(),
        };
        RowTable::new(&bytes)
    }
}

fn log2_rank(number: usize) -> f64 {
    (number as f64 + FIRST_RANK).log2()
}

/// In double precision: squares of any F32 are finite there.
fn mean_square(row: &[f32]) -> f64 {
    row.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / row.len().max(1) as f64
}

/// Columns quieter than this, of all their mean square, count as this loud.
const QUIET_COLUMN: f64 = 1e-3;

/// The power of a column's deviation that it is scaled by: the first would make errors relative to
/// each column's size.
const COLUMN_EXPONENT: f64 = 0.75;

/// The bytes of columns' scales, by a sample of rows; their mean logarithm is 0.
///
/// Training balances a layer: where inputs are loud weights become quiet. So a quiet column's
/// error is likely to be multiplied with more.
fn column_scales(values: &[f32], columns: usize) -> Vec<u8> {
    let mut squares = vec![0.0f64; columns];
    for row in values.chunks_exact(columns) {
        squares.iter_mut().zip(row).for_each(|(sum, &x)| *sum += f64::from(x).powi(2));
    }
    let all: f64 = squares.iter().sum();
    let floor = (QUIET_COLUMN * all / columns as f64).max(f64::MIN_POSITIVE);
    let logs: Vec<f64> =
        squares.iter().map(|square| 0.5 * COLUMN_EXPONENT * (square + floor).log2()).collect();
    let mean = logs.iter().sum::<f64>() / columns as f64;
    let byte =
        |log: &f64| byte_near(log - mean).clamp(*COLUMN_SCALES.start(), *COLUMN_SCALES.end());
    logs.iter().map(byte).collect()
}

/// The scales of one tensor.
#[derive(Clone, Debug)]
pub(super) struct Scales {
    rows: Option<(RowScaler, RowTable)>,
    columns: Option<Vec<u8>>,
    /// One over each column's scale; empty where they have none.
    inverses: Vec<f32>,
}

impl Scales {
    /// For a tensor of so many rows, of which some are given. These become divided.
    pub(super) fn new(
        scaling: Scaling,
        rows: usize,
        columns: usize,
        sample: &mut [f32],
        number: impl Fn(usize) -> usize,
    ) -> Self {
        let of_columns = scaling.columns.then(|| column_scales(sample, columns));
        let inverses = of_columns.iter().flatten().map(|&byte| 1.0 / scale(byte)).collect();
        let mut scales = Self { rows: None, columns: of_columns, inverses };
        for row in sample.chunks_exact_mut(columns) {
            scales.divide_row(0, row);
        }
        let scaler = match scaling.rows {
            RowScales::None => return scales,
            RowScales::Loudness => RowScaler::by_loudness(sample, columns),
            RowScales::Rank => RowScaler::by_rank(rows),
        };
        scales.rows = Some((scaler, scaler.table(sample, columns)));
        for (at, row) in sample.chunks_exact_mut(columns).enumerate() {
            scales.divide_by_row_scale(number(at), row);
        }
        scales
    }

    /// How the bytes of rows' scales are coded, where they have any.
    pub(super) fn rows(&self) -> Option<&RowTable> {
        self.rows.as_ref().map(|(_, table)| table)
    }

    /// The bytes of columns' scales, where they have any.
    pub(super) fn columns(&self) -> Option<&[u8]> {
        self.columns.as_deref()
    }

    /// Divides the tensor's row of this number; returns the byte of the row's own scale.
    pub(super) fn divide_row(&self, number: usize, row: &mut [f32]) -> u8 {
        row.iter_mut().zip(&self.inverses).for_each(|(value, inverse)| *value *= inverse);
        self.divide_by_row_scale(number, row)
    }

    fn divide_by_row_scale(&self, number: usize, row: &mut [f32]) -> u8 {
        let Some((scaler, table)) = &self.rows else { return SCALE_ONE };
        let byte = table.nearest(scaler.byte(number, row));
        let inverse = 1.0 / scale(byte);
        row.iter_mut().for_each(|value| *value *= inverse);
        byte
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_are_eighths_between_powers_of_two() {
        assert_eq!(scale(SCALE_ONE), 1.0);
        for byte in 0..=255u8 {
            let exact = f64::from(8 + byte % 8) * f64::from(byte / 8).exp2() / 524_288.0;
            assert_eq!(f64::from(scale(byte)), exact);
            assert_eq!(byte_near(exact.log2()), byte);
        }
        assert!(
            scale(*COLUMN_SCALES.start()) == 1.0 / 256.0 && scale(*COLUMN_SCALES.end()) < 256.0
        );
    }

    /// Rows of four columns, the last twice as loud as its row.
    fn rows(loudness: &[f32]) -> Vec<f32> {
        loudness.iter().flat_map(|&x| [x, -x, x, 2.0 * x]).collect()
    }

    #[test]
    fn columns_are_divided_by_a_power_of_their_loudness() {
        let mut sample = rows(&[1.0, 3.0, 2.0]);
        let scaling = Scaling { rows: RowScales::None, columns: true };
        let scales = Scales::new(scaling, 3, 4, &mut sample, |at| at);
        let of: Vec<f32> = scales.columns().unwrap().iter().map(|&byte| scale(byte)).collect();
        // 2^(3/4) apart, around a mean logarithm of 0, to the nearest eighth.
        assert_eq!(of, [0.875, 0.875, 0.875, 1.5]);
        let mut row = [0.875, -1.75, 0.0, 1.5];
        assert_eq!(scales.divide_row(7, &mut row), SCALE_ONE);
        row.iter()
            .zip([1.0, -2.0, 0.0, 1.0])
            .for_each(|(x, y): (&f32, f32)| assert!((x - y).abs() < 1e-6));
    }

    #[test]
    fn rows_of_a_vocabulary_are_divided_by_the_fourth_root_of_their_rank() {
        let count = 4000;
        let mut sample = rows(&[1.0; 2]);
        let scaling = Scaling { rows: RowScales::Rank, columns: false };
        let scales = Scales::new(scaling, count, 4, &mut sample, |at| at * 3968);
        let ratio = f64::from(sample[0] / sample[4]);
        // (3968 + 32) ÷ 32 is 125; eighths are up to a sixteenth off on either side.
        assert!((ratio / 125f64.powf(0.25)).log2().abs() < 0.18, "{ratio}");
        let bytes = (0..count).map(|number| scales.divide_row(number, &mut [1.0; 4]));
        let mean = bytes.map(|byte| f64::from(scale(byte)).log2()).sum::<f64>() / count as f64;
        assert!(mean.abs() < 0.02, "{mean}");
    }

    #[test]
    fn rows_are_divided_by_their_loudness() {
        let mut sample = rows(&[1.0, 1.0, 1.0, 1.0, 8.0, 0.25]);
        let scaling = Scaling { rows: RowScales::Loudness, columns: false };
        let scales = Scales::new(scaling, 6, 4, &mut sample, |at| at);
        let loudest = sample.iter().fold(0f32, |loudest, x| loudest.max(x.abs()));
        let last_column: Vec<f32> = sample.chunks(4).map(|row| row[3]).collect();
        assert!(last_column.iter().all(|&x| x > 0.8 * loudest), "{last_column:?}");
        assert!(scales.rows().is_some() && scales.columns().is_none());
    }
}
