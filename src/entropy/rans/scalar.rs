//! The portable coder. It is the truth that every kernel must agree with.

use super::tables::{DecodeTable, EncodeEntry, EncodeTable};
use super::{LANES, PRECISION, STATE_MIN, STATES_BYTES};
use crate::error::{Error, Result};
use zerocopy::FromBytes;
use zerocopy::little_endian::{U16, U32};

/// Codes `symbols` into a stream appended to `out`.
///
/// # Errors
/// `InvalidArgument` when a symbol has no frequency in the table.
pub(crate) fn encode(table: &EncodeTable, symbols: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let mut states = [STATE_MIN; LANES];
    // A symbol sheds at most one word. Words are shed last first, so the buffer fills backwards.
    let mut words = vec![U16::ZERO; symbols.len() + 1];
    let mut cursor = symbols.len();
    let mut missing = false;
    for group in symbols.chunks(LANES).rev() {
        for (state, &symbol) in states.iter_mut().zip(group).rev() {
            let EncodeEntry { frequency, cumulative } = table.0[usize::from(symbol)];
            missing |= frequency == 0;
            let frequency = frequency.max(1);
            // Mask arithmetic: as a branch this is mispredicted half the time.
            let shed = u32::from(*state >> (32 - PRECISION) >= frequency);
            words[cursor] = U16::new(*state as u16);
            cursor -= shed as usize;
            let x = *state >> (16 * shed);
            *state = ((x / frequency) << PRECISION) + x % frequency + cumulative;
        }
    }
    if missing {
        return Err(Error::invalid("a symbol that the frequency table does not have"));
    }
    out.extend(states.iter().flat_map(|state| state.to_le_bytes()));
    out.extend_from_slice(zerocopy::IntoBytes::as_bytes(&words[cursor + 1..]));
    Ok(())
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
            let used = self.decode_group(table, window, group);
            self.words = &self.words[used..];
        }
        for group in groups {
            self.decode_near_end(table, group)?;
        }
        self.decode_near_end(table, rest)
    }

    /// Decodes 32 symbols with at least 32 words at hand; returns how many were taken.
    #[inline]
    fn decode_group(
        &mut self,
        table: &DecodeTable,
        window: &[U16; LANES],
        group: &mut [u8; LANES],
    ) -> usize {
        // All look-ups, then all updates, then all renormalisations: three loops without a
        // branch. LLVM would turn `if x < STATE_MIN` into one that is mispredicted.
        let entries = self.states.map(|x| table.0[(x & ((1 << PRECISION) - 1)) as usize]);
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
    fn decode_near_end(&mut self, table: &DecodeTable, group: &mut [u8]) -> Result<()> {
        for (symbol, x) in group.iter_mut().zip(&mut self.states) {
            let entry = table.0[(*x & ((1 << PRECISION) - 1)) as usize];
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
