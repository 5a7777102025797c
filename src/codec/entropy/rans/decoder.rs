//! Decoding of a stream whose symbols have different tables.

use super::LANES;
use super::decode_tables::{DecodeTables, LaneTables};
use super::state_machine::RunStream;
use super::stream::Stream;
use crate::error::Result;

/// A decoder of one stream. O(1) for each symbol.
pub(crate) struct RansDecoder<'a> {
    stream: Stream<'a>,
}

impl<'a> RansDecoder<'a> {
    /// Reads the states at the head of `stream`.
    ///
    /// # Errors
    /// `Corrupt` when the stream is too short, ends within a word or has a state out of range.
    pub(crate) fn new(stream: &'a [u8]) -> Result<Self> {
        Ok(Self { stream: Stream::new(stream)? })
    }

    /// Decodes the next group: a symbol for each of the first `group.len()` lanes, at most 32, with
    /// the table that starts at the lane's base.
    ///
    /// # Errors
    /// `Corrupt` when no words are left.
    pub(crate) fn decode_group(
        &mut self,
        tables: &DecodeTables,
        bases: &[u32; LANES],
        group: &mut [u8],
    ) -> Result<()> {
        let entry = |lane: usize, slot: usize| tables.entries[bases[lane] as usize + slot];
        self.stream.decode_near_end(entry, group)
    }

    /// The stream for [`decode_runs`](super::decode_runs), with a state machine in each lane.
    /// `trellis_states` holds the states before the first group and is updated.
    pub(crate) fn run<'r>(
        &'r mut self,
        tables: &'r LaneTables,
        trellis_states: &'r mut [u8; LANES],
        out: &'r mut [[i16; LANES]],
    ) -> RunStream<'r, 'a> {
        RunStream { stream: &mut self.stream, tables, trellis_states, out }
    }

    /// Checks that the stream ends here in the initial state of the encoder.
    ///
    /// # Errors
    /// `Corrupt` when a state is not 2^16 or words are left.
    pub(crate) fn finish(self) -> Result<()> {
        self.stream.finish()
    }
}
