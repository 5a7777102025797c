//! The portable coder. It is the truth that every kernel must agree with.

use super::tables::{DecodeTable, DecodeTables, EncodeEntry, EncodeTable};
use super::{LANES, PRECISION, STATE_MIN, STATES_BYTES};
use crate::error::{Error, Result};
use zerocopy::FromBytes;
use zerocopy::little_endian::{U16, U32};

/// Codes `symbols` into a stream appended to `out`.
///
/// # Errors
/// `InvalidArgument` when a symbol has no frequency in the table.
pub(crate) fn encode(table: &EncodeTable, symbols: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let mut encoder = Encoder::new(symbols.len());
    for group in symbols.chunks(LANES).rev() {
        for (lane, &symbol) in group.iter().enumerate().rev() {
            encoder.put(lane, table.0[usize::from(symbol)]);
        }
    }
    encoder.finish(out)
}

/// A symbol and the number of its table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Coded {
    pub(crate) table: u8,
    pub(crate) symbol: u8,
}

/// Codes groups of up to 32 symbols, one for each of the first lanes, each by its own table.
///
/// # Errors
/// As [`encode`].
pub(crate) fn encode_groups<'g>(
    tables: &[EncodeTable],
    groups: impl DoubleEndedIterator<Item = &'g [Coded]> + Clone,
    out: &mut Vec<u8>,
) -> Result<()> {
    let mut encoder = Encoder::new(groups.clone().map(<[Coded]>::len).sum());
    for group in groups.rev() {
        for (lane, coded) in group.iter().enumerate().rev() {
            encoder.put(lane, tables[usize::from(coded.table)].0[usize::from(coded.symbol)]);
        }
    }
    encoder.finish(out)
}

/// The states while symbols are put, last first.
struct Encoder {
    states: [u32; LANES],
    /// A symbol sheds at most one word. Words are shed last first: they fill up backwards.
    words: Vec<U16>,
    cursor: usize,
    missing: bool,
}

impl Encoder {
    fn new(symbols: usize) -> Self {
        let words = vec![U16::ZERO; symbols + 1];
        Self { states: [STATE_MIN; LANES], words, cursor: symbols, missing: false }
    }

    #[inline(always)]
    fn put(&mut self, lane: usize, entry: EncodeEntry) {
        let state = &mut self.states[lane];
        self.missing |= entry.frequency == 0;
        let frequency = entry.frequency.max(1);
        // Mask arithmetic: as a branch this is mispredicted half the time.
        let shed = u32::from(*state >> (32 - PRECISION) >= frequency);
        self.words[self.cursor] = U16::new(*state as u16);
        self.cursor -= shed as usize;
        let x = *state >> (16 * shed);
        *state = ((x / frequency) << PRECISION) + x % frequency + entry.cumulative;
    }

    fn finish(self, out: &mut Vec<u8>) -> Result<()> {
        if self.missing {
            return Err(Error::invalid("a symbol that the frequency table does not have"));
        }
        out.extend(self.states.iter().flat_map(|state| state.to_le_bytes()));
        out.extend_from_slice(zerocopy::IntoBytes::as_bytes(&self.words[self.cursor + 1..]));
        Ok(())
    }
}

/// A state's slot in a table.
fn slot(state: u32) -> usize {
    (state & ((1 << PRECISION) - 1)) as usize
}

/// A stream being decoded, a run of symbols at a time.
pub(crate) struct Decoder<'a> {
    states: [u32; LANES],
    words: &'a [U16],
}

impl<'a> Decoder<'a> {
    /// Reads the states at the head of `stream`.
    ///
    /// # Errors
    /// `Corrupt` when it is too short, holds half a word or a state out of range.
    pub(crate) fn new(stream: &'a [u8]) -> Result<Self> {
        let Some((head, words)) = stream.split_at_checked(STATES_BYTES) else {
            return Err(Error::corrupt("a rANS stream shorter than its states"));
        };
        let mut states = [0; LANES];
        for (state, bytes) in states.iter_mut().zip(head.as_chunks::<4>().0) {
            *state = U32::from_bytes(*bytes).get();
            if *state < STATE_MIN {
                return Err(Error::corrupt("a rANS state out of range"));
            }
        }
        let words = <[U16]>::ref_from_bytes(words)
            .map_err(|_| Error::corrupt("a rANS stream ends within a word"))?;
        Ok(Self { states, words })
    }

    /// Decodes the next `out.len()` symbols: a multiple of 32, except in the last call.
    ///
    /// # Errors
    /// `Corrupt` when the words run out.
    pub(crate) fn decode(&mut self, table: &DecodeTable, out: &mut [u8]) -> Result<()> {
        let (groups, rest) = out.as_chunks_mut::<LANES>();
        let mut groups = groups.iter_mut();
        while let Some(window) = self.words.first_chunk::<LANES>() {
            let Some(group) = groups.next() else { break };
            let used = self.decode_window(|_, slot| table.0[slot], window, group);
            self.words = &self.words[used..];
        }
        for group in groups {
            self.decode_near_end(|_, slot| table.0[slot], group)?;
        }
        self.decode_near_end(|_, slot| table.0[slot], rest)
    }

    /// Decodes the next group: a symbol for each of the first `group.len()` lanes, at most 32,
    /// from the table that starts at the lane's base.
    ///
    /// # Errors
    /// `Corrupt` when the words run out.
    #[inline]
    pub(crate) fn decode_group(
        &mut self,
        tables: &DecodeTables,
        bases: &[u32; LANES],
        group: &mut [u8],
    ) -> Result<()> {
        let entry = |lane: usize, slot: usize| tables.0[bases[lane] as usize + slot];
        let whole = <&mut [u8; LANES]>::try_from(&mut *group).ok();
        if let (Some(window), Some(group)) = (self.words.first_chunk(), whole) {
            let used = self.decode_window(entry, window, group);
            self.words = &self.words[used..];
            return Ok(());
        }
        self.decode_near_end(entry, group)
    }

    /// Decodes 32 symbols with at least 32 words at hand; returns how many were taken.
    #[inline(always)]
    fn decode_window(
        &mut self,
        entry: impl Fn(usize, usize) -> u32,
        window: &[U16; LANES],
        group: &mut [u8; LANES],
    ) -> usize {
        // All look-ups, then all updates, then all renormalisations: three loops without a
        // branch. LLVM would turn `if x < STATE_MIN` into one that is mispredicted.
        let entries: [u32; LANES] =
            std::array::from_fn(|lane| entry(lane, slot(self.states[lane])));
        for ((symbol, x), entry) in group.iter_mut().zip(&mut self.states).zip(entries) {
            *symbol = entry as u8;
            *x = (entry >> 20) * (*x >> PRECISION) + (entry >> 8 & 0xfff);
        }
        let mut used = 0;
        for x in &mut self.states {
            let takes = u32::from(*x < STATE_MIN);
            let word = u32::from(window[used % LANES].get());
            *x = *x << (16 * takes) | word & takes.wrapping_neg();
            used += takes as usize;
        }
        used
    }

    /// Decodes up to 32 symbols where fewer than 32 words may be left.
    fn decode_near_end(
        &mut self,
        entry: impl Fn(usize, usize) -> u32,
        group: &mut [u8],
    ) -> Result<()> {
        for (lane, (symbol, x)) in group.iter_mut().zip(&mut self.states).enumerate() {
            let entry = entry(lane, slot(*x));
            *symbol = entry as u8;
            *x = (entry >> 20) * (*x >> PRECISION) + (entry >> 8 & 0xfff);
            if *x < STATE_MIN {
                let Some((word, rest)) = self.words.split_first() else {
                    return Err(Error::corrupt("a rANS stream ends too early"));
                };
                *x = *x << 16 | u32::from(word.get());
                self.words = rest;
            }
        }
        Ok(())
    }

    /// Checks that the stream ends here, as the encoder began it.
    ///
    /// # Errors
    /// `Corrupt` when a state is not 2^16 or words are left.
    pub(crate) fn finish(self) -> Result<()> {
        if !self.words.is_empty() {
            return Err(Error::corrupt("a rANS stream has words left"));
        }
        if self.states != [STATE_MIN; LANES] {
            return Err(Error::corrupt("a rANS stream does not end in its first state"));
        }
        Ok(())
    }
}
