//! Orthogonal transforms of rows, and the low-rank part of a matrix.
//!
//! An encoder maps rows to coordinates in floating point (module `forward`). A decoder maps lattice
//! integers to integers along the original columns with [`OrthogonalTransform::inverse`], in exact
//! integer arithmetic, so that all decoders agree. This layer does not depend on symbols, chunks
//! or files.

#[cfg(feature = "encode")]
mod forward;
mod hadamard;
mod integers;
mod low_rank;
mod stored_basis;
mod transpose;

use crate::arch::Kernel;
use crate::coordinates::BlockTransform;
use std::ops::Range;

#[cfg(feature = "encode")]
pub(crate) use forward::{ForwardTransform, Gram, LeadingDirection, LowRankProjector, Subspace};
pub(crate) use hadamard::Hadamard;
pub(crate) use low_rank::LowRank;
pub(crate) use stored_basis::StoredBasis;
#[cfg(feature = "analysis")]
pub(crate) use stored_basis::block_sizes;
pub(crate) use transpose::{transpose_i16, transpose_i32};

/// Rows that are decoded together, one in each lane.
pub(crate) const BAND: usize = 32;

/// The decoder's direction of an orthogonal transform, exact up to the rounding of a stored basis.
pub(crate) trait OrthogonalTransform: Send + Sync {
    /// Consecutive ranges of columns that can be transformed independently, in order.
    fn tiles(&self) -> Vec<Range<usize>>;

    /// Maps the lattice points of a band in a tile, by column, to integers along the original
    /// columns. The result is in `points` or at the start of `wide`, which is lengthened if it is needed.
    ///
    /// The result is unspecified in lanes outside of `lanes`.
    ///
    /// No magnitude in `points` may exceed `largest`, which must be less than 2^15. Then nothing
    /// overflows.
    fn inverse<'i>(
        &self,
        kernel: Kernel,
        tile: Range<usize>,
        lanes: &Range<usize>,
        largest: u32,
        points: &'i mut [[i16; BAND]],
        wide: &'i mut Vec<[i32; BAND]>,
    ) -> Integers<'i>;

    /// The value of one unit of the integers that [`inverse`](Self::inverse) returns, by column, in
    /// lattice steps.
    fn units(&self) -> Vec<f32>;
}

/// The first elements of a buffer, which is lengthened if it has fewer.
pub(crate) fn first_of<T: Clone + Default>(buffer: &mut Vec<T>, count: usize) -> &mut [T] {
    if buffer.len() < count {
        buffer.resize(count, T::default());
    }
    &mut buffer[..count]
}

/// The transform of a tensor's columns.
#[derive(Debug)]
pub(crate) enum Transform {
    Identity(Identity),
    Hadamard(Hadamard),
    StoredBasis(StoredBasis),
}

impl Transform {
    pub(crate) fn as_orthogonal(&self) -> &dyn OrthogonalTransform {
        match self {
            Self::Identity(identity) => identity,
            Self::Hadamard(hadamard) => hadamard,
            Self::StoredBasis(basis) => basis,
        }
    }

    /// Kind and block size of the transform.
    pub(crate) fn description(&self) -> BlockTransform {
        match self {
            Self::Identity(_) => BlockTransform::IDENTITY,
            Self::Hadamard(hadamard) => BlockTransform::hadamard(
                1 << hadamard.block_log2(),
                hadamard.sign_flips().contains(&true),
            ),
            Self::StoredBasis(basis) => BlockTransform::klt(basis.block()),
        }
    }
}

/// Integers of a band by column, in 16 bits where all fit.
pub(crate) enum Integers<'i> {
    I16(&'i [[i16; BAND]]),
    I32(&'i [[i32; BAND]]),
}

/// Maximum number of columns to which small blocks are merged: a band of them fits the L1 cache.
const TILE: usize = 256;

/// The identity transform.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) columns: usize,
}

impl OrthogonalTransform for Identity {
    fn tiles(&self) -> Vec<Range<usize>> {
        merge_blocks((0..self.columns).map(|column| column..column + 1))
    }

    fn inverse<'i>(
        &self,
        _: Kernel,
        _: Range<usize>,
        _: &Range<usize>,
        _: u32,
        points: &'i mut [[i16; BAND]],
        _: &'i mut Vec<[i32; BAND]>,
    ) -> Integers<'i> {
        Integers::I16(points)
    }

    fn units(&self) -> Vec<f32> {
        vec![1.0; self.columns]
    }
}

/// Merges consecutive blocks to tiles of at most [`TILE`] columns. Larger blocks are kept.
fn merge_blocks(blocks: impl Iterator<Item = Range<usize>>) -> Vec<Range<usize>> {
    let mut tiles: Vec<Range<usize>> = Vec::new();
    for block in blocks {
        match tiles.last_mut() {
            Some(tile) if block.end - tile.start <= TILE => tile.end = block.end,
            _ => tiles.push(block),
        }
    }
    tiles
}
