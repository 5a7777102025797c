//! A stream being coded, by whichever kernel: last symbol first.

#[cfg(target_arch = "x86_64")]
use super::avx2;
use super::scalar::put;
use super::tables::{EncodeEntry, EncodeTables};
use super::{LANES, STATE_MIN};
#[cfg(target_arch = "x86_64")]
use crate::arch::Avx2;
use crate::arch::Kernel;
use crate::error::{Error, Result};
use zerocopy::IntoBytes;
use zerocopy::little_endian::U16;

/// A symbol and its table, as the place of its entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Coded(u16);

impl Coded {
    #[inline]
    pub(crate) fn new(table: u8, symbol: u8) -> Self {
        Self(u16::from(table) << 8 | u16::from(symbol))
    }
}

/// The states while symbols are put, last first.
pub(crate) struct Encoder<'t> {
    entries: &'t [EncodeEntry],
    kernel: Kernel,
    states: [u32; LANES],
    /// A symbol sheds at most one word. Words are shed last first: they fill up backwards.
    words: &'t mut [U16],
    cursor: usize,
    missing: bool,
}

/// Words that a kernel may write over before the last one shed.
const MARGIN: usize = 8;

impl<'t> Encoder<'t> {
    /// For so many symbols at most. What `buffer` holds does not matter, and will not.
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

    /// Puts symbols of the first table, which come before those put before.
    pub(crate) fn put(&mut self, symbols: &[u8]) {
        self.put_all(LANES, symbols, usize::from);
    }

    /// Puts groups of so many symbols, at most 32, one for each of the first lanes.
    pub(crate) fn put_groups(&mut self, lanes: usize, coded: &[Coded]) {
        self.put_all(lanes, coded, |Coded(place)| place.into());
    }

    fn put_all<S: Copy>(&mut self, lanes: usize, symbols: &[S], place: impl Fn(S) -> usize + Copy) {
        assert!(symbols.len() <= self.cursor - MARGIN, "more symbols than there is room for");
        let whole = if lanes == LANES { symbols.len() / LANES * LANES } else { 0 };
        let (groups, rest) = symbols.split_at(whole);
        for group in rest.chunks(lanes).rev() {
            self.put_group(group, place);
        }
        let (groups, _) = groups.as_chunks::<LANES>();
        match self.kernel.avx2() {
            #[cfg(target_arch = "x86_64")]
            Some(token) => self.put_by_avx2(token, groups, place),
            None => groups.iter().rev().for_each(|group| self.put_group(group, place)),
        }
    }

    fn put_group<S: Copy>(&mut self, group: &[S], place: impl Fn(S) -> usize) {
        for (&symbol, state) in group.iter().zip(&mut self.states).rev() {
            let entry = self.entries[place(symbol)];
            self.missing |= entry.frequency() == 0;
            put(state, entry, self.words, &mut self.cursor);
        }
    }

    #[cfg(target_arch = "x86_64")]
    fn put_by_avx2<S: Copy>(
        &mut self,
        token: Avx2,
        groups: &[[S; LANES]],
        place: impl Fn(S) -> usize + Copy,
    ) {
        let (entries, words) = (self.entries, &mut self.words[..self.cursor]);
        let entry = |symbol: S| entries[place(symbol)].0;
        let (cursor, missing) = avx2::encode(token, &mut self.states, groups, entry, words);
        self.cursor = cursor;
        self.missing |= missing;
    }

    /// Appends the stream: states, then words.
    ///
    /// # Errors
    /// `InvalidArgument` when a symbol had no frequency in its table.
    pub(crate) fn finish(self, out: &mut Vec<u8>) -> Result<()> {
        if self.missing {
            return Err(Error::invalid("a symbol that the frequency table does not have"));
        }
        out.extend(self.states.iter().flat_map(|state| state.to_le_bytes()));
        out.extend_from_slice(self.words[self.cursor..].as_bytes());
        Ok(())
    }
}
