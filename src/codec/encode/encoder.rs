//! One encoder for all codecs.

use super::chunk::{EncodedChunk, Scratch};
use crate::codec::repetition::{self, Distinct, Rows};
use crate::codec::squared_error::SquaredError;
use crate::codec::{Codec, dictionary, planes, trellis};
use crate::error::Result;

/// Encodes the chunks of one tensor with its codec.
pub(crate) enum Encoder {
    Raw,
    Planes(Box<planes::PlaneEncoder>),
    Trellis(Box<trellis::TrellisEncoder>),
    Dictionary(Box<dictionary::DictionaryEncoder>),
    Deflate,
    /// With the encoder of the rows that are not copies.
    Repetition(Rows, Box<Self>),
}

/// The level of DEFLATE: higher ones take longer and save less than 1 % of a safetensors header.
const DEFLATE_LEVEL: u8 = 6;

impl Encoder {
    pub(crate) fn codec(&self) -> Codec {
        match self {
            Self::Raw => Codec::Raw,
            Self::Planes(_) => Codec::Planes,
            Self::Trellis(_) => Codec::Trellis,
            Self::Dictionary(_) => Codec::Dictionary,
            Self::Deflate => Codec::Deflate,
            Self::Repetition(..) => Codec::Repetition,
        }
    }

    /// The codec parameters, which a decoder needs besides dtype and chunk size.
    pub(crate) fn parameters(&self) -> Vec<u8> {
        match self {
            Self::Raw | Self::Deflate => Vec::new(),
            Self::Planes(encoder) => encoder.parameters(),
            Self::Trellis(encoder) => encoder.parameters().to_vec(),
            Self::Dictionary(encoder) => encoder.parameters(),
            Self::Repetition(rows, encoder) => {
                let head = [&rows.bytes.to_le_bytes()[..], &[rows.codec]].concat();
                [head, encoder.parameters()].concat()
            }
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
            Self::Dictionary(encoder) => encoder.encode(chunk, scratch)?,
            Self::Deflate => miniz_oxide::deflate::compress_to_vec(chunk, DEFLATE_LEVEL),
            Self::Repetition(rows, encoder) => {
                let Distinct { mut runs, rows } = repetition::distinct(*rows, chunk);
                runs.extend(encoder.encode(first_element, &rows, scratch)?.bytes);
                runs
            }
            Self::Raw => {
                let mut out = scratch.take_out();
                out.extend_from_slice(chunk);
                out
            }
        };
        let (decoded_crc, squared_error) = (crc32fast::hash(chunk), SquaredError::default());
        let output_error = SquaredError::default();
        Ok(EncodedChunk { bytes, decoded_crc, squared_error, output_error })
    }
}
