//! Axes in which a matrix is coded: rotations of its rows, and a low-dimensional part.
//!
//! Reals become coordinates by [`OrthogonalTransform::forward`], in floating point, in the encoder alone.
//! Lattice integers become integers along the original columns by [`OrthogonalTransform::inverse`], in
//! exact integer arithmetic, so that every decoder finds the same. Knows nothing of symbols,
//! chunks or files.

mod basis;
mod hadamard;
mod integers;
mod low_rank;
mod transpose;

use crate::arch::Kernel;
use crate::coordinates::BlockTransform;
use std::ops::Range;

pub(crate) use basis::{Basis, Gram};
pub(crate) use hadamard::Hadamard;
pub(crate) use low_rank::{LowRank, Subspace};
pub(crate) use transpose::{transpose_long, transpose_short};

/// Rows that are decoded side by side, one in each lane.
pub(crate) const BAND: usize = 32;

/// An orthogonal map of rows, or nearly so.
pub(crate) trait OrthogonalTransform: Send + Sync {
    /// Whole rows, one after the other, to coordinates, in place.
    fn forward(&self, kernel: Kernel, rows: &mut [f32]);

    /// Columns that can be taken back together, without the others, in their order.
    fn tiles(&self) -> Vec<Range<usize>>;

    /// Lattice points of a band in a tile, by column, to integers along the original columns: in
    /// place, or over `wide`, which is as long.
    ///
    /// No magnitude exceeds `largest`, which is below 2^15; results then fit, and nothing wraps.
    fn inverse<'i>(
        &self,
        kernel: Kernel,
        tile: Range<usize>,
        largest: u32,
        points: &'i mut [[i16; BAND]],
        wide: &'i mut [[i32; BAND]],
    ) -> Integers<'i>;

    /// What integers that [`inverse`](Self::inverse) made count for, by column, in lattice steps.
    fn units(&self) -> Vec<f32>;
}

/// The transform of a tensor's columns.
#[derive(Debug)]
pub(crate) enum Transform {
    Identity(Identity),
    Hadamard(Hadamard),
    Basis(Basis),
}

impl Transform {
    pub(crate) fn as_orthogonal(&self) -> &dyn OrthogonalTransform {
        match self {
            Self::Identity(identity) => identity,
            Self::Hadamard(hadamard) => hadamard,
            Self::Basis(basis) => basis,
        }
    }

    /// The transform without its data.
    pub(crate) fn description(&self) -> BlockTransform {
        match self {
            Self::Identity(_) => BlockTransform::IDENTITY,
            Self::Hadamard(hadamard) => BlockTransform::hadamard(
                1 << hadamard.block_log2(),
                hadamard.flips().contains(&true),
            ),
            Self::Basis(basis) => BlockTransform::klt(basis.block()),
        }
    }
}

/// Integers along a band's columns: short ones where all fit.
pub(crate) enum Integers<'i> {
    Short(&'i [[i16; BAND]]),
    Long(&'i [[i32; BAND]]),
}

/// Columns of a tile, if nothing asks for more: a band of them stays in the first-level cache.
const TILE: usize = 256;

/// The axes as they are.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) columns: usize,
}

impl OrthogonalTransform for Identity {
    fn forward(&self, _: Kernel, _: &mut [f32]) {}

    fn tiles(&self) -> Vec<Range<usize>> {
        merged((0..self.columns).map(|column| column..column + 1))
    }

    fn inverse<'i>(
        &self,
        _: Kernel,
        _: Range<usize>,
        _: u32,
        points: &'i mut [[i16; BAND]],
        _: &'i mut [[i32; BAND]],
    ) -> Integers<'i> {
        Integers::Short(points)
    }

    fn units(&self) -> Vec<f32> {
        vec![1.0; self.columns]
    }
}

/// Neighbouring blocks together, as long as they make no more than a tile.
fn merged(blocks: impl Iterator<Item = Range<usize>>) -> Vec<Range<usize>> {
    let mut tiles: Vec<Range<usize>> = Vec::new();
    for block in blocks {
        match tiles.last_mut() {
            Some(tile) if block.end - tile.start <= TILE => tile.end = block.end,
            _ => tiles.push(block),
        }
    }
    tiles
}
