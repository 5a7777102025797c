//! One chunk of a tensor, coded and decoded; the choice of codec by cost.
//!
//! Knows nothing of files: parameters and coded chunks are byte strings that the container
//! stores. A tensor is coded in two passes: a [`Statistics`] of all its chunks chooses the
//! [`Encoder`] and its frequency tables, then every chunk is coded on its own.

pub(crate) mod entropy;
pub(crate) mod planes;
pub(crate) mod quantizer;
pub(crate) mod transform;
pub(crate) mod trellis;

pub use trellis::{Coding, RowScales};

use crate::dtype::Dtype;
use crate::dtype::number;
use crate::error::{Error, Result};
use zerocopy::little_endian::U16;

/// How a tensor is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum Codec {
    /// As it is, aligned in the file: a zero-copy view.
    Raw = 0,
    /// Lossless: byte planes, the skewed ones entropy-coded.
    Planes = 1,
    /// Lossy: rows in coordinates of their own, on a trellis-coded lattice.
    Trellis = 2,
}

impl Codec {
    /// The codec with this id in the format, if this crate has it.
    pub const fn from_id(id: u8) -> Option<Self> {
        match id {
            0 => Some(Self::Raw),
            1 => Some(Self::Planes),
            2 => Some(Self::Trellis),
            _ => None,
        }
    }

    /// The codec's id in the format.
    pub const fn id(self) -> u8 {
        self as u8
    }

    /// The codec's name: `raw`, `planes`, `trellis`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Planes => "planes",
            Self::Trellis => "trellis",
        }
    }
}

impl std::fmt::Display for Codec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

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

/// Memory of an encoder, kept from one chunk to the next: asking for it anew takes longer than to
/// fill it.
#[derive(Default)]
pub(crate) struct Scratch {
    symbols: Vec<u8>,
    pub(crate) coder: Vec<U16>,
    /// What the next chunk is coded into.
    pub(crate) out: Vec<u8>,
}

impl Scratch {
    /// An empty buffer.
    pub(crate) fn take_out(&mut self) -> Vec<u8> {
        let mut out = std::mem::take(&mut self.out);
        out.clear();
        out
    }
}

/// Codes the chunks of one tensor.
pub(crate) enum Encoder {
    Raw,
    Planes(Box<planes::Encoder>),
}

impl Encoder {
    pub(crate) fn codec(&self) -> Codec {
        match self {
            Self::Raw => Codec::Raw,
            Self::Planes(_) => Codec::Planes,
        }
    }

    /// What a decoder needs to know besides dtype and chunk size.
    pub(crate) fn parameters(&self) -> Vec<u8> {
        match self {
            Self::Raw => Vec::new(),
            Self::Planes(encoder) => encoder.parameters(),
        }
    }

    /// Codes one chunk.
    ///
    /// # Errors
    /// `InvalidArgument` when the chunk holds values that the survey did not see.
    pub(crate) fn encode(&self, chunk: &[u8], scratch: &mut Scratch) -> Result<Vec<u8>> {
        match self {
            Self::Raw => {
                let mut out = scratch.take_out();
                out.extend_from_slice(chunk);
                Ok(out)
            }
            Self::Planes(encoder) => encoder.encode(chunk, scratch),
        }
    }
}

/// Decodes the chunks of one tensor.
pub(crate) enum Decoder {
    Raw,
    Planes(Box<planes::Decoder>),
    Trellis(Box<trellis::Decoder>),
}

impl Decoder {
    /// Reads a codec's parameters.
    ///
    /// # Errors
    /// `Unsupported` for an unknown codec, `Corrupt` or `Truncated` for bad parameters.
    pub(crate) fn new(codec: u8, dtype: Dtype, parameters: &[u8]) -> Result<Self> {
        match Codec::from_id(codec) {
            Some(Codec::Raw) if parameters.is_empty() => Ok(Self::Raw),
            Some(Codec::Raw) => Err(Error::corrupt("a raw tensor with codec parameters")),
            Some(Codec::Planes) => {
                Ok(Self::Planes(Box::new(planes::Decoder::new(dtype, parameters)?)))
            }
            Some(Codec::Trellis) => {
                Ok(Self::Trellis(Box::new(trellis::Decoder::new(dtype, parameters)?)))
            }
            None => Err(Error::unsupported(format!("codec {codec}"))),
        }
    }

    /// Decodes one chunk of so many elements of a float dtype to numbers.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    pub(crate) fn decode_f32(
        &self,
        coded: &[u8],
        dtype: Dtype,
        elements: usize,
    ) -> Result<Vec<f32>> {
        if let Self::Trellis(decoder) = self {
            let mut out = vec![0.0; elements];
            decoder.decode_f32(coded, &mut out)?;
            return Ok(out);
        }
        let mut bytes = vec![0; elements * dtype.bits() as usize / 8];
        self.decode(coded, &mut bytes)?;
        let mut out = Vec::new();
        number::to_f32(dtype, &bytes, &mut out);
        Ok(out)
    }

    /// How chunks were coded, if with loss.
    pub(crate) fn coding(&self, signal: f64, noise: f64) -> Option<Coding> {
        match self {
            Self::Trellis(decoder) => Some(Coding { signal, noise, ..decoder.coding() }),
            Self::Raw | Self::Planes(_) => None,
        }
    }

    /// Whether chunks decode to exactly what was coded.
    pub(crate) fn is_lossless(&self) -> bool {
        !matches!(self, Self::Trellis(_))
    }

    /// Decodes one chunk into `out`, whose length is the chunk's decoded length.
    ///
    /// # Errors
    /// `Corrupt` when the bytes are not a coded chunk of that length; `out` then holds anything.
    pub(crate) fn decode(&self, coded: &[u8], out: &mut [u8]) -> Result<()> {
        match self {
            Self::Raw if coded.len() == out.len() => {
                out.copy_from_slice(coded);
                Ok(())
            }
            Self::Raw => Err(Error::corrupt("a raw chunk of the wrong length")),
            Self::Planes(decoder) => decoder.decode(coded, out),
            Self::Trellis(decoder) => decoder.decode(coded, out),
        }
    }
}
