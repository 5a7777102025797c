//! Decoding of a stream whose symbols have different tables; dispatch to the kernels.

use super::LANES;
use super::decode_tables::DecodeTables;
#[cfg(target_arch = "aarch64")]
use super::neon;
use super::state_machine::{GroupRun, decode_run};
use super::stream::Stream;
#[cfg(target_arch = "x86_64")]
use super::{avx2, avx512};
use crate::arch::Kernel;
use crate::error::Result;

/// A decoder of one stream. O(1) for each symbol.
pub(crate) struct RansDecoder<'a> {
    stream: Stream<'a>,
    kernel: Kernel,
}

impl<'a> RansDecoder<'a> {
    /// Reads the states at the head of `stream`.
    ///
    /// # Errors
    /// `Corrupt` when the stream is too short, ends within a word or has a state out of range.
    pub(crate) fn new(stream: &'a [u8], kernel: Kernel) -> Result<Self> {
        Ok(Self { stream: Stream::new(stream)?, kernel })
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
        let entry = |lane: usize, slot: usize| tables.0[bases[lane] as usize + slot];
        self.stream.decode_near_end(entry, group)
    }

    /// Decodes groups with a [`StateMachine`](super::StateMachine) in each lane. `trellis_states`
    /// holds the states before the first group and is updated.
    ///
    /// Stops before a group with an escape, and when fewer than 32 words are left. Returns the
    /// number of decoded groups. A lane with symbol `s` and lowest state bit `b` yields
    /// `2 (s − 128) + b`.
    pub(crate) fn decode_run(
        &mut self,
        tables: &DecodeTables,
        run: &GroupRun<'_>,
        trellis_states: &mut [u8; LANES],
        out: &mut [[i16; LANES]],
    ) -> usize {
        let Stream { states, words } = &mut self.stream;
        let (done, used) = match self.kernel {
            Kernel::Scalar => decode_run(states, words, &tables.0, run, trellis_states, out),
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2(token) => {
                avx2::decode_run(token, states, words, &tables.0, run, trellis_states, out)
            }
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512(token) => {
                avx512::decode_run(token, states, words, &tables.0, run, trellis_states, out)
            }
            #[cfg(target_arch = "aarch64")]
            Kernel::Neon(token) => {
                neon::decode_run(token, states, words, &tables.0, run, trellis_states, out)
            }
        };
        *words = &words[used..];
        done
    }

    /// Checks that the stream ends here in the initial state of the encoder.
    ///
    /// # Errors
    /// `Corrupt` when a state is not 2^16 or words are left.
    pub(crate) fn finish(self) -> Result<()> {
        self.stream.finish()
    }
}
