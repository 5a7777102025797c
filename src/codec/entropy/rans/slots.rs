//! Which of the 4096 slots belong to which symbol.

use super::alias_table::{AliasTable, SlotRun};
use crate::codec::entropy::Frequencies;

/// A frequency table and the arrangement of its symbols in slots.
#[derive(Clone, Debug)]
pub(crate) struct SlotTable {
    frequencies: Frequencies,
    alias_table: Option<AliasTable>,
}

impl SlotTable {
    /// The slots of a symbol follow those of all smaller symbols.
    pub(crate) fn contiguous(frequencies: Frequencies) -> Self {
        Self { frequencies, alias_table: None }
    }

    /// As the alias method arranges at most 64 symbols; contiguous if there are more.
    pub(crate) fn aliased(frequencies: Frequencies) -> Self {
        Self { alias_table: AliasTable::new(&frequencies), frequencies }
    }

    pub(super) fn frequencies(&self) -> &Frequencies {
        &self.frequencies
    }

    #[cfg(target_arch = "x86_64")]
    pub(super) fn alias_table(&self) -> Option<&AliasTable> {
        self.alias_table.as_ref()
    }

    /// All slots, in order.
    pub(super) fn runs(&self) -> Vec<SlotRun> {
        match &self.alias_table {
            Some(table) => table.runs().collect(),
            None => {
                let each = self.frequencies.get().iter().zip(0..=u8::MAX);
                let occurring = each.filter(|(frequency, _)| **frequency > 0);
                occurring.map(|(&length, symbol)| SlotRun { symbol, rank: 0, length }).collect()
            }
        }
    }
}
