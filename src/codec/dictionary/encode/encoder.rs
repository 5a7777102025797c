//! Encoding chunks of indices.

use super::entries::Entries;
use super::indexed::{Indexed, differences};
use crate::arch::Kernel;
use crate::codec::encode::Scratch;
use crate::codec::entropy::rans::{EncodeTables, StreamCount, put_sequence};
use crate::codec::entropy::{BitWriter, Frequencies};
use crate::codec::planes::PlaneEncoder;
use crate::error::Result;
use std::sync::Arc;

/// Encodes chunks of one tensor.
pub(crate) struct DictionaryEncoder {
    width: usize,
    entries: Arc<Entries>,
    distance: u32,
    frequencies: Frequencies,
    tables: EncodeTables,
    /// Encodes the words without an entry.
    escaped: PlaneEncoder,
}

impl DictionaryEncoder {
    /// `distance` is that of the indices that indices are coded relative to; 0 for none.
    pub(super) fn new(
        width: usize,
        entries: Arc<Entries>,
        distance: u32,
        frequencies: Frequencies,
        escaped: PlaneEncoder,
    ) -> Self {
        let tables = EncodeTables::new([&frequencies]);
        Self { width, entries, distance, frequencies, tables, escaped }
    }

    /// The codec parameters.
    pub(crate) fn parameters(&self) -> Vec<u8> {
        let mut bits = BitWriter::default();
        self.frequencies.write(&mut bits);
        let entries = self.entries.parameters(self.width, self.distance);
        [entries, bits.finish(), self.escaped.parameters()].concat()
    }

    /// Encodes one chunk: the length (`u32`) of a rANS stream and the stream; what is stored for
    /// groups; the words without an entry, if there are any.
    ///
    /// # Errors
    /// `InvalidArgument` when the chunk holds words that are not in the statistics.
    pub(crate) fn encode(&self, chunk: &[u8], scratch: &mut Scratch) -> Result<Vec<u8>> {
        let mut out = scratch.take_out();
        let mut indexed = Indexed::default();
        self.entries.index(self.width, chunk, &mut indexed);
        let Scratch { symbols, words, .. } = scratch;
        let symbols = differences(&indexed.indices, self.distance as usize, symbols);
        let (one, kernel) = (StreamCount::One, Kernel::best());
        put_sequence(&self.tables, symbols, one, kernel, words, &mut out)?;
        out.extend_from_slice(&indexed.groups);
        if !indexed.escaped.is_empty() {
            out.extend(self.escaped.encode(&indexed.escaped, scratch)?);
        }
        Ok(out)
    }
}
