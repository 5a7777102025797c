//! Where container and codec meet: from a frame's header to its decoded chunks.

use crate::codec::{Codec, Decoder};
use crate::container::{Chunk, Foot, FrameHeader, Layout};
use crate::error::{Error, Result};

/// Decodes the chunks of one frame.
pub(crate) struct ChunkDecoder {
    header: FrameHeader,
    decoder: Decoder,
}

impl ChunkDecoder {
    /// # Errors
    /// `Unsupported` for an unknown codec, `Corrupt` or `Truncated` for bad parameters.
    pub(crate) fn new(header: FrameHeader) -> Result<Self> {
        let object = &header.object;
        let decoder = Decoder::new(object.codec, object.geometry.dtype(), &header.parameters);
        let raw = object.codec == Codec::Raw.id();
        let decoder = match decoder {
            Ok(_) if object.layout == Layout::Contiguous && !raw => {
                Err(Error::corrupt("a contiguous layout for coded chunks"))
            }
            other => other,
        };
        let decoder = decoder.map_err(|error| error.in_tensor(&object.name))?;
        Ok(Self { header, decoder })
    }

    pub(crate) fn header(&self) -> &FrameHeader {
        &self.header
    }

    /// Compares a chunk's checksum and decodes it.
    ///
    /// # Errors
    /// `ChecksumMismatch` or `Corrupt`, with tensor, chunk and offset.
    pub(crate) fn decode(&self, chunk: &Chunk<impl AsRef<[u8]>>) -> Result<Vec<u8>> {
        let range = self.header.object.geometry.chunk_range(chunk.number);
        // At most the limit on chunks.
        let mut out = vec![0; (range.end - range.start) as usize];
        self.decode_into(chunk, &mut out)?;
        Ok(out)
    }

    /// [`decode`](Self::decode) over `out`, which is as long as the decoded chunk.
    pub(crate) fn decode_into(
        &self,
        chunk: &Chunk<impl AsRef<[u8]>>,
        out: &mut [u8],
    ) -> Result<()> {
        chunk.check().and_then(|()| self.decoder.decode(chunk.bytes.as_ref(), out)).map_err(
            |error| {
                let place = error.in_chunk(chunk.number).at_offset(chunk.offset());
                place.in_tensor(&self.header.object.name)
            },
        )
    }

    /// Compares the checksum of the whole decoded tensor with that from those of its chunks, and
    /// that only what is coded with loss tells of loss.
    ///
    /// # Errors
    /// `ChecksumMismatch`, `Corrupt`.
    pub(crate) fn check_whole(&self, foot: Foot, crcs: Vec<u32>) -> Result<()> {
        let object = &self.header.object;
        let exact = Foot { decoded_crc: foot.decoded_crc, ..Foot::default() };
        let check = match self.decoder.is_lossless() && foot != exact {
            true => Err(Error::corrupt("a loss where nothing is lost")),
            false => Error::check_crc(foot.decoded_crc, object.geometry.combine_crcs(crcs)),
        };
        check.map_err(|error| error.in_tensor(&object.name))
    }
}
