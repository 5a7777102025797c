//! One object of an open file: where its parts lie, and the decoding of its chunks.

use super::container::Container;
use super::frame_decoder::FrameDecoder;
use super::reference;
use crate::codec::{Codec, Coding};
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::format::{
    Chunk, Footer, FrameHeader, IndexEntry, Object, Payload, header_length, parse_chunk,
};
use rayon::prelude::*;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// A tensor or an attachment of an open file.
pub(super) struct StoredObject<'a> {
    container: Arc<Container<'a>>,
    entry: IndexEntry,
    shape: Vec<usize>,
    /// Position in the index.
    position: usize,
    /// Built from the frame header when it is first needed.
    decoder: OnceLock<FrameDecoder>,
    /// The object that this one refers to, found when it is first needed.
    target: OnceLock<(IndexEntry, FrameDecoder)>,
}

impl<'a> StoredObject<'a> {
    /// The object at `position` of the index.
    ///
    /// # Errors
    /// `Corrupt`, `Unsupported` or `LimitExceeded` if the index entry is not valid.
    pub(super) fn new(container: &Arc<Container<'a>>, position: usize) -> Result<Self> {
        let open = || {
            let entry = container.index().entry(position, container.limits())?;
            let (payload, object) = (&entry.payload, &entry.object);
            let aligned =
                !object.is_aligned() || payload.offset.is_multiple_of(container.alignment());
            // The index has checked that the sum does not overflow.
            if payload.offset + payload.length > container.index_offset() || !aligned {
                let error = Error::corrupt("index: payload out of place");
                return Err(error.at_offset(payload.offset).in_tensor(&object.name));
            }
            let shape = object.native_shape()?;
            let (decoder, target) = (OnceLock::new(), OnceLock::new());
            Ok(Self { container: Arc::clone(container), entry, shape, position, decoder, target })
        };
        open().map_err(|error| container.in_file(error))
    }

    pub(super) fn object(&self) -> &Object {
        &self.entry.object
    }

    pub(super) fn payload(&self) -> &Payload {
        &self.entry.payload
    }

    pub(super) fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Adds the name and the file to an error.
    pub(super) fn locate(&self, error: Error) -> Error {
        self.container.in_file(error.in_tensor(&self.entry.object.name))
    }

    /// # Errors
    /// `LimitExceeded` if `length` decoded bytes may not be allocated.
    pub(super) fn check_length(&self, length: u64) -> Result<()> {
        let limit = self.container.limits().tensor_bytes;
        Error::check_limit("a tensor", length, limit)
    }

    /// The payload, if it is contiguous and in memory.
    pub(super) fn contiguous_payload(&self) -> Option<&[u8]> {
        let Payload { offset, length, .. } = self.entry.payload;
        match self.entry.object.layout.is_contiguous() {
            true => self.container.in_memory(offset..offset + length),
            false => None,
        }
    }

    /// The decoder, which is built once.
    ///
    /// # Errors
    /// `ChecksumMismatch`, `Corrupt`, `LimitExceeded`, `Truncated` or `Io` if the frame header
    /// cannot be read or contradicts the index.
    pub(super) fn decoder(&self) -> Result<&FrameDecoder> {
        if let Some(decoder) = self.decoder.get() {
            return Ok(decoder);
        }
        let header = self.container.with_buffer(|buffer| self.read_header(buffer));
        let header = header.map_err(|error| error.at_offset(self.entry.payload.frame_offset))?;
        Ok(self.decoder.get_or_init(|| FrameDecoder::new(header, None, self.container.limits())))
    }

    /// What is decoded: the object that this one refers to, or this one.
    ///
    /// # Errors
    /// As [`decoder`](Self::decoder), for either object; `Corrupt` for a reference to an object that
    /// is not one to refer to; `ChecksumMismatch` if the decoded CRCs differ.
    fn resolved(&self) -> Result<(&IndexEntry, &FrameDecoder)> {
        if self.entry.object.codec != Codec::Reference.id() {
            return Ok((&self.entry, self.decoder()?));
        }
        if self.target.get().is_none() {
            let header = self.decoder()?.header();
            let position = reference::target_of(header, self.position as u64)?;
            // Positions before this one are in the index.
            let target = Self::new(&self.container, position.unwrap_or(0) as usize)?;
            reference::check_target(header, target.decoder()?.header())?;
            let (stored, found) = (&self.entry.payload, &target.entry.payload);
            Error::check_crc(stored.decoded_crc, found.decoded_crc)?;
            if let Some(decoder) = target.decoder.into_inner() {
                let _ = self.target.set((target.entry, decoder));
            }
        }
        match self.target.get() {
            Some((entry, decoder)) => Ok((entry, decoder)),
            None => unreachable!("set above"),
        }
    }

    /// The parameters of a lossy codec; `None` for a lossless one.
    pub(super) fn coding(&self) -> Result<Option<Coding>> {
        self.resolved()?.1.coding(self.footer()?)
    }

    fn read_header(&self, buffer: &mut Vec<u8>) -> Result<FrameHeader> {
        let differs = || Error::corrupt("frame header: contradicts the index");
        let (payload, limits) = (&self.entry.payload, self.container.limits());
        // The header with its padding, bounded before it is read.
        let most = limits.frame_header_bytes.saturating_add(self.container.alignment());
        let end = payload.offset.min(payload.frame_offset.saturating_add(most));
        let frame = self.container.read(payload.frame_offset..end, buffer)?;
        let length = header_length(frame.first_chunk().ok_or_else(differs)?, limits)?;
        let bytes = frame.get(..length).ok_or_else(differs)?;
        // The index states the whole name, so that the frame before is not needed.
        let header = FrameHeader::parse(bytes, &self.entry.object.name, limits)?;
        let padding = payload.offset - payload.frame_offset - length as u64;
        let most = match header.object.is_aligned() {
            true => self.container.alignment() - 1,
            false => 0,
        };
        if header.object != self.entry.object || padding > most {
            return Err(differs());
        }
        Ok(header)
    }

    pub(super) fn footer(&self) -> Result<Footer> {
        let start = self.entry.payload.offset + self.entry.payload.length;
        let end = start + Footer::length(self.entry.object.layout) as u64;
        if end > self.container.size() {
            return Err(Error::truncated().at_offset(start));
        }
        let header = self.decoder()?.header();
        self.container.with_buffer(|buffer| {
            let bytes = self.container.read(start..end, buffer)?;
            Footer::parse(bytes, header).map_err(|error| error.at_offset(start))
        })
    }

    /// Decodes bytes of the object from `start` on into `out`. Reads only the chunks that overlap
    /// them. If these are all bytes, their checksum is compared.
    pub(super) fn decode_range(&self, start: u64, out: &mut [u8]) -> Result<()> {
        let (entry, decoder) = self.resolved()?;
        decoder.check_supported()?;
        let whole = out.len() as u64 == self.entry.object.geometry.decoded_len();
        let mut pieces = pieces(self.entry.object.geometry.chunk_bytes(), start, out);
        self.for_each_chunk(entry, decoder, &mut pieces, |chunk, piece| {
            if whole {
                piece.crc = decoder.decode_with_crc(chunk, piece.out)?;
                return Ok(());
            }
            let length = decoder.chunk_length(chunk.number);
            if piece.out.len() == length {
                return decoder.decode_into(chunk, piece.out);
            }
            self.with_part(piece, length, |out| decoder.decode_into(chunk, out))
        })?;
        match whole {
            true => {
                let stored = self.entry.payload.decoded_crc;
                decoder.check_decoded_crc(stored, pieces.iter().map(|piece| piece.crc))
            }
            false => Ok(()),
        }
    }

    /// Decodes elements of the object, of a float dtype, into `out` as elements of another one, from
    /// byte `start` of the converted object on. Returns the number of finite elements in the chunks
    /// that overlap them that are not finite in `dtype`.
    pub(super) fn decode_as(&self, dtype: Dtype, start: u64, out: &mut [u8]) -> Result<u64> {
        let (entry, decoder) = self.resolved()?;
        decoder.check_supported()?;
        let geometry = &self.entry.object.geometry;
        let width = u64::from(dtype.bits() / 8);
        let mut pieces = pieces(geometry.chunk_elements().saturating_mul(width), start, out);
        let overflowed = AtomicU64::new(0);
        self.for_each_chunk(entry, decoder, &mut pieces, |chunk, piece| {
            let number = chunk.number;
            let elements = geometry
                .chunk_elements()
                .min(geometry.elements() - number * geometry.chunk_elements());
            let length = (elements * width) as usize;
            let decode = |out: &mut [u8]| {
                overflowed.fetch_add(decoder.decode_as(chunk, dtype, out)?, Ordering::Relaxed);
                Ok(())
            };
            match piece.out.len() == length {
                true => decode(piece.out),
                false => self.with_part(piece, length, decode),
            }
        })?;
        Ok(overflowed.into_inner())
    }

    /// Calls `decode` with a buffer for a whole chunk of `length` bytes and copies the part that is
    /// wanted.
    fn with_part(
        &self,
        piece: &mut Piece<'_>,
        length: usize,
        decode: impl FnOnce(&mut [u8]) -> Result<()>,
    ) -> Result<()> {
        self.container.with_buffer(|decoded| {
            if decoded.len() < length {
                decoded.resize(length, 0);
            }
            decode(&mut decoded[..length])?;
            piece.out.copy_from_slice(&decoded[piece.skip..piece.skip + piece.out.len()]);
            Ok(())
        })
    }

    /// Reads the chunks of `pieces` of an object and calls `work` with each, in parallel. Returns
    /// the first error in the order of the chunks.
    fn for_each_chunk(
        &self,
        entry: &IndexEntry,
        decoder: &FrameDecoder,
        pieces: &mut [Piece<'_>],
        work: impl Fn(&Chunk<&[u8]>, &mut Piece<'_>) -> Result<()> + Sync,
    ) -> Result<()> {
        let decode = |piece: &mut Piece<'_>| {
            self.container.with_buffer(|buffer| {
                let chunk = self.read_chunk(entry, decoder.header(), piece.number, buffer)?;
                work(&chunk, piece)
            })
        };
        let failure = pieces.par_iter_mut().map(decode).find_map_first(Result::err);
        failure.map_or(Ok(()), Err)
    }

    fn read_chunk<'b>(
        &'b self,
        entry: &IndexEntry,
        header: &FrameHeader,
        number: u64,
        buffer: &'b mut Vec<u8>,
    ) -> Result<Chunk<&'b [u8]>> {
        let misplaced = || Error::corrupt("index: chunk out of place").in_chunk(number);
        let extent = self.container.index().chunk_extent(entry, number);
        let extent = extent.ok_or_else(misplaced)?;
        let (offset, payload) = (extent.start, &entry.payload);
        let end = payload.offset + payload.length;
        if offset < payload.offset || offset > extent.end || extent.end > end {
            return Err(misplaced().at_offset(offset));
        }
        // A chunk and its head: bounded before they are read.
        let most = self.container.limits().chunk_bytes.saturating_add(Chunk::<&[u8]>::HEAD_BYTES);
        Error::check_limit("an encoded chunk", extent.end - offset, most)
            .map_err(|error| error.in_chunk(number).at_offset(offset))?;
        let bytes = self.container.read(extent, buffer);
        let bytes = bytes.map_err(|error| error.in_chunk(number))?;
        match header.object.layout.is_contiguous() {
            false => parse_chunk(bytes, offset, number),
            true => {
                let stored_crc = header.chunk_crcs[number as usize];
                Ok(Chunk::contiguous(number, offset, bytes, stored_crc))
            }
        }
    }

    /// The coded bytes of a chunk, whose checksum has been compared.
    #[cfg(feature = "convert")]
    pub(super) fn coded_chunk<'b>(
        &'b self,
        number: u64,
        buffer: &'b mut Vec<u8>,
    ) -> Result<&'b [u8]> {
        let chunk = self.read_chunk(&self.entry, self.decoder()?.header(), number, buffer)?;
        chunk.check()?;
        Ok(chunk.bytes)
    }

    /// The position of the object that this one refers to; `None` if it is not a reference.
    #[cfg(feature = "convert")]
    pub(super) fn target(&self) -> Result<Option<u64>> {
        self.resolved()?;
        reference::target_of(self.decoder()?.header(), self.position as u64)
    }

    /// The byte range of rows of the outermost dimension.
    ///
    /// # Errors
    /// `InvalidArgument`.
    pub(super) fn row_bytes(&self, rows: Range<usize>) -> Result<Range<u64>> {
        let elements = self.row_elements(rows.clone())?;
        let dtype = self.entry.object.geometry.dtype();
        match (dtype.byte_len(elements.start), dtype.byte_len(elements.end)) {
            (Some(start), Some(end)) => Ok(start..end),
            _ => Err(Error::invalid(format!("rows {rows:?}: do not start and end on whole bytes"))),
        }
    }

    /// The elements of rows of the outermost dimension.
    ///
    /// # Errors
    /// `InvalidArgument`.
    pub(super) fn row_elements(&self, rows: Range<usize>) -> Result<Range<u64>> {
        let Some(&count) = self.shape.first() else {
            return Err(Error::invalid("a scalar has no rows"));
        };
        if rows.start > rows.end || rows.end > count {
            return Err(Error::invalid(format!("rows {rows:?} of {count}: out of bounds")));
        }
        let row = self.entry.object.geometry.elements() / (count as u64).max(1);
        Ok(rows.start as u64 * row..rows.end as u64 * row)
    }
}

/// Part of a chunk, and where its decoded bytes go.
struct Piece<'o> {
    number: u64,
    /// Bytes of the decoded chunk before the part.
    skip: usize,
    out: &'o mut [u8],
    /// CRC-32 of the decoded bytes, if the whole object is decoded.
    crc: u32,
}

/// Splits `out`, which starts at byte `start` of a decoded object, at the boundaries of chunks.
fn pieces(chunk_bytes: u64, start: u64, mut out: &mut [u8]) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut position = start;
    while !out.is_empty() {
        let (number, skip) = (position / chunk_bytes, position % chunk_bytes);
        // At most the rest of `out`, which is in memory.
        let length = (chunk_bytes - skip).min(out.len() as u64) as usize;
        let (part, rest) = std::mem::take(&mut out).split_at_mut(length);
        pieces.push(Piece { number, skip: skip as usize, out: part, crc: 0 });
        position += length as u64;
        out = rest;
    }
    pieces
}
