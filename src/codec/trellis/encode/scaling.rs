//! The encoder's choice of scales for rows and columns.

use super::quantization_scales::{QuantizationScales, ScaleRuns};
use super::sensitivity::Sensitivity;
use crate::codec::trellis::row_table::RowTable;
use crate::codec::trellis::scales::{COLUMN_SCALES, ColumnScales, RowScales, SCALE_ONE, scale};
use std::sync::Arc;

/// The byte whose scale is nearest to 2^`log2`.
fn nearest_byte(log2: f64) -> u8 {
    let exponent = log2.floor();
    let eighths = ((log2 - exponent).exp2() * 8.0 - 8.0).round();
    (f64::from(SCALE_ONE) + 8.0 * exponent + eighths).clamp(0.0, 255.0) as u8
}

/// Which scales a tensor has.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Scaling {
    pub(crate) rows: RowScales,
    pub(crate) columns: ColumnScales,
    /// The scales of weights that are quantised: the others are those of the weights. Not together
    /// with statistics.
    pub(crate) quantization: Option<QuantizationScales>,
}

/// The rule that gives a row its scale.
#[derive(Clone, Debug)]
enum RowScaler {
    /// The row's RMS over that of the tensor.
    Rms { rms: f64 },
    /// Powers of the row's rank and of its RMS over that of the tensor; `rank` is the mean
    /// logarithm of the ranks.
    Vocabulary { rank: f64, rms: f64 },
    /// The bytes of all rows.
    Bytes(Arc<[u8]>),
}

/// Rows whose RMS exceeds the median by this factor do not count towards the tensor's RMS.
const OUTLIER_ROW: f64 = 1e4;

/// The power of a row's rank that is its scale. Words of rank *r* have a frequency of about 1 ÷ *r*
/// (Zipf, 1935), so the squared error of their rows may grow with *r*. Growth with √*r* achieves
/// most of the gain and costs little where rows are not ordered by frequency.
const RANK_EXPONENT: f64 = 0.25;

/// The power of a row's RMS that is its scale in a vocabulary. Vectors of frequent words are short,
/// and outputs of a word depend on its direction. An exponent of 1 without the rank was worse for
/// SmolLM2 and for a table of word vectors, one of 0 much worse for the latter.
const VOCABULARY_EXPONENT: f64 = 0.5;

/// The rank of the first row: the first rows are often control tokens, so small ranks do not count.
pub(crate) const FIRST_RANK: f64 = 32.0;

impl RowScaler {
    /// The rule for a vocabulary of `rows` rows, and the RMS of the tensor.
    fn of_vocabulary(rows: usize, rms: f64) -> Self {
        let sum: f64 = (0..rows).map(log2_rank).sum();
        Self::Vocabulary { rank: sum / rows.max(1) as f64, rms }
    }

    /// Scales by a power of the weights of rows; their mean logarithm is 0.
    fn by_weights(weights: &[f64]) -> Self {
        let floor = weights.iter().sum::<f64>() / weights.len().max(1) as f64 * WEIGHT_FLOOR;
        let floor = floor.max(f64::MIN_POSITIVE);
        let log = |weight: &f64| -WEIGHT_EXPONENT * weight.max(floor).log2();
        let mean = weights.iter().map(log).sum::<f64>() / weights.len().max(1) as f64;
        let byte = |weight| nearest_byte((log(weight) - mean).clamp(-MAX_ROW_LOG, MAX_ROW_LOG));
        Self::Bytes(weights.iter().map(byte).collect())
    }

    /// The byte of a row's scale. `factor` is the binary logarithm of what its elements are multiplied
    /// by to get weights.
    fn byte(&self, number: usize, row: &[f32], factor: f64) -> u8 {
        let rms_log = |rms: f64| {
            (mean_square(row).sqrt() / rms).max(f32::MIN_POSITIVE.into()).log2() + factor
        };
        let log = match *self {
            Self::Rms { rms } => rms_log(rms),
            Self::Vocabulary { rank, rms } => {
                RANK_EXPONENT * (log2_rank(number) - rank) + VOCABULARY_EXPONENT * rms_log(rms)
            }
            Self::Bytes(ref bytes) => return bytes.get(number).copied().unwrap_or(SCALE_ONE),
        };
        nearest_byte(log - factor)
    }

    /// The table of all rows' scale bytes, from a sample of the rows. `number` maps a row of the
    /// sample to its row in the tensor.
    fn table(
        &self,
        values: &[f32],
        columns: usize,
        number: impl Fn(usize) -> usize,
        factor: impl Fn(usize) -> f64,
    ) -> RowTable {
        if let Self::Bytes(bytes) = self {
            return RowTable::new(bytes);
        }
        let rows = values.chunks_exact(columns).enumerate();
        let byte = |(at, row): (usize, &[f32])| self.byte(number(at), row, factor(number(at)));
        let bytes: Vec<u8> = rows.map(byte).collect();
        RowTable::new(&bytes)
    }
}

/// The RMS of a sample of rows, each multiplied by a power of two. Rows with an extreme RMS do not
/// count: they would make the scales of all others small.
fn ordinary_rms(values: &[f32], columns: usize, log2: impl Fn(usize) -> f64) -> f64 {
    let rows = values.chunks_exact(columns).enumerate();
    let mut squares: Vec<f64> =
        rows.map(|(at, row)| mean_square(row) * (2.0 * log2(at)).exp2()).collect();
    squares.sort_unstable_by(f64::total_cmp);
    let median = squares.get(squares.len() / 2).copied().unwrap_or(0.0);
    let ordinary = squares.partition_point(|&x| x <= median * OUTLIER_ROW * OUTLIER_ROW);
    let mean = squares[..ordinary].iter().sum::<f64>() / ordinary.max(1) as f64;
    mean.sqrt().max(f32::MIN_POSITIVE.into())
}

fn log2_rank(number: usize) -> f64 {
    (number as f64 + FIRST_RANK).log2()
}

/// In double precision, where the square of any `f32` is finite.
fn mean_square(row: &[f32]) -> f64 {
    row.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / row.len().max(1) as f64
}

/// A floor that is added to the mean squares of columns, as a share of their mean.
const COLUMN_FLOOR: f64 = 1e-3;

/// The power of a column's RMS that is its scale. An exponent of 1 would make the relative error
/// the same in all columns.
const COLUMN_EXPONENT: f64 = 0.75;

/// The power of a row's weight that is one over its scale. An exponent of 1/2 would make the loss
/// the same in all rows, but weights from a few thousand inputs are noisy: on SmolLM2 the divergence
/// was smaller with 0.35 and 0.25.
const WEIGHT_EXPONENT: f64 = 0.25;

/// The smallest weight of a row, as a share of the mean, and the largest binary logarithm of a scale
/// that follows from weights.
const WEIGHT_FLOOR: f64 = 1e-3;
const MAX_ROW_LOG: f64 = 6.0;

/// The columns' scale bytes, from a sample of rows; their mean logarithm is 0.
///
/// In trained layers, columns of weights with small RMS tend to be those of inputs with large RMS,
/// which multiply the error of the column.
fn column_scale_bytes(values: &[f32], columns: usize) -> Vec<u8> {
    let mut squares = vec![0.0f64; columns];
    for row in values.chunks_exact(columns) {
        squares.iter_mut().zip(row).for_each(|(sum, &x)| *sum += f64::from(x).powi(2));
    }
    let all: f64 = squares.iter().sum();
    let floor = (COLUMN_FLOOR * all / columns as f64).max(f64::MIN_POSITIVE);
    let logs = squares.iter().map(|square| 0.5 * COLUMN_EXPONENT * (square + floor).log2());
    centred_bytes(&logs.collect::<Vec<f64>>())
}

/// Scale bytes of columns from binary logarithms, after subtracting their mean.
fn centred_bytes(logs: &[f64]) -> Vec<u8> {
    let mean = logs.iter().sum::<f64>() / logs.len().max(1) as f64;
    let byte =
        |log: &f64| nearest_byte(log - mean).clamp(*COLUMN_SCALES.start(), *COLUMN_SCALES.end());
    logs.iter().map(byte).collect()
}

/// The scale bytes of columns of stored elements, from those of the weights and the factors between
/// them.
fn quantized_columns(bytes: Option<&[u8]>, factors: &ScaleRuns, columns: usize) -> Vec<u8> {
    let log = |at: usize| {
        let of_weights = bytes.map_or(0.0, |bytes| f64::from(scale(bytes[at])).log2());
        of_weights - factors.log2(at)
    };
    let byte = |at| nearest_byte(log(at)).clamp(*COLUMN_SCALES.start(), *COLUMN_SCALES.end());
    (0..columns).map(byte).collect()
}

/// The scales of one tensor.
#[derive(Clone, Debug)]
pub(super) struct Scales {
    rows: Option<(RowScaler, RowTable)>,
    columns: Option<Vec<u8>>,
    /// One over each column's scale; empty without column scales.
    inverses: Vec<f32>,
    /// What rows are multiplied by to get weights, apart from columns.
    factors: Option<ScaleRuns>,
}

impl Scales {
    /// The scales of a tensor of `rows` rows, from a sample of them. The sample is divided by its
    /// scales, in place. `number` maps a row of the sample to its row in the tensor.
    pub(super) fn new(
        scaling: &Scaling,
        sensitivity: Option<&Sensitivity>,
        rows: usize,
        columns: usize,
        sample: &mut [f32],
        number: impl Fn(usize) -> usize,
    ) -> Self {
        let quantization = scaling.quantization.as_ref();
        let column_bytes = match (scaling.columns, sensitivity) {
            (ColumnScales::Rms, _) => Some(match quantization {
                None => column_scale_bytes(sample, columns),
                Some(scales) => {
                    column_scale_bytes(&scales.weights(sample, columns, &number), columns)
                }
            }),
            (ColumnScales::Statistics, Some(sensitivity)) => {
                Some(centred_bytes(&sensitivity.column_logs()))
            }
            (ColumnScales::None | ColumnScales::Statistics, _) => None,
        };
        let column_bytes = match quantization.map(|scales| &scales.columns) {
            Some(factors) if factors.vary() => {
                Some(quantized_columns(column_bytes.as_deref(), factors, columns))
            }
            _ => column_bytes,
        };
        let factors =
            quantization.map(|scales| &scales.rows).filter(|factors| factors.vary()).cloned();
        let inverses = column_bytes.iter().flatten().map(|&byte| 1.0 / scale(byte)).collect();
        let mut scales = Self { rows: None, columns: column_bytes, inverses, factors };
        for row in sample.chunks_exact_mut(columns) {
            scales.divide_row(0, row);
        }
        let rms = |sample| ordinary_rms(sample, columns, |at| scales.factor(number(at)));
        let scaler = match scaling.rows {
            RowScales::None if scales.factors.is_some() => {
                RowScaler::Bytes((0..rows).map(|row| nearest_byte(-scales.factor(row))).collect())
            }
            RowScales::None => return scales,
            RowScales::Rms => RowScaler::Rms { rms: rms(sample) },
            RowScales::Vocabulary => RowScaler::of_vocabulary(rows, rms(sample)),
            RowScales::Statistics => match sensitivity.map(Sensitivity::rows) {
                Some(weights) if weights.len() == rows => RowScaler::by_weights(weights),
                _ => return scales,
            },
        };
        let table = scaler.table(sample, columns, &number, |row| scales.factor(row));
        scales.rows = Some((scaler, table));
        for (at, row) in sample.chunks_exact_mut(columns).enumerate() {
            scales.divide_by_row_scale(number(at), row);
        }
        scales
    }

    /// The binary logarithm of what a row is multiplied by to get weights.
    fn factor(&self, number: usize) -> f64 {
        self.factors.as_ref().map_or(0.0, |factors| factors.log2(number))
    }

    /// The coding of the rows' scale bytes; `None` without row scales.
    pub(super) fn rows(&self) -> Option<&RowTable> {
        self.rows.as_ref().map(|(_, table)| table)
    }

    /// The columns' scale bytes; `None` without column scales.
    pub(super) fn columns(&self) -> Option<&[u8]> {
        self.columns.as_deref()
    }

    /// The scale of row `number` of a tensor whose row scales depend on the number only.
    pub(super) fn row_scale(&self, number: usize) -> f64 {
        match &self.rows {
            Some((scaler, table)) => {
                f64::from(scale(table.nearest(scaler.byte(number, &[], self.factor(number)))))
            }
            None => 1.0,
        }
    }

    /// Divides row `number` of the tensor by its scales; returns the byte of the row's scale.
    pub(super) fn divide_row(&self, number: usize, row: &mut [f32]) -> u8 {
        row.iter_mut().zip(&self.inverses).for_each(|(value, inverse)| *value *= inverse);
        self.divide_by_row_scale(number, row)
    }

    fn divide_by_row_scale(&self, number: usize, row: &mut [f32]) -> u8 {
        let Some((scaler, table)) = &self.rows else { return SCALE_ONE };
        let byte = table.nearest(scaler.byte(number, row, self.factor(number)));
        let inverse = 1.0 / scale(byte);
        row.iter_mut().for_each(|value| *value *= inverse);
        byte
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_byte_inverts_scale() {
        for byte in 0..=255u8 {
            assert_eq!(nearest_byte(f64::from(scale(byte)).log2()), byte);
        }
    }

    /// Rows of four columns; the last column is twice as large as the others.
    fn rows(magnitudes: &[f32]) -> Vec<f32> {
        magnitudes.iter().flat_map(|&x| [x, -x, x, 2.0 * x]).collect()
    }

    #[test]
    fn columns_are_divided_by_a_power_of_their_rms() {
        let mut sample = rows(&[1.0, 3.0, 2.0]);
        let scaling = Scaling { columns: ColumnScales::Rms, ..Scaling::default() };
        let scales = Scales::new(&scaling, None, 3, 4, &mut sample, |at| at);
        let values: Vec<f32> = scales.columns().unwrap().iter().map(|&byte| scale(byte)).collect();
        // A ratio of 2^(3/4), a mean logarithm of 0, rounded to eighths.
        assert_eq!(values, [0.875, 0.875, 0.875, 1.5]);
        let mut row = [0.875, -1.75, 0.0, 1.5];
        assert_eq!(scales.divide_row(7, &mut row), SCALE_ONE);
        row.iter()
            .zip([1.0, -2.0, 0.0, 1.0])
            .for_each(|(x, y): (&f32, f32)| assert!((x - y).abs() < 1e-6));
    }

    #[test]
    fn vocabularies_are_scaled_by_roots_of_rank_and_rms() {
        let count = 4000;
        let mut sample = rows(&[1.0, 9.0]);
        let scaling = Scaling { rows: RowScales::Vocabulary, ..Scaling::default() };
        Scales::new(&scaling, None, count, 4, &mut sample, |at| at * 3968);
        // Nine times the RMS, and (3968 + 32) ÷ 32 times the rank; each scale is rounded by up to a
        // sixteenth.
        let expected = 9.0 / (9f64.powf(0.5) * 125f64.powf(0.25));
        let ratio = f64::from(sample[4] / sample[0]);
        assert!((ratio / expected).log2().abs() < 0.18, "{ratio}");
        // Rows with the RMS of the tensor: the mean logarithm is 0.
        let mut sample = vec![1.0; 4 * 500];
        let scales = Scales::new(&scaling, None, count, 4, &mut sample, |at| at * 8);
        let logs: Vec<f64> = (0..count)
            .map(|number| f64::from(scale(scales.divide_row(number, &mut [1.0; 4]))).log2())
            .collect();
        assert!(logs.windows(2).all(|pair| pair[0] <= pair[1]), "scales grow with the rank");
        let mean = logs.iter().sum::<f64>() / count as f64;
        assert!(mean.abs() < 0.02, "{mean}");
    }

    #[test]
    fn rows_are_divided_by_their_rms() {
        let mut sample = rows(&[1.0, 1.0, 1.0, 1.0, 8.0, 0.25]);
        let scaling = Scaling { rows: RowScales::Rms, ..Scaling::default() };
        let scales = Scales::new(&scaling, None, 6, 4, &mut sample, |at| at);
        let largest = sample.iter().fold(0f32, |largest, x| largest.max(x.abs()));
        let last_column: Vec<f32> = sample.chunks(4).map(|row| row[3]).collect();
        assert!(last_column.iter().all(|&x| x > 0.8 * largest), "{last_column:?}");
        assert!(scales.rows().is_some() && scales.columns().is_none());
    }
}
