//! Block-diagonal Walsh-Hadamard transforms with sign flips (Hadamard, 1893; fast algorithm by Fino
//! and Algazi, 1976). Each coordinate is a sum over all columns of its block, which spreads columns
//! with large RMS evenly over the coordinates.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(feature = "encode")]
mod forward;

use super::{BAND, Integers, OrthogonalTransform, first_of, merge_blocks};
use crate::arch::Kernel;
use std::ops::{Add, Neg, Range, Sub};

/// 2^(-k/2), rounded to `f32`: the factor that makes a Hadamard matrix of 2^k rows orthogonal.
const SCALES: [f32; 9] = [
    1.0,
    std::f32::consts::FRAC_1_SQRT_2,
    0.5,
    0.353_553_38,
    0.25,
    0.176_776_69,
    0.125,
    0.088_388_346,
    0.0625,
];

/// A transform by `diag(signs) · H` within blocks of 2^k columns.
///
/// The remainder after the last whole block is divided into smaller powers of two, the largest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hadamard {
    block_log2: u32,
    /// Whether the sign of a column is flipped.
    sign_flips: Vec<bool>,
}

impl Hadamard {
    /// Binary logarithm of the largest block.
    pub(crate) const MAX_BLOCK_LOG2: u32 = 8;

    /// Blocks of 2^`block_log2` columns, at most 2^8, and the sign flip of each column.
    pub(crate) fn new(block_log2: u32, sign_flips: Vec<bool>) -> Self {
        assert!(block_log2 <= Self::MAX_BLOCK_LOG2);
        Self { block_log2, sign_flips }
    }

    pub(crate) fn block_log2(&self) -> u32 {
        self.block_log2
    }

    pub(crate) fn sign_flips(&self) -> &[bool] {
        &self.sign_flips
    }

    /// Transforms all blocks of a tile, then flips signs.
    #[inline(always)]
    fn inverse_tile<N: ButterflyInteger>(
        &self,
        tile: Range<usize>,
        columns: &mut [[N; BAND]],
        inverse_block: impl Fn(&mut [[N; BAND]]),
    ) {
        let blocks = self.blocks_from(tile.start).map(|(block, _)| block);
        for block in blocks.take_while(|block| block.end <= tile.end) {
            inverse_block(&mut columns[block.start - tile.start..block.end - tile.start]);
        }
        for (column, &flip) in columns.iter_mut().zip(&self.sign_flips[tile]) {
            if flip {
                column.iter_mut().for_each(|value| *value = -*value);
            }
        }
    }

    /// All blocks with the binary logarithms of their sizes.
    fn blocks(&self) -> impl Iterator<Item = (Range<usize>, u32)> {
        self.blocks_from(0)
    }

    /// The blocks from the one that starts at `start`.
    fn blocks_from(&self, mut start: usize) -> impl Iterator<Item = (Range<usize>, u32)> {
        let (columns, largest) = (self.sign_flips.len(), self.block_log2);
        std::iter::from_fn(move || {
            let log2 = (columns - start).checked_ilog2()?.min(largest);
            let block = start..start + (1 << log2);
            start = block.end;
            Some((block, log2))
        })
    }
}

impl OrthogonalTransform for Hadamard {
    fn tiles(&self) -> Vec<Range<usize>> {
        merge_blocks(self.blocks().map(|(block, _)| block))
    }

    fn inverse<'i>(
        &self,
        kernel: Kernel,
        tile: Range<usize>,
        _: &Range<usize>,
        largest: u32,
        points: &'i mut [[i16; BAND]],
        wide: &'i mut Vec<[i32; BAND]>,
    ) -> Integers<'i> {
        if largest << self.block_log2 <= i16::MAX as u32 {
            kernel.run(
                #[inline(always)]
                || self.inverse_tile(tile, points, |block| inverse_i16(kernel, block)),
            );
            return Integers::I16(points);
        }
        let wide = first_of(wide, points.len());
        for (wide, points) in wide.iter_mut().zip(points) {
            *wide = points.map(i32::from);
        }
        kernel.run(
            #[inline(always)]
            || self.inverse_tile(tile, wide, inverse_block),
        );
        Integers::I32(wide)
    }

    fn units(&self) -> Vec<f32> {
        let blocks = self.blocks();
        blocks.flat_map(|(block, log2)| vec![SCALES[log2 as usize]; block.len()]).collect()
    }
}

/// Transforms a block of 16-bit integers.
fn inverse_i16(kernel: Kernel, block: &mut [[i16; BAND]]) {
    match kernel.avx2() {
        #[cfg(target_arch = "x86_64")]
        Some(token) => avx2::inverse_block(token, block),
        None => inverse_block(block),
    }
}

/// The operations of butterflies.
trait ButterflyInteger: Copy + Add<Output = Self> + Sub<Output = Self> + Neg<Output = Self> {}

impl ButterflyInteger for i16 {}
impl ButterflyInteger for i32 {}

/// The fast Walsh-Hadamard transform in every lane, O(log n) for each value.
#[inline(always)]
fn inverse_block<N: ButterflyInteger>(block: &mut [[N; BAND]]) {
    let mut half = 1;
    while half < block.len() {
        for pair in block.chunks_exact_mut(2 * half) {
            let (low, high) = pair.split_at_mut(half);
            for (a, b) in low.iter_mut().zip(high) {
                for (a, b) in a.iter_mut().zip(b) {
                    (*a, *b) = (*a + *b, *a - *b);
                }
            }
        }
        half *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_partition_any_width() {
        for columns in 0..700 {
            let hadamard = Hadamard::new(7, vec![false; columns]);
            let mut end = 0;
            for (block, log2) in hadamard.blocks() {
                assert_eq!((block.start, block.len()), (end, 1 << log2));
                end = block.end;
            }
            assert_eq!(end, columns);
            assert_eq!(hadamard.units().len(), columns);
        }
        let sizes: Vec<_> = Hadamard::new(8, vec![false; 557]).blocks().map(|b| b.1).collect();
        assert_eq!(sizes, [8, 8, 5, 3, 2, 0]);
    }

    #[test]
    fn scales_are_square_roots() {
        for (k, &scale) in SCALES.iter().enumerate() {
            assert_eq!(scale, (0.5f64.powi(k as i32)).sqrt() as f32);
        }
    }
}
