//! The alias method (Walker, 1974): slots of a table in buckets of at most two symbols.
//!
//! A kernel then finds a symbol by a look-up in tables of 64 entries, which fit into registers.

use super::PRECISION;
use crate::codec::entropy::Frequencies;

/// Number of buckets.
pub(super) const BUCKETS: usize = 64;

/// Slots of a bucket.
const SLOTS: u16 = (1 << PRECISION) / BUCKETS as u16;

/// Consecutive slots of one symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SlotRun {
    pub(super) symbol: u8,
    /// The number of slots of the symbol before these.
    pub(super) rank: u16,
    pub(super) length: u16,
}

/// A table of at most 64 symbols. The first slots of bucket `i` belong to symbol `i`, counted
/// from 0 among those that occur; the other ones to one other symbol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AliasTable {
    /// By bucket, and so by symbol: the byte value of the symbol, and its frequency.
    pub(super) symbols: [u8; BUCKETS],
    pub(super) frequencies: [u16; BUCKETS],
    /// By bucket: the number of slots of its own symbol, and the bucket of the other one.
    pub(super) own: [u8; BUCKETS],
    pub(super) other: [u8; BUCKETS],
    /// By bucket: how many slots of the other symbol precede those of this bucket.
    pub(super) before: [u16; BUCKETS],
}

impl AliasTable {
    /// `None` if there are more symbols than buckets.
    pub(super) fn new(frequencies: &Frequencies) -> Option<Self> {
        let all = frequencies.get().iter().zip(0..=u8::MAX);
        let occurring: Vec<_> = all.filter(|(frequency, _)| **frequency > 0).collect();
        if occurring.len() > BUCKETS {
            return None;
        }
        let mut table = Self {
            symbols: [0; BUCKETS],
            frequencies: [0; BUCKETS],
            own: [SLOTS as u8; BUCKETS],
            other: [0; BUCKETS],
            before: [0; BUCKETS],
        };
        for (bucket, (frequency, symbol)) in occurring.into_iter().enumerate() {
            (table.symbols[bucket], table.frequencies[bucket]) = (symbol, *frequency);
        }
        table.fill();
        Some(table)
    }

    /// Fills the rest of the bucket with the fewest slots from the symbol with the most, until every
    /// symbol that is left fills its own bucket.
    fn fill(&mut self) {
        // Slots that are not yet in a full bucket; a full bucket counts as one that its symbol fills.
        let mut left = self.frequencies;
        loop {
            let (mut least, mut most) = (0, 0);
            for bucket in 1..BUCKETS {
                if left[bucket] < left[least] {
                    least = bucket;
                }
                if left[bucket] > left[most] {
                    most = bucket;
                }
            }
            if left[least] == SLOTS {
                break;
            }
            (self.own[least], self.other[least]) = (left[least] as u8, most as u8);
            left[most] -= SLOTS - left[least];
            left[least] = SLOTS;
        }
        let mut before = self.own.map(u16::from);
        for bucket in 0..BUCKETS {
            let other = usize::from(self.other[bucket]);
            self.before[bucket] = before[other];
            before[other] += SLOTS - u16::from(self.own[bucket]);
        }
    }

    /// All slots, in order. The first slots of a symbol are those in its own bucket.
    pub(super) fn runs(&self) -> impl Iterator<Item = SlotRun> {
        let of_bucket = |bucket: usize| {
            let (length, other) = (self.own[bucket].into(), usize::from(self.other[bucket]));
            let own = SlotRun { symbol: self.symbols[bucket], rank: 0, length };
            let (symbol, rank) = (self.symbols[other], self.before[bucket]);
            [own, SlotRun { symbol, rank, length: SLOTS - length }]
        };
        (0..BUCKETS).flat_map(of_bucket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// For each slot its symbol and rank.
    fn slots(table: &AliasTable) -> Vec<(u8, u16)> {
        let slots = |run: SlotRun| (0..run.length).map(move |i| (run.symbol, run.rank + i));
        table.runs().flat_map(slots).collect()
    }

    #[test]
    fn known_table() {
        let mut frequencies = [0; 256];
        (frequencies[0], frequencies[9], frequencies[200]) = (1, 4000, 95);
        let table = AliasTable::new(&Frequencies(frequencies)).unwrap();
        assert_eq!(table.symbols[..3], [0, 9, 200]);
        // The buckets without a symbol are filled by symbol 9, and then that of symbol 0. What is left of
        // symbol 9 does not fill its bucket.
        assert_eq!(table.own[..5], [1, 33, 64, 0, 0]);
        assert_eq!(table.other[..5], [1, 2, 0, 1, 1]);
        assert_eq!(table.before[..5], [33, 64, 1, 96, 160]);
        let slots = slots(&table);
        assert_eq!(slots[..2], [(0, 0), (9, 33)]);
        assert_eq!(slots[64..][32..34], [(9, 32), (200, 64)]);
        assert_eq!(slots[4095], (9, 3999));
    }

    proptest! {
        #[test]
        fn slots_of_every_symbol_are_numbered(
            weights in prop::collection::vec((any::<u8>(), 1u32..5000), 2..90), shape in 0u32..3
        ) {
            let mut all = [None; 256];
            for (symbol, weight) in weights {
                all[usize::from(symbol)] = Some(weight.pow(shape));
            }
            let symbols = all.iter().flatten().count();
            prop_assume!(symbols > 1);
            let frequencies = Frequencies::from_weights(&all);
            let Some(table) = AliasTable::new(&frequencies) else {
                prop_assert!(symbols > BUCKETS);
                return Ok(());
            };
            let mut slots = slots(&table);
            for bucket in slots.chunks(SLOTS.into()) {
                let changes = bucket.windows(2).filter(|pair| pair[0].0 != pair[1].0).count();
                prop_assert!(changes <= 1);
            }
            slots.sort_unstable();
            let each = frequencies.get().iter().zip(0..=u8::MAX);
            let expected: Vec<(u8, u16)> =
                each.flat_map(|(&frequency, symbol)| (0..frequency).map(move |i| (symbol, i))).collect();
            prop_assert_eq!(slots, expected);
        }
    }
}
