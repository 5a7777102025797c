//! One tensor of an open file.

use super::frame_decoder::FrameDecoder;
use super::reader::Reader;
use crate::arch::Kernel;
use crate::codec::{Codec, Coding};
use crate::dtype::Dtype;
use crate::dtype::number;
use crate::error::{Error, Result};
use crate::format::{
    Chunk, Footer, FrameHeader, IndexEntry, PayloadLayout, header_length, parse_chunk,
};
use rayon::prelude::*;
use std::fmt;
use std::ops::Range;

/// A tensor in an open file; nothing of it has been read yet.
pub struct Tensor<'r> {
    reader: &'r Reader<'r>,
    pub(super) entry: IndexEntry<'r>,
    shape: Vec<usize>,
}

impl fmt::Debug for Tensor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tensor")
            .field("name", &self.name())
            .field("dtype", &self.dtype())
            .field("shape", &self.shape)
            .finish_non_exhaustive()
    }
}

impl<'r> Tensor<'r> {
    /// Checks what the index alone cannot: that the payload lies before it, aligned.
    pub(super) fn new(reader: &'r Reader<'r>, entry: IndexEntry<'r>) -> Result<Self> {
        let outside = entry.payload.offset + entry.payload.length > reader.index.start as u64;
        let aligned = entry.object.layout == PayloadLayout::Chunked
            || entry.payload.length == 0
            || entry.payload.offset.is_multiple_of(reader.header.alignment());
        if outside || !aligned {
            let error = Error::corrupt("a payload out of place").at_offset(entry.payload.offset);
            return Err(error.in_tensor(&entry.object.name));
        }
        let shape = entry.object.native_shape()?;
        Ok(Self { reader, entry, shape })
    }

    /// The tensor's name.
    pub fn name(&self) -> &str {
        &self.entry.object.name
    }

    /// The type of its elements.
    pub fn dtype(&self) -> Dtype {
        self.entry.object.geometry.dtype()
    }

    /// Its dimensions, outermost first; empty for a scalar.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// How many elements it has.
    pub fn elements(&self) -> u64 {
        self.entry.object.geometry.elements()
    }

    /// How it is stored, or `None` for a codec this crate does not know.
    pub fn stored(&self) -> Option<Codec> {
        Codec::from_id(self.entry.object.codec)
    }

    /// Bytes of its chunks in the file, their heads included.
    pub fn coded_bytes(&self) -> u64 {
        self.entry.payload.length
    }

    /// Bytes of its frame before the chunks: name, shape, tables, a stored basis, padding.
    pub fn header_bytes(&self) -> u64 {
        self.entry.payload.offset - self.entry.payload.frame_offset
    }

    /// Bytes when decoded.
    pub fn decoded_bytes(&self) -> u64 {
        self.entry.object.geometry.decoded_len()
    }

    /// How many chunks it is stored in.
    pub fn chunks(&self) -> u64 {
        self.entry.object.geometry.chunk_count()
    }

    /// CRC32 of the decoded bytes, as stored.
    pub fn decoded_crc(&self) -> u32 {
        self.entry.payload.decoded_crc
    }

    /// The tensor itself, when it is stored raw: a slice of the map, aligned as the file is.
    ///
    /// Checksums are not compared; [`decode`](Self::decode) does that.
    pub fn as_raw(&self) -> Option<&'r [u8]> {
        if self.stored() != Some(Codec::Raw)
            || self.entry.object.layout != PayloadLayout::Contiguous
        {
            return None;
        }
        let payload = &self.entry.payload;
        self.reader.slice(payload.offset..payload.offset + payload.length)
    }

    /// Decodes the whole tensor: its elements in row-major order, little-endian.
    ///
    /// Chunks are decoded in parallel on the current rayon pool, each after its checksum.
    ///
    /// # Errors
    /// `ChecksumMismatch`, `Corrupt`, `Truncated`, `Unsupported`, `LimitExceeded`.
    pub fn decode(&self) -> Result<Vec<u8>> {
        self.decode_bytes(0..self.decoded_bytes())
    }

    /// Decodes the whole tensor over `out`.
    ///
    /// # Errors
    /// As [`decode`](Self::decode); `InvalidArgument` unless `out` is exactly as long as
    /// [`decoded_bytes`](Self::decoded_bytes). After an error `out` may hold anything.
    pub fn decode_into(&self, out: &mut [u8]) -> Result<()> {
        if out.len() as u64 != self.decoded_bytes() {
            return Err(self.here(Error::invalid("the buffer is not as long as the tensor")));
        }
        self.decode_range(0, out)
    }

    /// Decodes the whole tensor as another float type: F32, BF16, F16 or F64.
    ///
    /// What was coded with loss is rounded once, from its reconstruction in F32 to the type asked
    /// for, and not to the tensor's own in between. What was not is converted by way of F32.
    ///
    /// # Errors
    /// As [`decode`](Self::decode); `InvalidArgument` unless both types are such floats.
    pub fn decode_as(&self, dtype: Dtype) -> Result<Vec<u8>> {
        if dtype == self.dtype() {
            return self.decode();
        }
        if !number::is_float(dtype) || !number::is_float(self.dtype()) {
            let what = format!("{} as {dtype}: both must be floats", self.dtype());
            return Err(self.here(Error::invalid(what)));
        }
        let length = dtype.byte_len(self.elements()).unwrap_or(u64::MAX);
        let limit = self.reader.limits.tensor_bytes;
        Error::check_limit("a tensor", length, limit).map_err(|error| self.here(error))?;
        let mut out = zeroed(length).map_err(|error| self.here(error))?;
        let decoder = self.decoder().map_err(|error| self.here(error))?;
        let decode = |(number, out): (usize, &mut [u8])| {
            let chunk = self.chunk(decoder.header(), number as u64)?;
            number::from_f32(Kernel::best(), dtype, &decoder.decode_f32(&chunk)?, out);
            Ok(())
        };
        // A chunk decoded fits memory, so its elements do.
        let elements = self.entry.object.geometry.chunk_elements().min(self.elements()) as usize;
        let chunk_bytes = (elements * dtype.bits() as usize / 8).max(1);
        let chunks = out.par_chunks_mut(chunk_bytes).enumerate();
        let failure = chunks.map(decode).find_map_first(Result::err);
        failure.map_or(Ok(out), |error| Err(self.here(error)))
    }

    /// How the tensor was coded with loss, and how near it comes; `None` when nothing was lost.
    ///
    /// Reads the frame's header and foot, no chunk.
    ///
    /// # Errors
    /// `ChecksumMismatch`, `Corrupt`, `Unsupported`.
    pub fn coding(&self) -> Result<Option<Coding>> {
        let coding = || {
            let decoder = self.decoder()?;
            let Footer { signal, noise, .. } = self.footer()?;
            Ok(decoder.coding(signal, noise))
        };
        coding().map_err(|error| self.here(error))
    }

    fn footer(&self) -> Result<Footer> {
        let start = self.entry.payload.offset + self.entry.payload.length;
        let bytes = self.reader.slice(start..start + Footer::BYTES as u64);
        let bytes = bytes.and_then(|bytes| bytes.first_chunk()).ok_or_else(Error::truncated);
        bytes.and_then(Footer::parse).map_err(|error| error.at_offset(start))
    }

    /// Decodes rows of the outermost dimension; only the chunks that hold them are read.
    ///
    /// # Errors
    /// As [`decode`](Self::decode); `InvalidArgument` for a scalar, a range out of bounds, or
    /// rows of a sub-byte dtype that do not start and end on whole bytes.
    pub fn decode_rows(&self, rows: Range<usize>) -> Result<Vec<u8>> {
        self.decode_bytes(self.row_bytes(rows)?)
    }

    /// [`decode_rows`](Self::decode_rows) over `out`, which must be exactly as long as the rows.
    ///
    /// # Errors
    /// As [`decode_rows`](Self::decode_rows) and [`decode_into`](Self::decode_into).
    pub fn decode_rows_into(&self, rows: Range<usize>, out: &mut [u8]) -> Result<()> {
        let range = self.row_bytes(rows)?;
        if out.len() as u64 != range.end - range.start {
            return Err(self.here(Error::invalid("the buffer is not as long as the rows")));
        }
        self.decode_range(range.start, out)
    }

    /// Where rows lie in the decoded bytes.
    fn row_bytes(&self, rows: Range<usize>) -> Result<Range<u64>> {
        let invalid = |what: &'static str| self.here(Error::invalid(what));
        let Some(&count) = self.shape.first() else {
            return Err(invalid("a scalar has no rows"));
        };
        if rows.start > rows.end || rows.end > count {
            return Err(invalid("rows out of bounds"));
        }
        let row = self.elements() / (count as u64).max(1);
        let offset = |rows: usize| self.dtype().byte_len(rows as u64 * row);
        match (offset(rows.start), offset(rows.end)) {
            (Some(start), Some(end)) => Ok(start..end),
            _ => Err(invalid("rows that do not start and end on whole bytes")),
        }
    }

    /// This tensor's name added to an error.
    fn here(&self, error: Error) -> Error {
        error.in_tensor(self.name())
    }

    /// Decodes part of the tensor's bytes; only the chunks that hold them are read.
    pub(crate) fn decode_bytes(&self, range: Range<u64>) -> Result<Vec<u8>> {
        let length = range.end - range.start;
        let limit = self.reader.limits.tensor_bytes;
        Error::check_limit("a tensor", length, limit).map_err(|error| self.here(error))?;
        let mut out = zeroed(length).map_err(|error| self.here(error))?;
        self.decode_range(range.start, &mut out)?;
        Ok(out)
    }

    /// Decodes the bytes from `start` on that `out` has room for.
    fn decode_range(&self, start: u64, out: &mut [u8]) -> Result<()> {
        let decoder = self.decoder().map_err(|error| self.here(error))?;
        let pieces = self.pieces(start, out);
        let decode = |piece| self.decode_piece(&decoder, piece).err();
        let failure = pieces.into_par_iter().find_map_first(decode);
        failure.map_or(Ok(()), |error| Err(self.here(error)))
    }

    fn decode_piece(&self, decoder: &FrameDecoder, piece: Piece<'_>) -> Result<()> {
        let Piece { number, skip, length, out } = piece;
        let chunk = self.chunk(decoder.header(), number)?;
        if out.len() == length {
            return decoder.decode_into(&chunk, out);
        }
        let whole = decoder.decode(&chunk)?;
        out.copy_from_slice(&whole[skip..skip + out.len()]);
        Ok(())
    }

    /// Finds a chunk in the file.
    fn chunk(&self, header: &FrameHeader, number: u64) -> Result<Chunk<&[u8]>> {
        let misplaced = || Error::corrupt("a chunk out of place").in_chunk(number);
        let extent = self.entry.chunk_extent(number).ok_or_else(misplaced)?;
        let offset = extent.start;
        if offset < self.entry.payload.offset {
            return Err(misplaced().at_offset(offset));
        }
        let bytes = self.reader.slice(extent).ok_or_else(|| misplaced().at_offset(offset))?;
        match self.entry.object.layout {
            PayloadLayout::Chunked => parse_chunk(bytes, offset, number),
            PayloadLayout::Contiguous => {
                let stored_crc = header.chunk_crcs[number as usize];
                Ok(Chunk::contiguous(number, offset, bytes, stored_crc))
            }
        }
    }

    /// Cuts `out`, which starts at byte `start` of the tensor, at the chunks' borders.
    fn pieces<'o>(&self, start: u64, mut out: &'o mut [u8]) -> Vec<Piece<'o>> {
        let geometry = &self.entry.object.geometry;
        let mut pieces = Vec::new();
        let mut position = start;
        while !out.is_empty() {
            let number = position / geometry.chunk_bytes();
            let range = geometry.chunk_range(number);
            // At most the rest of `out`, which is in memory.
            let length = (range.end - position).min(out.len() as u64) as usize;
            let (part, rest) = std::mem::take(&mut out).split_at_mut(length);
            let skip = (position - range.start) as usize;
            let chunk = (range.end - range.start) as usize;
            pieces.push(Piece { number, skip, length: chunk, out: part });
            position += length as u64;
            out = rest;
        }
        pieces
    }

    /// Reads the frame header and checks that it tells what the index tells.
    fn decoder(&self) -> Result<FrameDecoder> {
        let decoder = self.frame_header().and_then(FrameDecoder::new);
        decoder.map_err(|error| error.at_offset(self.entry.payload.frame_offset))
    }

    fn frame_header(&self) -> Result<FrameHeader> {
        let payload = &self.entry.payload;
        let differs = || Error::corrupt("frame and index disagree");
        let frame = self.reader.slice(payload.frame_offset..payload.offset).ok_or_else(differs)?;
        let prefix = frame.first_chunk().ok_or_else(differs)?;
        let length = header_length(prefix, &self.reader.limits)?;
        let bytes = frame.get(..length).ok_or_else(differs)?;
        let header = FrameHeader::parse(bytes, &self.reader.limits)?;
        let gap = (frame.len() - length) as u64;
        let padding = match header.object.layout {
            PayloadLayout::Chunked => 0,
            PayloadLayout::Contiguous => self.reader.header.alignment() - 1,
        };
        if header.object != self.entry.object || gap > padding {
            return Err(differs());
        }
        Ok(header)
    }
}

/// Part of a chunk, and where it goes.
struct Piece<'o> {
    number: u64,
    /// Bytes of the chunk before the part.
    skip: usize,
    /// Decoded bytes of the whole chunk.
    length: usize,
    out: &'o mut [u8],
}

/// A zeroed buffer, or an error where the allocator would abort.
fn zeroed(length: u64) -> Result<Vec<u8>> {
    let out_of_memory = || Error::from(std::io::Error::from(std::io::ErrorKind::OutOfMemory));
    let length = usize::try_from(length).map_err(|_| out_of_memory())?;
    // Asked first, since `vec!` cannot fail softly and only it gets pages that are zero already.
    Vec::<u8>::new().try_reserve_exact(length).map_err(|_| out_of_memory())?;
    Ok(vec![0; length])
}
