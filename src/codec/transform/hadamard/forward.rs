//! The forward transform of rows in floating point.

#[cfg(target_arch = "x86_64")]
use super::avx2;
use super::{Hadamard, SCALES};
use crate::arch::Kernel;

impl Hadamard {
    /// Binary logarithm of the largest block that so many columns can have.
    pub(crate) fn max_block_log2(columns: usize) -> u32 {
        columns.max(1).ilog2().min(Self::MAX_BLOCK_LOG2)
    }

    /// With fixed pseudo-random sign flips: a counter passed through the mixing function of
    /// SplitMix64 (Steele, Lea and Flood, 2014).
    pub(crate) fn with_fixed_signs(block_log2: u32, columns: usize) -> Self {
        let flip = |column: usize| {
            let mut x = (column as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            x >> 63 == 1
        };
        Self::new(block_log2, (0..columns).map(flip).collect())
    }

    /// Maps whole rows to coordinates, in place. O(log block) for each value.
    pub(crate) fn forward(&self, kernel: Kernel, rows: &mut [f32]) {
        kernel.run(
            #[inline(always)]
            || {
                for row in rows.chunks_exact_mut(self.sign_flips.len().max(1)) {
                    self.forward_row(kernel, row);
                }
            },
        );
    }

    /// Flips signs, then transforms all blocks.
    #[inline(always)]
    fn forward_row(&self, kernel: Kernel, row: &mut [f32]) {
        for (value, &flip) in row.iter_mut().zip(&self.sign_flips) {
            *value = f32::from_bits(value.to_bits() ^ u32::from(flip) << 31);
        }
        for (block, log2) in self.blocks() {
            let block = &mut row[block];
            forward_block(kernel, block);
            block.iter_mut().for_each(|value| *value *= SCALES[log2 as usize]);
        }
    }
}

/// Transforms a block of a row.
#[inline(always)]
fn forward_block(kernel: Kernel, block: &mut [f32]) {
    match kernel.avx2() {
        #[cfg(target_arch = "x86_64")]
        Some(token) if block.len() >= 8 => avx2::forward_block(token, block),
        _ => butterflies(block),
    }
}

/// The fast Walsh-Hadamard transform in natural order.
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

/// The stages from the one with distance `half` on.
fn stages(block: &mut [f32], mut half: usize) {
    while half < block.len() {
        for pair in block.chunks_exact_mut(2 * half) {
            let (low, high) = pair.split_at_mut(half);
            low.iter_mut().zip(high).for_each(|(a, b)| (*a, *b) = (*a + *b, *a - *b));
        }
        half *= 2;
    }
}

/// The first three stages, unrolled.
fn eight_butterflies(x: [f32; 8]) -> [f32; 8] {
    let stage = |x: [f32; 8], half: usize| -> [f32; 8] {
        std::array::from_fn(|i| match i & half {
            0 => x[i] + x[i + half],
            _ => x[i - half] - x[i],
        })
    };
    stage(stage(stage(x, 1), 2), 4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::transform::{BAND, Integers, OrthogonalTransform};
    use std::ops::Range;

    #[test]
    fn forward_preserves_energy_and_inverse_restores_rows() {
        for (block_log2, columns) in [(8, 256), (8, 391), (4, 100), (0, 5), (6, 1)] {
            let hadamard = Hadamard::with_fixed_signs(block_log2, columns);
            let row: Vec<f32> = (0..columns).map(|i| ((i * i) % 17) as f32 - 8.0).collect();
            let mut coordinates = row.clone();
            hadamard.forward(Kernel::Scalar, &mut coordinates);
            for kernel in Kernel::all() {
                let mut others = row.clone();
                hadamard.forward(kernel, &mut others);
                assert!(others == coordinates, "{kernel:?}");
            }
            let energy = |row: &[f32]| row.iter().map(|x| x * x).sum::<f32>();
            assert!((energy(&coordinates) / energy(&row).max(1e-9) - 1.0).abs() < 1e-5);
            // Inverse of integers in 16 and 32 bits, then the forward transform.
            for amplitude in [1, 1000] {
                let mut back = Vec::new();
                for tile in hadamard.tiles() {
                    let points = row[tile.clone()].iter();
                    let points: Vec<_> = points.map(|&x| [x as i16 * amplitude; BAND]).collect();
                    let all = Kernel::all().into_iter();
                    let all: Vec<_> =
                        all.map(|k| inverse(&hadamard, k, tile.clone(), &points)).collect();
                    assert!(all.iter().all(|integers| *integers == all[0]));
                    back.extend(all[0].iter().map(|&x| x as f32 / f32::from(amplitude)));
                }
                back.iter_mut().zip(hadamard.units()).for_each(|(x, unit)| *x *= unit);
                hadamard.forward(Kernel::best(), &mut back);
                for (a, b) in back.iter().zip(&row) {
                    assert!((a - b).abs() < 1e-4, "{a} {b}");
                }
            }
        }
    }

    /// The integers of the last lane. Those of all lanes must be equal.
    fn inverse(
        hadamard: &Hadamard,
        kernel: Kernel,
        tile: Range<usize>,
        points: &[[i16; BAND]],
    ) -> Vec<i32> {
        let (mut points, mut wide) = (points.to_vec(), vec![[9; BAND]; points.len()]);
        let largest = points.iter().flatten().map(|x| u32::from(x.unsigned_abs())).max().unwrap();
        let integers = hadamard.inverse(kernel, tile, &(0..BAND), largest, &mut points, &mut wide);
        let lanes: Vec<[i32; BAND]> = match integers {
            Integers::I16(columns) => columns.iter().map(|lanes| lanes.map(i32::from)).collect(),
            Integers::I32(columns) => columns.to_vec(),
        };
        assert!(lanes.iter().all(|lanes| lanes.iter().all(|x| *x == lanes[0])));
        lanes.iter().map(|lanes| lanes[BAND - 1]).collect()
    }

    #[test]
    fn an_outlier_is_spread_evenly() {
        let hadamard = Hadamard::with_fixed_signs(8, 256);
        let mut row = vec![0.0; 256];
        row[77] = 16.0;
        hadamard.forward(Kernel::best(), &mut row);
        assert!(row.iter().all(|x| x.abs() == 1.0));
    }
}
