//! Encoding the chunks of one tensor: statistics choose between the lossless codecs, a transform
//! search prepares the lossy one, and [`Encoder`] covers all of them as
//! [`Decoder`](super::Decoder) does.

use super::chunk::{EncodedChunk, Scratch, SquaredError};
use super::{Codec, planes, trellis};
use crate::dtype::Dtype;
use crate::error::Result;

/// What the first pass learns of a tensor: chunk by chunk in any order, then merged.
#[derive(Clone)]
pub(crate) struct Statistics(planes::PlaneStatistics);

impl Statistics {
    /// `sample` is some of the tensor, in whole elements: it tells what is worth counting.
    pub(crate) fn new(dtype: Dtype, sample: &[u8]) -> Self {
        Self(planes::PlaneStatistics::new(dtype, sample))
    }

    /// Adds one chunk's statistics.
    pub(crate) fn count(&mut self, chunk: &[u8]) {
        self.0.count(chunk);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.0.merge(&other.0);
    }

    /// About how many bytes a tensor of `chunks` chunks takes without loss.
    pub(crate) fn estimate(&self, chunks: u64, overhead: u64) -> u64 {
        let encoder = planes::Encoder::new(&self.0);
        let frame = encoder.parameters().len() as u64 + chunks * overhead;
        (encoder.cost_bytes(&self.0, chunks) + frame).min(self.0.bytes() + RAW_OVERHEAD)
    }

    /// The cheapest encoder for a tensor of `chunks` chunks: raw unless coding saves bytes,
    /// parameters and `overhead` bytes a chunk included.
    pub(crate) fn choose(&self, chunks: u64, overhead: u64) -> Encoder {
        let encoder = planes::Encoder::new(&self.0);
        let frame = encoder.parameters().len() as u64 + chunks * overhead;
        if encoder.cost_bytes(&self.0, chunks) + frame < self.0.bytes() {
            Encoder::Planes(Box::new(encoder))
        } else {
            Encoder::Raw
        }
    }
}

/// Bytes that aligning raw tensors takes, at most, unless another alignment is asked for.
const RAW_OVERHEAD: u64 = 255;

/// Encodes the chunks of one tensor.
pub(crate) enum Encoder {
    Raw,
    Planes(Box<planes::Encoder>),
    Trellis(Box<trellis::Encoder>),
}

impl Encoder {
    pub(crate) fn codec(&self) -> Codec {
        match self {
            Self::Raw => Codec::Raw,
            Self::Planes(_) => Codec::Planes,
            Self::Trellis(_) => Codec::Trellis,
        }
    }

    /// The codec parameters, which a decoder needs besides dtype and chunk size.
    pub(crate) fn parameters(&self) -> Vec<u8> {
        match self {
            Self::Raw => Vec::new(),
            Self::Planes(encoder) => encoder.parameters(),
            Self::Trellis(encoder) => encoder.parameters().to_vec(),
        }
    }

    /// Encodes one chunk; `first_element` is the index of its first element in the tensor.
    ///
    /// # Errors
    /// `InvalidArgument` when a lossless chunk holds values that are not in the statistics.
    pub(crate) fn encode(
        &self,
        first_element: u64,
        chunk: &[u8],
        scratch: &mut Scratch,
    ) -> Result<EncodedChunk> {
        let bytes = match self {
            Self::Trellis(encoder) => return encoder.encode(first_element, chunk, scratch),
            Self::Planes(encoder) => encoder.encode(chunk, scratch)?,
            Self::Raw => {
                let mut out = scratch.take_out();
                out.extend_from_slice(chunk);
                out
            }
        };
        let (decoded_crc, squared_error) = (crc32fast::hash(chunk), SquaredError::default());
        Ok(EncodedChunk { bytes, decoded_crc, squared_error })
    }
}
