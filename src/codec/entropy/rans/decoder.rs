//! A stream being decoded, by whichever kernel.

#[cfg(target_arch = "aarch64")]
use super::neon;
use super::scalar::{decode_near_end, decode_pairs, decode_windows, decode_words, pair_bytes};
use super::state_machine::{Run, decode_run};
use super::tables::{DecodeTable, DecodeTables};
use super::{LANES, PairedBytes, STATE_MIN, STATES_BYTES};
#[cfg(target_arch = "x86_64")]
use super::{avx2, avx512};
use crate::arch::Kernel;
use crate::error::{Error, Result};
use zerocopy::FromBytes;
use zerocopy::little_endian::{U16, U32};

/// A stream being decoded, a run of symbols at a time.
pub(crate) struct Decoder<'a> {
    states: [u32; LANES],
    words: &'a [U16],
    kernel: Kernel,
}

impl<'a> Decoder<'a> {
    /// Reads the states at the head of `stream`.
    ///
    /// # Errors
    /// `Corrupt` when it is too short, holds half a word or a state out of range.
    pub(crate) fn new(stream: &'a [u8], kernel: Kernel) -> Result<Self> {
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
        Ok(Self { states, words, kernel })
    }

    /// Decodes the next `out.len()` symbols: a multiple of 32, except in the last call.
    ///
    /// # Errors
    /// `Corrupt` when the words run out.
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

    /// Decodes symbols that are the high bytes of words, whose low bytes are in `low`, until the end
    /// of the stream is near; returns how many groups of 32. Words are rotated right by one bit
    /// if asked to.
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

    /// Decodes pairs of bytes that are the high bytes of words, until the end of the stream is near;
    /// returns how many groups of 64 words.
    pub(crate) fn decode_pairs(
        &mut self,
        table: &DecodeTable,
        pairs: &PairedBytes<'_>,
        out: &mut [u8],
    ) -> usize {
        let out = out.as_chunks_mut::<{ 4 * LANES }>().0;
        let (states, words) = (&mut self.states, self.words);
        let (done, used) = match self.kernel {
            Kernel::Scalar => decode_pairs(states, words, &table.0, pairs, out),
            #[cfg(target_arch = "aarch64")]
            Kernel::Neon(_) => decode_pairs(states, words, &table.0, pairs, out),
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2(token) => avx2::decode_pairs(token, states, words, &table.0, pairs, out),
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512(token) => {
                avx512::decode_pairs(token, states, words, &table.0, pairs, out)
            }
        };
        self.words = &self.words[used..];
        done
    }

    /// Decodes pairs of bytes, 64 bytes at a time, over `out`.
    ///
    /// # Errors
    /// `Corrupt` when the words run out.
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

    /// Decodes the next group: a symbol for each of the first `group.len()` lanes, at most 32,
    /// from the table that starts at the lane's base.
    ///
    /// # Errors
    /// `Corrupt` when the words run out.
    pub(crate) fn decode_group(
        &mut self,
        tables: &DecodeTables,
        bases: &[u32; LANES],
        group: &mut [u8],
    ) -> Result<()> {
        let entry = |lane: usize, slot: usize| tables.0[bases[lane] as usize + slot];
        decode_near_end(&mut self.states, entry, &mut self.words, group)
    }

    /// Decodes groups as a run says, each over one of `out`, until one has an escape or the end of
    /// the stream is near; returns how many. See [`StateMachine`](super::Machine) for `machines`.
    ///
    /// Of each lane with symbol `s` and lowest bit `b`, `out` gets `2 (s − 128) + b`.
    pub(crate) fn decode_run(
        &mut self,
        tables: &DecodeTables,
        run: &Run<'_>,
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
