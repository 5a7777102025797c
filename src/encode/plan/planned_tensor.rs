//! A planned tensor, with what is needed to distribute a budget.

use super::relative_plan::{Features, RelativePlan};
use super::tensor_plan::{Learned, TensorPlan};
use crate::codec::trellis;
use crate::encode::calibration::LossUnit;
use crate::encode::source::TensorSource;
use crate::encode::{chunk_size, repeated_rows, sample, statistics};
use crate::error::Result;
use crate::format::{CHUNK_OVERHEAD, contiguous_overhead};

/// The plan of a tensor, and its size with a lossless codec.
pub(super) struct PlannedTensor {
    pub(super) plan: TensorPlan,
    pub(super) lossless_bytes: u64,
    /// The bits of [`overhead_bits`].
    pub(super) overhead_bits: f64,
    /// The weight of its loss, if statistics are known.
    pub(super) loss: Option<LossWeight>,
    /// A step that has the same ratio to those of other tensors, in any file and at any budget; 0 if
    /// the tensor does not share one.
    pub(super) unit_step: f64,
    /// Statistics of a tensor that may become a representative.
    pub(super) features: Option<Features>,
    /// How the plan follows from that of another tensor, if it does.
    pub(super) relative: Option<RelativePlan>,
}

impl PlannedTensor {
    /// Without statistics and a share in a budget.
    pub(super) fn new(plan: TensorPlan, lossless_bytes: u64, overhead_bits: f64) -> Self {
        let (loss, unit_step, features, relative) = (None, 0.0, None, None);
        Self { plan, lossless_bytes, overhead_bits, loss, unit_step, features, relative }
    }

    /// A reference to another tensor, whose frame has `frame` bytes without chunks and parameters.
    pub(super) fn reference(source: &TensorSource<'_>, frame: u64) -> Result<Self> {
        let chunks = source.geometry(chunk_size::expected(source))?.chunk_count();
        let bytes = frame + size_of::<u32>() as u64 + chunks * CHUNK_OVERHEAD;
        let (weights, learned) = (source.elements(), Learned::default());
        let plan = TensorPlan { weights, bytes, lossy: None, lossless: None, learned };
        Ok(Self::new(plan, bytes, overhead_bits(source, frame)))
    }
}

/// The weight of the loss of a tensor.
#[derive(Clone, Copy, Debug)]
pub(super) struct LossWeight {
    /// The loss of a unit error in lattice coordinates.
    pub(super) sensitivity: f64,
    pub(super) unit: LossUnit,
}

/// Bits of a lossy tensor besides the streams of its chunks and its parameters, of which `frame`
/// bytes do not depend on chunks.
pub(super) fn overhead_bits(source: &TensorSource<'_>, frame: u64) -> f64 {
    let elements = chunk_size::expected(source).min(source.elements());
    let chunks = source.elements().div_ceil(elements.max(1));
    let columns = source.matrix().map_or(1, |matrix| matrix.columns.max(1));
    let of_chunk = trellis::overhead_bytes(elements as usize / columns, columns) as u64;
    (frame + chunks * (CHUNK_OVERHEAD + of_chunk)) as f64 * 8.0
}

/// The estimated bytes of a tensor or an attachment with a lossless codec, of which `frame` do not
/// depend on chunks. Reads all of it.
///
/// # Errors
/// `Io`; `InvalidArgument` when dtype, shape and data do not fit.
pub(super) fn lossless_bytes(source: &TensorSource<'_>, frame: u64) -> Result<u64> {
    let geometry = source.geometry(chunk_size::target(source, None))?;
    let repeated = repeated_rows::find(source)?;
    let sample = sample::take(source)?;
    let (statistics, _) = statistics::collect(&geometry, source.data, &sample, repeated)?;
    let (chunks, raw) = (geometry.chunk_count(), contiguous_overhead(&geometry));
    Ok(frame + statistics.estimate(chunks, CHUNK_OVERHEAD, raw))
}
