//! The coordinate systems that a matrix is looked at in.

use serde::{Deserialize, Serialize};

/// A coordinate system: an orthogonal map of a matrix, of its rows but for one, which keeps norms
/// and distances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum System {
    /// The matrix's own columns.
    Original,
    /// A random rotation, evenly distributed over all of them (Mezzadri, 2007), always the same:
    /// of blocks of at most 512 columns.
    Random,
    /// Hadamard matrices with fixed signs, as in the codec: blocks of 256 columns, what is left
    /// over in smaller powers of two.
    Hadamard,
    /// The same, and then rows mixed as well, up to 256 of them: what stands out in one row and one
    /// column is spread over both (Chee et al., 2023). For contrast: the codec mixes columns alone.
    HadamardBoth,
    /// The orthonormal cosine transform DCT-II of whole rows; for contrast: the codec has it not.
    Dct,
    /// Principal axes, learned from the matrix, of blocks of at most 1024 columns.
    Aligned,
    /// Principal axes of blocks of at most 128 columns.
    AlignedBlocks,
}

impl System {
    /// All of them, in the order of results.
    pub const ALL: [Self; 7] = [
        Self::Original,
        Self::Random,
        Self::Hadamard,
        Self::HadamardBoth,
        Self::Dct,
        Self::Aligned,
        Self::AlignedBlocks,
    ];

    /// As in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Original => "original",
            Self::Random => "random",
            Self::Hadamard => "hadamard",
            Self::HadamardBoth => "hadamard_both",
            Self::Dct => "dct",
            Self::Aligned => "aligned",
            Self::AlignedBlocks => "aligned_blocks",
        }
    }

    /// Columns that are mixed at once, at most; all where there is no limit.
    pub(super) fn block(self, columns: usize) -> usize {
        match self {
            Self::Original => 1,
            Self::Random => columns.min(512),
            Self::Hadamard | Self::HadamardBoth => 1 << columns.max(1).ilog2().min(8),
            Self::Dct => columns,
            Self::Aligned => columns.min(1024),
            Self::AlignedBlocks => columns.min(128),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_json() {
        for system in System::ALL {
            assert_eq!(serde_json::to_value(system).unwrap(), system.name());
        }
    }
}
