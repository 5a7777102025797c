//! All tensors of a stream, decoded one after the other.

use super::frame_decoder::FrameDecoder;
use super::stream::{Item, StreamReader};
use crate::error::{Error, Result};
use crate::format::{Chunk, Footer, Object};
use crate::parallel::{self, Turn};
use std::io::Read;
use std::sync::Arc;

/// What [`StreamReader::decode_all`] hands on.
pub(crate) enum Part<'p> {
    /// A tensor or an attachment begins.
    Begin(&'p Object),
    /// Some of its bytes.
    Bytes(&'p [u8]),
    /// It was whole.
    End,
}

/// Decoded bytes a thread that are worked on before their turn.
const AHEAD: u64 = 2 << 20;

/// Chunks of fewer decoded bytes are decoded at their turn.
const SMALL: u64 = 1 << 14;

/// A stream on its way through [`StreamReader::decode_all`].
struct Walk<'w, R> {
    stream: &'w mut StreamReader<R>,
    /// Of the current frame.
    decoder: Option<Arc<FrameDecoder>>,
    sink: &'w mut dyn FnMut(Part<'_>) -> Result<()>,
    /// Of the chunks that were handed on of the frame there.
    crcs: Vec<u32>,
    /// Memory for decoded chunks.
    spare: Vec<Vec<u8>>,
}

/// A part of a frame; of a chunk its CRC32 and bytes, once it is decoded over them.
enum Step {
    Begin(Arc<FrameDecoder>),
    Chunk(Arc<FrameDecoder>, Chunk<Vec<u8>>, Vec<u8>),
    Decoded(u32, Vec<u8>),
    End(Arc<FrameDecoder>, Footer),
}

impl Step {
    fn done(self) -> Result<Self> {
        let Self::Chunk(decoder, chunk, mut bytes) = self else { return Ok(self) };
        let range = decoder.header().object.geometry.chunk_range(chunk.number);
        // At most the limit on chunks.
        bytes.resize((range.end - range.start) as usize, 0);
        decoder.decode_into(&chunk, &mut bytes)?;
        Ok(Self::Decoded(crc32fast::hash(&bytes), bytes))
    }
}

impl<R: Read> Walk<'_, R> {
    fn next(&mut self) -> Option<Result<Turn<Step>>> {
        loop {
            let item = match self.stream.next_item() {
                Ok(item) => item,
                Err(error) => return Some(Err(self.in_frame(error))),
            };
            if let Item::Frame(header, _) = item {
                return Some(FrameDecoder::new(*header).map(|decoder| {
                    let decoder = Arc::new(decoder);
                    self.decoder = Some(Arc::clone(&decoder));
                    Turn::Small(Step::Begin(decoder))
                }));
            }
            // Chunks and ends come in frames alone.
            let decoder = self.decoder.clone();
            return match (item, decoder) {
                (Item::Chunk(chunk), Some(decoder)) => {
                    let range = decoder.header().object.geometry.chunk_range(chunk.number);
                    let length = range.end - range.start;
                    let step = Step::Chunk(decoder, chunk, self.spare.pop().unwrap_or_default());
                    Some(Ok(match length < SMALL {
                        true => Turn::Small(step),
                        false => Turn::Large(step, length),
                    }))
                }
                (Item::FrameEnd(footer), Some(decoder)) => {
                    self.decoder = None;
                    Some(Ok(Turn::Small(Step::End(decoder, footer))))
                }
                (Item::End, _) => None,
                _ => continue,
            };
        }
    }

    fn in_frame(&self, error: Error) -> Error {
        match &self.decoder {
            Some(decoder) => error.in_tensor(&decoder.header().object.name),
            None => error,
        }
    }

    fn hand_on(&mut self, step: Step) -> Result<()> {
        match step {
            Step::Begin(decoder) => (self.sink)(Part::Begin(&decoder.header().object)),
            Step::Chunk(..) => unreachable!("steps are done"),
            Step::Decoded(crc, bytes) => {
                self.crcs.push(crc);
                (self.sink)(Part::Bytes(&bytes))?;
                self.spare.push(bytes);
                Ok(())
            }
            Step::End(decoder, footer) => {
                decoder.check_whole(footer, std::mem::take(&mut self.crcs))?;
                (self.sink)(Part::End)
            }
        }
    }
}

impl<R: Read> StreamReader<R> {
    /// Decodes all that is left, attachments too, and hands it to `sink` in order; chunks of
    /// several tensors in parallel, a few of them in memory. Compares all checksums.
    pub(crate) fn decode_all(
        &mut self,
        sink: &mut dyn FnMut(Part<'_>) -> Result<()>,
    ) -> Result<()> {
        let spare = Vec::new();
        let mut walk = Walk { stream: self, decoder: None, sink, crcs: Vec::new(), spare };
        let limit = AHEAD * rayon::current_num_threads() as u64;
        parallel::ahead(&mut walk, limit, Walk::next, Step::done, Walk::hand_on)
    }
}
