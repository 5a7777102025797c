//! Encoding tables: one entry for each byte value.

use crate::codec::entropy::Frequencies;
use crate::codec::entropy::rans::alias_table::SlotRun;
use crate::codec::entropy::rans::{PRECISION, SlotTable};

/// The parameters of encoding one symbol, packed in 64 bits: bits 0 to 31 hold the reciprocal of its
/// frequency, the next 12 bits the frequency (0 when the symbol cannot be coded), the next 12 the
/// cumulative frequency of smaller symbols, the next 4 a shift, and the next a summand.
///
/// The quotient of a state `x < 2^20 · frequency` by the frequency is
/// `(x + summand) · reciprocal >> (32 + shift)`. It is exact by Granlund and Montgomery (1994) for
/// summand 0 and by Robison (2005) for summand 1.
#[derive(Clone, Copy, Default)]
#[repr(transparent)]
pub(super) struct EncodeEntry(pub(super) u64);

impl EncodeEntry {
    fn new(frequency: u16, cumulative: u16) -> Self {
        let (reciprocal, shift, summand) = match frequency {
            // Never used.
            0 => (0, 0, 0),
            1 => (u32::MAX, 0, 1),
            _ => reciprocal(frequency.into()),
        };
        let [frequency, cumulative] = [frequency, cumulative].map(u64::from);
        let rest = frequency | cumulative << 12 | u64::from(shift) << 24 | summand << 28;
        Self(rest << 32 | u64::from(reciprocal))
    }

    #[inline(always)]
    pub(super) fn frequency(self) -> u32 {
        (self.0 >> 32) as u32 & 0xfff
    }

    #[inline(always)]
    pub(super) fn cumulative(self) -> u32 {
        (self.0 >> 44) as u32 & 0xfff
    }

    /// A state divided by the frequency, rounded down.
    #[inline(always)]
    pub(super) fn quotient(self, x: u32) -> u32 {
        let (shift, summand) = (self.0 >> 56 & 0xf, self.0 >> 60);
        (((u64::from(x) + summand) * u64::from(self.0 as u32)) >> 32 >> shift) as u32
    }
}

/// Reciprocal, shift and summand for a frequency of at least 2.
fn reciprocal(frequency: u32) -> (u32, u32, u64) {
    let shift = (frequency - 1).ilog2();
    let (power, frequency) = (1u64 << (32 + shift), u64::from(frequency));
    // Rounding up is exact if the error is small enough, otherwise rounding down is.
    let excess = power.next_multiple_of(frequency) - power;
    match excess << 20 <= power / frequency {
        true => (power.div_ceil(frequency) as u32, shift, 0),
        false => ((power / frequency) as u32, shift, 1),
    }
}

/// A symbol and the number of its table, packed as the index of an encoding table entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TableSymbol(u16);

impl TableSymbol {
    #[inline]
    pub(crate) fn new(table: u8, symbol: u8) -> Self {
        Self(u16::from(table) << 8 | u16::from(symbol))
    }
}

/// The entries of all byte values for each table, concatenated.
pub(crate) struct EncodeTables {
    pub(super) entries: Vec<EncodeEntry>,
    /// For each table: its slots, those of smaller symbols first. Empty if all are contiguous.
    pub(super) slots: Vec<u16>,
    #[cfg(target_arch = "x86_64")]
    pub(super) entry_bytes: Box<EntryBytes>,
}

/// The bytes of the first table: byte `b` of the entry of value `v` is `.0[b][v]`.
#[cfg(target_arch = "x86_64")]
#[repr(align(64))]
pub(super) struct EntryBytes(pub(super) [[u8; 256]; size_of::<EncodeEntry>()]);

impl EncodeTables {
    /// Tables whose slots are contiguous.
    pub(crate) fn new<'f>(frequencies: impl IntoIterator<Item = &'f Frequencies>) -> Self {
        let entries = frequencies.into_iter().flat_map(|frequencies| {
            let mut cumulative = 0;
            frequencies.get().map(|frequency| {
                let entry = EncodeEntry::new(frequency, cumulative);
                cumulative += frequency;
                entry
            })
        });
        let entries: Vec<EncodeEntry> = entries.collect();
        Self {
            #[cfg(target_arch = "x86_64")]
            entry_bytes: Box::new(EntryBytes::of(&entries)),
            entries,
            slots: Vec::new(),
        }
    }

    /// Tables with any arrangement of slots.
    pub(crate) fn of_slots(tables: &[SlotTable]) -> Self {
        let mut slots = vec![0; tables.len() << PRECISION];
        for (table, slots) in tables.iter().zip(slots.chunks_mut(1 << PRECISION)) {
            let mut cumulative = 0;
            let firsts = table.frequencies().get().map(|frequency| {
                cumulative += usize::from(frequency);
                cumulative - usize::from(frequency)
            });
            let mut next = 0..;
            for SlotRun { symbol, rank, length } in table.runs() {
                let first = firsts[usize::from(symbol)] + usize::from(rank);
                let run = &mut slots[first..first + usize::from(length)];
                run.iter_mut().zip(&mut next).for_each(|(out, slot)| *out = slot);
            }
        }
        Self { slots, ..Self::new(tables.iter().map(SlotTable::frequencies)) }
    }
}

/// What the symbols of a stream select.
pub(super) trait SymbolTables: Copy {
    type Symbol: Copy;
    /// Whether the slots of a symbol may be anywhere in its table.
    const HAS_SLOTS: bool;

    fn entry(self, symbol: Self::Symbol) -> EncodeEntry;

    /// Replaces the slot in a state, which is the symbol's first slot plus a rank, if slots are contiguous,
    /// by the slot of this rank.
    fn place(self, _: Self::Symbol, state: u32) -> u32 {
        state
    }
}

/// The entries of a table whose slots are contiguous.
#[derive(Clone, Copy)]
pub(super) struct OneTable<'t>(pub(super) &'t [EncodeEntry; 256]);

impl SymbolTables for OneTable<'_> {
    type Symbol = u8;
    const HAS_SLOTS: bool = false;

    #[inline(always)]
    fn entry(self, symbol: u8) -> EncodeEntry {
        self.0[usize::from(symbol)]
    }
}

/// Tables that each symbol selects.
#[derive(Clone, Copy)]
pub(super) struct ManyTables<'t, const HAS_SLOTS: bool>(pub(super) &'t EncodeTables);

impl<const HAS_SLOTS: bool> SymbolTables for ManyTables<'_, HAS_SLOTS> {
    type Symbol = TableSymbol;
    const HAS_SLOTS: bool = HAS_SLOTS;

    #[inline(always)]
    fn entry(self, TableSymbol(index): TableSymbol) -> EncodeEntry {
        self.0.entries[usize::from(index)]
    }

    #[inline(always)]
    fn place(self, TableSymbol(index): TableSymbol, state: u32) -> u32 {
        let (quotient, slot) = (state >> PRECISION, state as usize % (1 << PRECISION));
        let table = usize::from(index) >> 8 << PRECISION;
        quotient << PRECISION | u32::from(self.0.slots[table | slot])
    }
}

#[cfg(target_arch = "x86_64")]
impl EntryBytes {
    fn of(entries: &[EncodeEntry]) -> Self {
        let mut all = Self([[0; 256]; size_of::<EncodeEntry>()]);
        for (value, entry) in entries.iter().take(256).enumerate() {
            for (bytes, byte) in all.0.iter_mut().zip(entry.0.to_le_bytes()) {
                bytes[value] = byte;
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Quotients change at multiples of the frequency only.
    #[test]
    fn quotients_are_exact() {
        for frequency in 1..1 << PRECISION {
            let entry = EncodeEntry::new(frequency as u16, 7);
            assert_eq!((entry.frequency(), entry.cumulative()), (frequency, 7));
            let states = frequency << 20;
            let check = |x: u32| assert_eq!(entry.quotient(x), x / frequency, "{x} / {frequency}");
            // Every multiple of some frequencies; for the others a subset that includes the
            // largest and smallest quotients.
            let step = if frequency % 509 == 3 { 1 } else { 997 };
            for quotient in (0..1 << 20).rev().step_by(step).chain(0..99) {
                check(quotient * frequency);
                check(quotient * frequency + frequency - 1);
            }
            check(states - 1);
        }
    }
}
