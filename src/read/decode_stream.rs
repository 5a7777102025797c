//! Decoding of a stream: chunks in parallel, of several tensors at once, results in file order.

use super::frame_decoder::FrameDecoder;
use super::stream::{Item, StreamReader};
use crate::dtype::{Dtype, number};
use crate::error::{Error, Result};
use crate::format::{Chunk, Footer, FrameOffsets};
use crate::parallel::OrderedQueue;
use std::io::Read;
use std::sync::Arc;

/// How much of a stream is read.
pub(super) enum Extent {
    /// The rest of the current frame.
    Frame(Arc<FrameDecoder>),
    /// Everything up to the trailer.
    File,
}

/// What is done with chunks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// Compare checksums.
    Check,
    /// Compare checksums and decode. Chunks of codecs that are not supported are only checked.
    Decode,
    /// As `Decode`, but floats to this float dtype. The checksums of whole objects that are converted
    /// are not compared.
    DecodeAs(Dtype),
}

impl Work {
    /// The dtype that elements are converted to, if they are.
    fn conversion(self, decoder: &FrameDecoder) -> Option<Dtype> {
        let own = decoder.header().object.geometry.dtype();
        match self {
            Self::DecodeAs(dtype) if dtype != own && number::is_float(own) => Some(dtype),
            _ => None,
        }
    }

    /// Bytes of a chunk after the work; at most eight times the limit on chunks.
    fn chunk_length(self, decoder: &FrameDecoder, number: u64) -> usize {
        let length = decoder.chunk_length(number);
        let own = decoder.header().object.geometry.dtype();
        match self.conversion(decoder) {
            _ if self == Self::Check => 0,
            Some(dtype) => length / (own.bits() / 8) as usize * (dtype.bits() / 8) as usize,
            None => length,
        }
    }
}

/// One part of the file, in file order.
pub(super) enum Step<'s> {
    Frame(&'s FrameDecoder, FrameOffsets),
    Chunk {
        /// Where it ends in the file.
        end: u64,
        /// The decoded bytes, or why there are none. Empty if the chunk was only checked. A failure
        /// does not end the stream.
        result: Result<&'s [u8]>,
        /// Finite elements that were too large for the dtype that they were converted to.
        overflowed: u64,
    },
    FrameEnd {
        decoder: &'s FrameDecoder,
        footer: Footer,
        /// Whether the checksum of the whole object matches; `None` if not all of its chunks were
        /// decoded.
        check: Option<Result<()>>,
        /// Where the last chunk ends in the file.
        payload_end: u64,
    },
    Index(Vec<u8>),
}

/// Reads `stream`, processes its chunks in parallel and calls `sink` with the parts in order.
///
/// Returns the first error in order: of the structure, of the input, or of `sink`.
pub(super) fn decode_stream<R: Read>(
    stream: &mut StreamReader<R>,
    extent: Extent,
    work: Work,
    sink: &mut dyn FnMut(Step<'_>) -> Result<()>,
) -> Result<()> {
    let (one_frame, decoder) = match extent {
        Extent::Frame(decoder) => (true, Some(decoder)),
        Extent::File => (false, None),
    };
    let (crcs, buffers) = (Vec::new(), Vec::new());
    let mut parts = Parts { stream, decoder, one_frame, work, sink, crcs, buffers };
    let limit = BYTES_PER_THREAD * rayon::current_num_threads() as u64;
    let run = Task::run;
    rayon::in_place_scope_fifo(|scope| {
        let mut queue = OrderedQueue::new(scope, &run);
        let mut end = Ok(());
        while let Some(task) = parts.next() {
            match task {
                Ok((task, weight)) => queue.push(task, weight),
                Err(error) => {
                    end = Err(error);
                    break;
                }
            }
            while queue.window().is_full(limit) {
                queue.pop().map_or(Ok(()), |done| parts.deliver(done?))?;
            }
        }
        // The parts before an error are delivered.
        queue.drain(&mut |done| parts.deliver(done))?;
        end
    })
}

/// Bytes per thread of chunks, encoded and decoded, and of frame headers that are in memory at once;
/// at least one chunk or frame header.
const BYTES_PER_THREAD: u64 = 3 << 20;

/// Chunks of fewer bytes are not worth waking a thread, and frames of fewer bytes need no room.
const SMALL: usize = 1 << 14;

/// The largest buffer that is kept for the next chunk.
const KEPT_BYTES: usize = 2 << 20;

/// The parts of a stream, before and after they are processed.
struct Parts<'w, R> {
    stream: &'w mut StreamReader<R>,
    /// Of the current frame.
    decoder: Option<Arc<FrameDecoder>>,
    one_frame: bool,
    work: Work,
    sink: &'w mut dyn FnMut(Step<'_>) -> Result<()>,
    /// CRC-32 of the chunks of the frame being delivered that were decoded.
    crcs: Vec<u32>,
    /// Buffers for decoded chunks that are not in use.
    buffers: Vec<Vec<u8>>,
}

/// A part of the file before it is processed.
enum Task {
    Chunk(Arc<FrameDecoder>, Chunk<Vec<u8>>, Work, Vec<u8>),
    Other(Done),
}

/// A part of the file after that.
enum Done {
    Frame(Arc<FrameDecoder>, FrameOffsets),
    Chunk { end: u64, coded: Vec<u8>, length: usize, decoded: Result<Decoded>, buffer: Vec<u8> },
    FrameEnd(Arc<FrameDecoder>, Footer, u64),
    Index(Vec<u8>),
}

/// What is known of a chunk besides its bytes.
#[derive(Default)]
struct Decoded {
    /// CRC-32 of the decoded bytes; `None` if the chunk was only checked, or converted.
    crc: Option<u32>,
    overflowed: u64,
}

impl Task {
    fn run(self) -> Result<Done> {
        let (decoder, chunk, work, mut buffer) = match self {
            Self::Other(done) => return Ok(done),
            Self::Chunk(decoder, chunk, work, buffer) => (decoder, chunk, work, buffer),
        };
        let end = chunk.end;
        let (length, decoded) = if work != Work::Check && decoder.is_supported() {
            let length = work.chunk_length(&decoder, chunk.number);
            if buffer.len() < length {
                buffer.resize(length, 0);
            }
            let out = &mut buffer[..length];
            let decoded = match work.conversion(&decoder) {
                Some(dtype) => decoder
                    .decode_as(&chunk, dtype, out)
                    .map(|overflowed| Decoded { crc: None, overflowed }),
                None => decoder
                    .decode_with_crc(&chunk, out)
                    .map(|crc| Decoded { crc: Some(crc), overflowed: 0 }),
            };
            (length, decoded)
        } else {
            (0, decoder.check(&chunk).map(|()| Decoded::default()))
        };
        Ok(Done::Chunk { end, coded: chunk.bytes, length, decoded, buffer })
    }
}

impl<R: Read> Parts<'_, R> {
    /// The next part and its weight in the queue; `None` at the end.
    fn next(&mut self) -> Option<Result<(Task, u64)>> {
        if self.one_frame && self.decoder.is_none() {
            return None;
        }
        let item = match self.stream.next_item() {
            Ok(item) => item,
            Err(error) => return Some(Err(self.in_frame(error))),
        };
        let small = |done| Some(Ok((Task::Other(done), 0)));
        match (item, self.decoder.clone()) {
            (Item::Frame(header, offsets, target), _) => {
                let limits = self.stream.limits();
                let decoder = Arc::new(FrameDecoder::new(*header, target.as_deref(), limits));
                self.decoder = Some(Arc::clone(&decoder));
                let weight = decoder.bytes();
                let task = Task::Other(Done::Frame(decoder, offsets));
                Some(Ok((task, if weight < SMALL as u64 { 0 } else { weight })))
            }
            (Item::Chunk(chunk), Some(decoder)) => Some(Ok(self.chunk(chunk, decoder))),
            (Item::FrameEnd(footer), Some(decoder)) => {
                self.decoder = None;
                let length = Footer::length(decoder.header().object.layout);
                let payload_end = self.stream.offset() - length as u64;
                small(Done::FrameEnd(decoder, footer, payload_end))
            }
            (Item::Index(bytes), _) => small(Done::Index(bytes)),
            (Item::End, _) => None,
            (Item::Chunk(_) | Item::FrameEnd(_), None) => {
                Some(Err(Error::corrupt("file: chunk outside a frame")))
            }
        }
    }

    fn chunk(&mut self, chunk: Chunk<Vec<u8>>, decoder: Arc<FrameDecoder>) -> (Task, u64) {
        let decoded = self.work.chunk_length(&decoder, chunk.number);
        // Nothing else to do in the meantime.
        let alone = self.one_frame && decoder.header().object.geometry.chunk_count() == 1;
        let is_small = chunk.bytes.len().max(decoded) < SMALL;
        let buffer = if is_small { None } else { self.buffers.pop() }.unwrap_or_default();
        let weight = (chunk.bytes.capacity() + decoded.max(buffer.capacity())) as u64;
        let task = Task::Chunk(decoder, chunk, self.work, buffer);
        (task, if is_small || alone { 0 } else { weight })
    }

    fn in_frame(&self, error: Error) -> Error {
        match &self.decoder {
            Some(decoder) => error.in_tensor(&decoder.header().object.name),
            None => error,
        }
    }

    fn deliver(&mut self, done: Done) -> Result<()> {
        match done {
            Done::Frame(decoder, offsets) => (self.sink)(Step::Frame(&decoder, offsets)),
            Done::Chunk { end, coded, length, decoded, buffer } => {
                self.stream.recycle(coded);
                let overflowed = decoded.as_ref().map_or(0, |decoded| decoded.overflowed);
                let result = decoded.map(|decoded| {
                    self.crcs.extend(decoded.crc);
                    &buffer[..length]
                });
                (self.sink)(Step::Chunk { end, result, overflowed })?;
                if (SMALL..=KEPT_BYTES).contains(&buffer.capacity()) {
                    self.buffers.push(buffer);
                }
                Ok(())
            }
            Done::FrameEnd(decoder, footer, payload_end) => {
                let crcs = std::mem::take(&mut self.crcs);
                let chunks = decoder.header().object.geometry.chunk_count();
                let whole = self.work != Work::Check
                    && decoder.is_supported()
                    && crcs.len() as u64 == chunks;
                let check = whole.then(|| decoder.check_decoded_crc(footer.decoded_crc, crcs));
                (self.sink)(Step::FrameEnd { decoder: &decoder, footer, check, payload_end })
            }
            Done::Index(bytes) => (self.sink)(Step::Index(bytes)),
        }
    }
}
