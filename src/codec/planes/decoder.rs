//! From a coded chunk to its words.

use super::pairs::BLOCK;
use super::{MODE_CODED, MODE_CONSTANT, MODE_PAIRED, MODE_RAW, Plane};
use crate::arch::Kernel;
use crate::codec::entropy::rans::{self, DecodeTable, LANES, PairedBytes};
use crate::codec::entropy::{BitReader, Frequencies};
use crate::codec::planes::split::Split;
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use zerocopy::FromBytes;
use zerocopy::little_endian::U32;

/// Words decoded at a time: all planes of a tile stay in the first-level cache.
const TILE: usize = 64 * LANES;

/// Decodes chunks with one set of tables.
pub(crate) struct Decoder {
    split: Split,
    planes: Vec<Plane<DecodeTable>>,
}

/// Where the bytes of one plane come from while a chunk is decoded.
enum Feed<'a> {
    Raw(&'a [u8]),
    Constant(u8),
    Coded(rans::RansDecoder<'a>, &'a DecodeTable),
    Paired(Paired<'a>),
}

/// A plane in pairs.
struct Paired<'a> {
    decoder: rans::RansDecoder<'a>,
    base: u8,
    table: &'a DecodeTable,
    /// Bytes after the last whole block.
    rest: &'a [u8],
    /// Places of bytes that no nibble stands for, ascending, and what is there.
    outliers: (&'a [U32], &'a [u8]),
}

impl Decoder {
    /// Reads the parameters of a tensor of this dtype.
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
                    let base = input.take(8)? as u8;
                    Plane::Paired(base, DecodeTable::new(&Frequencies::read(&mut input)?))
                }
                _ => return Err(Error::corrupt("an unknown plane mode")),
            };
            rest = input.finish()?;
            planes.push(plane);
        }
        if !rest.is_empty() {
            return Err(Error::corrupt("bytes after the codec parameters"));
        }
        Ok(Self { split, planes })
    }

    pub(crate) fn decode(&self, coded: &[u8], out: &mut [u8]) -> Result<()> {
        let width = self.split.width;
        if !out.len().is_multiple_of(width) {
            return Err(Error::corrupt("a chunk that does not hold whole elements"));
        }
        let mut feeds = self.feeds(coded, out.len() / width)?;
        let mut rest = &mut *out;
        // Halves of floats, mostly: from the stream to their places at once.
        let rotated = self.split.rotate;
        let words = match &mut feeds[..] {
            [Feed::Raw(low), Feed::Coded(decoder, table)] => {
                LANES * decoder.decode_words(table, low, rotated, rest)
            }
            [Feed::Raw(low), Feed::Paired(Paired { decoder, base, table, .. })] => {
                let pairs = PairedBytes { base: *base, low: low.as_chunks().0, rotated };
                BLOCK * decoder.decode_pairs(table, &pairs, rest)
            }
            _ => 0,
        };
        if let [Feed::Raw(low), _] = &mut feeds[..] {
            (*low, rest) = (&low[words..], &mut rest[2 * words..]);
        }
        let mut buffer = vec![0; width * TILE];
        for tile in rest.chunks_mut(width * TILE) {
            let words = tile.len() / width;
            let mut planes = [[].as_slice(); 8];
            let buffers = buffer.chunks_mut(TILE);
            for ((feed, plane), buffer) in feeds.iter_mut().zip(&mut planes).zip(buffers) {
                *plane = feed.next(&mut buffer[..words])?;
            }
            self.split.join(Kernel::best(), &planes[..width], tile);
        }
        for (plane, feed) in feeds.iter().enumerate() {
            if let Feed::Paired(Paired { outliers: (places, bytes), .. }) = feed {
                let outliers = places.iter().zip(*bytes);
                outliers.for_each(|(place, &byte)| {
                    self.split.replace(plane, place.get() as usize, byte, out);
                });
            }
        }
        feeds.into_iter().try_for_each(Feed::finish)
    }

    /// Cuts a coded chunk of `words` words into its planes.
    fn feeds<'a>(&'a self, coded: &'a [u8], words: usize) -> Result<Vec<Feed<'a>>> {
        let mut rest = coded;
        let feeds = self.planes.iter().map(|plane| {
            Ok(match plane {
                Plane::Constant(value) => Feed::Constant(*value),
                Plane::Raw => Feed::Raw(take(&mut rest, words)?),
                Plane::Coded(table) => Feed::Coded(stream(&mut rest)?, table),
                Plane::Paired(base, table) => {
                    Feed::Paired(Paired::take(&mut rest, *base, table, words)?)
                }
            })
        });
        let feeds = feeds.collect::<Result<Vec<_>>>()?;
        if !rest.is_empty() {
            return Err(Error::corrupt("a coded chunk that is too long"));
        }
        Ok(feeds)
    }
}

/// The next bytes of a chunk.
fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8]> {
    let (bytes, after) = rest
        .split_at_checked(length)
        .ok_or_else(|| Error::corrupt("a coded chunk that is too short"))?;
    *rest = after;
    Ok(bytes)
}

fn take_u32(rest: &mut &[u8]) -> Result<usize> {
    let bytes = take(rest, size_of::<u32>())?;
    Ok(bytes.iter().rev().fold(0, |number, &byte| number << 8 | usize::from(byte)))
}

/// The next stream of a chunk, after its length.
fn stream<'a>(rest: &mut &'a [u8]) -> Result<rans::RansDecoder<'a>> {
    let length = take_u32(rest)?;
    rans::RansDecoder::new(take(rest, length)?, Kernel::best())
}

impl<'a> Paired<'a> {
    /// The next plane of a chunk, of so many bytes.
    fn take(rest: &mut &'a [u8], base: u8, table: &'a DecodeTable, bytes: usize) -> Result<Self> {
        let outliers = take_u32(rest)?;
        let decoder = stream(rest)?;
        let after = take(rest, bytes % BLOCK)?;
        let places = take(rest, outliers.saturating_mul(size_of::<U32>()))?;
        let places = <[U32]>::ref_from_bytes(places)
            .unwrap_or_else(|_| unreachable!("whole numbers, at any alignment"));
        let ascending = places.windows(2).all(|pair| pair[0].get() < pair[1].get());
        let paired = bytes - bytes % BLOCK;
        if !ascending || places.last().is_some_and(|place| place.get() as usize >= paired) {
            return Err(Error::corrupt("bytes in no pair that are out of place"));
        }
        let outliers = (places, take(rest, outliers)?);
        Ok(Self { decoder, base, table, rest: after, outliers })
    }

    /// Decodes the next bytes, strangers apart: whole blocks, except in the last call.
    fn next(&mut self, out: &mut [u8]) -> Result<()> {
        let (blocks, rest) = out.split_at_mut(out.len() / BLOCK * BLOCK);
        self.decoder.decode_pair_bytes(self.table, self.base, blocks)?;
        let (next, after) = self.rest.split_at(rest.len());
        rest.copy_from_slice(next);
        self.rest = after;
        Ok(())
    }
}

impl<'a> Feed<'a> {
    /// The plane's next bytes, as many as `buffer` holds: there, or where they lie.
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
            Self::Coded(decoder, _) | Self::Paired(Paired { decoder, .. }) => decoder.finish(),
        }
    }
}
