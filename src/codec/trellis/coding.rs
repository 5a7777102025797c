//! How a tensor was coded, for people.

use super::parameters::Parameters;
use crate::codec::chunk::SquaredError;
use crate::codec::transform::LowRank;
use crate::coordinates::BlockTransform;

/// How a tensor was coded with loss, and how near it comes.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Coding {
    /// The coordinates of the residual.
    pub transform: BlockTransform,
    /// Whether a mean row was coded apart.
    pub mean: bool,
    /// Axes of the low-dimensional part.
    pub rank: usize,
    /// Whether rows have scales.
    pub row_scales: bool,
    /// Whether columns have scales.
    pub column_scales: bool,
    /// States of the trellis; 1 for the plain scalar quantiser.
    pub states: usize,
    /// The lattice step, in the tensor's own units.
    pub step: f32,
    /// Classes of weights that have tables of their own.
    pub classes: usize,
    /// Bits a weight that the axes and the low-dimensional part saved, by the encoder's estimate,
    /// their own storage counted.
    pub gain: f64,
    /// The sum of the original elements' squares.
    pub signal: f64,
    /// The sum of the squares of what decoded elements differ by.
    pub noise: f64,
}

impl Coding {
    pub(super) fn of(parameters: &Parameters) -> Self {
        let part = parameters.low_rank.as_ref().map(|low_rank| &low_rank.part);
        Self {
            transform: parameters.transform.description(),
            mean: part.is_some_and(LowRank::has_mean),
            rank: part.map_or(0, LowRank::rank),
            row_scales: parameters.row_scales.is_some(),
            column_scales: parameters.column_scales.is_some(),
            states: parameters.trellis.states(),
            step: parameters.step,
            classes: parameters.profiles.len(),
            gain: f64::from(parameters.gain) / 256.0,
            signal: 0.0,
            noise: 0.0,
        }
    }

    /// ‖W − Ŵ‖ ÷ ‖W‖.
    pub fn rel_error(&self) -> f64 {
        self.squared_error().rel_error()
    }

    /// 20 · log10(‖W‖ ÷ ‖W − Ŵ‖) in decibels; `None` when nothing was lost after all.
    pub fn snr_db(&self) -> Option<f64> {
        self.squared_error().snr_db()
    }

    fn squared_error(&self) -> SquaredError {
        SquaredError { signal: self.signal, noise: self.noise }
    }
}
