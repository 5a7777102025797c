//! Encoding of streams. Symbols are encoded in reverse order, the last symbol first.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod blocks;
mod encoder;
mod sequence;
mod stream;
mod tables;

pub(crate) use encoder::RansEncoder;
pub(crate) use sequence::{SequenceEncoder, StreamCount, put_sequence};
pub(crate) use stream::BLOCK;
pub(crate) use tables::{EncodeTables, TableSymbol};
