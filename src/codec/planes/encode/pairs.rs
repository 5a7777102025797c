//! Bytes in pairs of nibbles: the choice of the base, and the conversion.

use crate::codec::entropy::Histogram;
use crate::codec::entropy::rans::LANES;
use crate::codec::planes::PAIR_BLOCK;

/// Distances from the base that a nibble can hold.
const DISTANCES: usize = 16;

/// Pairs save bytes only with fewer outliers than one in 400 bytes: each outlier takes five bytes.
const BYTES_PER_OUTLIER: u64 = 400;

/// The base that leaves the fewest outliers; `None` when these are too many for pairs to pay.
pub(super) fn base(histogram: &Histogram) -> Option<u8> {
    let counts = histogram.counts();
    let covered = |base: u8| -> u64 {
        (0..DISTANCES as u8).map(|nibble| counts[usize::from(base.wrapping_sub(nibble))]).sum()
    };
    // Ties go to the lowest base: the most frequent byte is then near it.
    let best = (0..=u8::MAX).rev().max_by_key(|&base| covered(base))?;
    let total = histogram.total();
    (total > 0 && (total - covered(best)) <= total / BYTES_PER_OUTLIER).then_some(best)
}

/// Converts whole blocks of bytes to groups of pairs; calls `outlier` with the position and the
/// byte of each outlier, in order.
#[inline(always)]
pub(super) fn pair_up(
    base: u8,
    bytes: &[[u8; PAIR_BLOCK]],
    pairs: &mut [[u8; LANES]],
    mut outlier: impl FnMut(usize, u8),
) {
    for (number, (bytes, pairs)) in bytes.iter().zip(pairs).enumerate() {
        let distances = bytes.map(|byte| base.wrapping_sub(byte));
        // Without a branch, which permits vector instructions.
        let far = distances.iter().fold(0, |far, distance| far | distance & 0xf0);
        if far == 0 {
            *pairs = std::array::from_fn(|i| distances[i] | distances[LANES + i] << 4);
            continue;
        }
        let nibble = |i: usize| if distances[i] < DISTANCES as u8 { distances[i] } else { 0 };
        *pairs = std::array::from_fn(|i| nibble(i) | nibble(LANES + i) << 4);
        let outliers = (0..PAIR_BLOCK).filter(|&i| distances[i] >= DISTANCES as u8);
        outliers.for_each(|i| outlier(number * PAIR_BLOCK + i, bytes[i]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn counted(bytes: &[u8]) -> Histogram {
        let mut histogram = Histogram::default();
        histogram.count(bytes);
        histogram
    }

    #[test]
    fn the_base_leaves_the_fewest_outliers() {
        let crowd: Vec<u8> = (0..16u8).flat_map(|i| vec![120 - i; 1 << (15 - i)]).collect();
        assert_eq!(base(&counted(&crowd)), Some(120));
        let far = [crowd.clone(), vec![200; 100]].concat();
        assert_eq!(base(&counted(&far)), Some(120));
        let many = [crowd, vec![200; 1000]].concat();
        assert_eq!(base(&counted(&many)), None);
        // Distances wrap around zero.
        assert_eq!(base(&counted(&[[3u8; 99], [244; 99]].concat())), Some(3));
        assert_eq!(base(&counted(&[])), None);
    }

    proptest! {
        #[test]
        fn pairs_and_outliers_restore_the_bytes(
            base in any::<u8>(),
            blocks in prop::collection::vec(prop::collection::vec(0u8..20, PAIR_BLOCK), 0..5),
        ) {
            let bytes: Vec<[u8; PAIR_BLOCK]> = blocks
                .iter()
                .map(|block| std::array::from_fn(|i| base.wrapping_sub(block[i])))
                .collect();
            let mut pairs = vec![[0; LANES]; bytes.len()];
            let mut outliers = Vec::new();
            pair_up(base, &bytes, &mut pairs, |position, byte| outliers.push((position, byte)));
            let back = pairs.iter().flat_map(|pairs| {
                let low = pairs.map(|pair| base.wrapping_sub(pair & 0xf));
                let high = pairs.map(|pair| base.wrapping_sub(pair >> 4));
                [low, high].concat()
            });
            let mut back: Vec<u8> = back.collect();
            prop_assert!(outliers.iter().all(|&(position, _)| back[position] == base));
            prop_assert!(outliers.is_sorted());
            outliers.iter().for_each(|&(position, byte)| back[position] = byte);
            prop_assert_eq!(back, bytes.concat());
        }
    }
}
