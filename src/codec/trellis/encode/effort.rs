//! Encoder settings that trade time for compression.

use crate::codec::quantizer::Trellis;

/// The effort of the encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Effort {
    /// The binary logarithm of the number of trellis states.
    pub(crate) states_log2: u32,
    /// Searches of the sample before tables are final.
    pub(crate) passes: u32,
    /// Approximate number of weights in a sample.
    pub(crate) sample: usize,
}

impl Effort {
    pub(super) fn trellis(self) -> Trellis {
        Trellis::new(self.states_log2).unwrap_or_else(|| unreachable!("efforts have valid states"))
    }
}

/// The Lagrange multiplier λ of the lattice search, in squared lattice steps: the squared error
/// that equals one bit. It is near the slope −dD/dR of the quantiser (Shoham and Gersho, 1988).
pub(super) fn lambda(trellis: Trellis) -> f32 {
    if trellis.is_scalar() { 0.115 } else { 0.4 }
}
