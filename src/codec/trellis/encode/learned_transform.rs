//! What a transform search learned for one choice, kept for the encoder.

use super::low_rank_coding::CodedLowRank;
use super::transform_choice::TransformChoice;
use crate::codec::transform::Transform;
use crate::codec::trellis::parameters::LowRankPart;
use std::sync::Arc;

/// The transform and the low-rank part that a search learned for a choice. With it an encoder does
/// not learn them again; the result is the same.
#[derive(Clone, Debug)]
pub(crate) struct LearnedTransform {
    pub(super) choice: TransformChoice,
    /// CRC-32 of the scaled sample: identifies the tensor and its scaling.
    pub(super) sample_crc: u32,
    pub(super) transform: Arc<Transform>,
    pub(super) low_rank: Option<LearnedLowRank>,
}

impl LearnedTransform {
    /// The number of integers in the basis and the low-rank part. Each takes four bytes of memory.
    pub(crate) fn entries(&self) -> usize {
        let basis = match &*self.transform {
            Transform::StoredBasis(basis) => basis.entries(),
            Transform::Identity(_) | Transform::Hadamard(_) => 0,
        };
        basis + self.low_rank.as_ref().map_or(0, |learned| learned.part.part.entries())
    }
}

/// A low-rank part, and the bits of the coefficients of one row.
#[derive(Clone, Debug)]
pub(super) struct LearnedLowRank {
    part: Arc<LowRankPart>,
    row_bits: f64,
}

impl LearnedLowRank {
    pub(super) fn new(coded: &CodedLowRank) -> Self {
        Self { part: Arc::clone(&coded.low_rank), row_bits: coded.row_bits }
    }

    /// Subtracts the part from a sample of rows.
    pub(super) fn subtract(&self, rows: &mut [f32]) -> CodedLowRank {
        CodedLowRank::subtract_known(Arc::clone(&self.part), self.row_bits, rows)
    }
}
