//! Encoding chunks of indices.

use super::entries::Entries;
use super::indexed::{Indexed, differences};
use crate::arch::Kernel;
use crate::codec::encode::Scratch;
use crate::codec::entropy::rans::{EncodeTables, RansEncoder};
use crate::codec::entropy::{BitWriter, Frequencies};
use crate::error::{Error, Result};
use std::sync::Arc;

/// Encodes chunks of one tensor.
pub(crate) struct DictionaryEncoder {
    width: usize,
    entries: Arc<Entries>,
    distance: u32,
    frequencies: Frequencies,
    tables: EncodeTables,
}

impl DictionaryEncoder {
    /// `distance` is that of the indices that indices are coded relative to; 0 for none.
    pub(super) fn new(
        width: usize,
        entries: Arc<Entries>,
        distance: u32,
        frequencies: Frequencies,
    ) -> Self {
        let tables = EncodeTables::new([&frequencies]);
        Self { width, entries, distance, frequencies, tables }
    }

    /// The codec parameters.
    pub(crate) fn parameters(&self) -> Vec<u8> {
        let mut bits = BitWriter::default();
        self.frequencies.write(&mut bits);
        [self.entries.parameters(self.width, self.distance), bits.finish()].concat()
    }

    /// Encodes one chunk: the length (`u32`) of a rANS stream and the stream; the scales of groups;
    /// the words without an entry.
    ///
    /// # Errors
    /// `InvalidArgument` when the chunk holds words that are not in the statistics.
    pub(crate) fn encode(&self, chunk: &[u8], scratch: &mut Scratch) -> Result<Vec<u8>> {
        let mut out = scratch.take_out();
        let mut indexed = Indexed::default();
        self.entries.index(self.width, chunk, &mut indexed);
        let Scratch { symbols, words, .. } = scratch;
        let symbols = differences(&indexed.indices, self.distance as usize, symbols);
        let head = size_of::<u32>();
        out.extend([0; size_of::<u32>()]);
        let mut encoder = RansEncoder::new(&self.tables, symbols.len(), Kernel::best(), words);
        encoder.put(symbols);
        encoder.finish(&mut out)?;
        let length = u32::try_from(out.len() - head)
            .map_err(|_| Error::invalid("dictionary: a chunk exceeds 4 GiB"))?;
        out[..head].copy_from_slice(&length.to_le_bytes());
        out.extend(indexed.scales.iter().flat_map(|scale| scale.to_le_bytes()));
        out.extend_from_slice(&indexed.escaped);
        Ok(out)
    }
}
