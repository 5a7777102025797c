//! All objects of a stream, decoded in file order.

use super::decode_stream::{Extent, Step, Work, decode_stream};
use super::stream::StreamReader;
use crate::error::Result;
use crate::format::Object;
use std::io::Read;

/// A part of an object, in file order.
pub(crate) enum Part<'p> {
    /// A tensor or an attachment begins.
    Begin(&'p Object),
    /// Some of its decoded bytes.
    Bytes(&'p [u8]),
    /// It is complete, and all checksums match.
    End,
}

impl<R: Read> StreamReader<R> {
    /// Decodes all remaining tensors and attachments and calls `sink` with their parts in order.
    /// Chunks of several objects are decoded in parallel, a few per thread at a time. Compares all
    /// checksums.
    pub(crate) fn decode_all(
        &mut self,
        sink: &mut dyn FnMut(Part<'_>) -> Result<()>,
    ) -> Result<()> {
        decode_stream(self, Extent::File, Work::Decode, &mut |step| match step {
            Step::Frame(decoder, _) => {
                decoder.check_supported()?;
                sink(Part::Begin(&decoder.header().object))
            }
            Step::Chunk { result, .. } => sink(Part::Bytes(result?)),
            Step::FrameEnd { check, .. } => {
                check.unwrap_or(Ok(()))?;
                sink(Part::End)
            }
            Step::Index(_) => Ok(()),
        })
    }
}
