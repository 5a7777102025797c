//! A parser of files that does no I/O: the caller provides the bytes in order, as many as the parser
//! requests, and receives events.

use super::frame::{self, Footer, FrameHeader};
use super::header::Header;
use super::index::Index;
use super::layout::{ChunkHead, INDEX_TAG};
use super::object::Object;
use super::trailer::Trailer;
use crate::error::{Error, Result};
use crate::limits::Limits;
use zerocopy::FromBytes;

/// The result of [`Parser::advance`].
#[derive(Debug)]
pub(crate) enum Progress<'a> {
    /// `consumed` bytes of the input were consumed. Call again with at least `bytes` bytes that
    /// follow them.
    Need { consumed: usize, bytes: usize },
    /// An event is complete. `consumed` bytes of the input were consumed.
    Got { consumed: usize, event: Event<'a> },
}

/// One part of the file.
#[derive(Debug)]
pub(crate) enum Event<'a> {
    Header,
    /// A frame begins; its chunks follow.
    Frame(FrameHeader, FrameOffsets),
    /// The next chunk of the frame. Its checksum has not been compared.
    Chunk(Chunk<&'a [u8]>),
    /// A frame ends.
    FrameEnd(Footer),
    /// The index. Its checksum has not been compared.
    Index(&'a [u8]),
    End,
}

/// The offsets of a frame and of its first chunk in the file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameOffsets {
    pub(crate) frame: u64,
    pub(crate) payload: u64,
}

/// An encoded chunk, with borrowed or owned bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chunk<B> {
    pub(crate) number: u64,
    /// The offset in the file where its bytes end.
    pub(crate) end: u64,
    pub(crate) bytes: B,
    pub(crate) stored_crc: u32,
    /// In the chunked layouts `stored_crc` covers the length too.
    is_contiguous: bool,
}

impl Chunk<Vec<u8>> {
    /// The same chunk as part of another object that refers to it.
    pub(crate) fn ending_at(self, end: u64) -> Self {
        Self { end, ..self }
    }
}

impl Chunk<&[u8]> {
    /// The same chunk with its bytes in `buffer`, whose content is replaced.
    pub(crate) fn into_owned(self, mut buffer: Vec<u8>) -> Chunk<Vec<u8>> {
        let Self { number, end, bytes, stored_crc, is_contiguous } = self;
        buffer.clear();
        buffer.extend_from_slice(bytes);
        Chunk { number, end, bytes: buffer, stored_crc, is_contiguous }
    }
}

impl<B: AsRef<[u8]>> Chunk<B> {
    /// The offset in the file where its bytes start.
    pub(crate) fn offset(&self) -> u64 {
        // A chunk of another object that is referred to may be longer than all before it.
        self.end.saturating_sub(self.bytes.as_ref().len() as u64)
    }

    /// # Errors
    /// `ChecksumMismatch`.
    pub(crate) fn check(&self) -> Result<()> {
        let computed = match self.is_contiguous {
            true => crc32fast::hash(self.bytes.as_ref()),
            false => chunk_crc(self.bytes.as_ref()),
        };
        Error::check_crc(self.stored_crc, computed)
            .map_err(|error| error.in_chunk(self.number).at_offset(self.offset()))
    }
}

impl<'a> Chunk<&'a [u8]> {
    /// Bytes before each chunk of the chunked layout.
    pub(crate) const HEAD_BYTES: u64 = size_of::<ChunkHead>() as u64;

    /// A chunk of the contiguous layout at `offset`.
    pub(crate) fn contiguous(number: u64, offset: u64, bytes: &'a [u8], stored_crc: u32) -> Self {
        let end = offset + bytes.len() as u64;
        Self { number, end, bytes, stored_crc, is_contiguous: true }
    }
}

/// CRC-32 of a chunk of the chunked layout: of its length and its bytes.
pub(crate) fn chunk_crc(bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&(bytes.len() as u32).to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

/// Reads a chunk of the chunked layout: `extent` is the head and the bytes, at `offset` in the
/// file.
///
/// # Errors
/// `Corrupt` if the length in the head is not that of the bytes.
pub(crate) fn parse_chunk(extent: &[u8], offset: u64, number: u64) -> Result<Chunk<&[u8]>> {
    let corrupt =
        || Error::corrupt("chunk: length contradicts the index").in_chunk(number).at_offset(offset);
    let (head, bytes) = ChunkHead::read_from_prefix(extent).map_err(|_| corrupt())?;
    if head.length.get() as usize != bytes.len() {
        return Err(corrupt());
    }
    Ok(Chunk {
        number,
        end: offset + extent.len() as u64,
        bytes,
        stored_crc: head.crc.get(),
        is_contiguous: false,
    })
}

enum State {
    Header,
    /// At the start of a frame or of the index.
    Frame,
    /// At the padding before the first chunk of a contiguous payload.
    Padding(Box<FrameHeader>),
    Chunks {
        header: Box<FrameHeader>,
        next: u64,
    },
    Trailer {
        index_offset: u64,
        index_length: u64,
        index_crc: u32,
    },
    End,
    /// An error was returned. The position in the file is unknown.
    Failed,
}

/// Parses a file from its first byte to its last.
pub(crate) struct Parser {
    state: State,
    offset: u64,
    alignment: u64,
    /// The name of the last object.
    name: String,
    limits: Limits,
}

impl Parser {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { state: State::Header, offset: 0, alignment: 1, name: String::new(), limits }
    }

    /// Bytes consumed so far.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether the trailer has been seen.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.state, State::End)
    }

    /// Reads the next part from `input`, the unread bytes from [`offset`](Self::offset) on.
    ///
    /// # Errors
    /// Any format violation, except wrong checksums of chunks and index, which the caller compares.
    /// All calls after an error fail.
    pub(crate) fn advance<'a>(&mut self, input: &'a [u8]) -> Result<Progress<'a>> {
        let mut consumed = 0;
        loop {
            let offset = self.offset;
            let step = self.step(&input[consumed..]).map_err(|error| error.at_offset(offset))?;
            match step {
                Step::Need(bytes) => return Ok(Progress::Need { consumed, bytes }),
                Step::Skip(bytes) => {
                    consumed += bytes;
                    self.offset += bytes as u64;
                }
                Step::Got(bytes, event) => {
                    self.offset += bytes as u64;
                    return Ok(Progress::Got { consumed: consumed + bytes, event });
                }
            }
        }
    }

    fn step<'a>(&mut self, input: &'a [u8]) -> Result<Step<'a>> {
        match std::mem::replace(&mut self.state, State::Failed) {
            State::Header => self.header(input),
            State::Frame => self.frame(input),
            State::Padding(header) => self.padding(input, header),
            State::Chunks { header, next } if next == header.object.geometry.chunk_count() => {
                self.footer(input, header)
            }
            State::Chunks { header, next } => self.chunk(input, header, next),
            State::Trailer { index_offset, index_length, index_crc } => {
                self.trailer(input, index_offset, index_length, index_crc)
            }
            State::End => Err(Error::corrupt("file: bytes after the trailer")),
            State::Failed => Err(Error::corrupt("file: unreadable after an earlier error")),
        }
    }

    /// Asks for `bytes` and stays in `state`.
    fn need<'a>(&mut self, bytes: usize, state: State) -> Result<Step<'a>> {
        self.state = state;
        Ok(Step::Need(bytes))
    }

    fn header<'a>(&mut self, input: &'a [u8]) -> Result<Step<'a>> {
        match Header::parse(input) {
            Err(Error::Truncated { .. }) => self.need(Header::BYTES, State::Header),
            Err(Error::NotOcc { .. }) if input.is_empty() => self.need(1, State::Header),
            Err(error) => Err(error),
            Ok(header) => {
                self.alignment = header.alignment();
                self.state = State::Frame;
                Ok(Step::Got(Header::BYTES, Event::Header))
            }
        }
    }

    fn frame<'a>(&mut self, input: &'a [u8]) -> Result<Step<'a>> {
        let Some(prefix) = input.first_chunk() else {
            return self.need(frame::PREFIX_BYTES, State::Frame);
        };
        if prefix.starts_with(&INDEX_TAG) {
            return self.index(input);
        }
        let length = frame::header_length(prefix, &self.limits)?;
        let Some(bytes) = input.get(..length) else {
            return self.need(length, State::Frame);
        };
        let header = FrameHeader::parse(bytes, &self.name, &self.limits)?;
        self.name.clone_from(&header.object.name);
        let after = self.offset + length as u64;
        let offset = payload_offset(&header.object, after, self.alignment)?;
        let offsets = FrameOffsets { frame: self.offset, payload: offset };
        self.state = State::Padding(Box::new(header.clone()));
        Ok(Step::Got(length, Event::Frame(header, offsets)))
    }

    fn padding<'a>(&mut self, input: &'a [u8], header: Box<FrameHeader>) -> Result<Step<'a>> {
        let payload = payload_offset(&header.object, self.offset, self.alignment)?;
        let bytes = (payload - self.offset) as usize;
        let Some(padding) = input.get(..bytes) else {
            return self.need(bytes, State::Padding(header));
        };
        if padding.iter().any(|&byte| byte != 0) {
            return Err(Error::corrupt("padding: not zero").in_tensor(&header.object.name));
        }
        self.state = State::Chunks { header, next: 0 };
        Ok(Step::Skip(bytes))
    }

    fn chunk<'a>(
        &mut self,
        input: &'a [u8],
        header: Box<FrameHeader>,
        number: u64,
    ) -> Result<Step<'a>> {
        let is_contiguous = header.object.layout.is_contiguous();
        let (head, length) = match is_contiguous {
            true => {
                let range = header.object.geometry.chunk_range(number);
                // At most the limit on chunks.
                (0, (range.end - range.start) as usize)
            }
            false => {
                let Ok((head, _)) = ChunkHead::read_from_prefix(input) else {
                    let bytes = size_of::<ChunkHead>();
                    return self.need(bytes, State::Chunks { header, next: number });
                };
                let length = head.length.get();
                let limit = self.limits.chunk_bytes.min(isize::MAX as u64);
                Error::check_limit("an encoded chunk", length.into(), limit)
                    .map_err(|error| error.in_tensor(&header.object.name).in_chunk(number))?;
                (size_of::<ChunkHead>(), length as usize)
            }
        };
        let Some(extent) = input.get(..head + length) else {
            return self.need(head + length, State::Chunks { header, next: number });
        };
        let chunk = match is_contiguous {
            false => parse_chunk(extent, self.offset, number)?,
            true => {
                let stored_crc = header.chunk_crcs[number as usize];
                Chunk::contiguous(number, self.offset, extent, stored_crc)
            }
        };
        self.state = State::Chunks { header, next: number + 1 };
        Ok(Step::Got(extent.len(), Event::Chunk(chunk)))
    }

    fn footer<'a>(&mut self, input: &'a [u8], header: Box<FrameHeader>) -> Result<Step<'a>> {
        let length = Footer::length(header.object.layout);
        let Some(bytes) = input.get(..length) else {
            let next = header.object.geometry.chunk_count();
            return self.need(length, State::Chunks { header, next });
        };
        let footer =
            Footer::parse(bytes, &header).map_err(|error| error.in_tensor(&header.object.name))?;
        self.state = State::Frame;
        Ok(Step::Got(bytes.len(), Event::FrameEnd(footer)))
    }

    fn index<'a>(&mut self, input: &'a [u8]) -> Result<Step<'a>> {
        let Some(head) = input.first_chunk() else {
            return self.need(Index::HEAD_BYTES, State::Frame);
        };
        let length = Index::length(head);
        Error::check_limit("the index", length, self.limits.index_bytes.min(usize::MAX as u64))?;
        let Some(bytes) = input.get(..length as usize) else {
            return self.need(length as usize, State::Frame);
        };
        self.state = State::Trailer {
            index_offset: self.offset,
            index_length: length,
            index_crc: crc32fast::hash(bytes),
        };
        Ok(Step::Got(bytes.len(), Event::Index(bytes)))
    }

    fn trailer<'a>(
        &mut self,
        input: &'a [u8],
        index_offset: u64,
        index_length: u64,
        index_crc: u32,
    ) -> Result<Step<'a>> {
        let Some(bytes) = input.first_chunk() else {
            return self
                .need(Trailer::BYTES, State::Trailer { index_offset, index_length, index_crc });
        };
        let trailer = Trailer::parse(bytes, self.offset + Trailer::BYTES as u64)?;
        if (trailer.index_offset, trailer.index_length) != (index_offset, index_length) {
            return Err(Error::corrupt("trailer: wrong position of the index"));
        }
        Error::check_crc(trailer.index_crc, index_crc)
            .map_err(|error| error.at_offset(index_offset))?;
        self.state = State::End;
        Ok(Step::Got(Trailer::BYTES, Event::End))
    }
}

enum Step<'a> {
    Need(usize),
    Skip(usize),
    Got(usize, Event<'a>),
}

/// The offset of the payload of an object whose frame header ends at `after`.
///
/// # Errors
/// `Corrupt` if it overflows.
pub(super) fn payload_offset(object: &Object, after: u64, alignment: u64) -> Result<u64> {
    if !object.is_aligned() {
        return Ok(after);
    }
    after
        .checked_next_multiple_of(alignment)
        .ok_or_else(|| Error::corrupt("payload: offset overflows"))
}
