//! Reading `.occ` files front to back, as their bytes arrive.

use super::frame_decoder::FrameDecoder;
use crate::codec::Codec;
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::format::{
    Chunk, Event, Footer, FrameHeader, FrameOffsets, Object, ObjectKind, Parser, Progress,
};
use crate::limits::Limits;
use crate::parallel;
use std::fmt;
use std::io::{Read, Write};

/// Reads tensors from a pipe, a socket or any other [`Read`], in file order, without the index.
///
/// Nothing beyond the trailer is read. Memory stays within a few chunks a thread unless a whole
/// tensor is asked for.
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
    /// Chunks of the current frame still to come.
    chunks_left: u64,
}

impl<R> fmt::Debug for StreamReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamReader")
            .field("offset", &self.parser.offset())
            .finish_non_exhaustive()
    }
}

/// What comes next in the file.
pub(crate) enum Item {
    Frame(Box<FrameHeader>, FrameOffsets),
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
        Self::with_limits(input, Limits::default())
    }

    /// [`new`](Self::new) with other limits.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_limits(input: R, limits: Limits) -> Result<Self> {
        let (buffer, parser) = (Vec::new(), Parser::new(limits));
        let mut stream = Self { input, buffer, start: 0, parser, limits, chunks_left: 0 };
        stream.event(|event| match event {
            Event::Header => Ok(()),
            _ => Err(Error::corrupt("a file that does not start with its header")),
        })?;
        Ok(stream)
    }

    /// Bytes consumed so far.
    pub fn offset(&self) -> u64 {
        self.parser.offset()
    }

    /// The next tensor, to be read chunk by chunk or whole; `None` after the last. What is left
    /// of the one before is skipped, unchecked.
    ///
    /// # Errors
    /// `Io`, `Truncated`, `ChecksumMismatch`, `Corrupt`, `Unsupported`, `LimitExceeded`.
    pub fn next_tensor(&mut self) -> Result<Option<StreamTensor<'_, R>>> {
        while let Some(header) = self.next_frame()? {
            if header.object.kind == ObjectKind::Tensor {
                return StreamTensor::new(self, header).map(Some);
            }
        }
        Ok(None)
    }

    /// The tensors one after the other, each decoded whole.
    pub fn tensors(mut self) -> impl Iterator<Item = Result<DecodedTensor>> {
        let mut failed = false;
        std::iter::from_fn(move || {
            if failed {
                return None;
            }
            let next = self
                .next_tensor()
                .and_then(|tensor| tensor.map(StreamTensor::into_decoded).transpose());
            failed = next.is_err();
            next.transpose()
        })
    }

    /// The next frame's header; after the last, reads on to the trailer.
    fn next_frame(&mut self) -> Result<Option<FrameHeader>> {
        if self.parser.is_done() {
            return Ok(None);
        }
        loop {
            match self.next_item()? {
                Item::Frame(header, _) => return Ok(Some(*header)),
                Item::Chunk(_) | Item::FrameEnd(_) | Item::Index(_) => {}
                Item::End => return Ok(None),
            }
        }
    }

    /// The next part of the file, whatever it is.
    pub(crate) fn next_item(&mut self) -> Result<Item> {
        let item = self.event(|event| match event {
            Event::Header => Err(Error::corrupt("a second header")),
            Event::Frame(header, offsets) => Ok(Item::Frame(Box::new(header), offsets)),
            Event::Chunk(chunk) => Ok(Item::Chunk(chunk.into_owned())),
            Event::FrameEnd(footer) => Ok(Item::FrameEnd(footer)),
            Event::Index(bytes) => Ok(Item::Index(bytes.to_vec())),
            Event::End => Ok(Item::End),
        })?;
        match &item {
            Item::Frame(header, _) => self.chunks_left = header.object.geometry.chunk_count(),
            Item::Chunk(_) => self.chunks_left -= 1,
            Item::FrameEnd(_) | Item::Index(_) | Item::End => {}
        }
        Ok(item)
    }

    /// Feeds the parser until something is complete.
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

    /// Reads until `bytes` are unread. The buffer grows as they arrive, not before.
    fn fill(&mut self, bytes: usize) -> Result<()> {
        self.buffer.drain(..self.start);
        self.start = 0;
        let missing = bytes.saturating_sub(self.buffer.len()) as u64;
        let read = self.input.by_ref().take(missing).read_to_end(&mut self.buffer)?;
        if (read as u64) < missing {
            let end = self.parser.offset() + self.buffer.len() as u64;
            return Err(match end {
                0 => Error::NotOcc,
                _ => Error::truncated().at_offset(end),
            });
        }
        Ok(())
    }
}

/// A tensor read whole.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DecodedTensor {
    /// Its name.
    pub name: String,
    /// The type of its elements.
    pub dtype: Dtype,
    /// Its dimensions, outermost first.
    pub shape: Vec<usize>,
    /// Its elements in row-major order, little-endian.
    pub bytes: Vec<u8>,
}

/// A tensor whose chunks are about to arrive.
pub struct StreamTensor<'s, R> {
    stream: &'s mut StreamReader<R>,
    shape: Vec<usize>,
    decoder: FrameDecoder,
}

impl<R> fmt::Debug for StreamTensor<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let object = &self.decoder.header().object;
        f.debug_struct("StreamTensor")
            .field("name", &object.name)
            .field("dtype", &object.geometry.dtype())
            .field("shape", &self.shape)
            .finish_non_exhaustive()
    }
}

impl<'s, R: Read> StreamTensor<'s, R> {
    fn new(stream: &'s mut StreamReader<R>, header: FrameHeader) -> Result<Self> {
        let shape = header.object.native_shape()?;
        Ok(Self { stream, shape, decoder: FrameDecoder::new(header)? })
    }

    fn object(&self) -> &Object {
        &self.decoder.header().object
    }

    /// The tensor's name.
    pub fn name(&self) -> &str {
        &self.object().name
    }

    /// The type of its elements.
    pub fn dtype(&self) -> Dtype {
        self.object().geometry.dtype()
    }

    /// Its dimensions, outermost first; empty for a scalar.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// How it is stored, or `None` for a codec this crate does not know.
    pub fn stored(&self) -> Option<Codec> {
        Codec::from_id(self.object().codec)
    }

    /// Bytes when decoded.
    pub fn decoded_bytes(&self) -> u64 {
        self.object().geometry.decoded_len()
    }

    /// Decodes the next chunk: some of the tensor's bytes, in order; `None` after the last.
    ///
    /// # Errors
    /// `Io`, `Truncated`, `ChecksumMismatch`, `Corrupt`, `LimitExceeded`.
    pub fn next_chunk(&mut self) -> Result<Option<Vec<u8>>> {
        let Self { stream, decoder, .. } = self;
        let name = &decoder.header().object.name;
        let chunk = stream.next_chunk().map_err(|error| error.in_tensor(name))?;
        chunk.map(|chunk| decoder.decode(&chunk)).transpose()
    }

    /// Decodes what is left of the tensor to `output`, in parallel, a few chunks in memory.
    ///
    /// If that is all of it, the checksum of the decoded bytes is compared as well.
    ///
    /// # Errors
    /// As [`next_chunk`](Self::next_chunk).
    pub fn copy_to(self, output: &mut impl Write) -> Result<()> {
        self.decode_to(&mut |bytes| Ok(output.write_all(bytes)?))
    }

    /// Decodes what is left of the tensor to `sink`, in order.
    fn decode_to(self, sink: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let Self { stream, decoder, .. } = self;
        let Object { name, geometry, .. } = &decoder.header().object;
        let whole = stream.chunks_left == geometry.chunk_count();
        let chunks = std::iter::from_fn(|| {
            stream.next_chunk().map_err(|error| error.in_tensor(name)).transpose()
        });
        let decode = |chunk: Chunk<Vec<u8>>| {
            let bytes = decoder.decode(&chunk)?;
            Ok((crc32fast::hash(&bytes), bytes))
        };
        let mut crcs = Vec::new();
        parallel::ordered(chunks, decode, |(crc, bytes)| {
            crcs.push(crc);
            sink(&bytes)
        })?;
        let footer = stream.frame_end().map_err(|error| error.in_tensor(name))?;
        if whole { decoder.check_whole(footer, crcs) } else { Ok(()) }
    }

    /// Decodes the whole tensor.
    ///
    /// # Errors
    /// As [`next_chunk`](Self::next_chunk); `LimitExceeded` beyond `Limits::tensor_bytes`.
    pub fn decode(self) -> Result<Vec<u8>> {
        let (length, limit) = (self.decoded_bytes(), self.stream.limits.tensor_bytes);
        Error::check_limit("a tensor", length, limit)
            .map_err(|error| error.in_tensor(self.name()))?;
        let mut bytes = Vec::new();
        self.decode_to(&mut |chunk| {
            bytes.extend_from_slice(chunk);
            Ok(())
        })?;
        Ok(bytes)
    }

    fn into_decoded(self) -> Result<DecodedTensor> {
        let (name, dtype, shape) = (self.name().to_owned(), self.dtype(), self.shape.clone());
        Ok(DecodedTensor { name, dtype, shape, bytes: self.decode()? })
    }
}

impl<R: Read> StreamReader<R> {
    /// The current frame's next chunk, its checksum not yet compared.
    fn next_chunk(&mut self) -> Result<Option<Chunk<Vec<u8>>>> {
        if self.chunks_left == 0 {
            return Ok(None);
        }
        match self.next_item()? {
            Item::Chunk(chunk) => Ok(Some(chunk)),
            _ => Err(Error::corrupt("a frame without all its chunks")),
        }
    }

    /// The end of the current frame, after its chunks; returns its foot.
    pub(crate) fn frame_end(&mut self) -> Result<Footer> {
        match self.next_item()? {
            Item::FrameEnd(footer) => Ok(footer),
            _ => Err(Error::corrupt("a frame without its end")),
        }
    }
}
