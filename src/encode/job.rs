//! A tensor that is ready to be encoded chunk by chunk.

use super::buffers::BufferPool;
use super::options::WriteOptions;
use super::source::{TensorSource, invalid};
use super::{chunk_size, statistics};
use crate::codec::{Codec, EncodedChunk, Encoder, SquaredError};
use crate::error::{Error, Result};
use crate::format::{
    CHUNK_OVERHEAD, FrameHeader, Geometry, Object, PayloadLayout, object_overhead,
};
use crate::parallel;

/// A tensor with its division into chunks and the encoder of these.
pub(super) struct EncodeJob<'s> {
    source: TensorSource<'s>,
    geometry: Geometry,
    encoder: Encoder,
    /// CRC-32 of every chunk when the statistics were collected; empty for the lossy codec.
    crcs: Vec<u32>,
}

/// The result of encoding all chunks.
pub(super) struct Measured {
    /// Bytes of the frame and of its index entry.
    pub(super) bytes: u64,
    pub(super) error: SquaredError,
    /// The error of outputs, if the encoder measures it.
    pub(super) output_error: SquaredError,
}

impl<'s> EncodeJob<'s> {
    /// The lossless codec that needs the fewest bytes: reads the whole tensor once.
    pub(super) fn lossless(source: TensorSource<'s>, options: &WriteOptions) -> Result<Self> {
        let chunk = chunk_size::lossless(source.dtype, source.shape, options.chunk_elements);
        let geometry = source.geometry(chunk)?;
        let (statistics, crcs) = statistics::collect(&geometry, source.data)?;
        let encoder = statistics.choose(geometry.chunk_count(), CHUNK_OVERHEAD);
        Ok(Self { source, geometry, encoder, crcs })
    }

    /// The lossy codec with an encoder for chunks of this geometry.
    pub(super) fn lossy(source: TensorSource<'s>, geometry: Geometry, encoder: Encoder) -> Self {
        Self { source, geometry, encoder, crcs: Vec::new() }
    }

    pub(super) fn source(&self) -> TensorSource<'s> {
        self.source
    }

    pub(super) fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    pub(super) fn is_lossy(&self) -> bool {
        self.encoder.codec() == Codec::Trellis
    }

    /// The header of the frame.
    ///
    /// # Errors
    /// `InvalidArgument` for an attachment with an impossible name.
    pub(super) fn header(&self) -> Result<FrameHeader> {
        let codec = self.encoder.codec();
        // The checksums of raw chunks are those of their decoded bytes, which are known already.
        let (layout, chunk_crcs) = match codec {
            Codec::Raw => (PayloadLayout::Contiguous, self.crcs.clone()),
            Codec::Planes | Codec::Trellis => (PayloadLayout::Chunked, Vec::new()),
        };
        let (kind, name) = (self.source.kind(), self.source.name.to_owned());
        let object = Object::new(kind, name, self.geometry.clone(), codec.id(), layout);
        let object = object.map_err(invalid)?;
        Ok(FrameHeader { object, parameters: self.encoder.parameters(), chunk_crcs })
    }

    /// Decoded bytes of a chunk.
    pub(super) fn chunk_bytes(&self, number: u64) -> u64 {
        let range = self.geometry.chunk_range(number);
        range.end - range.start
    }

    /// Reads and encodes one chunk.
    ///
    /// # Errors
    /// `Io`; `Corrupt` when the chunk changed since the statistics were collected.
    pub(super) fn encode(&self, number: u64, buffers: &BufferPool) -> Result<EncodedChunk> {
        let (mut bytes, mut scratch) = buffers.take();
        let chunk = self.source.data.read_at(self.geometry.chunk_range(number), &mut bytes)?;
        let first_element = number * self.geometry.chunk_elements();
        let encoded = self.encoder.encode(first_element, chunk, &mut scratch);
        if let Some(&expected) = self.crcs.get(number as usize) {
            let found = match &encoded {
                Ok(encoded) => encoded.decoded_crc,
                Err(_) => crc32fast::hash(chunk),
            };
            if found != expected {
                return Err(Error::corrupt("the source changed while it was read"));
            }
        }
        buffers.give_back((bytes, scratch));
        encoded
    }

    /// Encodes all chunks without keeping them.
    pub(super) fn measure(&self, buffers: &BufferPool) -> Result<Measured> {
        let frame = object_overhead(self.source.shape.len(), self.source.name.len());
        let mut bytes = frame + self.encoder.parameters().len() as u64;
        let (mut error, mut output_error) = (SquaredError::default(), SquaredError::default());
        let chunks = (0..self.geometry.chunk_count()).map(Ok);
        parallel::ordered(
            chunks,
            |number| self.encode(number, buffers),
            |encoded| {
                bytes += encoded.bytes.len() as u64 + CHUNK_OVERHEAD;
                error.add(encoded.squared_error);
                output_error.add(encoded.output_error);
                buffers.recycle(encoded);
                Ok(())
            },
        )?;
        Ok(Measured { bytes, error, output_error })
    }
}
