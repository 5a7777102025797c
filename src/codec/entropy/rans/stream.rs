//! The states and words of a stream, and decoding near its end.

use super::{LANES, PRECISION, STATE_MIN, STATES_BYTES};
use crate::error::{Error, Result};
use zerocopy::FromBytes;
use zerocopy::little_endian::{U16, U32};

/// A stream that is being decoded.
pub(super) struct Stream<'a> {
    pub(super) states: [u32; LANES],
    /// The words that are left.
    pub(super) words: &'a [U16],
}

impl<'a> Stream<'a> {
    /// Reads the states at the head of `stream`.
    ///
    /// # Errors
    /// `Corrupt` when the stream is too short, ends within a word or has a state out of range.
    pub(super) fn new(stream: &'a [u8]) -> Result<Self> {
        let Some((head, words)) = stream.split_at_checked(STATES_BYTES) else {
            return Err(Error::corrupt("a rANS stream is shorter than its states"));
        };
        let mut states = [0; LANES];
        for (state, bytes) in states.iter_mut().zip(head.as_chunks::<4>().0) {
            *state = U32::from_bytes(*bytes).get();
            if *state < STATE_MIN {
                return Err(Error::corrupt("a rANS state is out of range"));
            }
        }
        let words = <[U16]>::ref_from_bytes(words)
            .map_err(|_| Error::corrupt("a rANS stream ends within a word"))?;
        Ok(Self { states, words })
    }

    /// Decodes up to 32 symbols when fewer than 32 words may be left. `entry` returns the table entry of
    /// a lane and slot.
    ///
    /// # Errors
    /// `Corrupt` when no words are left.
    pub(super) fn decode_near_end(
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

    /// Checks that the stream ends here in the initial state of the encoder.
    ///
    /// # Errors
    /// `Corrupt` when a state is not 2^16 or words are left.
    pub(super) fn finish(self) -> Result<()> {
        if !self.words.is_empty() {
            return Err(Error::corrupt("a rANS stream has words left"));
        }
        if self.states != [STATE_MIN; LANES] {
            return Err(Error::corrupt("a rANS stream does not end in the initial state"));
        }
        Ok(())
    }
}

/// The slot of a state.
#[inline(always)]
pub(super) fn slot(state: u32) -> usize {
    (state & ((1 << PRECISION) - 1)) as usize
}
