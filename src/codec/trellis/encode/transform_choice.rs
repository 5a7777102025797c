//! The transforms that the encoder may choose from.

use crate::codec::transform::Hadamard;
use crate::codec::trellis::parameters::MAX_BASIS;
use crate::coordinates::BlockTransform;

/// A choice of coordinates: what a plan stores. Bases and the low-rank part are learned again from
/// the tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TransformChoice {
    pub(crate) transform: BlockTransform,
    /// Whether a mean row is subtracted.
    pub(crate) mean: bool,
    /// The rank of the low-rank part, the mean not counted.
    pub(crate) rank: usize,
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
