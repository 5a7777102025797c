//! Decoding tables: one entry for each of the 4096 slots of a probability.

use super::alias_table::{BUCKETS, SlotRun};
use super::slots::SlotTable;
use super::{LANES, PRECISION};
use crate::codec::entropy::{ESCAPE, Frequencies};

/// For each slot `frequency << 20 | bias << 8 | symbol`, where `bias` is the number of slots of the
/// symbol before this one.
pub(crate) struct DecodeTable(pub(super) Box<[u32; 1 << PRECISION]>);

impl DecodeTable {
    pub(crate) fn new(frequencies: &Frequencies) -> Self {
        Self::of_slots(&SlotTable::contiguous(frequencies.clone()))
    }

    fn of_slots(table: &SlotTable) -> Self {
        let mut entries = Vec::with_capacity(1 << PRECISION);
        for SlotRun { symbol, rank, length } in table.runs() {
            let frequency = table.frequencies().get()[usize::from(symbol)];
            let first = u32::from(frequency) << 20 | u32::from(rank) << 8 | u32::from(symbol);
            entries.extend((0..length.into()).map(|i| first + (i << 8)));
        }
        match entries.into_boxed_slice().try_into() {
            Ok(slots) => Self(slots),
            Err(_) => unreachable!("frequencies sum to 4096"),
        }
    }
}

/// Several decoding tables, concatenated. Each lane of a group may use another table.
pub(crate) struct DecodeTables {
    pub(super) entries: Vec<u32>,
    /// By table, of the first ones that have an alias table.
    pub(super) aliases: Vec<AliasVectors>,
}

impl DecodeTables {
    pub(crate) fn new<'t>(tables: impl IntoIterator<Item = &'t SlotTable> + Clone) -> Self {
        let aliases = |table| AliasVectors::new(table);
        let aliases = tables.clone().into_iter().map_while(aliases).collect();
        let entries = tables.into_iter().flat_map(|table| *DecodeTable::of_slots(table).0);
        Self { entries: entries.collect(), aliases }
    }

    /// Bytes in memory.
    pub(crate) fn bytes(&self) -> u64 {
        (size_of_val(&self.entries[..]) + size_of_val(&self.aliases[..])) as u64
    }

    /// The index of the first entry of table `number`.
    pub(crate) const fn base(number: usize) -> u32 {
        (number << PRECISION) as u32
    }
}

/// An alias table whose symbols are the escape and consecutive others, for look-ups in vectors of 16-bit
/// integers. Frequencies are multiplied by 16.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub(super) struct AliasVectors {
    /// By bucket: the number of its own slots `<< 8`, plus the bucket of the other symbol.
    pub(super) bounds: [u16; BUCKETS],
    pub(super) own_frequencies: [u16; BUCKETS],
    pub(super) other_frequencies: [u16; BUCKETS],
    /// By bucket: the bias of a slot of the other symbol minus the number of the slot in the bucket.
    pub(super) biases: [u16; BUCKETS],
    /// The symbol of bucket 1.
    pub(super) first: u8,
}

impl AliasVectors {
    fn new(table: &SlotTable) -> Option<Self> {
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
            biases: by_bucket.map(|b| table.before[at(b)].wrapping_sub(table.own[at(b)].into())),
            first: symbols[1],
        })
    }
}

/// The tables of each lane for several classes of groups.
pub(crate) struct LaneTables {
    /// By class and lane: the start of the first of two consecutive tables.
    pub(super) starts: Vec<[u32; LANES]>,
    /// By class: the numbers of the first tables of all lanes, each with its lanes. Empty unless all
    /// tables have an alias table.
    pub(super) sets: Vec<Vec<(usize, u32)>>,
}

impl LaneTables {
    /// `firsts` are by class and lane the numbers of the first of two consecutive tables.
    pub(crate) fn new(tables: &DecodeTables, firsts: &[[u8; LANES]]) -> Self {
        let last = firsts.iter().flatten().max().map_or(0, |&first| usize::from(first) + 1);
        let sets = if last < tables.aliases.len() { firsts } else { &[] };
        Self {
            starts: firsts.iter().map(|all| all.map(|it| DecodeTables::base(it.into()))).collect(),
            sets: sets.iter().map(lane_sets).collect(),
        }
    }

    /// The tables of a group with these states of state machines, by lane.
    pub(crate) fn of_group(&self, class: u8, trellis_states: &[u8; LANES]) -> [u32; LANES] {
        let starts = &self.starts[usize::from(class)];
        std::array::from_fn(|lane| {
            starts[lane] + DecodeTables::base(1) * u32::from(trellis_states[lane] & 1)
        })
    }
}

/// The different numbers, each with the set of its lanes.
fn lane_sets(numbers: &[u8; LANES]) -> Vec<(usize, u32)> {
    let mut sets = Vec::with_capacity(1);
    let mut left = u32::MAX;
    while left != 0 {
        let number = numbers[left.trailing_zeros() as usize];
        let lanes = numbers.iter().rev().fold(0, |set, &it| set << 1 | u32::from(it == number));
        sets.push((number.into(), lanes));
        left &= !lanes;
    }
    sets
}
