//! What became of a tensor.

use crate::codec::SquaredError;

/// What became of a tensor that was added.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct TensorStats {
    /// Its elements.
    pub weights: u64,
    /// Bytes that the file grew by, its part of the index included.
    pub bytes: u64,
    /// The sum of its elements' squares; 0 when nothing was lost.
    pub signal: f64,
    /// The sum of the squares of what decoded elements differ by.
    pub noise: f64,
}

impl TensorStats {
    /// ‖W − Ŵ‖ ÷ ‖W‖; 0 when nothing was lost.
    pub fn rel_error(&self) -> f64 {
        self.squared_error().rel_error()
    }

    /// 20 · log10(‖W‖ ÷ ‖W − Ŵ‖) in decibels; `None` when nothing was lost.
    pub fn snr_db(&self) -> Option<f64> {
        self.squared_error().snr_db()
    }

    fn squared_error(&self) -> SquaredError {
        SquaredError { signal: self.signal, noise: self.noise }
    }
}
