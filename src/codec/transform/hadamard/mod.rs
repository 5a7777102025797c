//! Block-diagonal Hadamard rotations with signs: every coordinate is a sum of all columns of its
//! block, so that what was loud in one of them is spread over all.

#[cfg(target_arch = "x86_64")]
mod avx2;

use super::{BAND, Integers, OrthogonalTransform, merged};
use crate::arch::Kernel;
use std::ops::{Add, Neg, Range, Sub};

/// 2^(-k/2), rounded to `f32`: what makes a Hadamard matrix of 2^k rows orthogonal.
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

/// A rotation by `diag(signs) · H` within blocks of a power of two columns.
///
/// What is left after the last whole block is cut into smaller powers of two, largest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hadamard {
    block_log2: u32,
    /// Whether a column changes its sign.
    flips: Vec<bool>,
}

impl Hadamard {
    /// The largest block, as a power of two.
    pub(crate) const MAX_BLOCK_LOG2: u32 = 8;

    /// Blocks of at most 2^8 columns.
    pub(crate) fn new(block_log2: u32, flips: Vec<bool>) -> Self {
        assert!(block_log2 <= Self::MAX_BLOCK_LOG2);
        Self { block_log2, flips }
    }

    /// Signs that are the same on every run: bits of a counter through a mixing function
    /// (Steele, Lea and Flood, 2014).
    pub(crate) fn with_fixed_signs(block_log2: u32, columns: usize) -> Self {
        let flip = |column: usize| {
            let mut x = (column as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            x >> 63 == 1
        };
        Self::new(block_log2, (0..columns).map(flip).collect())
    }

    pub(crate) fn block_log2(&self) -> u32 {
        self.block_log2
    }

    pub(crate) fn flips(&self) -> &[bool] {
        &self.flips
    }

    /// The signs, then the transform of all blocks.
    #[inline(always)]
    fn forward_row(&self, kernel: Kernel, row: &mut [f32]) {
        for (value, &flip) in row.iter_mut().zip(&self.flips) {
            *value = f32::from_bits(value.to_bits() ^ u32::from(flip) << 31);
        }
        for (block, log2) in self.blocks() {
            let block = &mut row[block];
            forward_block(kernel, block);
            block.iter_mut().for_each(|value| *value *= SCALES[log2 as usize]);
        }
    }

    /// The transform of all blocks of a tile, then the signs.
    #[inline(always)]
    fn inverse_tile<N: Number>(
        &self,
        tile: Range<usize>,
        columns: &mut [[N; BAND]],
        inverse_block: impl Fn(&mut [[N; BAND]]),
    ) {
        let blocks = self.blocks_from(tile.start).map(|(block, _)| block);
        for block in blocks.take_while(|block| block.end <= tile.end) {
            inverse_block(&mut columns[block.start - tile.start..block.end - tile.start]);
        }
        for (column, &flip) in columns.iter_mut().zip(&self.flips[tile]) {
            if flip {
                column.iter_mut().for_each(|value| *value = -*value);
            }
        }
    }

    /// The blocks and the binary logarithms of their sizes.
    fn blocks(&self) -> impl Iterator<Item = (Range<usize>, u32)> {
        self.blocks_from(0)
    }

    /// The same from the start of one of them.
    fn blocks_from(&self, mut start: usize) -> impl Iterator<Item = (Range<usize>, u32)> {
        let (columns, largest) = (self.flips.len(), self.block_log2);
        std::iter::from_fn(move || {
            let log2 = (columns - start).checked_ilog2()?.min(largest);
            let block = start..start + (1 << log2);
            start = block.end;
            Some((block, log2))
        })
    }
}

impl OrthogonalTransform for Hadamard {
    fn forward(&self, kernel: Kernel, rows: &mut [f32]) {
        kernel.run(
            #[inline(always)]
            || {
                for row in rows.chunks_exact_mut(self.flips.len().max(1)) {
                    self.forward_row(kernel, row);
                }
            },
        );
    }

    fn tiles(&self) -> Vec<Range<usize>> {
        merged(self.blocks().map(|(block, _)| block))
    }

    fn inverse<'i>(
        &self,
        kernel: Kernel,
        tile: Range<usize>,
        largest: u32,
        points: &'i mut [[i16; BAND]],
        wide: &'i mut [[i32; BAND]],
    ) -> Integers<'i> {
        if largest << self.block_log2 <= i16::MAX as u32 {
            kernel.run(
                #[inline(always)]
                || self.inverse_tile(tile, points, |block| inverse_short(kernel, block)),
            );
            return Integers::Short(points);
        }
        for (wide, points) in wide.iter_mut().zip(points) {
            *wide = points.map(i32::from);
        }
        kernel.run(
            #[inline(always)]
            || self.inverse_tile(tile, wide, inverse_block),
        );
        Integers::Long(wide)
    }

    fn units(&self) -> Vec<f32> {
        let blocks = self.blocks();
        blocks.flat_map(|(block, log2)| vec![SCALES[log2 as usize]; block.len()]).collect()
    }
}

/// The transform of a row's block.
#[inline(always)]
fn forward_block(kernel: Kernel, block: &mut [f32]) {
    match kernel.avx2() {
        #[cfg(target_arch = "x86_64")]
        Some(token) if block.len() >= 8 => avx2::forward_block(token, block),
        _ => butterflies(block),
    }
}

/// The fast Walsh-Hadamard transform, in natural order.
fn butterflies(block: &mut [f32]) {
    let (eights, few) = block.as_chunks_mut::<8>();
    if eights.is_empty() {
        return stages(few, 1);
    }
    for eight in eights {
        *eight = eight_butterflies(*eight);
    }
    stages(block, 8);
}

/// The stages from one whose numbers are `half` apart.
fn stages(block: &mut [f32], mut half: usize) {
    while half < block.len() {
        for pair in block.chunks_exact_mut(2 * half) {
            let (low, high) = pair.split_at_mut(half);
            low.iter_mut().zip(high).for_each(|(a, b)| (*a, *b) = (*a + *b, *a - *b));
        }
        half *= 2;
    }
}

/// The first three stages, without a loop.
fn eight_butterflies(x: [f32; 8]) -> [f32; 8] {
    let stage = |x: [f32; 8], half: usize| -> [f32; 8] {
        std::array::from_fn(|i| match i & half {
            0 => x[i] + x[i + half],
            _ => x[i - half] - x[i],
        })
    };
    stage(stage(stage(x, 1), 2), 4)
}

/// The transform of short integers.
fn inverse_short(kernel: Kernel, block: &mut [[i16; BAND]]) {
    match kernel.avx2() {
        #[cfg(target_arch = "x86_64")]
        Some(token) => avx2::inverse_block(token, block),
        None => inverse_block(block),
    }
}

/// What butterflies need of a number.
trait Number: Copy + Add<Output = Self> + Sub<Output = Self> + Neg<Output = Self> {}

impl Number for i16 {}
impl Number for i32 {}

/// The fast Walsh-Hadamard transform in every lane.
#[inline(always)]
fn inverse_block<N: Number>(block: &mut [[N; BAND]]) {
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
    fn blocks_tile_any_width() {
        for columns in 0..700 {
            let rotation = Hadamard::with_fixed_signs(7, columns);
            let mut end = 0;
            for (block, log2) in rotation.blocks() {
                assert_eq!((block.start, block.len()), (end, 1 << log2));
                end = block.end;
            }
            assert_eq!(end, columns);
            assert_eq!(rotation.units().len(), columns);
        }
        let sizes: Vec<_> = Hadamard::with_fixed_signs(8, 557).blocks().map(|b| b.1).collect();
        assert_eq!(sizes, [8, 8, 5, 3, 2, 0]);
    }

    #[test]
    fn scales_are_square_roots() {
        for (k, &scale) in SCALES.iter().enumerate() {
            assert_eq!(scale, (0.5f64.powi(k as i32)).sqrt() as f32);
        }
    }

    #[test]
    fn forward_keeps_energy_and_inverse_leads_back() {
        for (block_log2, columns) in [(8, 256), (8, 391), (4, 100), (0, 5), (6, 1)] {
            let rotation = Hadamard::with_fixed_signs(block_log2, columns);
            let row: Vec<f32> = (0..columns).map(|i| ((i * i) % 17) as f32 - 8.0).collect();
            let mut coordinates = row.clone();
            rotation.forward(Kernel::Scalar, &mut coordinates);
            for kernel in Kernel::all() {
                let mut others = row.clone();
                rotation.forward(kernel, &mut others);
                assert!(others == coordinates, "{kernel:?}");
            }
            let energy = |row: &[f32]| row.iter().map(|x| x * x).sum::<f32>();
            assert!((energy(&coordinates) / energy(&row).max(1e-9) - 1.0).abs() < 1e-5);
            // Integers in, short ones and long ones, and the same matrix in floating point.
            for loudness in [1, 1000] {
                let mut back = Vec::new();
                for tile in rotation.tiles() {
                    let points = row[tile.clone()].iter();
                    let points: Vec<_> = points.map(|&x| [x as i16 * loudness; BAND]).collect();
                    let all = Kernel::all().into_iter();
                    let all: Vec<_> =
                        all.map(|k| inverse(&rotation, k, tile.clone(), &points)).collect();
                    assert!(all.iter().all(|integers| *integers == all[0]));
                    back.extend(all[0].iter().map(|&x| x as f32 / f32::from(loudness)));
                }
                back.iter_mut().zip(rotation.units()).for_each(|(x, unit)| *x *= unit);
                rotation.forward(Kernel::best(), &mut back);
                for (a, b) in back.iter().zip(&row) {
                    assert!((a - b).abs() < 1e-4, "{a} {b}");
                }
            }
        }
    }

    /// Integers of the last lane; all others must be the same.
    fn inverse(
        rotation: &Hadamard,
        kernel: Kernel,
        tile: Range<usize>,
        points: &[[i16; BAND]],
    ) -> Vec<i32> {
        let (mut points, mut wide) = (points.to_vec(), vec![[9; BAND]; points.len()]);
        let largest = points.iter().flatten().map(|x| u32::from(x.unsigned_abs())).max().unwrap();
        let integers = rotation.inverse(kernel, tile, largest, &mut points, &mut wide);
        let lanes: Vec<[i32; BAND]> = match integers {
            Integers::Short(columns) => columns.iter().map(|lanes| lanes.map(i32::from)).collect(),
            Integers::Long(columns) => columns.to_vec(),
        };
        assert!(lanes.iter().all(|lanes| lanes.iter().all(|x| *x == lanes[0])));
        lanes.iter().map(|lanes| lanes[BAND - 1]).collect()
    }

    #[test]
    fn an_outlier_is_spread() {
        let rotation = Hadamard::with_fixed_signs(8, 256);
        let mut row = vec![0.0; 256];
        row[77] = 16.0;
        rotation.forward(Kernel::best(), &mut row);
        assert!(row.iter().all(|x| x.abs() == 1.0));
    }
}
