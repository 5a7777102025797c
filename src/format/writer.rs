//! Writes a file front to back, without seeking.

use super::frame::{Footer, FrameHeader};
use super::header::Header;
use super::index::{IndexBuilder, Payload};
use super::layout::ChunkHead;
use super::overhead::object_overhead;
use super::parser::{FrameOffsets, chunk_crc, payload_offset};
use super::trailer::Trailer;
use crate::error::{Error, Result};
use std::io::Write;
use zerocopy::IntoBytes;

/// A frame whose chunks are being written.
struct Open {
    header: FrameHeader,
    offsets: FrameOffsets,
    chunk_ends: Vec<u64>,
    /// Chunks written.
    written: u64,
}

/// Writes header, frames, index and trailer to `W`.
pub(crate) struct FileWriter<W> {
    output: W,
    offset: u64,
    alignment: u64,
    index: IndexBuilder,
    /// The name of the last object.
    name: String,
    open: Option<Open>,
    /// Whether a write failed. An unknown part of it may be in the output, so that no offset after
    /// it is known.
    failed: bool,
}

impl<W: Write> FileWriter<W> {
    /// Writes the header.
    pub(crate) fn new(output: W, header: Header) -> Result<Self> {
        let (alignment, index) = (header.alignment(), IndexBuilder::default());
        let (name, failed) = (String::new(), false);
        let mut writer = Self { output, offset: 0, alignment, index, name, open: None, failed };
        writer.write(&header.to_bytes())?;
        Ok(writer)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if self.failed {
            return Err(Error::invalid("writer: an earlier write failed"));
        }
        self.failed = true;
        self.output.write_all(bytes)?;
        self.failed = false;
        self.offset += bytes.len() as u64;
        Ok(())
    }

    /// Begins a frame. Calls of [`chunk`](Self::chunk) for all its chunks must follow.
    pub(crate) fn begin(&mut self, header: FrameHeader) -> Result<()> {
        self.check_closed()?;
        let (frame_offset, mut bytes) = (self.offset, header.to_bytes(&self.name)?);
        let end = frame_offset + bytes.len() as u64;
        let offset = payload_offset(&header.object, end, self.alignment)?;
        bytes.resize(bytes.len() + (offset - end) as usize, 0);
        self.write(&bytes)?;
        self.name.clone_from(&header.object.name);
        let offsets = FrameOffsets { frame: frame_offset, payload: offset };
        self.open = Some(Open { header, offsets, chunk_ends: Vec::new(), written: 0 });
        Ok(())
    }

    /// Writes the next encoded chunk of the frame. `crc` is its [`chunk_crc`] if it is known; the
    /// contiguous layout needs none.
    pub(crate) fn chunk(&mut self, coded: &[u8], crc: Option<u32>) -> Result<()> {
        let open = self.open.as_mut().ok_or_else(|| Error::invalid("chunk: no frame has begun"))?;
        open.written += 1;
        if !open.header.object.layout.is_contiguous() {
            let length = u32::try_from(coded.len())
                .map_err(|_| Error::invalid("encoded chunk: exceeds 4 GiB"))?;
            let crc = crc.unwrap_or_else(|| chunk_crc(coded));
            let head = ChunkHead { length: length.into(), crc: crc.into() };
            let end = self.offset + (size_of::<ChunkHead>() + coded.len()) as u64;
            open.chunk_ends.push(end);
            self.write(head.as_bytes())?;
        }
        self.write(coded)
    }

    /// Ends the frame.
    pub(crate) fn end(&mut self, footer: Footer) -> Result<()> {
        let open =
            self.open.as_ref().ok_or_else(|| Error::invalid("frame end: no frame has begun"))?;
        let FrameOffsets { frame, payload } = open.offsets;
        let (object, length) = (&open.header.object, self.offset - payload);
        let whole = !object.layout.is_contiguous() || length == object.geometry.decoded_len();
        if open.written != object.geometry.chunk_count() || !whole {
            return Err(Error::invalid("frame end: chunks are missing"));
        }
        let decoded_crc = footer.decoded_crc;
        let payload = Payload { frame_offset: frame, offset: payload, length, decoded_crc };
        self.index.push(object, &payload, &open.chunk_ends);
        let footer = footer.to_bytes(object.layout);
        self.write(&footer)?;
        self.open = None;
        Ok(())
    }

    /// After an error within a frame the file cannot be continued.
    fn check_closed(&self) -> Result<()> {
        match &self.open {
            Some(open) => Err(Error::invalid("writer: an earlier tensor is incomplete")
                .in_tensor(&open.header.object.name)),
            None => Ok(()),
        }
    }

    /// Bytes by which the next object lengthens the file, without what each chunk adds.
    pub(crate) fn object_overhead(&self, header: &FrameHeader) -> Result<u64> {
        let length = header.to_bytes(&self.name)?.len();
        let overhead = object_overhead(length, &header.object, &self.index);
        let header_end = self.offset + length as u64;
        let padding = payload_offset(&header.object, header_end, self.alignment)? - header_end;
        Ok(overhead + padding)
    }

    /// The length of the file if it were finished now.
    pub(crate) fn finished_length(&self) -> u64 {
        self.offset + self.index.length() + Trailer::BYTES as u64
    }

    /// Writes index and trailer; returns the flushed output and the length of the file.
    pub(crate) fn finish(mut self) -> Result<(W, u64)> {
        self.check_closed()?;
        let index = self.index.to_bytes()?;
        let trailer = Trailer {
            index_offset: self.offset,
            index_length: index.len() as u64,
            index_crc: crc32fast::hash(&index),
        };
        self.write(&index)?;
        self.write(&trailer.to_bytes())?;
        self.output.flush()?;
        Ok((self.output, self.offset))
    }
}
