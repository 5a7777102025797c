//! Alias tables in vectors, which permutations look up.

use super::LANES;
use super::alias_table::BUCKETS;
use super::slots::SlotTable;
use crate::codec::entropy::ESCAPE;

/// An alias table whose symbols are the escape and consecutive others, for look-ups in vectors of 16-bit
/// integers. Frequencies are multiplied by 16.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub(super) struct AliasVectors {
    /// By bucket: the number of its own slots `<< 8`, plus the bucket of the other symbol.
    pub(super) bounds: [u16; BUCKETS],
    pub(super) own_frequencies: [u16; BUCKETS],
    pub(super) other_frequencies: [u16; BUCKETS],
    /// By bucket: the rank of a slot of the other symbol minus the number of the slot in the bucket.
    pub(super) rank_offsets: [u16; BUCKETS],
    /// The symbol of bucket 1.
    pub(super) first: u8,
}

impl AliasVectors {
    pub(super) fn new(table: &SlotTable) -> Option<Self> {
        let table = table.alias_table()?;
        let occurring = table.frequencies.iter().filter(|&&frequency| frequency > 0).count();
        let symbols = &table.symbols[..occurring];
        let consecutive = symbols[1..].windows(2).all(|pair| pair[1] - pair[0] == 1);
        if symbols[0] != ESCAPE || !consecutive {
            return None;
        }
        let frequency = |bucket: u8| table.frequencies[usize::from(bucket)] << 4;
        let by_bucket = std::array::from_fn::<u8, BUCKETS, _>(|bucket| bucket as u8);
        let at = |bucket: u8| usize::from(bucket);
        Some(Self {
            bounds: by_bucket
                .map(|b| u16::from(table.own[at(b)]) << 8 | u16::from(table.other[at(b)])),
            own_frequencies: by_bucket.map(frequency),
            other_frequencies: table.other.map(frequency),
            rank_offsets: by_bucket
                .map(|b| table.before[at(b)].wrapping_sub(table.own[at(b)].into())),
            first: symbols[1],
        })
    }
}

/// The different numbers of the first of two tables in a group, each with the set of its lanes.
pub(super) struct LaneSets(pub(super) Vec<(usize, u32)>);

impl LaneSets {
    /// Those of each class, from its numbers by lane; none unless all are in the first `count` tables.
    pub(super) fn of_all(firsts: &[[u8; LANES]], count: usize) -> Vec<Self> {
        let last = firsts.iter().flatten().max().map_or(0, |&first| usize::from(first) + 1);
        let firsts = if last < count { firsts } else { &[] };
        firsts.iter().map(Self::new).collect()
    }

    fn new(numbers: &[u8; LANES]) -> Self {
        let mut sets = Vec::with_capacity(1);
        let mut left = u32::MAX;
        while left != 0 {
            let number = numbers[left.trailing_zeros() as usize];
            let lanes = numbers.iter().rev().fold(0, |set, &it| set << 1 | u32::from(it == number));
            sets.push((number.into(), lanes));
            left &= !lanes;
        }
        Self(sets)
    }
}
