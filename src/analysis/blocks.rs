//! Block sizes of the coordinate systems in the analysis.

use crate::codec::transform::Hadamard;
use crate::coordinates::Coordinates;

/// The largest number of columns that the transform combines.
pub(super) fn max_block(coordinates: Coordinates, columns: usize) -> usize {
    match coordinates {
        Coordinates::Identity => 1,
        Coordinates::RandomRotation => columns.min(512),
        Coordinates::Hadamard | Coordinates::HadamardBothSides => {
            1 << Hadamard::max_block_log2(columns)
        }
        Coordinates::Dct => columns,
        Coordinates::Klt => columns.min(1024),
        Coordinates::KltBlocks => columns.min(128),
    }
}
