//! Decoding chunks of byte planes.

use super::split::Split;
use super::{MODE_CODED, MODE_CONSTANT, MODE_PAIRED, MODE_RAW, PAIR_BLOCK, Pairing, Plane};
use crate::arch::Kernel;
use crate::codec::entropy::rans::{DecodeTable, LANES, PairedBytes, SequenceDecoder};
use crate::codec::entropy::{BitReader, Frequencies, low_bits};
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use zerocopy::FromBytes;
use zerocopy::little_endian::U32;

/// Words that are decoded together: all planes of a tile fit the first-level cache.
const TILE_WORDS: usize = 64 * LANES;

/// Decodes chunks of one tensor.
pub(crate) struct PlaneDecoder {
    split: Split,
    planes: Vec<Plane<DecodeTable>>,
}

/// The source of one plane's bytes while a chunk is decoded.
enum PlaneSource<'a> {
    Raw(&'a [u8]),
    Constant(u8),
    Coded(SequenceDecoder<'a>, &'a DecodeTable),
    Paired(PairedSource<'a>),
}

/// The source of a plane in pairs.
struct PairedSource<'a> {
    decoder: SequenceDecoder<'a>,
    pairing: Pairing,
    table: &'a DecodeTable,
    /// Low bits of the blocks that are not yet decoded.
    low_bits: &'a [u8],
    /// Bytes after the last whole block.
    rest: &'a [u8],
    /// Positions of outliers, ascending, and their bytes.
    outliers: (&'a [U32], &'a [u8]),
}

impl PlaneDecoder {
    /// Reads the parameters of a tensor of this dtype.
    ///
    /// # Errors
    /// `Corrupt` or `Truncated`.
    pub(crate) fn new(dtype: Dtype, parameters: &[u8]) -> Result<Self> {
        let split = Split::of(dtype);
        let mut rest = parameters;
        let mut planes = Vec::with_capacity(split.width);
        for _ in 0..split.width {
            let mut input = BitReader::new(rest);
            let plane = match input.take(8)? as u8 {
                MODE_RAW => Plane::Raw,
                MODE_CONSTANT => Plane::Constant(input.take(8)? as u8),
                MODE_CODED => Plane::Coded(DecodeTable::new(&Frequencies::read(&mut input)?)),
                MODE_PAIRED => {
                    let (base, low_bits) = (input.take(8)? as u8, input.take(8)?);
                    if low_bits >= u8::BITS {
                        return Err(Error::corrupt("byte plane: too many low bits"));
                    }
                    let table = DecodeTable::new(&Frequencies::read(&mut input)?);
                    Plane::Paired(Pairing { base, low_bits }, table)
                }
                _ => return Err(Error::corrupt("byte plane: unknown mode")),
            };
            rest = input.finish()?;
            planes.push(plane);
        }
        if !rest.is_empty() {
            return Err(Error::corrupt("codec parameters: trailing bytes"));
        }
        Ok(Self { split, planes })
    }

    /// Decodes one chunk into `out`; O(bytes).
    ///
    /// # Errors
    /// `Corrupt` or `Truncated`; the content of `out` is then unspecified.
    pub(crate) fn decode(&self, coded: &[u8], out: &mut [u8]) -> Result<()> {
        let width = self.split.width;
        if !out.len().is_multiple_of(width) {
            return Err(Error::corrupt(
                "byte planes: chunk length is not a multiple of the element size",
            ));
        }
        let mut sources = self.sources(coded, out.len() / width)?;
        let words = self.decode_to_words(&mut sources, out)?;
        let rest = &mut out[width * words..];
        let mut buffer = vec![0; width * TILE_WORDS];
        for tile in rest.chunks_mut(width * TILE_WORDS) {
            let words = tile.len() / width;
            let mut planes = [[].as_slice(); 8];
            let buffers = buffer.chunks_mut(TILE_WORDS);
            for ((source, plane), buffer) in sources.iter_mut().zip(&mut planes).zip(buffers) {
                *plane = source.next(&mut buffer[..words])?;
            }
            self.split.join(Kernel::best(), &planes[..width], tile);
        }
        for (plane, source) in sources.iter().enumerate() {
            if let PlaneSource::Paired(PairedSource { outliers: (positions, bytes), .. }) = source {
                let outliers = positions.iter().zip(*bytes);
                outliers.for_each(|(position, &byte)| {
                    self.split.replace(plane, position.get() as usize, byte, out);
                });
            }
        }
        sources.into_iter().try_for_each(PlaneSource::finish)
    }

    /// Bytes, and the usual floats: all planes but the last are raw. Decodes directly from the last plane
    /// to words, for floats until a stream is nearly at its end. Returns the number of decoded words.
    fn decode_to_words(&self, sources: &mut [PlaneSource<'_>], out: &mut [u8]) -> Result<usize> {
        let Some((high, raw)) = sources.split_last_mut() else { return Ok(0) };
        let mut lower = [[].as_slice(); 7];
        for (lower, source) in lower.iter_mut().zip(&*raw) {
            let PlaneSource::Raw(bytes) = source else { return Ok(0) };
            *lower = bytes;
        }
        let (rotated, lower) = (self.split.rotate, &lower[..raw.len()]);
        let words = match high {
            PlaneSource::Coded(decoder, table) if raw.is_empty() => {
                decoder.decode(table, out)?;
                out.len()
            }
            PlaneSource::Coded(decoder, table) if raw.len() == 1 => {
                LANES * decoder.decode_words(table, lower[0], rotated, out)
            }
            PlaneSource::Paired(paired) if rotated => PAIR_BLOCK * paired.decode_words(lower, out),
            _ => 0,
        };
        for source in raw {
            if let PlaneSource::Raw(bytes) = source {
                *bytes = &bytes[words..];
            }
        }
        Ok(words)
    }

    /// Splits a coded chunk of `words` words into its planes.
    fn sources<'a>(&'a self, coded: &'a [u8], words: usize) -> Result<Vec<PlaneSource<'a>>> {
        let mut rest = coded;
        let sources = self.planes.iter().map(|plane| {
            Ok(match plane {
                Plane::Constant(value) => PlaneSource::Constant(*value),
                Plane::Raw => PlaneSource::Raw(take(&mut rest, words)?),
                Plane::Coded(table) => {
                    PlaneSource::Coded(SequenceDecoder::take(&mut rest, Kernel::best())?, table)
                }
                Plane::Paired(pairing, table) => {
                    PlaneSource::Paired(PairedSource::take(&mut rest, *pairing, table, words)?)
                }
            })
        });
        let sources = sources.collect::<Result<Vec<_>>>()?;
        if !rest.is_empty() {
            return Err(Error::corrupt("byte planes: coded chunk is too long"));
        }
        Ok(sources)
    }
}

/// The next bytes of a chunk.
fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8]> {
    let (bytes, after) = rest
        .split_at_checked(length)
        .ok_or_else(|| Error::corrupt("byte planes: coded chunk is too short"))?;
    *rest = after;
    Ok(bytes)
}

fn take_u32(rest: &mut &[u8]) -> Result<usize> {
    let bytes = take(rest, size_of::<u32>())?;
    Ok(bytes.iter().rev().fold(0, |number, &byte| number << 8 | usize::from(byte)))
}

impl<'a> PairedSource<'a> {
    /// Reads the next plane of a chunk, of `bytes` bytes.
    fn take(
        rest: &mut &'a [u8],
        pairing: Pairing,
        table: &'a DecodeTable,
        bytes: usize,
    ) -> Result<Self> {
        let outliers = take_u32(rest)?;
        let blocks = bytes / PAIR_BLOCK;
        let decoder = SequenceDecoder::take(rest, Kernel::best())?;
        let low_bits = take(rest, low_bits::stored_bytes(pairing.low_bits, blocks))?;
        let after = take(rest, bytes % PAIR_BLOCK)?;
        let positions = take(rest, outliers.saturating_mul(size_of::<U32>()))?;
        let positions = <[U32]>::ref_from_bytes(positions).unwrap_or_else(|_| {
            unreachable!("the length is a multiple of four; `U32` has no alignment")
        });
        let ascending = positions.windows(2).all(|pair| pair[0].get() < pair[1].get());
        let paired = bytes - bytes % PAIR_BLOCK;
        if !ascending || positions.last().is_some_and(|last| last.get() as usize >= paired) {
            return Err(Error::corrupt(
                "byte plane: outlier positions are not ascending or out of range",
            ));
        }
        let outliers = (positions, take(rest, outliers)?);
        Ok(Self { decoder, pairing, table, low_bits, rest: after, outliers })
    }

    /// Decodes blocks without the outliers, and joins them with the lower bytes of their words. Returns
    /// the number of blocks, which may be 0.
    fn decode_words(&mut self, lower: &[&[u8]], out: &mut [u8]) -> usize {
        let Pairing { base, low_bits } = self.pairing;
        let pairs = PairedBytes { base, low_bits: (low_bits, self.low_bits), lower };
        let blocks = self.decoder.decode_pairs(self.table, &pairs, out);
        self.low_bits = &self.low_bits[low_bits::stored_bytes(low_bits, blocks)..];
        blocks
    }

    /// Decodes the next bytes without the outliers: whole blocks, except in the last call.
    fn next(&mut self, out: &mut [u8]) -> Result<()> {
        let (blocks, rest) = out.as_chunks_mut::<PAIR_BLOCK>();
        let Pairing { base, low_bits } = self.pairing;
        self.decoder.decode_pair_bytes(self.table, base, blocks.as_flattened_mut())?;
        if low_bits > 0 {
            let stored = low_bits::stored_bytes(low_bits, blocks.len());
            let (next, after) = self.low_bits.split_at(stored);
            self.low_bits = after;
            Kernel::best().run(
                #[inline(always)]
                || low_bits::insert(low_bits, next.as_chunks().0, blocks),
            );
        }
        let (next, after) = self.rest.split_at(rest.len());
        rest.copy_from_slice(next);
        self.rest = after;
        Ok(())
    }
}

impl<'a> PlaneSource<'a> {
    /// The plane's next `buffer.len()` bytes: decoded into `buffer`, or a slice of the chunk.
    fn next<'b>(&mut self, buffer: &'b mut [u8]) -> Result<&'b [u8]>
    where
        'a: 'b,
    {
        match self {
            Self::Raw(bytes) => {
                let (next, rest) = bytes.split_at(buffer.len());
                *bytes = rest;
                Ok(next)
            }
            Self::Constant(value) => {
                buffer.fill(*value);
                Ok(buffer)
            }
            Self::Coded(decoder, table) => {
                decoder.decode(table, buffer)?;
                Ok(buffer)
            }
            Self::Paired(paired) => {
                paired.next(buffer)?;
                Ok(buffer)
            }
        }
    }

    fn finish(self) -> Result<()> {
        match self {
            Self::Raw(_) | Self::Constant(_) => Ok(()),
            Self::Coded(decoder, _) | Self::Paired(PairedSource { decoder, .. }) => {
                decoder.finish()
            }
        }
    }
}
