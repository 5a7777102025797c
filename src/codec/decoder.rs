//! One decoder for all codecs.

use super::{Codec, Coding, deflate, dictionary, planes, repetition, trellis};
use crate::dtype::{Dtype, number};
use crate::error::{Error, Result};
use crate::limits::Limits;

/// Decodes the chunks of one tensor with its codec.
pub(crate) enum Decoder {
    Raw,
    Planes(Box<planes::PlaneDecoder>),
    Trellis(Box<trellis::TrellisDecoder>),
    Dictionary(Box<dictionary::DictionaryDecoder>),
    Deflate,
    /// With the decoder of the rows that are not copies.
    Repetition(repetition::Rows, Box<Self>),
}

impl Decoder {
    /// Reads a codec's parameters.
    ///
    /// # Errors
    /// `Unsupported` for an unknown codec, `Corrupt` or `Truncated` for bad parameters,
    /// `LimitExceeded` for large ones.
    pub(crate) fn new(codec: u8, dtype: Dtype, parameters: &[u8], limits: &Limits) -> Result<Self> {
        match Codec::from_id(codec) {
            Some(Codec::Raw) if parameters.is_empty() => Ok(Self::Raw),
            Some(Codec::Raw) => Err(Error::corrupt("raw tensor: codec parameters are not empty")),
            Some(Codec::Planes) => {
                Ok(Self::Planes(Box::new(planes::PlaneDecoder::new(dtype, parameters)?)))
            }
            Some(Codec::Trellis) => Ok(Self::Trellis(Box::new(trellis::TrellisDecoder::new(
                dtype, parameters, limits,
            )?))),
            Some(Codec::Dictionary) => {
                let decoder = dictionary::DictionaryDecoder::new(dtype, parameters)?;
                Ok(Self::Dictionary(Box::new(decoder)))
            }
            // The container decodes the object that it refers to.
            Some(Codec::Reference) => Err(Error::corrupt("reference: refers to no object")),
            Some(Codec::Deflate) if parameters.is_empty() => Ok(Self::Deflate),
            Some(Codec::Deflate) => Err(Error::corrupt("deflate: codec parameters are not empty")),
            Some(Codec::Repetition) => {
                let (rows, rest) = repetition::Rows::read(parameters)?;
                match Codec::from_id(rows.codec) {
                    Some(Codec::Raw | Codec::Planes | Codec::Dictionary) => {}
                    _ => return Err(Error::corrupt("repetition: not a codec for rows")),
                }
                let decoder = Self::new(rows.codec, dtype, rest, limits)?;
                Ok(Self::Repetition(rows, Box::new(decoder)))
            }
            None => Err(Error::unsupported(format!("codec {codec}"))),
        }
    }

    /// Bytes of tables and stored matrices, which may be many times those of the parameters.
    pub(crate) fn table_bytes(&self) -> u64 {
        match self {
            Self::Trellis(decoder) => decoder.table_bytes(),
            Self::Repetition(_, decoder) => decoder.table_bytes(),
            // At most a table of 16 KiB for each of eight planes.
            Self::Raw | Self::Planes(_) | Self::Dictionary(_) | Self::Deflate => 0,
        }
    }

    /// Decodes one chunk of `elements` elements of a float dtype to `f32`.
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
        let mut bytes = vec![0; elements * (dtype.bits() / 8) as usize];
        self.decode(coded, &mut bytes)?;
        let mut out = Vec::new();
        number::to_f32(dtype, &bytes, &mut out);
        Ok(out)
    }

    /// The parameters of a lossy codec with the sums of squares that the container stores; `None`
    /// for a lossless codec.
    pub(crate) fn coding(&self, signal: f64, noise: f64) -> Option<Coding> {
        match self {
            Self::Trellis(decoder) => Some(Coding { signal, noise, ..decoder.coding() }),
            Self::Raw
            | Self::Planes(_)
            | Self::Dictionary(_)
            | Self::Deflate
            | Self::Repetition(..) => None,
        }
    }

    /// Whether decoded chunks equal the original ones.
    pub(crate) fn is_lossless(&self) -> bool {
        !matches!(self, Self::Trellis(_))
    }

    /// Decodes one chunk into `out`, whose length is the chunk's decoded length.
    ///
    /// # Errors
    /// `Corrupt` when the bytes are not a coded chunk of that length; the content of `out` is then
    /// unspecified.
    pub(crate) fn decode(&self, coded: &[u8], out: &mut [u8]) -> Result<()> {
        match self {
            Self::Raw if coded.len() == out.len() => {
                out.copy_from_slice(coded);
                Ok(())
            }
            Self::Raw => Err(Error::corrupt("raw chunk: wrong length")),
            Self::Planes(decoder) => decoder.decode(coded, out),
            Self::Trellis(decoder) => decoder.decode(coded, out),
            Self::Dictionary(decoder) => decoder.decode(coded, out),
            Self::Deflate => deflate::decode(coded, out),
            Self::Repetition(rows, decoder) => {
                let runs = rows.runs(coded, out.len())?;
                let mut distinct = vec![0; runs.distinct];
                decoder.decode(runs.coded, &mut distinct)?;
                runs.expand(&distinct, out);
                Ok(())
            }
        }
    }

    /// Decodes part of a chunk of `length` decoded bytes: those from byte `skip` on, as many as `out`
    /// has. What is not needed for them may be neither decoded nor checked. `buffer` is working memory.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    pub(crate) fn decode_part(
        &self,
        coded: &[u8],
        length: usize,
        skip: usize,
        out: &mut [u8],
        buffer: &mut Vec<u8>,
    ) -> Result<()> {
        match self {
            Self::Raw if coded.len() == length => {
                out.copy_from_slice(&coded[skip..skip + out.len()]);
                Ok(())
            }
            Self::Trellis(decoder) if decoder.are_elements(skip, out.len()) => {
                decoder.decode_part(coded, length, skip, out)
            }
            _ => {
                if buffer.len() < length {
                    buffer.resize(length, 0);
                }
                self.decode(coded, &mut buffer[..length])?;
                out.copy_from_slice(&buffer[skip..skip + out.len()]);
                Ok(())
            }
        }
    }
}
