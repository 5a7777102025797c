//! The transforms that the encoder may choose from.

use crate::codec::transform::Hadamard;
use crate::codec::trellis::parameters::{MAX_BASIS, MAX_RANK};
use crate::coordinates::{BlockTransform, Coordinates};

/// A choice of coordinates: what a plan stores in a file. Bases and the low-rank part follow from it
/// and the tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TransformChoice {
    pub(crate) transform: BlockTransform,
    /// Whether a mean row is subtracted.
    pub(crate) mean: bool,
    /// The rank of the low-rank part, the mean not counted.
    pub(crate) rank: usize,
}

impl TransformChoice {
    /// Whether the codec implements the transform and the rank.
    pub(crate) fn is_valid(&self) -> bool {
        let BlockTransform { coordinates, block, signed } = self.transform;
        let is_transform = match coordinates {
            Coordinates::Identity => block == 1 && !signed,
            Coordinates::Hadamard => {
                block.is_power_of_two() && block <= 1 << Hadamard::MAX_BLOCK_LOG2
            }
            Coordinates::Klt => (1..=MAX_BASIS).contains(&block) && !signed,
            _ => false,
        };
        is_transform && self.rank <= MAX_RANK
    }
}

/// The transforms that are evaluated for a matrix of this size.
pub(crate) fn candidate_transforms(rows: usize, columns: usize) -> Vec<BlockTransform> {
    let mut transforms = vec![BlockTransform::IDENTITY];
    let block_log2 = Hadamard::max_block_log2(columns);
    if block_log2 > 0 {
        transforms.push(BlockTransform::hadamard(1 << block_log2, false));
        transforms.push(BlockTransform::hadamard(1 << block_log2, true));
    }
    for block in [columns, 128, 32] {
        // An entry takes about six bits: with fewer rows a basis costs more than it saves.
        if block <= columns && block <= MAX_BASIS && block * 10 <= rows && block > 1 {
            transforms.push(BlockTransform::klt(block));
        }
    }
    transforms.dedup();
    transforms
}
