//! Decoding tables: one entry for each of the 4096 slots of a probability.

use super::alias_table::SlotRun;
#[cfg(target_arch = "x86_64")]
use super::alias_vectors::{AliasVectors, LaneSets};
use super::slots::SlotTable;
use super::{LANES, PRECISION};
use crate::codec::entropy::Frequencies;

/// For each slot `frequency << 20 | rank << 8 | symbol`, where `rank` is the number of slots of the
/// symbol that precede it.
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
    #[cfg(target_arch = "x86_64")]
    pub(super) aliases: Vec<AliasVectors>,
}

impl DecodeTables {
    pub(crate) fn new<'t>(tables: impl IntoIterator<Item = &'t SlotTable> + Clone) -> Self {
        Self {
            #[cfg(target_arch = "x86_64")]
            aliases: tables.clone().into_iter().map_while(AliasVectors::new).collect(),
            entries: tables.into_iter().flat_map(|table| *DecodeTable::of_slots(table).0).collect(),
        }
    }

    /// Bytes of a table in memory, at most.
    pub(crate) const BYTES_PER_TABLE: u64 = {
        let bytes = size_of::<[u32; 1 << PRECISION]>();
        #[cfg(target_arch = "x86_64")]
        let bytes = bytes + size_of::<AliasVectors>();
        bytes as u64
    };

    /// The index of the first entry of table `number`.
    pub(crate) const fn base(number: usize) -> u32 {
        (number << PRECISION) as u32
    }
}

/// The tables of each lane for several classes of groups.
pub(crate) struct LaneTables {
    /// By class and lane: the start of the first of two consecutive tables.
    pub(super) starts: Vec<[u32; LANES]>,
    /// By class. Empty unless all tables have an alias table.
    #[cfg(target_arch = "x86_64")]
    pub(super) sets: Vec<LaneSets>,
}

impl LaneTables {
    /// `firsts` are by class and lane the numbers of the first of two consecutive tables.
    #[cfg_attr(not(target_arch = "x86_64"), expect(unused_variables))]
    pub(crate) fn new(tables: &DecodeTables, firsts: &[[u8; LANES]]) -> Self {
        Self {
            starts: firsts.iter().map(|all| all.map(|it| DecodeTables::base(it.into()))).collect(),
            #[cfg(target_arch = "x86_64")]
            sets: LaneSets::of_all(firsts, tables.aliases.len()),
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
