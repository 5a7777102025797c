//! Lookup tables that a frequency table unfolds into.

use super::PRECISION;
use crate::entropy::Frequencies;

/// For each of the 4096 slots: `frequency << 20 | bias << 8 | symbol`, where `bias` is the slot's
/// distance from the symbol's first slot.
pub(crate) struct DecodeTable(pub(super) Box<[u32; 1 << PRECISION]>);

impl DecodeTable {
    pub(crate) fn new(frequencies: &Frequencies) -> Self {
        let mut slots = Vec::with_capacity(1 << PRECISION);
        for (symbol, &frequency) in frequencies.get().iter().enumerate() {
            let frequency = u32::from(frequency);
            slots.extend((0..frequency).map(|bias| frequency << 20 | bias << 8 | symbol as u32));
        }
        match slots.into_boxed_slice().try_into() {
            Ok(slots) => Self(slots),
            Err(_) => unreachable!("frequencies sum to 4096"),
        }
    }
}

/// Several decode tables end to end: lanes of one group may each use another.
pub(crate) struct DecodeTables(pub(super) Vec<u32>);

impl DecodeTables {
    pub(crate) fn new<'f>(frequencies: impl IntoIterator<Item = &'f Frequencies>) -> Self {
        let tables = frequencies.into_iter().map(|frequencies| DecodeTable::new(frequencies).0);
        Self(tables.flat_map(|table| *table).collect())
    }

    /// Where table `number` starts.
    pub(crate) const fn base(number: usize) -> u32 {
        (number << PRECISION) as u32
    }
}

/// What coding one symbol needs.
#[derive(Clone, Copy, Default)]
pub(super) struct EncodeEntry {
    /// 0 when the symbol cannot be coded.
    pub(super) frequency: u32,
    /// The symbol's first slot.
    pub(super) cumulative: u32,
}

/// For each byte value its frequency and first slot.
pub(crate) struct EncodeTable(pub(super) [EncodeEntry; 256]);

impl EncodeTable {
    pub(crate) fn new(frequencies: &Frequencies) -> Self {
        let mut cumulative = 0;
        Self(frequencies.get().map(|frequency| {
            let entry = EncodeEntry { frequency: u32::from(frequency), cumulative };
            cumulative += entry.frequency;
            entry
        }))
    }
}
