//! Sequences of symbols with one table, in one or two streams; dispatch to the kernels.
//!
//! The next state of a lane depends on a table entry that the last one selects, so that a decoder of
//! one stream waits for memory most of the time. Groups of long sequences therefore alternate between
//! two streams, which the kernels decode side by side.

use super::decode_tables::DecodeTable;
#[cfg(target_arch = "aarch64")]
use super::neon;
use super::scalar::{self, pair_bytes};
use super::stream::Stream;
use super::{LANES, PairedBytes, PairedWords};
#[cfg(target_arch = "x86_64")]
use super::{avx2, avx512};
use crate::arch::Kernel;
use crate::error::{Error, Result};
use zerocopy::FromBytes;
use zerocopy::little_endian::U32;

/// The bit of the length of the first stream that says that there are two.
pub(super) const HAS_TWO_STREAMS: u32 = 1 << 31;

/// A decoder of one sequence. O(1) for each symbol.
pub(crate) struct SequenceDecoder<'a> {
    streams: Streams<'a>,
    kernel: Kernel,
}

/// The streams of the groups with an even and with an odd number, or that of all groups.
#[allow(clippy::large_enum_variant, reason = "there are few, and none is moved in a loop")]
enum Streams<'a> {
    One([Stream<'a>; 1]),
    Two([Stream<'a>; 2]),
}

impl<'a> SequenceDecoder<'a> {
    /// Takes the streams of a sequence from the head of `coded`, each after its length.
    ///
    /// # Errors
    /// `Corrupt` when `coded` is too short, or a stream ends within a word or has a state out of range.
    pub(crate) fn take(coded: &mut &'a [u8], kernel: Kernel) -> Result<Self> {
        let length = take_length(coded)?;
        let first = take_stream(coded, length & !HAS_TWO_STREAMS)?;
        let streams = match length & HAS_TWO_STREAMS {
            0 => Streams::One([first]),
            _ => {
                let length = take_length(coded)?;
                Streams::Two([first, take_stream(coded, length)?])
            }
        };
        Ok(Self { streams, kernel })
    }

    /// Decodes the next `out.len()` symbols: a multiple of 64, except in the last call.
    ///
    /// # Errors
    /// `Corrupt` when no words are left.
    pub(crate) fn decode(&mut self, table: &DecodeTable, out: &mut [u8]) -> Result<()> {
        let (groups, rest) = out.as_chunks_mut::<LANES>();
        let entry = |_, slot: usize| table.0[slot];
        let (streams, done): (&mut [Stream<'_>], _) = match &mut self.streams {
            Streams::One(streams) => {
                let done = decode_windows(self.kernel, streams, table, groups);
                (streams, done)
            }
            Streams::Two(streams) => {
                let done = decode_windows(self.kernel, streams, table, groups);
                (streams, done)
            }
        };
        let count = streams.len();
        for (number, group) in groups.iter_mut().enumerate().skip(done) {
            streams[number % count].decode_near_end(entry, group)?;
        }
        streams[groups.len() % count].decode_near_end(entry, rest)
    }

    /// Decodes symbols that are the high bytes of words and interleaves them with the low bytes in
    /// `low`. With `rotated`, words are rotated right by one bit.
    ///
    /// Stops when fewer than 32 words of a stream are left. Returns the number of decoded groups of
    /// 32 symbols, a multiple of the number of streams.
    pub(crate) fn decode_words(
        &mut self,
        table: &DecodeTable,
        low: &[u8],
        rotated: bool,
        out: &mut [u8],
    ) -> usize {
        match &mut self.streams {
            Streams::One(streams) => decode_words(self.kernel, streams, table, low, rotated, out),
            Streams::Two(streams) => decode_words(self.kernel, streams, table, low, rotated, out),
        }
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
        match &mut self.streams {
            Streams::One(streams) => decode_pairs(self.kernel, streams, table, pairs, out),
            Streams::Two(streams) => decode_pairs(self.kernel, streams, table, pairs, out),
        }
    }

    /// Decodes pairs to bytes. The length of `out` must be a multiple of 128, except in the last call,
    /// where it must be one of 64.
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

    /// Checks that every stream ends here in the initial state of the encoder.
    ///
    /// # Errors
    /// `Corrupt` when a state is not 2^16 or words are left.
    pub(crate) fn finish(self) -> Result<()> {
        match self.streams {
            Streams::One(streams) => streams.into_iter().try_for_each(Stream::finish),
            Streams::Two(streams) => streams.into_iter().try_for_each(Stream::finish),
        }
    }
}

fn take_length(coded: &mut &[u8]) -> Result<u32> {
    let (length, rest) = U32::read_from_prefix(coded).map_err(|_| too_short())?;
    *coded = rest;
    Ok(length.get())
}

fn take_stream<'a>(coded: &mut &'a [u8], length: u32) -> Result<Stream<'a>> {
    let (stream, rest) = coded.split_at_checked(length as usize).ok_or_else(too_short)?;
    *coded = rest;
    Stream::new(stream)
}

fn too_short() -> Error {
    Error::corrupt("a rANS stream is longer than its chunk")
}

fn decode_windows<const S: usize>(
    kernel: Kernel,
    streams: &mut [Stream<'_>; S],
    table: &DecodeTable,
    groups: &mut [[u8; LANES]],
) -> usize {
    match kernel {
        Kernel::Scalar => scalar::decode_windows(streams, &table.0, groups),
        #[cfg(target_arch = "x86_64")]
        Kernel::Avx2(token) => avx2::decode_windows(token, streams, &table.0, groups),
        #[cfg(target_arch = "x86_64")]
        Kernel::Avx512(token) => avx512::decode_windows(token, streams, &table.0, groups),
        #[cfg(target_arch = "aarch64")]
        Kernel::Neon(token) => neon::decode_windows(token, streams, &table.0, groups),
    }
}

fn decode_words<const S: usize>(
    kernel: Kernel,
    streams: &mut [Stream<'_>; S],
    DecodeTable(table): &DecodeTable,
    low: &[u8],
    rotated: bool,
    out: &mut [u8],
) -> usize {
    let (low, out) = (low.as_chunks().0, out.as_chunks_mut().0);
    match kernel {
        Kernel::Scalar => scalar::decode_words(streams, table, low, rotated, out),
        #[cfg(target_arch = "aarch64")]
        Kernel::Neon(_) => scalar::decode_words(streams, table, low, rotated, out),
        #[cfg(target_arch = "x86_64")]
        Kernel::Avx2(token) => avx2::decode_words(token, streams, table, low, rotated, out),
        #[cfg(target_arch = "x86_64")]
        Kernel::Avx512(token) => avx512::decode_words(token, streams, table, low, rotated, out),
    }
}

fn decode_pairs<const S: usize>(
    kernel: Kernel,
    streams: &mut [Stream<'_>; S],
    table: &DecodeTable,
    pairs: &PairedBytes<'_>,
    out: &mut [u8],
) -> usize {
    let out = out.as_chunks_mut().0;
    match (pairs.lower.len(), pairs.low_bits.0) {
        (1, 0) => {
            decode_paired_words::<S, 4, 0>(kernel, streams, table, pairs, out.as_chunks_mut().0)
        }
        (1, 3) => {
            decode_paired_words::<S, 4, 3>(kernel, streams, table, pairs, out.as_chunks_mut().0)
        }
        (3, 0) => {
            decode_paired_words::<S, 8, 0>(kernel, streams, table, pairs, out.as_chunks_mut().0)
        }
        _ => 0,
    }
}

fn decode_paired_words<const S: usize, const N: usize, const LOW_BITS: usize>(
    kernel: Kernel,
    streams: &mut [Stream<'_>; S],
    DecodeTable(table): &DecodeTable,
    pairs: &PairedBytes<'_>,
    out: &mut [PairedWords<N>],
) -> usize {
    match kernel {
        Kernel::Scalar => scalar::decode_pairs::<S, N, LOW_BITS>(streams, table, pairs, out),
        #[cfg(target_arch = "aarch64")]
        Kernel::Neon(_) => scalar::decode_pairs::<S, N, LOW_BITS>(streams, table, pairs, out),
        #[cfg(target_arch = "x86_64")]
        Kernel::Avx2(token) => {
            avx2::decode_pairs::<S, N, LOW_BITS>(token, streams, table, pairs, out)
        }
        #[cfg(target_arch = "x86_64")]
        Kernel::Avx512(token) => {
            avx512::decode_pairs::<S, N, LOW_BITS>(token, streams, table, pairs, out)
        }
    }
}
