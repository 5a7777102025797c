//! Encoding of one stream whose symbols may have different tables.

use super::blocks::{put_block, put_blocks};
use super::stream::{BLOCK, Stream};
use super::tables::{EncodeTables, ManyTables, SymbolTables, TableSymbol};
use crate::arch::Kernel;
use crate::codec::entropy::rans::LANES;
use crate::error::{Error, Result};
use zerocopy::little_endian::U16;

/// An encoder of one stream. O(1) for each symbol.
pub(crate) struct RansEncoder<'t> {
    tables: &'t EncodeTables,
    kernel: Kernel,
    stream: [Stream<'t>; 1],
    missing: bool,
}

impl<'t> RansEncoder<'t> {
    /// An encoder of at most `symbols` symbols. `buffer` is working memory; its content is ignored
    /// and overwritten.
    pub(crate) fn new(
        tables: &'t EncodeTables,
        symbols: usize,
        kernel: Kernel,
        buffer: &'t mut Vec<U16>,
    ) -> Self {
        Self { tables, kernel, stream: Stream::new(symbols, buffer), missing: false }
    }

    /// Encodes groups of `lanes` symbols, at most 32: one for each of the first lanes. They precede all
    /// groups of earlier calls.
    pub(crate) fn put_groups(&mut self, lanes: usize, coded: &[TableSymbol]) {
        let is_known = match self.tables.slots.is_empty() {
            true => self.put_all(ManyTables::<false>(self.tables), lanes, coded),
            false => self.put_all(ManyTables::<true>(self.tables), lanes, coded),
        };
        self.missing |= !is_known;
    }

    /// Returns whether all symbols have a frequency.
    fn put_all(
        &mut self,
        tables: impl SymbolTables<Symbol = TableSymbol>,
        lanes: usize,
        coded: &[TableSymbol],
    ) -> bool {
        let blocks = if lanes == LANES { coded.as_chunks::<BLOCK>().0 } else { &[] };
        let rest = &coded[blocks.as_flattened().len()..];
        let mut groups = rest.chunks(lanes).rev();
        groups.all(|group| put_block(&mut self.stream, group, tables))
            && put_blocks(self.kernel, &mut self.stream, blocks, tables) == 0
    }

    /// Appends the stream: states, then words.
    ///
    /// # Errors
    /// `InvalidArgument` when a symbol has frequency 0 in its table.
    pub(crate) fn finish(self, out: &mut Vec<u8>) -> Result<()> {
        if self.missing {
            return Err(Error::invalid("a symbol has frequency zero"));
        }
        self.stream[0].append_to(out);
        Ok(())
    }
}
