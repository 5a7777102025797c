//! Outputs of two weights for the same inputs.

use super::error_sums::{in_range, relative_error};
use super::inputs::{AssignedInputs, MatrixLayout};
use super::operand::Operand;
use super::results::{Inputs, OperatorDistortion};
use super::tensor_pair::TensorPair;
use crate::convert::{ModelTensor, Reporter};
use crate::dtype::number::to_f64;
use crate::error::{Error, Result};
use crate::parallel;
use faer::MatRef;
use std::ops::Range;

/// Energies (sums of squares) of outputs over all inputs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct OutputEnergy {
    /// ‖W Xᵀ‖²_F.
    signal: f64,
    /// ‖(W − Ŵ) Xᵀ‖²_F.
    error: f64,
}

impl OutputEnergy {
    const ZERO: Self = Self { signal: 0.0, error: 0.0 };

    pub(super) fn merged(self, next: Self) -> Self {
        Self { signal: self.signal + next.signal, error: self.error + next.error }
    }

    /// The same signal with an infinite error.
    pub(super) fn with_infinite_error(self) -> Self {
        Self { error: f64::INFINITY, ..self }
    }

    pub(super) fn distortion(self) -> OperatorDistortion {
        let (rel_error, snr_db) = relative_error(self.error, self.signal);
        OperatorDistortion { rel_error, snr_db }
    }
}

/// Weights in a band of outputs; a band has at least one output.
const BAND: usize = 1 << 20;

/// Multiplies both weights by the inputs: bands of outputs in parallel, added in order.
///
/// # Errors
/// Those of [`Operand::load`] and of reading the weights; `InvalidArgument` if the inputs are not a
/// Gram matrix or outputs overflow; `Cancelled`.
pub(super) fn output_energy(
    pair: &TensorPair<'_>,
    assigned: &AssignedInputs<'_>,
    progress: &mut Reporter<'_, '_>,
) -> Result<(OutputEnergy, Inputs)> {
    let (operand, layout) = (Operand::load(assigned, progress)?, assigned.layout);
    let (a, b) = (BandReader::open(pair.a, layout)?, BandReader::open(pair.b, layout)?);
    let height = (BAND / layout.width.max(1)).max(1);
    // Outputs of no inputs are zero.
    let count = if layout.width == 0 { 0 } else { layout.outputs };
    let bands = (0..count).step_by(height).map(|start| Ok(start..count.min(start + height)));
    let multiply = |band: Range<usize>| {
        let bytes = a.band_bytes(&band);
        let energy = band_energy(a.band(band.clone())?, b.band(band)?, layout, &operand);
        Ok((energy.map_err(|error| assigned.entry.locate(error))?, bytes))
    };
    let mut sum = OutputEnergy::ZERO;
    parallel::ordered(bands, multiply, |(energy, bytes)| {
        sum = sum.merged(energy);
        progress.report(bytes)
    })?;
    if !sum.signal.is_finite() || !sum.error.is_finite() {
        return Err(assigned.entry.locate(Error::invalid("outputs of these inputs overflow F64")));
    }
    Ok((sum, operand.inputs()))
}

/// The energies of a band of outputs. `a` and `b` have the layout of the stored weights.
fn band_energy(
    mut a: Vec<f64>,
    mut b: Vec<f64>,
    layout: MatrixLayout,
    operand: &Operand,
) -> Result<OutputEnergy> {
    for (a, b) in a.iter_mut().zip(&mut b) {
        (*a, *b) = if in_range(*a, *b) { (*a, *a - *b) } else { (0.0, 0.0) };
    }
    let errors = b;
    let energy = |weights: &[f64]| {
        if weights.iter().all(|&weight| weight == 0.0) {
            return Ok(0.0);
        }
        let outputs = weights.len() / layout.width;
        operand.energy(match layout.transposed {
            false => MatRef::from_row_major_slice(weights, outputs, layout.width),
            true => MatRef::from_column_major_slice(weights, outputs, layout.width),
        })
    };
    Ok(OutputEnergy { signal: energy(&a)?, error: energy(&errors)? })
}

/// Reads the weights of one model in bands of outputs.
struct BandReader<'p> {
    tensor: &'p ModelTensor<'p>,
    layout: MatrixLayout,
    /// All bytes, if the weights are transposed.
    bytes: Option<Vec<u8>>,
}

impl<'p> BandReader<'p> {
    fn open(tensor: &'p ModelTensor<'p>, layout: MatrixLayout) -> Result<Self> {
        let all = || tensor.read(0..tensor.byte_len());
        let bytes = layout.transposed.then(all).transpose()?;
        Ok(Self { tensor, layout, bytes })
    }

    /// Bytes per element.
    fn element_bytes(&self) -> usize {
        self.tensor.dtype.bits() as usize / 8
    }

    /// Bytes of the weights of a range of outputs.
    fn band_bytes(&self, outputs: &Range<usize>) -> u64 {
        (outputs.len() * self.layout.width * self.element_bytes()) as u64
    }

    /// The weights of a range of outputs: outputs × inputs, or inputs × outputs if transposed.
    fn band(&self, outputs: Range<usize>) -> Result<Vec<f64>> {
        let bytes = match &self.bytes {
            Some(bytes) => {
                let columns =
                    outputs.start * self.element_bytes()..outputs.end * self.element_bytes();
                let rows = bytes.chunks_exact(self.layout.outputs * self.element_bytes());
                rows.map(|row| &row[columns.clone()]).collect::<Vec<_>>().concat()
            }
            None => {
                let start = self.band_bytes(&(0..outputs.start));
                self.tensor.read(start..start + self.band_bytes(&outputs))?
            }
        };
        let mut weights = Vec::new();
        to_f64(self.tensor.dtype, &bytes, &mut weights);
        Ok(weights)
    }
}
