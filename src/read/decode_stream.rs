//! Decoding of a stream: chunks in parallel, of several tensors at once, results in file order.

use super::frame_decoder::FrameDecoder;
use super::stream::{Item, StreamReader};
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
}

/// One part of the file, in file order.
pub(super) enum Step<'s> {
    Frame(&'s FrameDecoder, FrameOffsets),
    Chunk {
        /// Where it ends in the file.
        end: u64,
        /// What was decoded, or why that failed. A failure does not end the stream.
        result: Result<Decoded<'s>>,
    },
    FrameEnd {
        decoder: &'s FrameDecoder,
        footer: Footer,
        /// Where the last chunk ends in the file.
        payload_end: u64,
    },
    Index(Vec<u8>),
}

/// A decoded chunk.
pub(super) struct Decoded<'s> {
    /// Empty if the chunk was only checked.
    pub(super) bytes: &'s [u8],
    /// CRC-32 of `bytes`; `None` if the chunk was only checked.
    pub(super) crc: Option<u32>,
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
    let mut parts = Parts { stream, decoder, one_frame, work, sink, buffers: Vec::new() };
    let limit = DECODED_BYTES * rayon::current_num_threads() as u64;
    let run = Task::run;
    rayon::in_place_scope(|scope| {
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

/// Decoded bytes per thread that are in memory at once, or a single chunk.
const DECODED_BYTES: u64 = 2 << 20;

/// Chunks of fewer bytes are not worth waking a thread.
const SMALL: u64 = 1 << 14;

/// The parts of a stream, before and after they are processed.
struct Parts<'w, R> {
    stream: &'w mut StreamReader<R>,
    /// Of the current frame.
    decoder: Option<Arc<FrameDecoder>>,
    one_frame: bool,
    work: Work,
    sink: &'w mut dyn FnMut(Step<'_>) -> Result<()>,
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
    Chunk { end: u64, length: usize, crc: Result<Option<u32>>, buffer: Vec<u8> },
    FrameEnd(Arc<FrameDecoder>, Footer, u64),
    Index(Vec<u8>),
}

impl Task {
    fn run(self) -> Result<Done> {
        let (decoder, chunk, work, mut buffer) = match self {
            Self::Other(done) => return Ok(done),
            Self::Chunk(decoder, chunk, work, buffer) => (decoder, chunk, work, buffer),
        };
        let end = chunk.end;
        let (length, crc) = if work == Work::Decode && decoder.is_supported() {
            let length = decoder.chunk_length(chunk.number);
            if buffer.len() < length {
                buffer.resize(length, 0);
            }
            (length, decoder.decode_with_crc(&chunk, &mut buffer[..length]).map(Some))
        } else {
            (0, decoder.check(&chunk).map(|()| None))
        };
        Ok(Done::Chunk { end, length, crc, buffer })
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
            (Item::Frame(header, offsets), _) => {
                let decoder = Arc::new(FrameDecoder::new(*header));
                self.decoder = Some(Arc::clone(&decoder));
                small(Done::Frame(decoder, offsets))
            }
            (Item::Chunk(chunk), Some(decoder)) => Some(Ok(self.chunk(chunk, decoder))),
            (Item::FrameEnd(footer), Some(decoder)) => {
                self.decoder = None;
                let payload_end = self.stream.offset() - Footer::BYTES as u64;
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
        let length = match self.work {
            Work::Decode => decoder.chunk_length(chunk.number),
            Work::Check => chunk.bytes.len(),
        } as u64;
        // Nothing else to do in the meantime.
        let alone = self.one_frame && decoder.header().object.geometry.chunk_count() == 1;
        let buffer = self.buffers.pop().unwrap_or_default();
        let task = Task::Chunk(decoder, chunk, self.work, buffer);
        (task, if length < SMALL || alone { 0 } else { length })
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
            Done::Chunk { end, length, crc, buffer } => {
                let result = crc.map(|crc| Decoded { bytes: &buffer[..length], crc });
                (self.sink)(Step::Chunk { end, result })?;
                self.buffers.push(buffer);
                Ok(())
            }
            Done::FrameEnd(decoder, footer, payload_end) => {
                (self.sink)(Step::FrameEnd { decoder: &decoder, footer, payload_end })
            }
            Done::Index(bytes) => (self.sink)(Step::Index(bytes)),
        }
    }
}
