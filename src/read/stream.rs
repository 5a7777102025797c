//! Reading `.occ` files front to back, as their bytes arrive.

use super::reference::KeptObjects;
use crate::error::{Error, Result};
use crate::file_kind::FileKind;
use crate::format::{Chunk, Event, Footer, FrameHeader, FrameOffsets, Parser, Progress};
use crate::limits::Limits;
use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

/// Reads tensors from a pipe, a socket or any other [`Read`], in file order, without the index.
///
/// Nothing beyond the trailer is read. Memory use is a few chunks per thread, plus the encoded
/// tensors that later ones refer to, plus a decoded tensor where a whole one is requested.
///
/// ```
/// # let mut file = Vec::new();
/// # let mut w = occ::Writer::new(&mut file, occ::WriteOptions::default())?;
/// # w.add("w", occ::Dtype::U8, &[3], &[1, 2, 3])?;
/// # w.finish()?;
/// # let pipe = file.as_slice();
/// for tensor in occ::StreamReader::new(pipe)?.tensors() {
///     let tensor = tensor?;
///     println!("{} {:?}: {} bytes", tensor.name, tensor.shape, tensor.bytes.len());
/// }
/// # Ok::<(), occ::Error>(())
/// ```
pub struct StreamReader<R> {
    input: R,
    /// Bytes read and not yet consumed, from `start` on.
    buffer: Vec<u8>,
    start: usize,
    parser: Parser,
    limits: Limits,
    /// Chunks of the current frame that have not been read.
    chunks_left: u64,
    kept: KeptObjects,
    /// Buffers of chunks that are not in use.
    spare: Vec<Vec<u8>>,
    /// Whether reading failed: of the input, or because the structure of the file is damaged.
    failed: bool,
}

impl<R> fmt::Debug for StreamReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamReader")
            .field("offset", &self.parser.offset())
            .finish_non_exhaustive()
    }
}

/// The largest read buffer that is kept.
const KEPT_BYTES: usize = 4 << 20;

/// Sizes and number of buffers of chunks that are kept for the next ones: the page faults of fresh memory
/// take longer than decoding.
const SPARE_BYTES: std::ops::RangeInclusive<usize> = 1 << 14..=2 << 20;
const MAX_SPARE: usize = 64;

/// Bytes that are allocated before any of them has arrived.
const FIRST_BYTES: usize = 1 << 20;

/// The header of a frame, and for a reference that of the object that it refers to.
pub(super) type FrameStart = (FrameHeader, Option<Arc<FrameHeader>>);

/// One part of a file.
pub(super) enum Item {
    /// A frame; for a reference, also the header of the object that it refers to.
    Frame(Box<FrameHeader>, FrameOffsets, Option<Arc<FrameHeader>>),
    /// A chunk whose checksum has not been compared.
    Chunk(Chunk<Vec<u8>>),
    FrameEnd(Footer),
    Index(Vec<u8>),
    End,
}

impl<R: Read> StreamReader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// `Io`, `NotOcc`, `UnsupportedVersion`, `Truncated`, `ChecksumMismatch`, `Corrupt`.
    pub fn new(input: R) -> Result<Self> {
        Self::new_with(input, Limits::default())
    }

    /// [`new`](Self::new) with other limits.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn new_with(input: R, limits: Limits) -> Result<Self> {
        let (buffer, parser) = (Vec::new(), Parser::new(limits));
        let (start, chunks_left, failed, kept) = (0, 0, false, KeptObjects::default());
        let spare = Vec::new();
        let mut stream =
            Self { input, buffer, start, parser, limits, chunks_left, kept, spare, failed };
        let header = stream.event(|event| match event {
            Event::Header => Ok(()),
            _ => Err(Error::corrupt("file: does not start with a header")),
        });
        match header {
            Ok(()) => Ok(stream),
            Err(Error::NotOcc { .. }) => {
                // The first bytes sufficed to tell that, but not what the input is instead.
                let missing = FileKind::PREFIX_BYTES.saturating_sub(stream.buffer.len()) as u64;
                stream.input.take(missing).read_to_end(&mut stream.buffer)?;
                Err(Error::not_occ(&stream.buffer))
            }
            Err(error) => Err(error),
        }
    }

    /// Bytes consumed so far.
    pub fn offset(&self) -> u64 {
        self.parser.offset()
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Whether nothing more can be read.
    pub(super) fn has_failed(&self) -> bool {
        self.failed
    }

    /// The header of the next frame; `None` after the last, when the trailer has been read.
    pub(super) fn next_frame(&mut self) -> Result<Option<FrameStart>> {
        if self.parser.is_done() {
            return Ok(None);
        }
        loop {
            match self.next_item()? {
                Item::Frame(header, _, target) => return Ok(Some((*header, target))),
                Item::Chunk(_) | Item::FrameEnd(_) | Item::Index(_) => {}
                Item::End => return Ok(None),
            }
        }
    }

    /// The next chunk of the current frame; `None` after the last.
    pub(super) fn next_chunk(&mut self) -> Result<Option<Chunk<Vec<u8>>>> {
        if self.chunks_left == 0 {
            return Ok(None);
        }
        match self.next_item()? {
            Item::Chunk(chunk) => Ok(Some(chunk)),
            _ => Err(Error::corrupt("frame: not all chunks")),
        }
    }

    /// The next part of the file.
    pub(super) fn next_item(&mut self) -> Result<Item> {
        let mut spare = std::mem::take(&mut self.spare);
        let item = self.event(|event| match event {
            Event::Header => Err(Error::corrupt("file: two headers")),
            Event::Frame(header, offsets) => Ok(Item::Frame(Box::new(header), offsets, None)),
            Event::Chunk(chunk) if SPARE_BYTES.contains(&chunk.bytes.len()) => {
                Ok(Item::Chunk(chunk.into_owned(spare.pop().unwrap_or_default())))
            }
            Event::Chunk(chunk) => Ok(Item::Chunk(chunk.into_owned(Vec::new()))),
            Event::FrameEnd(footer) => Ok(Item::FrameEnd(footer)),
            Event::Index(bytes) => Ok(Item::Index(bytes.to_vec())),
            Event::End => Ok(Item::End),
        });
        self.spare = spare;
        let item = item.and_then(|item| self.resolve(item));
        self.failed = item.is_err();
        item
    }

    /// Takes the buffer of a chunk back for another one.
    pub(super) fn recycle(&mut self, buffer: Vec<u8>) {
        if SPARE_BYTES.contains(&buffer.capacity()) && self.spare.len() < MAX_SPARE {
            self.spare.push(buffer);
        }
    }

    /// Follows references, and keeps what later ones need.
    fn resolve(&mut self, item: Item) -> Result<Item> {
        Ok(match item {
            Item::Frame(header, offsets, _) => {
                self.chunks_left = header.object.geometry.chunk_count();
                let target = self.kept.start(&header, &self.limits)?;
                Item::Frame(header, offsets, target)
            }
            Item::Chunk(chunk) => {
                self.chunks_left -= 1;
                Item::Chunk(self.kept.chunk(chunk, &self.limits)?)
            }
            Item::FrameEnd(_) | Item::Index(_) | Item::End => item,
        })
    }

    /// Feeds the parser until a part of the file is complete.
    fn event<T>(&mut self, take: impl FnOnce(Event<'_>) -> Result<T>) -> Result<T> {
        loop {
            let unread = &self.buffer[self.start..];
            let bytes = match self.parser.advance(unread)? {
                Progress::Got { consumed, event } => {
                    self.start += consumed;
                    return take(event);
                }
                Progress::Need { consumed, bytes } => {
                    self.start += consumed;
                    bytes
                }
            };
            self.fill(bytes)?;
        }
    }

    /// Reads until the buffer contains `bytes` unread bytes. It grows as they arrive, not before,
    /// and does not stay large.
    fn fill(&mut self, bytes: usize) -> Result<()> {
        self.buffer.drain(..self.start);
        self.start = 0;
        self.buffer.shrink_to(bytes.max(KEPT_BYTES));
        while let Some(missing @ 1..) = bytes.checked_sub(self.buffer.len()) {
            // As much again as has arrived.
            let step = missing.min(self.buffer.len().max(FIRST_BYTES));
            let out_of_memory = |_| io::Error::from(io::ErrorKind::OutOfMemory);
            self.buffer.try_reserve_exact(step).map_err(out_of_memory)?;
            let read = self.input.by_ref().take(step as u64).read_to_end(&mut self.buffer)?;
            if read < step {
                let end = self.parser.offset() + self.buffer.len() as u64;
                return Err(match end {
                    0 => Error::not_occ(&[]),
                    _ => Error::truncated().at_offset(end),
                });
            }
        }
        Ok(())
    }
}
