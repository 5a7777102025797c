//! Where container and codec meet: from a frame's header to its decoded chunks.

use crate::codec::{Codec, Coding, Decoder};
use crate::error::{Error, Result};
use crate::format::{Chunk, Footer, FrameHeader, PayloadLayout};

/// Decodes the chunks of one frame.
pub(crate) struct FrameDecoder {
    header: FrameHeader,
    decoder: Decoder,
}

impl FrameDecoder {
    /// # Errors
    /// `Unsupported` for an unknown codec, `Corrupt` or `Truncated` for bad parameters.
    pub(crate) fn new(header: FrameHeader) -> Result<Self> {
        let object = &header.object;
        let decoder = Decoder::new(object.codec, object.geometry.dtype(), &header.parameters);
        let raw = object.codec == Codec::Raw.id();
        let decoder = match decoder {
            Ok(_) if object.layout == PayloadLayout::Contiguous && !raw => {
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
        let decoded = chunk.check().and_then(|()| self.decoder.decode(chunk.bytes.as_ref(), out));
        decoded.map_err(|error| self.in_chunk(error, chunk))
    }

    /// [`decode`](Self::decode) to numbers, of a float dtype.
    pub(crate) fn decode_f32(&self, chunk: &Chunk<impl AsRef<[u8]>>) -> Result<Vec<f32>> {
        let geometry = &self.header.object.geometry;
        let range = geometry.chunk_range(chunk.number);
        let size = u64::from(geometry.dtype().bits()) / 8;
        let elements = ((range.end - range.start) / size) as usize;
        let decode = || {
            chunk.check()?;
            self.decoder.decode_f32(chunk.bytes.as_ref(), geometry.dtype(), elements)
        };
        decode().map_err(|error| self.in_chunk(error, chunk))
    }

    fn in_chunk(&self, error: Error, chunk: &Chunk<impl AsRef<[u8]>>) -> Error {
        let place = error.in_chunk(chunk.number).at_offset(chunk.offset());
        place.in_tensor(&self.header.object.name)
    }

    /// How the tensor was coded, if with loss.
    pub(crate) fn coding(&self, signal: f64, noise: f64) -> Option<Coding> {
        self.decoder.coding(signal, noise)
    }

    /// Compares the checksum of the whole decoded tensor with that from those of its chunks, and
    /// that only what is coded with loss tells of loss.
    ///
    /// # Errors
    /// `ChecksumMismatch`, `Corrupt`.
    pub(crate) fn check_whole(&self, footer: Footer, crcs: Vec<u32>) -> Result<()> {
        let object = &self.header.object;
        let exact = Footer { decoded_crc: footer.decoded_crc, ..Footer::default() };
        let check = match self.decoder.is_lossless() && footer != exact {
            true => Err(Error::corrupt("a loss where nothing is lost")),
            false => Error::check_crc(footer.decoded_crc, object.geometry.combine_crcs(crcs)),
        };
        check.map_err(|error| error.in_tensor(&object.name))
    }
}
