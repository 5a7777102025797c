//! Decoding tables: one entry for each of the 4096 slots of a probability.

use super::PRECISION;
use crate::codec::entropy::Frequencies;

/// For each slot `frequency << 20 | bias << 8 | symbol`, where `bias` is the distance of the slot
/// from the first slot of its symbol.
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

/// Several decoding tables, concatenated. Each lane of a group may use another table.
pub(crate) struct DecodeTables(pub(super) Vec<u32>);

impl DecodeTables {
    pub(crate) fn new<'f>(frequencies: impl IntoIterator<Item = &'f Frequencies>) -> Self {
        let tables = frequencies.into_iter().map(|frequencies| DecodeTable::new(frequencies).0);
        Self(tables.flat_map(|table| *table).collect())
    }

    /// Bytes in memory.
    pub(crate) fn bytes(&self) -> u64 {
        size_of_val(&self.0[..]) as u64
    }

    /// The index of the first entry of table `number`.
    pub(crate) const fn base(number: usize) -> u32 {
        (number << PRECISION) as u32
    }
}
