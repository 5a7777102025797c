//! The parts of a coded chunk.

use crate::codec::entropy::rans::RansDecoder;
use crate::codec::entropy::{Alphabet, BitReader, ESCAPE};
use crate::codec::transform::BAND;
use crate::error::{Error, Result};
use std::ops::Range;
use zerocopy::FromBytes;
use zerocopy::little_endian::{I16, U32};

/// A chunk: its outliers, and its rows in one or two segments.
pub(super) struct TrellisChunk<'a> {
    pub(super) outliers: Outliers<'a>,
    pub(super) segments: Vec<Segment<'a>>,
}

/// Weights that are stored unchanged.
#[derive(Clone, Copy)]
pub(super) struct Outliers<'a> {
    bytes: &'a [u8],
    element_bytes: usize,
}

/// The parts of a segment, as far as they are not yet decoded. Segments are coded independently.
pub(super) struct Segment<'a> {
    /// The rows of the chunk that the segment holds.
    pub(super) rows: Range<usize>,
    escapes: &'a [I16],
    bypass: BitReader<'a>,
    pub(super) stream: RansDecoder<'a>,
}

/// The bit of the number of outliers that says whether a chunk has two segments.
pub(super) const TWO_SEGMENTS: u32 = 1 << 31;

/// The rows in the first of two segments of a chunk of `rows` rows: the first half of its bands.
pub(super) fn first_segment_rows(rows: usize) -> usize {
    rows.div_ceil(BAND).div_ceil(2) * BAND
}

fn short() -> Error {
    Error::corrupt("trellis chunk: too short")
}

impl<'a> TrellisChunk<'a> {
    /// Splits a chunk of `rows` rows of `columns` elements. Each row has `bypass_bits`.
    ///
    /// # Errors
    /// `Corrupt`.
    pub(super) fn open(
        coded: &'a [u8],
        [rows, columns]: [usize; 2],
        element_bytes: usize,
        bypass_bits: usize,
    ) -> Result<Self> {
        let (head, rest) = U32::ref_from_prefix(coded).map_err(|_| short())?;
        let has_two = head.get() & TWO_SEGMENTS != 0;
        let count = (head.get() & !TWO_SEGMENTS) as usize;
        let length = count.checked_mul(size_of::<u32>() + element_bytes);
        let (bytes, mut rest) =
            length.and_then(|length| rest.split_at_checked(length)).ok_or_else(short)?;
        let outliers = Outliers { bytes, element_bytes };
        outliers.check(rows * columns)?;
        let mut segments = Vec::with_capacity(2);
        let mut start = 0;
        if has_two {
            if rows <= BAND {
                return Err(Error::corrupt("trellis chunk: one band in two segments"));
            }
            let (length, after) = U32::ref_from_prefix(rest).map_err(|_| short())?;
            let coded;
            (coded, rest) = after.split_at_checked(length.get() as usize).ok_or_else(short)?;
            start = first_segment_rows(rows);
            segments.push(Segment::open(coded, 0..start, bypass_bits)?);
        }
        segments.push(Segment::open(rest, start..rows, bypass_bits)?);
        Ok(Self { outliers, segments })
    }
}

impl<'a> Outliers<'a> {
    /// Their positions in the chunk, and their bytes.
    pub(super) fn iter(self) -> impl Iterator<Item = (usize, &'a [u8])> {
        self.bytes.chunks_exact(size_of::<u32>() + self.element_bytes).map(|outlier| {
            let (position, value) = outlier.split_at(size_of::<u32>());
            (u32::from_le_bytes(position.try_into().unwrap_or_default()) as usize, value)
        })
    }

    fn check(self, elements: usize) -> Result<()> {
        let mut after = None;
        for (position, _) in self.iter() {
            if position >= elements || after.is_some_and(|after| position <= after) {
                return Err(Error::corrupt(
                    "trellis chunk: outlier positions are not ascending or out of range",
                ));
            }
            after = Some(position);
        }
        Ok(())
    }
}

impl<'a> Segment<'a> {
    fn open(coded: &'a [u8], rows: Range<usize>, bypass_bits: usize) -> Result<Self> {
        let (escapes, rest) = U32::ref_from_prefix(coded).map_err(|_| short())?;
        let (escapes, rest) = <[I16]>::ref_from_prefix_with_elems(rest, escapes.get() as usize)
            .map_err(|_| short())?;
        let bits = rows.len() as u64 * bypass_bits as u64;
        let bytes = usize::try_from(bits.div_ceil(8)).map_err(|_| short())?;
        let (bypass, stream) = rest.split_at_checked(bytes).ok_or_else(short)?;
        let stream = RansDecoder::new(stream)?;
        Ok(Self { rows, escapes, bypass: BitReader::new(bypass), stream })
    }

    /// The integer of a symbol and its bypass bits.
    #[inline]
    pub(super) fn integer(&mut self, alphabet: Alphabet, symbol: u8) -> Result<i32> {
        let high = if symbol == ESCAPE {
            let Some((value, rest)) = self.escapes.split_first() else {
                return Err(Error::corrupt("trellis chunk: an escape has no integer"));
            };
            self.escapes = rest;
            i32::from(value.get()) << alphabet.bypass
        } else {
            alphabet.integer(symbol)
        };
        match alphabet.bypass {
            0 => Ok(high),
            bits => Ok(high | self.bypass.take(bits)? as i32),
        }
    }

    /// Checks that nothing is left.
    ///
    /// # Errors
    /// `Corrupt`.
    pub(super) fn finish(self) -> Result<()> {
        if !self.escapes.is_empty() {
            return Err(Error::corrupt("trellis chunk: more escaped integers than escapes"));
        }
        if !self.bypass.finish()?.is_empty() {
            return Err(Error::corrupt("trellis chunk: trailing bypass bits"));
        }
        self.stream.finish()
    }
}
