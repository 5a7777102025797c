//! A frame of an open file: where its parts lie, as the index states it, and the decoder of its chunks.

use super::container::Container;
use super::frame_decoder::FrameDecoder;
use crate::error::{Error, Result};
use crate::format::{Chunk, FrameHeader, IndexEntry, header_length, parse_chunk};
use std::ops::Range;
use std::sync::OnceLock;

/// A frame that the index describes. Its methods take the file that it is in.
pub(super) struct IndexedFrame {
    entry: IndexEntry,
    /// Built from the frame header when it is first needed.
    decoder: OnceLock<FrameDecoder>,
}

impl IndexedFrame {
    /// The frame at `position` of the index.
    ///
    /// # Errors
    /// `Corrupt`, `Unsupported` or `LimitExceeded` if the index entry is not valid.
    pub(super) fn new(file: &Container<'_>, position: usize) -> Result<Self> {
        let entry = file.index().entry(position, file.limits())?;
        let (payload, object) = (&entry.payload, &entry.object);
        let aligned = !object.is_aligned() || payload.offset.is_multiple_of(file.alignment());
        // The index has checked that the sum does not overflow.
        if payload.offset + payload.length > file.index_offset() || !aligned {
            let error = Error::corrupt("index: payload out of place");
            return Err(error.at_offset(payload.offset).in_tensor(&object.name));
        }
        Ok(Self { entry, decoder: OnceLock::new() })
    }

    pub(super) fn entry(&self) -> &IndexEntry {
        &self.entry
    }

    /// The decoder, which is built once.
    ///
    /// # Errors
    /// `ChecksumMismatch`, `Corrupt`, `LimitExceeded`, `Truncated` or `Io` if the frame header
    /// cannot be read or contradicts the index.
    pub(super) fn decoder(&self, file: &Container<'_>) -> Result<&FrameDecoder> {
        if let Some(decoder) = self.decoder.get() {
            return Ok(decoder);
        }
        file.with_buffer(|buffer| {
            let bytes = file.read(self.header_extent(file), buffer);
            let bytes = bytes.map_err(|error| self.at_frame(error))?;
            self.decoder_from(file, bytes)
        })
    }

    pub(super) fn has_decoder(&self) -> bool {
        self.decoder.get().is_some()
    }

    /// Where the frame header lies with its padding, as far as the limits allow.
    pub(super) fn header_extent(&self, file: &Container<'_>) -> Range<u64> {
        let payload = &self.entry.payload;
        let most = file.limits().frame_header_bytes.saturating_add(file.alignment());
        let end = payload.offset.min(payload.frame_offset.saturating_add(most));
        payload.frame_offset..end
    }

    /// Builds the decoder from the bytes at [`header_extent`](Self::header_extent).
    ///
    /// # Errors
    /// As [`decoder`](Self::decoder), without `Io`.
    pub(super) fn decoder_from(&self, file: &Container<'_>, bytes: &[u8]) -> Result<&FrameDecoder> {
        let header = self.parse_header(file, bytes).map_err(|error| self.at_frame(error))?;
        Ok(self.decoder.get_or_init(|| FrameDecoder::new(header, None, file.limits())))
    }

    fn at_frame(&self, error: Error) -> Error {
        error.at_offset(self.entry.payload.frame_offset)
    }

    fn parse_header(&self, file: &Container<'_>, frame: &[u8]) -> Result<FrameHeader> {
        let differs = || Error::corrupt("frame header: contradicts the index");
        let (payload, limits) = (&self.entry.payload, file.limits());
        let length = header_length(frame.first_chunk().ok_or_else(differs)?, limits)?;
        let bytes = frame.get(..length).ok_or_else(differs)?;
        // The index states the whole name, so that the frame before is not needed.
        let header = FrameHeader::parse(bytes, &self.entry.object.name, limits)?;
        let padding = payload.offset - payload.frame_offset - length as u64;
        let most = match header.object.is_aligned() {
            true => file.alignment() - 1,
            false => 0,
        };
        if header.object != self.entry.object || padding > most {
            return Err(differs());
        }
        Ok(header)
    }

    /// Where a chunk lies, with its head.
    ///
    /// # Errors
    /// `Corrupt` if it is not in the payload, `LimitExceeded`.
    pub(super) fn chunk_extent(&self, file: &Container<'_>, number: u64) -> Result<Range<u64>> {
        let misplaced = || Error::corrupt("index: chunk out of place").in_chunk(number);
        let extent = file.index().chunk_extent(&self.entry, number);
        let extent = extent.ok_or_else(misplaced)?;
        let (offset, payload) = (extent.start, &self.entry.payload);
        let end = payload.offset + payload.length;
        if offset < payload.offset || offset > extent.end || extent.end > end {
            return Err(misplaced().at_offset(offset));
        }
        // A chunk and its head: bounded before they are read.
        let most = file.limits().chunk_bytes.saturating_add(Chunk::<&[u8]>::HEAD_BYTES);
        Error::check_limit("an encoded chunk", extent.end - offset, most)
            .map_err(|error| error.in_chunk(number).at_offset(offset))?;
        Ok(extent)
    }

    /// A chunk from the bytes at [`chunk_extent`](Self::chunk_extent). `offset` is where they start.
    ///
    /// # Errors
    /// `Corrupt`; those of [`decoder`](Self::decoder).
    pub(super) fn chunk_from<'b>(
        &self,
        file: &Container<'_>,
        bytes: &'b [u8],
        offset: u64,
        number: u64,
    ) -> Result<Chunk<&'b [u8]>> {
        match self.entry.object.layout.is_contiguous() {
            false => parse_chunk(bytes, offset, number),
            true => {
                let stored_crc = self.decoder(file)?.header().chunk_crcs[number as usize];
                Ok(Chunk::contiguous(number, offset, bytes, stored_crc))
            }
        }
    }

    pub(super) fn read_chunk<'b>(
        &self,
        file: &'b Container<'_>,
        number: u64,
        buffer: &'b mut Vec<u8>,
    ) -> Result<Chunk<&'b [u8]>> {
        let extent = self.chunk_extent(file, number)?;
        let offset = extent.start;
        let bytes = file.read(extent, buffer).map_err(|error| error.in_chunk(number))?;
        self.chunk_from(file, bytes, offset, number)
    }
}
