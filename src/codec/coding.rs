//! A description of a lossy tensor.

use super::squared_error::SquaredError;
use crate::coordinates::BlockTransform;
use crate::statistics_kind::StatisticsKind;

/// The coding of a lossy tensor: its parameters and its error.
///
/// ```no_run
/// let reader = occ::Reader::open("model.occ")?;
/// if let Some(coding) = reader.tensor("lm_head.weight")?.coding()? {
///     println!("rank {}, relative error {:.4}", coding.rank, coding.rel_error());
/// }
/// # Ok::<(), occ::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Coding {
    /// The coordinates of the residual.
    pub transform: BlockTransform,
    /// Whether a mean row is subtracted and stored separately.
    pub mean: bool,
    /// Rank of the low-rank part.
    pub rank: usize,
    /// Whether rows have scales.
    pub row_scales: bool,
    /// Whether columns have scales.
    pub column_scales: bool,
    /// States of the trellis; 1 for a scalar quantiser.
    pub states: usize,
    /// The lattice step, in units of the tensor's elements.
    pub step: f32,
    /// Number of profiles, each with its own frequency tables.
    pub classes: usize,
    /// The encoder's estimate of the bits per weight that the coordinates and the low-rank part
    /// save, net of their own storage.
    pub gain: f64,
    /// The statistics of inputs and outputs that the tensor was coded with; empty if there were none.
    pub statistics: Vec<StatisticsKind>,
    /// The sum of the original elements' squares.
    pub signal: f64,
    /// The sum of the squared differences between original and decoded elements.
    pub noise: f64,
}

impl Coding {
    /// The relative error ‖W − Ŵ‖ ÷ ‖W‖.
    pub fn rel_error(&self) -> f64 {
        self.squared_error().rel_error()
    }

    /// The signal-to-noise ratio 20 · log10(‖W‖ ÷ ‖W − Ŵ‖) in decibels; `None` when the error is 0.
    pub fn snr_db(&self) -> Option<f64> {
        self.squared_error().snr_db()
    }

    fn squared_error(&self) -> SquaredError {
        SquaredError { signal: self.signal, noise: self.noise }
    }
}
