//! Decoding of a stream; dispatch to the kernels.

use super::decode_tables::{DecodeTable, DecodeTables};
#[cfg(target_arch = "aarch64")]
use super::neon;
use super::scalar::{decode_near_end, decode_pairs, decode_windows, decode_words, pair_bytes};
use super::state_machine::{GroupRun, decode_run};
use super::{LANES, PairedBytes, PairedWords, STATE_MIN, STATES_BYTES};
#[cfg(target_arch = "x86_64")]
use super::{avx2, avx512};
use crate::arch::Kernel;
use crate::error::{Error, Result};
use zerocopy::FromBytes;
use zerocopy::little_endian::{U16, U32};

/// A decoder of one stream. O(1) for each symbol.
pub(crate) struct RansDecoder<'a> {
    states: [u32; LANES],
    words: &'a [U16],
    kernel: Kernel,
}

impl<'a> RansDecoder<'a> {
    /// Reads the states at the head of `stream`.
    ///
    /// # Errors
    /// `Corrupt` when the stream is too short, ends within a word or has a state out of range.
    pub(crate) fn new(stream: &'a [u8], kernel: Kernel) -> Result<Self> {
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
        Ok(Self { states, words, kernel })
    }

    /// Decodes the next `out.len()` symbols: a multiple of 32, except in the last call.
    ///
    /// # Errors
    /// `Corrupt` when no words are left.
    pub(crate) fn decode(&mut self, table: &DecodeTable, out: &mut [u8]) -> Result<()> {
        let (groups, rest) = out.as_chunks_mut::<LANES>();
        let (states, words) = (&mut self.states, self.words);
        let (done, used) = match self.kernel {
            Kernel::Scalar => decode_windows(states, words, &table.0, groups),
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2(token) => avx2::decode_windows(token, states, words, &table.0, groups),
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512(token) => avx512::decode_windows(token, states, words, &table.0, groups),
            #[cfg(target_arch = "aarch64")]
            Kernel::Neon(token) => neon::decode_windows(token, states, words, &table.0, groups),
        };
        self.words = &self.words[used..];
        let entry = |_, slot: usize| table.0[slot];
        for group in &mut groups[done..] {
            decode_near_end(&mut self.states, entry, &mut self.words, group)?;
        }
        decode_near_end(&mut self.states, entry, &mut self.words, rest)
    }

    /// Decodes symbols that are the high bytes of words and interleaves them with the low bytes in
    /// `low`. With `rotated`, words are rotated right by one bit.
    ///
    /// Stops when fewer than 32 words of the stream are left. Returns the number of decoded groups of
    /// 32 symbols.
    pub(crate) fn decode_words(
        &mut self,
        table: &DecodeTable,
        low: &[u8],
        rotated: bool,
        out: &mut [u8],
    ) -> usize {
        let low = low.as_chunks::<LANES>().0;
        let out = out.as_chunks_mut::<{ 2 * LANES }>().0;
        let (states, words) = (&mut self.states, self.words);
        let (done, used) = match self.kernel {
            Kernel::Scalar => decode_words(states, words, &table.0, low, rotated, out),
            #[cfg(target_arch = "aarch64")]
            Kernel::Neon(_) => decode_words(states, words, &table.0, low, rotated, out),
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2(token) => {
                avx2::decode_words(token, states, words, &table.0, low, rotated, out)
            }
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512(token) => {
                avx512::decode_words(token, states, words, &table.0, low, rotated, out)
            }
        };
        self.words = &self.words[used..];
        done
    }

    /// Decodes as [`decode_words`](Self::decode_words) does, where each symbol is a pair of high
    /// bytes. Returns the number of decoded groups of 32 symbols, which are 64 words: none unless the
    /// words have two bytes and no or three low bits, or four bytes and no low bits.
    pub(crate) fn decode_pairs(
        &mut self,
        table: &DecodeTable,
        pairs: &PairedBytes<'_>,
        out: &mut [u8],
    ) -> usize {
        let out = out.as_chunks_mut().0;
        match (pairs.lower.len(), pairs.low_bits.0) {
            (1, 0) => self.decode_paired_words::<4, 0>(table, pairs, out.as_chunks_mut().0),
            (1, 3) => self.decode_paired_words::<4, 3>(table, pairs, out.as_chunks_mut().0),
            (3, 0) => self.decode_paired_words::<8, 0>(table, pairs, out.as_chunks_mut().0),
            _ => 0,
        }
    }

    fn decode_paired_words<const N: usize, const LOW_BITS: usize>(
        &mut self,
        table: &DecodeTable,
        pairs: &PairedBytes<'_>,
        out: &mut [PairedWords<N>],
    ) -> usize {
        let (states, words, table) = (&mut self.states, self.words, &table.0);
        let (done, used) = match self.kernel {
            Kernel::Scalar => decode_pairs::<N, LOW_BITS>(states, words, table, pairs, out),
            #[cfg(target_arch = "aarch64")]
            Kernel::Neon(_) => decode_pairs::<N, LOW_BITS>(states, words, table, pairs, out),
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2(token) => {
                avx2::decode_pairs::<N, LOW_BITS>(token, states, words, table, pairs, out)
            }
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512(token) => {
                avx512::decode_pairs::<N, LOW_BITS>(token, states, words, table, pairs, out)
            }
        };
        self.words = &self.words[used..];
        done
    }

    /// Decodes pairs to bytes. The length of `out` must be a multiple of 64.
    ///
    /// # Errors
    /// `Corrupt` when no words are left.
    pub(crate) fn decode_pair_bytes(
        &mut self,
        table: &DecodeTable,
        base: u8,
        out: &mut [u8],
    ) -> Result<()> {
        let mut buffer = [0; 32 * LANES];
        for out in out.chunks_mut(2 * buffer.len()) {
            let pairs = &mut buffer[..out.len() / 2];
            self.decode(table, pairs)?;
            let (pairs, out) = (pairs.as_chunks().0, out.as_chunks_mut().0);
            self.kernel.run(
                #[inline(always)]
                || pairs.iter().zip(out).for_each(|(pairs, out)| *out = pair_bytes(base, pairs)),
            );
        }
        Ok(())
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
        decode_near_end(&mut self.states, entry, &mut self.words, group)
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
        let (states, words) = (&mut self.states, self.words);
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
        self.words = &self.words[used..];
        done
    }

    /// Checks that the stream ends here in the initial state of the encoder.
    ///
    /// # Errors
    /// `Corrupt` when a state is not 2^16 or words are left.
    pub(crate) fn finish(self) -> Result<()> {
        if !self.words.is_empty() {
            return Err(Error::corrupt("a rANS stream has words left"));
        }
        if self.states != [STATE_MIN; LANES] {
            return Err(Error::corrupt("a rANS stream does not end in the initial state"));
        }
        Ok(())
    }
}
