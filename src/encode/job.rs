//! Tensors that all is known of: how they are cut, and who codes their chunks.

use super::chunks::{BufferPool, chunk_elements, encode_chunks};
use super::statistics;
use super::step_search::Adjustable;
use super::writer::{WriteOptions, invalid};
use crate::codec::trellis::{self, EncodedChunk, SquaredError};
use crate::codec::{self, Codec, Scratch};
use crate::dtype::Dtype;
use crate::encode::LossyPlan;
use crate::error::{Error, Result};
use crate::format::{CHUNK_OVERHEAD, FrameHeader, Geometry, Object, ObjectKind, PayloadLayout};
use crate::io::ReadAt;
use crate::limits::Limits;

/// A tensor to be added, or a file that belongs to the checkpoint.
#[derive(Clone)]
pub(crate) struct Incoming<'i> {
    pub(crate) kind: ObjectKind,
    pub(crate) name: &'i str,
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<u64>,
    pub(crate) source: &'i dyn ReadAt,
}

impl<'i> Incoming<'i> {
    pub(crate) fn tensor(
        name: &'i str,
        dtype: Dtype,
        shape: &[usize],
        source: &'i dyn ReadAt,
    ) -> Self {
        let shape = shape.iter().map(|&size| size as u64).collect();
        Self { kind: ObjectKind::Tensor, name, dtype, shape, source }
    }

    pub(crate) fn file(kind: ObjectKind, name: &'i str, bytes: &'i Vec<u8>) -> Self {
        Self { kind, name, dtype: Dtype::U8, shape: vec![bytes.len() as u64], source: bytes }
    }

    /// How it is cut into chunks of so many elements.
    ///
    /// # Errors
    /// `InvalidArgument` when there are other bytes than dtype and shape ask for.
    pub(super) fn geometry(&self, chunk_elements: u64) -> Result<Geometry> {
        let shape = self.shape.clone();
        let geometry = Geometry::new(self.dtype, shape, chunk_elements, &Limits::default());
        let geometry = geometry.map_err(invalid)?;
        if geometry.decoded_len() != self.source.size() {
            return Err(Error::invalid("as many bytes as dtype and shape ask for are needed"));
        }
        Ok(geometry)
    }
}

/// A tensor that only needs to be coded and written.
pub(super) struct Ready {
    pub(super) header: FrameHeader,
    pub(super) coder: Coder,
}

/// Codes a tensor's chunks.
pub(super) enum Coder {
    Lossless {
        encoder: codec::Encoder,
        /// What chunks looked like when they were surveyed.
        crcs: Vec<u32>,
    },
    Lossy {
        encoder: Box<trellis::Encoder>,
        /// Rows in a chunk.
        rows: usize,
    },
}

impl Coder {
    /// Codes the chunk of a number.
    ///
    /// # Errors
    /// `Corrupt` when it is not what it was before.
    pub(super) fn encode(
        &self,
        number: u64,
        chunk: &[u8],
        scratch: &mut Scratch,
    ) -> Result<EncodedChunk> {
        match self {
            Self::Lossless { encoder, crcs } => {
                let crc = crc32fast::hash(chunk);
                if crc != crcs[number as usize] {
                    return Err(Error::corrupt("the source changed while it was read"));
                }
                let (bytes, distortion) =
                    (encoder.encode(chunk, scratch)?, SquaredError::default());
                Ok(EncodedChunk { bytes, decoded_crc: crc, distortion })
            }
            Self::Lossy { encoder, rows } => encoder.encode(number as usize * rows, chunk, scratch),
        }
    }
}

impl Ready {
    /// As planned, once the plan's promise holds; where it cannot be kept, or there is no plan,
    /// nothing is lost.
    pub(super) fn as_planned(
        incoming: &Incoming<'_>,
        plan: Option<&LossyPlan>,
        options: &WriteOptions,
        buffers: &BufferPool,
    ) -> Result<Self> {
        if let Some(plan) = plan
            && let Some(adjustable) = Adjustable::new(incoming, plan, options)?
            && let Some(step) = adjustable.promised_step(plan, buffers)?
        {
            return adjustable.ready(step);
        }
        Self::lossless(incoming, options)
    }

    fn lossless(incoming: &Incoming<'_>, options: &WriteOptions) -> Result<Self> {
        let Incoming { kind, name, dtype, source, .. } = *incoming;
        let chunk_elements = chunk_elements(dtype, &incoming.shape, options.chunk_elements);
        let geometry = incoming.geometry(chunk_elements)?;
        let (survey, crcs) = statistics::collect(&geometry, source)?;
        let encoder = survey.choose(geometry.chunk_count(), CHUNK_OVERHEAD);
        // Raw chunks are their own decoded bytes, so their checksums are known beforehand.
        let (layout, chunk_crcs) = match encoder.codec() {
            Codec::Raw => (PayloadLayout::Contiguous, crcs.clone()),
            Codec::Planes | Codec::Trellis => (PayloadLayout::Chunked, Vec::new()),
        };
        let object = Object::new(kind, name.to_owned(), geometry, encoder.codec().id(), layout);
        let object = object.map_err(invalid)?;
        let header = FrameHeader { object, parameters: encoder.parameters(), chunk_crcs };
        Ok(Self { header, coder: Coder::Lossless { encoder, crcs } })
    }
}

/// A tensor that only needs to be written.
pub(super) struct Coded {
    pub(super) header: FrameHeader,
    /// Each with the bytes of the source that it covers.
    pub(super) chunks: Vec<(EncodedChunk, u64)>,
}

impl Ready {
    /// Codes all chunks.
    pub(super) fn coded(self, source: &dyn ReadAt, buffers: &BufferPool) -> Result<Coded> {
        let Self { header, coder } = self;
        let mut chunks = Vec::new();
        encode_chunks(&header.object.geometry, source, &coder, buffers, |encoded, length| {
            chunks.push((encoded, length));
            Ok(())
        })?;
        Ok(Coded { header, chunks })
    }
}
