//! An encoded chunk and the buffers of its encoder.

use crate::codec::squared_error::SquaredError;
use zerocopy::little_endian::U16;

/// An encoded chunk and the error of its decoded values.
pub(crate) struct EncodedChunk {
    pub(crate) bytes: Vec<u8>,
    /// CRC-32 of the decoded bytes.
    pub(crate) decoded_crc: u32,
    /// Zero for a lossless codec.
    pub(crate) squared_error: SquaredError,
    /// The sum of the mean squares of outputs and of their errors, if the encoder measures them.
    pub(crate) output_error: SquaredError,
}

/// Buffers of an encoder that are reused from chunk to chunk: allocating them for each chunk takes
/// longer than filling them.
#[derive(Default)]
pub(crate) struct Scratch {
    pub(in crate::codec) symbols: Vec<u8>,
    /// Symbols in pairs.
    pub(in crate::codec) pairs: Vec<u8>,
    pub(in crate::codec) words: Vec<U16>,
    /// The buffer that the next chunk is encoded into.
    pub(crate) out: Vec<u8>,
}

impl Scratch {
    /// An empty output buffer.
    pub(in crate::codec) fn take_out(&mut self) -> Vec<u8> {
        let mut out = std::mem::take(&mut self.out);
        out.clear();
        out
    }
}
