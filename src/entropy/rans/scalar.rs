//! The portable coder. It is the truth that every kernel must agree with.

use super::tables::{EncodeEntry, EncodeTable};
use super::{LANES, PRECISION, STATE_MIN};
use crate::error::{Error, Result};
use zerocopy::little_endian::U16;

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
#[inline(always)]
pub(super) fn slot(state: u32) -> usize {
    (state & ((1 << PRECISION) - 1)) as usize
}

/// Decodes 32 symbols with at least 32 words at hand; returns how many were taken.
#[inline(always)]
pub(super) fn decode_window(
    states: &mut [u32; LANES],
    entry: impl Fn(usize, usize) -> u32,
    window: &[U16; LANES],
    group: &mut [u8; LANES],
) -> usize {
    let entries: [u32; LANES] = std::array::from_fn(|lane| entry(lane, slot(states[lane])));
    *group = entries.map(|entry| entry as u8);
    advance(states, entries, window)
}

/// Updates and renormalises all lanes by their table entries; returns how many words were taken.
#[inline(always)]
pub(super) fn advance(
    states: &mut [u32; LANES],
    entries: [u32; LANES],
    window: &[U16; LANES],
) -> usize {
    // All updates, then all renormalisations: loops without a branch. LLVM would turn
    // `if x < STATE_MIN` into one that is mispredicted.
    for (x, entry) in states.iter_mut().zip(entries) {
        *x = (entry >> 20) * (*x >> PRECISION) + (entry >> 8 & 0xfff);
    }
    let mut used = 0;
    for x in states {
        let takes = u32::from(*x < STATE_MIN);
        let word = u32::from(window[used % LANES].get());
        *x = *x << (16 * takes) | word & takes.wrapping_neg();
        used += takes as usize;
    }
    used
}

/// Decodes up to 32 symbols where fewer than 32 words may be left; takes words as it goes.
///
/// # Errors
/// `Corrupt` when the words run out.
pub(super) fn decode_near_end(
    states: &mut [u32; LANES],
    entry: impl Fn(usize, usize) -> u32,
    words: &mut &[U16],
    group: &mut [u8],
) -> Result<()> {
    for (lane, (symbol, x)) in group.iter_mut().zip(states).enumerate() {
        let entry = entry(lane, slot(*x));
        *symbol = entry as u8;
        *x = (entry >> 20) * (*x >> PRECISION) + (entry >> 8 & 0xfff);
        if *x < STATE_MIN {
            let Some((word, rest)) = words.split_first() else {
                return Err(Error::corrupt("a rANS stream ends too early"));
            };
            *x = *x << 16 | u32::from(word.get());
            *words = rest;
        }
    }
    Ok(())
}
