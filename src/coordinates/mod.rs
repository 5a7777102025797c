//! Axes in which a matrix is coded: rotations of its rows, and a low-dimensional part.
//!
//! Reals become coordinates by [`Coordinates::forward`], in floating point, in the encoder alone.
//! Lattice integers become integers along the original columns by [`Coordinates::inverse`], in
//! exact integer arithmetic, so that every decoder finds the same. Knows nothing of symbols,
//! chunks or files.

mod basis;
mod hadamard;
mod integers;
mod low_rank;

use crate::kernel::Kernel;

pub(crate) use basis::{Basis, Gram};
pub(crate) use hadamard::Hadamard;
pub(crate) use low_rank::{LowRank, Subspace};

/// Rows that are decoded side by side, one in each lane.
pub(crate) const BAND: usize = 32;

/// An orthogonal map of rows, or nearly so.
pub(crate) trait Coordinates: Send + Sync {
    /// Whole rows, one after the other, to coordinates, in place.
    fn forward(&self, rows: &mut [f32]);

    /// Lattice integers of a band, by column, to integers along the original columns.
    ///
    /// Integers of magnitude below 2^15 give results that fit: nothing ever wraps.
    fn inverse(&self, kernel: Kernel, band: &mut [[i32; BAND]]);

    /// What integers that [`inverse`](Self::inverse) made count for, by column, in lattice steps.
    fn units(&self) -> Vec<f32>;
}

/// The axes as they are.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) columns: usize,
}

impl Coordinates for Identity {
    fn forward(&self, _: &mut [f32]) {}

    fn inverse(&self, _: Kernel, _: &mut [[i32; BAND]]) {}

    fn units(&self) -> Vec<f32> {
        vec![1.0; self.columns]
    }
}
