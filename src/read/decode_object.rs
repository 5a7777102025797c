//! Decoding of objects of an open file: whole ones, ranges of their bytes, or several together.

use super::decode_spans::{self, Decoding};
use super::frame_decoder::FrameDecoder;
use super::pieces::{Piece, pieces};
use super::stored_object::StoredObject;
use crate::dtype::Dtype;
use crate::error::Result;
use crate::format::Chunk;
use rayon::prelude::*;
use std::sync::atomic::{AtomicU64, Ordering};

/// Decodes bytes of an object from `start` on into `out`. Reads only the chunks that overlap them, and
/// compares their checksums. If these are all bytes, compares that of the decoded object instead.
pub(super) fn decode_range(object: &StoredObject<'_>, start: u64, out: &mut [u8]) -> Result<()> {
    let geometry = &object.object().geometry;
    if out.len() as u64 == geometry.decoded_len() {
        return decode_whole(object, out);
    }
    let mut pieces = pieces(geometry.chunk_bytes(), start, out);
    for_each_chunk(object, &mut pieces, |decoder, chunk, piece| {
        if piece.out.len() == decoder.chunk_length(chunk.number) {
            return decoder.decode_into(chunk, piece.out);
        }
        let file = object.container();
        file.with_buffer(|buffer| decoder.decode_part(chunk, piece.skip, piece.out, buffer))
    })
}

/// Decodes a whole object into `out`.
fn decode_whole(object: &StoredObject<'_>, out: &mut [u8]) -> Result<()> {
    let mut pieces = pieces(object.object().geometry.chunk_bytes(), 0, out);
    for_each_chunk(object, &mut pieces, |decoder, chunk, piece| {
        piece.decode_whole(decoder, chunk)
    })?;
    check_decoded(object, &mut pieces)
}

/// Decodes whole objects of one file, each into its own buffer, which has its length. In parallel.
/// Returns the first error in the order of the objects, or of the file if they are read in spans.
pub(super) fn decode_all(objects: Vec<(&StoredObject<'_>, &mut [u8])>) -> Result<()> {
    let is_read_in_spans =
        objects.first().is_some_and(|(object, _)| object.container().span_bytes() > 0);
    if !is_read_in_spans {
        let decode = |(object, out): (&StoredObject<'_>, &mut [u8])| {
            decode_range(object, 0, out).map_err(|error| object.locate(error))
        };
        let failure = objects.into_par_iter().map(decode).find_map_first(Result::err);
        return failure.map_or(Ok(()), Err);
    }
    let mut all = Vec::new();
    for (object, out) in objects {
        all.push((object, pieces(object.object().geometry.chunk_bytes(), 0, out)));
    }
    let decodings = all.iter_mut().map(|(object, pieces)| Decoding { object, pieces }).collect();
    decode_spans::for_each_chunk(decodings, |decoder, chunk, piece| {
        piece.decode_whole(decoder, chunk)
    })?;
    let check = |(object, pieces): &mut (&StoredObject<'_>, Vec<Piece<'_>>)| {
        check_decoded(object, pieces).map_err(|error| object.locate(error))
    };
    all.iter_mut().try_for_each(check)
}

/// Decodes elements of an object, of a float dtype, into `out` as elements of another one, from byte
/// `start` of the converted object on. Returns the number of finite elements, of the chunks that
/// contain them, that are not finite in `dtype`.
pub(super) fn decode_as(
    object: &StoredObject<'_>,
    dtype: Dtype,
    start: u64,
    out: &mut [u8],
) -> Result<u64> {
    let width = (dtype.bits() / 8) as usize;
    let chunk_bytes = object.object().geometry.chunk_elements().saturating_mul(width as u64);
    let mut pieces = pieces(chunk_bytes, start, out);
    let overflowed = AtomicU64::new(0);
    for_each_chunk(object, &mut pieces, |decoder, chunk, piece| {
        let length = decoder.chunk_elements(chunk.number) * width;
        let decode = |out: &mut [u8]| {
            overflowed.fetch_add(decoder.decode_as(chunk, dtype, out)?, Ordering::Relaxed);
            Ok(())
        };
        if piece.out.len() == length {
            return decode(piece.out);
        }
        object.container().with_buffer(|decoded| {
            if decoded.len() < length {
                decoded.resize(length, 0);
            }
            decode(&mut decoded[..length])?;
            piece.out.copy_from_slice(&decoded[piece.skip..piece.skip + piece.out.len()]);
            Ok(())
        })
    })?;
    Ok(overflowed.into_inner())
}

/// Reads the chunks of `pieces` of an object and calls `work` with each, in parallel. Returns the
/// first error in the order of the chunks.
fn for_each_chunk(
    object: &StoredObject<'_>,
    pieces: &mut [Piece<'_>],
    work: impl Fn(&FrameDecoder, &Chunk<&[u8]>, &mut Piece<'_>) -> Result<()> + Sync,
) -> Result<()> {
    let file = object.container();
    if file.span_bytes() > 0 {
        return decode_spans::for_each_chunk(vec![Decoding { object, pieces }], work);
    }
    let (stored, decoder) = object.resolved()?;
    decoder.check_supported()?;
    let decode = |piece: &mut Piece<'_>| {
        file.with_buffer(|buffer| {
            let chunk = stored.read_chunk(file, piece.number, buffer)?;
            work(decoder, &chunk, piece)
        })
    };
    let failure = pieces.par_iter_mut().map(decode).find_map_first(Result::err);
    failure.map_or(Ok(()), Err)
}

/// Compares the checksum of a whole decoded object with those of its decoded chunks. The stored ones of
/// lossless chunks were not compared, since to compute both takes an eighth of the time: now they tell
/// which chunk is damaged.
///
/// # Errors
/// `ChecksumMismatch`; those of reading the chunks again.
fn check_decoded(object: &StoredObject<'_>, pieces: &mut [Piece<'_>]) -> Result<()> {
    let (_, decoder) = object.resolved()?;
    let crcs = pieces.iter().map(|piece| piece.crc);
    decoder.check_decoded_crc(object.payload().decoded_crc, crcs).or_else(|error| {
        for_each_chunk(object, pieces, |decoder, chunk, _| decoder.check(chunk)).and(Err(error))
    })
}
