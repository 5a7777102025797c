//! Size and error of an encoded tensor.

use crate::codec::SquaredError;

/// Size and error of an encoded tensor.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct TensorStats {
    /// The number of elements.
    pub weights: u64,
    /// Bytes of its frame and index entry.
    pub bytes: u64,
    /// Sum of the squares of the original elements; 0 for a lossless codec.
    pub signal: f64,
    /// Sum of the squared differences between original and decoded elements.
    pub noise: f64,
}

impl TensorStats {
    /// The relative error ‖W − Ŵ‖ ÷ ‖W‖; 0 without error.
    pub fn rel_error(&self) -> f64 {
        self.squared_error().rel_error()
    }

    /// The signal-to-noise ratio 20 · log10(‖W‖ ÷ ‖W − Ŵ‖) in decibels; `None` without error.
    pub fn snr_db(&self) -> Option<f64> {
        self.squared_error().snr_db()
    }

    fn squared_error(&self) -> SquaredError {
        SquaredError { signal: self.signal, noise: self.noise }
    }
}
