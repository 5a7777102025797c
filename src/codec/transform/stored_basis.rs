//! Transforms by stored matrices, for example a Karhunen-Loève transform (Karhunen, 1947;
//! Loève, 1948).

use super::integers::IntegerMatrix;
use super::{BAND, Integers, OrthogonalTransform, first_of};
use crate::arch::Kernel;
use crate::error::Result;
use std::ops::Range;

/// A block-diagonal transform by stored matrices, all of the same size except the last.
///
/// Row `j` of a block is basis vector `j`, in integer multiples of `unit`.
#[derive(Debug)]
pub(crate) struct StoredBasis {
    block: usize,
    /// The value of an entry 1.
    pub(super) unit: f32,
    /// The matrices along the diagonal.
    pub(super) blocks: Vec<IntegerMatrix>,
}

impl StoredBasis {
    /// From stored integers: `entries` returns those of the next block of this size, row by row.
    ///
    /// # Errors
    /// `Corrupt` when integers are too large; those of `entries`.
    pub(crate) fn new(
        columns: usize,
        block: usize,
        unit: f32,
        mut entries: impl FnMut(usize) -> Result<Vec<i16>>,
    ) -> Result<Self> {
        let sizes = block_sizes(columns, block);
        let blocks = sizes.map(|size| IntegerMatrix::new(size, entries(size)?));
        let blocks = blocks.collect::<Result<_>>()?;
        Ok(Self::from_blocks(block, unit, blocks))
    }

    /// Bytes in memory.
    pub(crate) fn bytes(columns: usize, block: usize) -> u64 {
        block_sizes(columns, block).map(|size| IntegerMatrix::bytes(size, size)).sum()
    }

    /// From matrices along the diagonal.
    pub(super) fn from_blocks(block: usize, unit: f32, blocks: Vec<IntegerMatrix>) -> Self {
        Self { block, unit, blocks }
    }

    /// Columns of every block but the last, which may have fewer.
    pub(crate) fn block(&self) -> usize {
        self.block
    }

    /// The number of integers in all blocks.
    #[cfg(feature = "encode")]
    pub(crate) fn entries(&self) -> usize {
        self.blocks.iter().map(|block| block.entries.len()).sum()
    }

    fn columns(&self) -> usize {
        self.blocks.iter().map(IntegerMatrix::columns).sum()
    }
}

impl OrthogonalTransform for StoredBasis {
    fn tiles(&self) -> Vec<Range<usize>> {
        let columns = self.columns();
        (0..columns).step_by(self.block).map(|at| at..columns.min(at + self.block)).collect()
    }

    fn inverse<'i>(
        &self,
        kernel: Kernel,
        tile: Range<usize>,
        lanes: &Range<usize>,
        _: u32,
        points: &'i mut [[i16; BAND]],
        wide: &'i mut Vec<[i32; BAND]>,
    ) -> Integers<'i> {
        let wide = first_of(wide, points.len());
        self.blocks[tile.start / self.block].combine(kernel, points, lanes, 0, wide);
        Integers::I32(wide)
    }

    fn units(&self) -> Vec<f32> {
        vec![self.unit; self.columns()]
    }
}

/// The sizes of the blocks into which `columns` columns are divided.
pub(crate) fn block_sizes(columns: usize, block: usize) -> impl Iterator<Item = usize> {
    let block = block.max(1);
    (0..columns).step_by(block).map(move |start| block.min(columns - start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_entries_are_rejected() {
        let basis = |entry| StoredBasis::new(10, 4, 1.0, |size| Ok(vec![entry; size * size]));
        assert!(basis(1).is_ok());
        assert!(basis(i16::MIN).is_err());
    }

    #[test]
    fn blocks_hold_the_stored_integers_in_order() {
        let entries: Vec<i16> = (0..36).collect();
        let mut rest = entries.iter().copied();
        let next = |size: usize| Ok(rest.by_ref().take(size * size).collect());
        let basis = StoredBasis::new(10, 4, 1.0, next).unwrap();
        assert_eq!(StoredBasis::bytes(10, 4), 4 * 36);
        let rows = basis.blocks.iter().flat_map(IntegerMatrix::rows);
        assert_eq!(rows.flatten().copied().collect::<Vec<i16>>(), entries);
        assert_eq!(basis.tiles(), [0..4, 4..8, 8..10]);
    }
}
