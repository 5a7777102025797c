//! What the weights of two models make of the same inputs.

use super::OperatorDistortion;
use super::inputs::{Given, Inputs, MatrixLayout};
use super::operand::Operand;
use super::pair::Pair;
use super::sums::{in_range, relative};
use crate::convert::model::Stored;
use crate::convert::{Progress, report};
use crate::dtype::number::to_f64;
use crate::error::{Error, Result};
use crate::parallel;
use faer::MatRef;
use std::ops::Range;

/// Energies of outputs over all inputs: their norms, squared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Outputs {
    /// ‖W Xᵀ‖²_F.
    signal: f64,
    /// ‖(W − Ŵ) Xᵀ‖²_F.
    error: f64,
}

impl Outputs {
    const NONE: Self = Self { signal: 0.0, error: 0.0 };

    pub(super) fn merged(self, next: Self) -> Self {
        Self { signal: self.signal + next.signal, error: self.error + next.error }
    }

    /// With an error that is infinite.
    pub(super) fn unbounded(self) -> Self {
        Self { error: f64::INFINITY, ..self }
    }

    pub(super) fn distortion(self) -> OperatorDistortion {
        let (rel_error, snr_db) = relative(self.error, self.signal);
        OperatorDistortion { rel_error, snr_db }
    }
}

/// Weights that are multiplied at once, unless one output has more.
const BAND: usize = 1 << 20;

/// Multiplies both weights by the inputs that were given, many bands in parallel, sums in order.
///
/// # Errors
/// What loading the inputs and reading the weights say; `InvalidArgument` where inputs are not what
/// they seemed or outputs have no room in F64; `Cancelled`.
pub(super) fn outputs(
    pair: &Pair<'_>,
    given: &Given<'_>,
    progress: &mut Progress<'_>,
) -> Result<(Outputs, Inputs)> {
    let (operand, layout) = (Operand::load(given, progress)?, given.layout);
    let (a, b) = (Weights::open(pair.a, layout)?, Weights::open(pair.b, layout)?);
    let height = (BAND / layout.width.max(1)).max(1);
    // Outputs of nothing are nothing, however many.
    let count = if layout.width == 0 { 0 } else { layout.outputs };
    let bands = (0..count).step_by(height).map(|start| Ok(start..count.min(start + height)));
    let multiply = |band: Range<usize>| {
        let bytes = a.bytes(&band);
        let outputs = multiplied(a.band(band.clone())?, b.band(band)?, layout, &operand);
        Ok((outputs.map_err(|error| given.entry.here(error))?, bytes))
    };
    let mut sum = Outputs::NONE;
    parallel::ordered(bands, multiply, |(outputs, bytes)| {
        sum = sum.merged(outputs);
        report(progress, bytes)
    })?;
    if !sum.signal.is_finite() || !sum.error.is_finite() {
        return Err(given.entry.here(Error::invalid("outputs of these inputs exceed F64")));
    }
    Ok((sum, operand.inputs()))
}

/// The energies of some outputs, of weights that lie as they are stored.
fn multiplied(
    mut a: Vec<f64>,
    mut b: Vec<f64>,
    layout: MatrixLayout,
    operand: &Operand,
) -> Result<Outputs> {
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
    Ok(Outputs { signal: energy(&a)?, error: energy(&errors)? })
}

/// One side's weights, read in bands of outputs.
struct Weights<'p> {
    stored: &'p Stored<'p>,
    layout: MatrixLayout,
    /// All bytes, where those of a band are scattered.
    held: Option<Vec<u8>>,
}

impl<'p> Weights<'p> {
    fn open(stored: &'p Stored<'p>, layout: MatrixLayout) -> Result<Self> {
        let whole = || stored.read(0..stored.byte_len());
        let held = layout.transposed.then(whole).transpose()?;
        Ok(Self { stored, layout, held })
    }

    /// Bytes of an element.
    fn element(&self) -> usize {
        self.stored.dtype.bits() as usize / 8
    }

    /// Bytes of some outputs' weights.
    fn bytes(&self, outputs: &Range<usize>) -> u64 {
        (outputs.len() * self.layout.width * self.element()) as u64
    }

    /// The weights of some outputs: output by output, or input by input where transposed.
    fn band(&self, outputs: Range<usize>) -> Result<Vec<f64>> {
        let bytes = match &self.held {
            Some(bytes) => {
                let columns = outputs.start * self.element()..outputs.end * self.element();
                let rows = bytes.chunks_exact(self.layout.outputs * self.element());
                rows.map(|row| &row[columns.clone()]).collect::<Vec<_>>().concat()
            }
            None => {
                let start = self.bytes(&(0..outputs.start));
                self.stored.read(start..start + self.bytes(&outputs))?
            }
        };
        let mut weights = Vec::new();
        to_f64(self.stored.dtype, &bytes, &mut weights);
        Ok(weights)
    }
}
