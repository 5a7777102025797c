//! The scales of a tensor's rows and columns.

use crate::codec::trellis::Scaling;
use crate::codec::{ColumnScales, RowScales};
use crate::encode::calibration::{Calibrated, LossUnit};
use crate::encode::encoding::{Encoding, TensorTarget, Weighting};
use crate::encode::matrix::Matrix;
use crate::encode::source::TensorSource;
use crate::role::{TensorRole, has_normalised_columns};

/// The scales of rows and columns. They move errors within a tensor, so they are not used with a
/// bound on its error.
pub(super) fn scaling(
    encoding: &Encoding,
    target: TensorTarget,
    source: &TensorSource<'_>,
    matrix: &Matrix<'_>,
    calibrated: Option<&Calibrated>,
) -> Scaling {
    let (name, dimensions) = (source.name, source.shape.len());
    let (rows, columns) = (matrix.rows, matrix.columns);
    if let Some(calibrated) = calibrated {
        // The bound is on the sum over all outputs.
        let rows = match calibrated.unit {
            _ if matches!(target, TensorTarget::OutputNoise(_)) => RowScales::None,
            _ if calibrated.has_row_weights => RowScales::Statistics,
            LossUnit::VocabularyOutputs => RowScales::Vocabulary,
            LossUnit::Model | LossUnit::Outputs => RowScales::None,
        };
        return Scaling { rows, columns: ColumnScales::Statistics, quantization: None };
    }
    let weighted = encoding.weighting == Weighting::Operator;
    let is_bounded = matches!(target, TensorTarget::Noise(_) | TensorTarget::OutputNoise(_));
    let weighted = weighted && !is_bounded;
    let role = TensorRole::of(name, dimensions);
    let is_vocabulary = weighted && role.is_vocabulary(rows, columns);
    let has_normalised_columns = weighted && has_normalised_columns(role, name, rows, columns);
    Scaling {
        rows: match is_vocabulary {
            _ if encoding.row_scales => RowScales::Rms,
            true => RowScales::Vocabulary,
            // The RMS of their rows ranges over orders of magnitude, and quiet ones count as much.
            false if weighted && role == TensorRole::InputProjection => RowScales::Rms,
            false => RowScales::None,
        },
        columns: match has_normalised_columns && rows >= ROWS_FOR_COLUMN_SCALES {
            true => ColumnScales::Rms,
            false => ColumnScales::None,
        },
        quantization: None,
    }
}

/// With fewer rows, the scales of columns take more bits than they save.
const ROWS_FOR_COLUMN_SCALES: usize = 64;
