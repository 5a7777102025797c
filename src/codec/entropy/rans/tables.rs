//! Lookup tables that a frequency table unfolds into.

use super::PRECISION;
use crate::codec::entropy::Frequencies;

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

/// What coding one symbol needs, packed in eight bytes: the reciprocal of its frequency, then from
/// the lowest bit the frequency (12 bits; 0 when the symbol cannot be coded), its first slot (12),
/// and how to use the reciprocal: a shift (4) and a summand (1).
///
/// A state `x` below `2^20 · frequency`, divided by the frequency, is
/// `(x + summand) · reciprocal >> (32 + shift)`: exactly, by Granlund and Montgomery (1994) where the
/// summand is 0, by Robison (2005) where it is 1.
#[derive(Clone, Copy, Default)]
#[repr(transparent)]
pub(super) struct EncodeEntry(pub(super) u64);

impl EncodeEntry {
    fn new(frequency: u16, cumulative: u16) -> Self {
        let (reciprocal, shift, summand) = match frequency {
            // Any will do.
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

    /// A state over the frequency.
    #[inline(always)]
    pub(super) fn quotient(self, x: u32) -> u32 {
        let (shift, summand) = (self.0 >> 56 & 0xf, self.0 >> 60);
        (((u64::from(x) + summand) * u64::from(self.0 as u32)) >> 32 >> shift) as u32
    }
}

/// The reciprocal of a frequency from 2 up, how far to shift beyond 32 bits, and what to add first.
fn reciprocal(frequency: u32) -> (u32, u32, u64) {
    let shift = (frequency - 1).ilog2();
    let (power, frequency) = (1u64 << (32 + shift), u64::from(frequency));
    // One of the two multiples of the frequency on either side is near enough.
    let excess = power.next_multiple_of(frequency) - power;
    match excess << 20 <= power / frequency {
        true => (power.div_ceil(frequency) as u32, shift, 0),
        false => ((power / frequency) as u32, shift, 1),
    }
}

/// For each byte value of each table what coding it needs, one table after the other.
pub(crate) struct EncodeTables(pub(super) Vec<EncodeEntry>);

impl EncodeTables {
    pub(crate) fn new<'f>(frequencies: impl IntoIterator<Item = &'f Frequencies>) -> Self {
        let entries = frequencies.into_iter().flat_map(|frequencies| {
            let mut cumulative = 0;
            frequencies.get().map(|frequency| {
                let entry = EncodeEntry::new(frequency, cumulative);
                cumulative += frequency;
                entry
            })
        });
        Self(entries.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Quotients change at multiples of the frequency, and nowhere else.
    #[test]
    fn quotients_are_exact() {
        for frequency in 1..1 << PRECISION {
            let entry = EncodeEntry::new(frequency as u16, 7);
            assert_eq!((entry.frequency(), entry.cumulative()), (frequency, 7));
            let states = frequency << 20;
            let check = |x: u32| assert_eq!(entry.quotient(x), x / frequency, "{x} / {frequency}");
            // Every multiple of a few frequencies, and those where it is hardest of all.
            let step = if frequency % 509 == 3 { 1 } else { 997 };
            for quotient in (0..1 << 20).rev().step_by(step).chain(0..99) {
                check(quotient * frequency);
                check(quotient * frequency + frequency - 1);
            }
            check(states - 1);
        }
    }
}
