//! Parts of decoded objects, by chunks.

use super::frame_decoder::FrameDecoder;
use crate::error::Result;
use crate::format::Chunk;

/// Part of a chunk, and where its decoded bytes go.
pub(super) struct Piece<'o> {
    pub(super) number: u64,
    /// Bytes of the decoded chunk before the part.
    pub(super) skip: usize,
    pub(super) out: &'o mut [u8],
    /// CRC-32 of the decoded bytes, if the whole object is decoded.
    pub(super) crc: u32,
}

impl Piece<'_> {
    /// Decodes a whole chunk, and notes the CRC of its decoded bytes, which the caller compares.
    ///
    /// # Errors
    /// Those of [`FrameDecoder::decode_deferring_check`].
    pub(super) fn decode_whole(
        &mut self,
        decoder: &FrameDecoder,
        chunk: &Chunk<&[u8]>,
    ) -> Result<()> {
        self.crc = decoder.decode_deferring_check(chunk, self.out)?;
        Ok(())
    }
}

/// Splits `out`, which starts at byte `start` of a decoded object, at the boundaries of chunks of
/// `chunk_bytes` each.
pub(super) fn pieces(chunk_bytes: u64, start: u64, mut out: &mut [u8]) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut position = start;
    while !out.is_empty() {
        let (number, skip) = (position / chunk_bytes, position % chunk_bytes);
        // At most the rest of `out`, which is in memory.
        let length = (chunk_bytes - skip).min(out.len() as u64) as usize;
        let (part, rest) = std::mem::take(&mut out).split_at_mut(length);
        pieces.push(Piece { number, skip: skip as usize, out: part, crc: 0 });
        position += length as u64;
        out = rest;
    }
    pieces
}
