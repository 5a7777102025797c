//! Bytes in pairs: two of few kinds make one symbol, so that decoding takes half the steps.
//!
//! The exponents of a tensor's weights crowd below the largest: each one further down is about half
//! as frequent. A nibble, from 0 to 15, stands for the byte that is so far below a base. Bytes that
//! no nibble stands for are strangers: they are coded as the base, and told apart.

use crate::codec::entropy::Histogram;
use crate::codec::entropy::rans::LANES;

/// Bytes that become a group of pairs: the first 32 their low nibbles, the others their high ones.
pub(super) const BLOCK: usize = 2 * LANES;

/// Bytes that nibbles can stand for.
const KINDS: usize = 16;

/// Strangers of a sample, as its share, that make pairs futile: each takes five bytes.
const FUTILE: u64 = 400;

/// The base that makes the fewest strangers; `None` when those are too many for pairs to pay.
pub(super) fn base(histogram: &Histogram) -> Option<u8> {
    let counts = histogram.counts();
    let known = |base: u8| -> u64 {
        (0..KINDS as u8).map(|nibble| counts[usize::from(base.wrapping_sub(nibble))]).sum()
    };
    // Of several, the lowest: the most frequent byte is then near the base.
    let best = (0..=u8::MAX).rev().max_by_key(|&base| known(base))?;
    let total = histogram.total();
    (total > 0 && (total - known(best)) <= total / FUTILE).then_some(best)
}

/// Turns whole blocks of bytes into groups of pairs, and hands strangers, each with its place, to
/// `tell`.
#[inline(always)]
pub(super) fn pair_up(
    base: u8,
    bytes: &[[u8; BLOCK]],
    pairs: &mut [[u8; LANES]],
    mut tell: impl FnMut(usize, u8),
) {
    for (number, (bytes, pairs)) in bytes.iter().zip(pairs).enumerate() {
        let distances = bytes.map(|byte| base.wrapping_sub(byte));
        // Without a branch, so that all of a block are looked at together.
        let far = distances.iter().fold(0, |far, distance| far | distance & 0xf0);
        if far == 0 {
            *pairs = std::array::from_fn(|i| distances[i] | distances[LANES + i] << 4);
            continue;
        }
        let nibble = |i: usize| if distances[i] < KINDS as u8 { distances[i] } else { 0 };
        *pairs = std::array::from_fn(|i| nibble(i) | nibble(LANES + i) << 4);
        let outliers = (0..BLOCK).filter(|&i| distances[i] >= KINDS as u8);
        outliers.for_each(|i| tell(number * BLOCK + i, bytes[i]));
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
    fn the_base_is_that_of_the_fewest_strangers() {
        let crowd: Vec<u8> = (0..16u8).flat_map(|i| vec![120 - i; 1 << (15 - i)]).collect();
        assert_eq!(base(&counted(&crowd)), Some(120));
        let far = [crowd.clone(), vec![200; 100]].concat();
        assert_eq!(base(&counted(&far)), Some(120));
        let many = [crowd, vec![200; 1000]].concat();
        assert_eq!(base(&counted(&many)), None);
        // Around zero, too.
        assert_eq!(base(&counted(&[[3u8; 99], [244; 99]].concat())), Some(3));
        assert_eq!(base(&counted(&[])), None);
    }

    proptest! {
        #[test]
        fn pairs_and_strangers_are_all_there_is(
            base in any::<u8>(),
            blocks in prop::collection::vec(prop::collection::vec(0u8..20, BLOCK), 0..5),
        ) {
            let bytes: Vec<[u8; BLOCK]> = blocks
                .iter()
                .map(|block| std::array::from_fn(|i| base.wrapping_sub(block[i])))
                .collect();
            let mut pairs = vec![[0; LANES]; bytes.len()];
            let mut outliers = Vec::new();
            pair_up(base, &bytes, &mut pairs, |place, byte| outliers.push((place, byte)));
            let back = pairs.iter().flat_map(|pairs| {
                let low = pairs.map(|pair| base.wrapping_sub(pair & 0xf));
                let high = pairs.map(|pair| base.wrapping_sub(pair >> 4));
                [low, high].concat()
            });
            let mut back: Vec<u8> = back.collect();
            prop_assert!(outliers.iter().all(|&(place, _)| back[place] == base));
            prop_assert!(outliers.is_sorted());
            outliers.iter().for_each(|&(place, byte)| back[place] = byte);
            prop_assert_eq!(back, bytes.concat());
        }
    }
}
