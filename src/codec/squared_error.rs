//! Signal energy and squared error of decoded elements.

/// Sums of squares over finite elements.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct SquaredError {
    /// Sum of the squares of the original elements.
    pub(crate) signal: f64,
    /// Sum of the squared differences between original and decoded elements.
    pub(crate) noise: f64,
}

impl SquaredError {
    #[cfg(feature = "encode")]
    pub(crate) fn add(&mut self, other: Self) {
        self.signal += other.signal;
        self.noise += other.noise;
    }

    /// ‖W − Ŵ‖ ÷ ‖W‖; 0 without noise.
    pub(crate) fn rel_error(self) -> f64 {
        if self.noise > 0.0 { (self.noise / self.signal).sqrt() } else { 0.0 }
    }

    /// 20 · log10(‖W‖ ÷ ‖W − Ŵ‖) in decibels; `None` without noise.
    pub(crate) fn snr_db(self) -> Option<f64> {
        (self.noise > 0.0).then(|| 10.0 * (self.signal / self.noise).log10())
    }
}
