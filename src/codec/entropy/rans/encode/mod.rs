//! Encoding of a stream. Symbols are encoded in reverse order, the last symbol first.

#[cfg(target_arch = "x86_64")]
mod avx2;
mod tables;

use super::{LANES, PRECISION, STATE_MIN};
#[cfg(target_arch = "x86_64")]
use crate::arch::Avx2;
use crate::arch::Kernel;
use crate::error::{Error, Result};
use tables::EncodeEntry;
use zerocopy::IntoBytes;
use zerocopy::little_endian::U16;

pub(crate) use tables::EncodeTables;

/// A symbol and the number of its table, packed as the index of an encoding table entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TableSymbol(u16);

impl TableSymbol {
    #[inline]
    pub(crate) fn new(table: u8, symbol: u8) -> Self {
        Self(u16::from(table) << 8 | u16::from(symbol))
    }
}

/// An encoder of one stream. O(1) for each symbol.
pub(crate) struct RansEncoder<'t> {
    entries: &'t [EncodeEntry],
    kernel: Kernel,
    states: [u32; LANES],
    /// Each symbol emits at most one word. Words are written from the end of the buffer backwards.
    words: &'t mut [U16],
    cursor: usize,
    missing: bool,
}

/// Words in front of the last emitted word that a kernel may overwrite.
const MARGIN: usize = 8;

impl<'t> RansEncoder<'t> {
    /// An encoder of at most `symbols` symbols. `buffer` is working memory; its content is ignored
    /// and overwritten.
    pub(crate) fn new(
        tables: &'t EncodeTables,
        symbols: usize,
        kernel: Kernel,
        buffer: &'t mut Vec<U16>,
    ) -> Self {
        let needed = MARGIN + symbols;
        if buffer.len() < needed {
            buffer.resize(needed, U16::ZERO);
        }
        let (entries, states, words) = (&tables.0, [STATE_MIN; LANES], &mut buffer[..needed]);
        Self { entries, kernel, states, words, cursor: needed, missing: false }
    }

    /// Encodes symbols of the first table. They precede all symbols of earlier calls. Their number
    /// must be a multiple of 32, except in the first call.
    pub(crate) fn put(&mut self, symbols: &[u8]) {
        self.put_all(LANES, symbols, usize::from);
    }

    /// Encodes groups of `lanes` symbols, at most 32: one for each of the first lanes.
    pub(crate) fn put_groups(&mut self, lanes: usize, coded: &[TableSymbol]) {
        self.put_all(lanes, coded, |TableSymbol(index)| index.into());
    }

    fn put_all<S: Copy>(&mut self, lanes: usize, symbols: &[S], index: impl Fn(S) -> usize + Copy) {
        assert!(
            symbols.len() <= self.cursor - MARGIN,
            "more symbols than the encoder was made for"
        );
        let whole = if lanes == LANES { symbols.len() / LANES * LANES } else { 0 };
        let (groups, rest) = symbols.split_at(whole);
        for group in rest.chunks(lanes).rev() {
            self.put_group(group, index);
        }
        let (groups, _) = groups.as_chunks::<LANES>();
        match self.kernel.avx2() {
            #[cfg(target_arch = "x86_64")]
            Some(token) => self.put_by_avx2(token, groups, index),
            None => groups.iter().rev().for_each(|group| self.put_group(group, index)),
        }
    }

    fn put_group<S: Copy>(&mut self, group: &[S], index: impl Fn(S) -> usize) {
        for (&symbol, state) in group.iter().zip(&mut self.states).rev() {
            let entry = self.entries[index(symbol)];
            self.missing |= entry.frequency() == 0;
            push(state, entry, self.words, &mut self.cursor);
        }
    }

    #[cfg(target_arch = "x86_64")]
    fn put_by_avx2<S: Copy>(
        &mut self,
        token: Avx2,
        groups: &[[S; LANES]],
        index: impl Fn(S) -> usize + Copy,
    ) {
        let (entries, words) = (self.entries, &mut self.words[..self.cursor]);
        let (cursor, missing) = avx2::encode(
            token,
            &mut self.states,
            groups,
            #[inline(always)]
            |symbol: S| entries[index(symbol)].0,
            words,
        );
        self.cursor = cursor;
        self.missing |= missing;
    }

    /// Appends the stream: states, then words.
    ///
    /// # Errors
    /// `InvalidArgument` when a symbol has frequency 0 in its table.
    pub(crate) fn finish(self, out: &mut Vec<u8>) -> Result<()> {
        if self.missing {
            return Err(Error::invalid("a symbol has frequency zero"));
        }
        out.extend(self.states.iter().flat_map(|state| state.to_le_bytes()));
        out.extend_from_slice(self.words[self.cursor..].as_bytes());
        Ok(())
    }
}

/// Encodes one symbol. A word emitted by renormalisation is written before `cursor`.
#[inline(always)]
fn push(state: &mut u32, entry: EncodeEntry, words: &mut [U16], cursor: &mut usize) {
    // Arithmetic instead of a branch, which would be mispredicted half of the time.
    let emits = u32::from(*state >> (32 - PRECISION) >= entry.frequency());
    words[*cursor - 1] = U16::new(*state as u16);
    *cursor -= emits as usize;
    let x = *state >> (16 * emits);
    let remainder = x.wrapping_sub(entry.quotient(x).wrapping_mul(entry.frequency()));
    *state = (entry.quotient(x) << PRECISION).wrapping_add(remainder + entry.cumulative());
}
