//! Encoding the chunks of one tensor.
//!
//! [`Statistics`] of all chunks choose between the lossless codecs; a transform search
//! (`trellis::encode`) prepares the lossy one. [`Encoder`] covers all codecs, as
//! [`Decoder`](super::Decoder) does.

mod chunk;
mod encoder;
mod statistics;

pub(crate) use chunk::{EncodedChunk, Scratch};
pub(crate) use encoder::Encoder;
pub(crate) use statistics::{Sample, Statistics};
