//! Sequences of symbols with one table; see
//! [`SequenceDecoder`](crate::codec::entropy::rans::SequenceDecoder).

use super::blocks::put_symbols;
use super::stream::{BLOCK, Stream};
use super::tables::EncodeTables;
use crate::arch::Kernel;
use crate::codec::entropy::rans::STATES_BYTES;
use crate::codec::entropy::rans::sequence::HAS_TWO_STREAMS;
use crate::error::{Error, Result};
use zerocopy::little_endian::U16;

/// The number of streams of a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamCount {
    One,
    Two,
}

impl StreamCount {
    /// Bytes of a sequence besides the words of its streams: their lengths and states.
    pub(crate) const fn head_bytes(self) -> u64 {
        let streams = match self {
            Self::One => 1,
            Self::Two => 2,
        };
        streams * (size_of::<u32>() + STATES_BYTES) as u64
    }
}

/// An encoder of one sequence. O(1) for each symbol.
pub(crate) struct SequenceEncoder<'t> {
    tables: &'t EncodeTables,
    kernel: Kernel,
    streams: Streams<'t>,
}

/// That of all groups, or those of the groups with an even and with an odd number.
#[allow(clippy::large_enum_variant, reason = "there are few, and none is moved in a loop")]
enum Streams<'t> {
    One([Stream<'t>; 1]),
    Two([Stream<'t>; 2]),
}

impl<'t> SequenceEncoder<'t> {
    /// An encoder of at most `symbols` symbols. `buffer` is working memory; its content is ignored
    /// and overwritten.
    pub(crate) fn new(
        tables: &'t EncodeTables,
        symbols: usize,
        streams: StreamCount,
        kernel: Kernel,
        buffer: &'t mut Vec<U16>,
    ) -> Self {
        let streams = match streams {
            StreamCount::One => Streams::One(Stream::new(symbols, buffer)),
            StreamCount::Two => {
                let symbols = symbols.div_ceil(BLOCK) * (BLOCK / 2);
                Streams::Two(Stream::new(symbols, buffer))
            }
        };
        Self { tables, kernel, streams }
    }

    /// Encodes symbols, the last ones first, until it comes to one of frequency 0. Returns how many are
    /// left: a multiple of [`BLOCK`], or all. A symbol of frequency 0 is among the last [`BLOCK`] of these.
    ///
    /// The symbols precede all symbols of earlier calls. Their number must be a multiple of a block,
    /// except in the first call.
    pub(crate) fn put(&mut self, symbols: &[u8]) -> usize {
        match &mut self.streams {
            Streams::One(streams) => put_symbols(self.tables, self.kernel, streams, symbols),
            Streams::Two(streams) => put_symbols(self.tables, self.kernel, streams, symbols),
        }
    }

    /// Appends the streams, each after its length (`u32`).
    ///
    /// # Errors
    /// `InvalidArgument` when a stream has 2 GiB or more.
    pub(crate) fn finish(self, out: &mut Vec<u8>) -> Result<()> {
        match self.streams {
            Streams::One([stream]) => append(&stream, 0, out),
            Streams::Two([first, second]) => {
                append(&first, HAS_TWO_STREAMS, out)?;
                append(&second, 0, out)
            }
        }
    }
}

/// Appends the length of a stream with these flags, and the stream.
fn append(stream: &Stream<'_>, flags: u32, out: &mut Vec<u8>) -> Result<()> {
    let head = out.len();
    out.extend([0; size_of::<u32>()]);
    stream.append_to(out);
    let length = u32::try_from(out.len() - head - size_of::<u32>()).ok();
    let length = length.filter(|length| length & HAS_TWO_STREAMS == 0);
    let length = length.ok_or_else(|| Error::invalid("a rANS stream has 2 GiB or more"))?;
    out[head..][..size_of::<u32>()].copy_from_slice(&(length | flags).to_le_bytes());
    Ok(())
}

/// Encodes a whole sequence. `buffer` is working memory.
///
/// # Errors
/// `InvalidArgument` when a symbol has frequency 0 or a stream has 2 GiB or more.
pub(crate) fn put_sequence(
    tables: &EncodeTables,
    symbols: &[u8],
    streams: StreamCount,
    kernel: Kernel,
    buffer: &mut Vec<U16>,
    out: &mut Vec<u8>,
) -> Result<()> {
    let mut encoder = SequenceEncoder::new(tables, symbols.len(), streams, kernel, buffer);
    match encoder.put(symbols) {
        0 => encoder.finish(out),
        _ => Err(Error::invalid("a symbol has frequency zero")),
    }
}
