//! Encoding of a stream. Symbols are encoded in reverse order, the last symbol first.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod tables;

use super::{LANES, PRECISION, STATE_MIN};
use crate::arch::Kernel;
#[cfg(target_arch = "x86_64")]
use crate::arch::{Avx2, Avx512};
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
    tables: &'t EncodeTables,
    kernel: Kernel,
    states: [u32; LANES],
    /// Each symbol emits at most one word. Words are written from the end of the buffer backwards.
    words: &'t mut [U16],
    cursor: usize,
    missing: bool,
}

/// A symbol of frequency 0 is found among so many symbols.
pub(crate) const CHECKED: usize = 2 * LANES;

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
        let (states, words) = ([STATE_MIN; LANES], &mut buffer[..needed]);
        Self { tables, kernel, states, words, cursor: needed, missing: false }
    }

    /// Encodes symbols of the first table. They precede all symbols of earlier calls. Their number
    /// must be a multiple of 32, except in the first call.
    pub(crate) fn put(&mut self, symbols: &[u8]) {
        self.missing |= self.put_known(symbols) > 0;
    }

    /// Encodes symbols as [`put`](Self::put) does, the last ones first, until it comes to one of
    /// frequency 0. Returns how many are left. A symbol of frequency 0 is among the last
    /// [`CHECKED`] of these.
    pub(crate) fn put_known(&mut self, symbols: &[u8]) -> usize {
        let Some(first) = self.tables.entries.first_chunk::<256>() else { return symbols.len() };
        // No check of bounds.
        let entry = |symbol: u8| first[usize::from(symbol)];
        #[cfg(target_arch = "x86_64")]
        if let Kernel::Avx512(token) = self.kernel {
            let (blocks, rest) = symbols.as_chunks::<CHECKED>();
            return match self.put_all(LANES, rest, entry) {
                0 => CHECKED * self.put_by_avx512(token, blocks),
                left => symbols.len() - rest.len() + left,
            };
        }
        self.put_all(LANES, symbols, entry)
    }

    /// Encodes groups of `lanes` symbols, at most 32: one for each of the first lanes.
    pub(crate) fn put_groups(&mut self, lanes: usize, coded: &[TableSymbol]) {
        let entries = &self.tables.entries;
        let entry = |TableSymbol(index)| entries[usize::from(index)];
        self.missing |= self.put_all(lanes, coded, entry) > 0;
    }

    /// Encodes groups, the last one first, until one has a symbol of frequency 0. Returns the number of
    /// symbols that are left.
    fn put_all<S: Copy>(
        &mut self,
        lanes: usize,
        symbols: &[S],
        entry: impl Fn(S) -> EncodeEntry + Copy,
    ) -> usize {
        self.check_room(symbols.len());
        let whole = if lanes == LANES { symbols.len() / LANES * LANES } else { 0 };
        let (groups, rest) = symbols.split_at(whole);
        let left = self.put_portably(rest.chunks(lanes), entry);
        if left > 0 {
            return symbols.len().min(whole + left * lanes);
        }
        let (groups, _) = groups.as_chunks::<LANES>();
        let left = match self.kernel.avx2() {
            #[cfg(target_arch = "x86_64")]
            Some(token) => self.put_by_avx2(token, groups, entry),
            None => self.put_portably(groups.iter().map(<[S; LANES]>::as_slice), entry),
        };
        left * LANES
    }

    fn check_room(&self, symbols: usize) {
        assert!(symbols <= self.cursor - MARGIN, "more symbols than the encoder was made for");
    }

    /// Returns the number of groups that are left.
    fn put_portably<'s, S: Copy + 's>(
        &mut self,
        mut groups: impl DoubleEndedIterator<Item = &'s [S]> + ExactSizeIterator,
        entry: impl Fn(S) -> EncodeEntry,
    ) -> usize {
        while let Some(group) = groups.next_back() {
            if group.iter().any(|&symbol| entry(symbol).frequency() == 0) {
                return groups.len() + 1;
            }
            for (&symbol, state) in group.iter().zip(&mut self.states).rev() {
                push(state, entry(symbol), self.words, &mut self.cursor);
            }
        }
        0
    }

    /// Returns the number of blocks that are left.
    #[cfg(target_arch = "x86_64")]
    fn put_by_avx512(&mut self, token: Avx512, blocks: &[[u8; CHECKED]]) -> usize {
        self.check_room(CHECKED * blocks.len());
        let Self { states, cursor, .. } = *self;
        let mut streams = [avx512::Stream { states, words: self.words, cursor }];
        let left = avx512::encode(token, &mut streams, blocks, &self.tables.entry_bytes);
        let [avx512::Stream { states, cursor, .. }] = streams;
        (self.states, self.cursor) = (states, cursor);
        left
    }

    /// Returns the number of groups that are left.
    #[cfg(target_arch = "x86_64")]
    fn put_by_avx2<S: Copy>(
        &mut self,
        token: Avx2,
        groups: &[[S; LANES]],
        entry: impl Fn(S) -> EncodeEntry + Copy,
    ) -> usize {
        let words = &mut self.words[..self.cursor];
        let (left, cursor) = avx2::encode(
            token,
            &mut self.states,
            groups,
            #[inline(always)]
            |symbol: S| entry(symbol).0,
            words,
        );
        self.cursor = cursor;
        left
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
