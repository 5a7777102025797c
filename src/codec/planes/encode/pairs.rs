//! Bytes in pairs of nibbles: the choice of the base, and the conversion.

use crate::codec::entropy::Histogram;
use crate::codec::entropy::rans::LANES;
use crate::codec::planes::{PAIR_BLOCK, Pairing};

/// Distances from the base that a nibble can hold.
const DISTANCES: usize = 16;

/// Pairs save bytes only with fewer outliers than one in 400 bytes: each outlier takes five bytes.
const BYTES_PER_OUTLIER: u64 = 400;

/// The pairing with the base that leaves the fewest outliers; `None` when these are too many for pairs
/// to pay.
pub(super) fn pairing(histogram: &Histogram, low_bits: u32) -> Option<Pairing> {
    let mut counts = [0; 256];
    for (byte, count) in histogram.counts().iter().enumerate() {
        counts[byte >> low_bits] += count;
    }
    let covered = |base: u8| -> u64 {
        (0..DISTANCES as u8).map(|nibble| counts[usize::from(base.wrapping_sub(nibble))]).sum()
    };
    // Ties go to the lowest base: the most frequent byte is then near it.
    let best = (0..=u8::MAX).rev().max_by_key(|&base| covered(base))?;
    let total = histogram.total();
    let pays = total > 0 && (total - covered(best)) <= total / BYTES_PER_OUTLIER;
    pays.then_some(Pairing { base: best, low_bits })
}

/// Blocks that are searched for outliers together.
const SEARCHED: usize = 8;

/// Converts whole blocks of bytes to groups of pairs; calls `outlier` with the position and the
/// byte of each outlier, in order. Low bits are dropped.
#[inline(always)]
pub(super) fn pair_up(
    pairing: Pairing,
    bytes: &[[u8; PAIR_BLOCK]],
    pairs: &mut [[u8; LANES]],
    mut outlier: impl FnMut(usize, u8),
) {
    let parts = bytes.chunks(SEARCHED).zip(pairs.chunks_mut(SEARCHED));
    for (start, (bytes, pairs)) in (0..).step_by(SEARCHED).zip(parts) {
        // Without a branch for each block, which permits vector instructions.
        let mut far = [0; PAIR_BLOCK];
        for (bytes, pairs) in bytes.iter().zip(&mut *pairs) {
            let distances = distances(pairing, bytes);
            *pairs = std::array::from_fn(|i| distances[i] | distances[LANES + i] << 4);
            far = std::array::from_fn(|i| far[i] | distances[i]);
        }
        if far.iter().fold(0, |all, far| all | far) & 0xf0 == 0 {
            continue;
        }
        for (number, (bytes, pairs)) in (start..).zip(bytes.iter().zip(pairs)) {
            let distances = distances(pairing, bytes);
            let nibble = |i: usize| if distances[i] < DISTANCES as u8 { distances[i] } else { 0 };
            *pairs = std::array::from_fn(|i| nibble(i) | nibble(LANES + i) << 4);
            let outliers = (0..PAIR_BLOCK).filter(|&i| distances[i] >= DISTANCES as u8);
            outliers.for_each(|i| outlier(number * PAIR_BLOCK + i, bytes[i]));
        }
    }
}

/// The distances of bytes from the base.
#[inline(always)]
fn distances(Pairing { base, low_bits }: Pairing, bytes: &[u8; PAIR_BLOCK]) -> [u8; PAIR_BLOCK] {
    bytes.map(|byte| base.wrapping_sub(byte >> low_bits))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn base(bytes: &[u8], low_bits: u32) -> Option<u8> {
        let mut histogram = Histogram::default();
        histogram.count(bytes);
        pairing(&histogram, low_bits).map(|pairing| pairing.base)
    }

    #[test]
    fn the_base_leaves_the_fewest_outliers() {
        let crowd: Vec<u8> = (0..16u8).flat_map(|i| vec![120 - i; 1 << (15 - i)]).collect();
        assert_eq!(base(&crowd, 0), Some(120));
        let far = [crowd.clone(), vec![200; 100]].concat();
        assert_eq!(base(&far, 0), Some(120));
        let many = [crowd, vec![200; 1000]].concat();
        assert_eq!(base(&many, 0), None);
        // Distances wrap around zero.
        assert_eq!(base(&[[3u8; 99], [244; 99]].concat(), 0), Some(3));
        assert_eq!(base(&[], 0), None);
        // Low bits do not count.
        let wide: Vec<u8> = (40..168).collect();
        assert_eq!((base(&wide, 0), base(&wide, 3)), (None, Some(20)));
    }

    proptest! {
        #[test]
        fn pairs_and_outliers_restore_the_bytes(
            base in any::<u8>(),
            low_bits in 0u32..4,
            blocks in prop::collection::vec(prop::collection::vec(0u8..20, PAIR_BLOCK), 0..5),
            low in prop::collection::vec(any::<u8>(), PAIR_BLOCK),
        ) {
            let base = base >> low_bits;
            let byte = |(distance, low): (u8, u8)| {
                base.wrapping_sub(distance) << low_bits | low & !(u8::MAX << low_bits)
            };
            let bytes: Vec<[u8; PAIR_BLOCK]> = blocks
                .iter()
                .map(|block| std::array::from_fn(|i| byte((block[i], low[i]))))
                .collect();
            let mut pairs = vec![[0; LANES]; bytes.len()];
            let mut outliers = Vec::new();
            let pairing = Pairing { base, low_bits };
            pair_up(pairing, &bytes, &mut pairs, |position, byte| outliers.push((position, byte)));
            let low_of_block = low.iter().copied();
            let back = pairs.iter().flat_map(|pairs| {
                let low = pairs.map(|pair| pair & 0xf);
                let high = pairs.map(|pair| pair >> 4);
                [low, high].concat().into_iter().zip(low_of_block.clone())
            });
            let mut back: Vec<u8> = back.map(byte).collect();
            prop_assert!(outliers.is_sorted());
            outliers.iter().for_each(|&(position, byte)| back[position] = byte);
            prop_assert_eq!(back, bytes.concat());
        }
    }
}
