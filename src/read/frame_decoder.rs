//! Decoding of one frame's chunks: the connection between container and codec.

use crate::arch::Kernel;
use crate::codec::{Codec, Coding, Decoder};
use crate::dtype::{Dtype, number};
use crate::error::{Error, Result};
use crate::format::{Chunk, Footer, FrameHeader, PayloadLayout};
use crate::limits::Limits;

/// Decodes the chunks of one frame, with the tables that its codec parameters describe.
pub(crate) struct FrameDecoder {
    header: FrameHeader,
    /// `None` if codec or parameters are not supported. Chunks can be skipped and their checksums
    /// compared nevertheless.
    decoder: Option<Decoder>,
    limits: Limits,
}

impl FrameDecoder {
    /// `target` is the header of the object that the frame refers to, if it is a reference. Its
    /// chunks are then decoded.
    pub(crate) fn new(header: FrameHeader, target: Option<&FrameHeader>, limits: &Limits) -> Self {
        let (decoder, limits) = (decoder(target.unwrap_or(&header), limits).ok(), *limits);
        Self { header, decoder, limits }
    }

    /// Bytes in memory, approximately: the frame header, tables and stored matrices.
    pub(crate) fn bytes(&self) -> u64 {
        self.header.memory() as u64 + self.decoder.as_ref().map_or(0, Decoder::table_bytes)
    }

    pub(crate) fn header(&self) -> &FrameHeader {
        &self.header
    }

    /// Checks that the chunks can be decoded.
    ///
    /// # Errors
    /// `Unsupported` for an unknown codec, `Corrupt` or `Truncated` for bad parameters,
    /// `LimitExceeded` for large ones.
    pub(crate) fn check_supported(&self) -> Result<()> {
        self.decoder().map(|_| ())
    }

    pub(crate) fn is_supported(&self) -> bool {
        self.decoder.is_some()
    }

    fn decoder(&self) -> Result<&Decoder> {
        match &self.decoder {
            Some(decoder) => Ok(decoder),
            None => Err(match decoder(&self.header, &self.limits) {
                Err(error) => error.in_tensor(&self.header.object.name),
                Ok(_) => unreachable!("the same parameters were rejected before"),
            }),
        }
    }

    /// Decoded bytes of chunk `number`: at most the limit on chunks.
    pub(crate) fn chunk_length(&self, number: u64) -> usize {
        let range = self.header.object.geometry.chunk_range(number);
        (range.end - range.start) as usize
    }

    /// The number of elements of a chunk of whole bytes each.
    pub(crate) fn chunk_elements(&self, number: u64) -> usize {
        self.chunk_length(number) / (self.header.object.geometry.dtype().bits() / 8) as usize
    }

    /// Compares the checksum of a chunk and decodes it.
    ///
    /// # Errors
    /// `ChecksumMismatch` or `Corrupt`, with tensor, chunk and offset; as
    /// [`check_supported`](Self::check_supported).
    pub(crate) fn decode(&self, chunk: &Chunk<impl AsRef<[u8]>>) -> Result<Vec<u8>> {
        let mut out = vec![0; self.chunk_length(chunk.number)];
        self.decode_into(chunk, &mut out)?;
        Ok(out)
    }

    /// [`decode`](Self::decode) into `out`, which has the length of the decoded chunk.
    pub(crate) fn decode_into(
        &self,
        chunk: &Chunk<impl AsRef<[u8]>>,
        out: &mut [u8],
    ) -> Result<()> {
        let decoder = self.decoder()?;
        let decoded = chunk.check().and_then(|()| decoder.decode(chunk.bytes.as_ref(), out));
        decoded.map_err(|error| self.in_chunk(error, chunk))
    }

    /// Compares the checksum of a chunk and decodes the bytes from `skip` on, as many as `out` has.
    /// `buffer` is working memory.
    ///
    /// # Errors
    /// As [`decode`](Self::decode), but for what these bytes depend on only.
    pub(crate) fn decode_part(
        &self,
        chunk: &Chunk<impl AsRef<[u8]>>,
        skip: usize,
        out: &mut [u8],
        buffer: &mut Vec<u8>,
    ) -> Result<()> {
        let (decoder, length) = (self.decoder()?, self.chunk_length(chunk.number));
        let coded = chunk.bytes.as_ref();
        let decoded =
            chunk.check().and_then(|()| decoder.decode_part(coded, length, skip, out, buffer));
        decoded.map_err(|error| self.in_chunk(error, chunk))
    }

    /// [`decode_into`](Self::decode_into), and the CRC-32 of the decoded bytes, computed while they
    /// are in the cache.
    pub(crate) fn decode_with_crc(
        &self,
        chunk: &Chunk<impl AsRef<[u8]>>,
        out: &mut [u8],
    ) -> Result<u32> {
        self.decode_into(chunk, out)?;
        Ok(match self.header.object.layout.is_contiguous() {
            // Only raw chunks are contiguous: the stored CRC is that of the decoded bytes.
            true => chunk.stored_crc,
            false => crc32fast::hash(out),
        })
    }

    /// [`decode_with_crc`](Self::decode_with_crc), for a caller that compares the checksum of the decoded
    /// object afterwards: that of a lossless chunk is only compared if decoding fails. A lossy chunk is
    /// small, and in the cache once its checksum is computed.
    pub(crate) fn decode_deferring_check(
        &self,
        chunk: &Chunk<impl AsRef<[u8]>>,
        out: &mut [u8],
    ) -> Result<u32> {
        let decoder = self.decoder()?;
        if !decoder.is_lossless() {
            return self.decode_with_crc(chunk, out);
        }
        let decoded = decoder.decode(chunk.bytes.as_ref(), out);
        let decoded = decoded.or_else(|error| chunk.check().and(Err(error)));
        decoded.map_err(|error| self.in_chunk(error, chunk))?;
        Ok(crc32fast::hash(out))
    }

    /// [`decode`](Self::decode) to F32, for a float dtype.
    pub(crate) fn decode_f32(&self, chunk: &Chunk<impl AsRef<[u8]>>) -> Result<Vec<f32>> {
        let decoder = self.decoder()?;
        let dtype = self.header.object.geometry.dtype();
        let decode = || {
            chunk.check()?;
            decoder.decode_f32(chunk.bytes.as_ref(), dtype, self.chunk_elements(chunk.number))
        };
        decode().map_err(|error| self.in_chunk(error, chunk))
    }

    /// [`decode`](Self::decode) from one float dtype to another. Returns the number of finite elements
    /// that are not finite in `dtype`.
    pub(crate) fn decode_as(
        &self,
        chunk: &Chunk<impl AsRef<[u8]>>,
        dtype: Dtype,
        out: &mut [u8],
    ) -> Result<u64> {
        let values = self.decode_f32(chunk)?;
        number::from_f32(Kernel::best(), dtype, &values, out);
        let finite = match self.header.object.geometry.dtype() {
            Dtype::F64 => number::count_finite(Dtype::F64, &self.decode(chunk)?),
            _ => values.iter().filter(|value| value.is_finite()).count() as u64,
        };
        // A reconstruction in single precision may be finite where the element is not.
        Ok(finite.saturating_sub(number::count_finite(dtype, out)))
    }

    /// Compares the checksum of a chunk without decoding it.
    ///
    /// # Errors
    /// `ChecksumMismatch`, with tensor, chunk and offset.
    pub(crate) fn check(&self, chunk: &Chunk<impl AsRef<[u8]>>) -> Result<()> {
        chunk.check().map_err(|error| self.in_chunk(error, chunk))
    }

    fn in_chunk(&self, error: Error, chunk: &Chunk<impl AsRef<[u8]>>) -> Error {
        let error = error.in_chunk(chunk.number).at_offset(chunk.offset());
        error.in_tensor(&self.header.object.name)
    }

    /// The parameters of a lossy codec; `None` for a lossless one.
    ///
    /// # Errors
    /// As [`check_supported`](Self::check_supported).
    pub(crate) fn coding(&self, footer: Footer) -> Result<Option<Coding>> {
        Ok(self.decoder()?.coding(footer.signal, footer.noise))
    }

    /// Compares the checksum of the whole decoded tensor with those of its decoded chunks.
    ///
    /// # Errors
    /// `ChecksumMismatch`.
    pub(crate) fn check_decoded_crc(
        &self,
        stored: u32,
        crcs: impl IntoIterator<Item = u32>,
    ) -> Result<()> {
        let object = &self.header.object;
        Error::check_crc(stored, object.geometry.combine_crcs(crcs))
            .map_err(|error| error.in_tensor(&object.name))
    }
}

/// Checks that elements can be converted from one dtype to another.
///
/// # Errors
/// `InvalidArgument` unless both are floats.
pub(super) fn check_floats(own: Dtype, dtype: Dtype) -> Result<()> {
    match number::is_float(own) && number::is_float(dtype) {
        true => Ok(()),
        false => Err(Error::invalid(format!("conversion of {own} to {dtype}: not both floats"))),
    }
}

/// The decoder for the codec and the parameters in a frame header.
fn decoder(header: &FrameHeader, limits: &Limits) -> Result<Decoder> {
    let object = &header.object;
    let dtype = object.geometry.dtype();
    let decoder = Decoder::new(object.codec, dtype, &header.parameters, limits)?;
    let fits = match object.layout {
        PayloadLayout::Contiguous => object.codec == Codec::Raw.id(),
        PayloadLayout::Chunked => decoder.is_lossless(),
        PayloadLayout::ChunkedLossy => !decoder.is_lossless(),
    };
    if !fits {
        return Err(Error::corrupt("frame header: the layout does not fit the codec"));
    }
    Ok(decoder)
}
