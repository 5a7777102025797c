//! A planned tensor, with what is needed to distribute a budget.

use super::tensor_plan::TensorPlan;
use crate::encode::calibration::LossUnit;
use crate::encode::source::TensorSource;
use crate::format::{CHUNK_OVERHEAD, object_overhead};

/// The plan of a tensor, and its size with a lossless codec.
pub(super) struct PlannedTensor {
    pub(super) plan: TensorPlan,
    pub(super) lossless_bytes: u64,
    /// The weight of its loss, if statistics are known.
    pub(super) loss: Option<LossWeight>,
}

/// The weight of the loss of a tensor.
#[derive(Clone, Copy, Debug)]
pub(super) struct LossWeight {
    /// The loss of a unit error in lattice coordinates.
    pub(super) sensitivity: f64,
    pub(super) unit: LossUnit,
}

/// Elements in a chunk, approximately.
pub(super) const CHUNK: u64 = 1 << 18;

/// Bytes of an encoded lossy chunk without information: half of the initial states, and two counts.
const STREAM_BYTES: u64 = 72;

/// Bits of a lossy tensor besides the streams of its chunks and its parameters.
pub(super) fn overhead_bits(source: &TensorSource<'_>) -> f64 {
    let chunks = source.elements().div_ceil(CHUNK) * (CHUNK_OVERHEAD + STREAM_BYTES);
    (object_overhead(source.shape.len(), source.name.len()) + chunks) as f64 * 8.0
}
