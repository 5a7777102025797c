//! The coordinate systems that matrices are coded or analysed in.

/// A coordinate system: an orthogonal map of the rows of a matrix. It preserves norms and
/// distances.
///
/// The codec implements [`Identity`](Self::Identity), [`Hadamard`](Self::Hadamard) and
/// [`Klt`](Self::Klt). The analysis implements all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "encode", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "encode", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Coordinates {
    /// The columns of the matrix, unchanged.
    Identity,
    /// A Haar-distributed random rotation (Mezzadri, 2007) with a fixed seed, in blocks of at most
    /// 512 columns. Analysis only.
    RandomRotation,
    /// Hadamard matrices in blocks of at most 256 columns; a remainder is split into smaller
    /// powers of two.
    Hadamard,
    /// Hadamard matrices over columns, then over up to 256 rows (Chee et al., 2023). Analysis only.
    HadamardBothSides,
    /// The orthonormal cosine transform DCT-II of whole rows. Analysis only.
    Dct,
    /// The Karhunen–Loève transform: the principal axes of the matrix, learned from it and stored
    /// with it.
    #[cfg_attr(feature = "encode", serde(alias = "aligned"))]
    Klt,
    /// The Karhunen–Loève transform in blocks of at most 128 columns. Analysis only: the codec
    /// chooses the block size of [`Klt`](Self::Klt) itself.
    KltBlocks,
}

impl Coordinates {
    /// All coordinate systems, in the order of results.
    pub const ALL: [Self; 7] = [
        Self::Identity,
        Self::RandomRotation,
        Self::Hadamard,
        Self::HadamardBothSides,
        Self::Dct,
        Self::Klt,
        Self::KltBlocks,
    ];

    /// The name, as in JSON and on the command line: `identity`, `hadamard`, `klt`, …
    pub const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::RandomRotation => "random_rotation",
            Self::Hadamard => "hadamard",
            Self::HadamardBothSides => "hadamard_both_sides",
            Self::Dct => "dct",
            Self::Klt => "klt",
            Self::KltBlocks => "klt_blocks",
        }
    }

    /// Whether the codec implements this coordinate system.
    pub const fn is_coded(self) -> bool {
        matches!(self, Self::Identity | Self::Hadamard | Self::Klt)
    }
}

impl std::fmt::Display for Coordinates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// A coordinate system of the codec with its parameters: an orthogonal map of each block of
/// columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "encode", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct BlockTransform {
    /// Identity, Hadamard or KLT.
    pub coordinates: Coordinates,
    /// Columns in a block: 1 for the identity, a power of two up to 256 for Hadamard matrices, up
    /// to 2048 for the KLT.
    pub block: usize,
    /// Whether the columns are multiplied by random signs first. Hadamard only.
    #[cfg_attr(feature = "encode", serde(default))]
    pub signed: bool,
}

impl BlockTransform {
    /// The columns unchanged.
    pub const IDENTITY: Self = Self { coordinates: Coordinates::Identity, block: 1, signed: false };

    /// Hadamard matrices over blocks of `block` columns, a power of two up to 256.
    pub const fn hadamard(block: usize, signed: bool) -> Self {
        Self { coordinates: Coordinates::Hadamard, block, signed }
    }

    /// The Karhunen–Loève transform of blocks of `block` columns.
    pub const fn klt(block: usize) -> Self {
        Self { coordinates: Coordinates::Klt, block, signed: false }
    }
}

#[cfg(test)]
mod tests {
    #[cfg(feature = "encode")]
    #[test]
    fn names_match_json() {
        use super::Coordinates;
        for coordinates in Coordinates::ALL {
            assert_eq!(serde_json::to_value(coordinates).unwrap(), coordinates.name());
        }
    }
}
