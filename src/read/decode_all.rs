//! All objects of a stream, decoded in file order.

use super::decode_stream::{Extent, Step, Work, decode_stream};
use super::stream::StreamReader;
use crate::dtype::Dtype;
use crate::error::Result;
use crate::format::Object;
use std::io::Read;

/// A part of an object, in file order.
pub(crate) enum Part<'p> {
    /// A tensor or an attachment begins.
    Begin(&'p Object),
    /// Some of its decoded bytes, and how many of their elements were finite and too large for the
    /// dtype that they were converted to.
    Bytes(&'p [u8], u64),
    /// It is complete, and all checksums match.
    End,
}

impl<R: Read> StreamReader<R> {
    /// Decodes all remaining tensors and attachments and calls `sink` with their parts in order.
    /// Chunks of several objects are decoded in parallel, a few per thread at a time. Compares all
    /// checksums, except those of whole tensors that are converted: floats become `dtype`, if that is a
    /// float.
    pub(crate) fn decode_all(
        &mut self,
        dtype: Option<Dtype>,
        sink: &mut dyn FnMut(Part<'_>) -> Result<()>,
    ) -> Result<()> {
        let work = dtype.map_or(Work::Decode, Work::DecodeAs);
        decode_stream(self, Extent::File, work, &mut |step| match step {
            Step::Frame(decoder, _) => {
                decoder.check_supported()?;
                sink(Part::Begin(&decoder.header().object))
            }
            Step::Chunk { result, overflowed, .. } => sink(Part::Bytes(result?, overflowed)),
            Step::FrameEnd { check, .. } => {
                check.unwrap_or(Ok(()))?;
                sink(Part::End)
            }
            Step::Index(_) => Ok(()),
        })
    }
}
