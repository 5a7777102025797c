//! The container: header, frames of chunks, index, trailer. Chunks are opaque here; codecs encode
//! and decode them.

// The container is written and parsed by the same layer. Builds without the encoder or the
// converter use the parser only.
#![cfg_attr(not(feature = "convert"), allow(dead_code, unused_imports))]

mod frame;
mod geometry;
mod header;
mod index;
mod layout;
mod object;
mod parser;
mod trailer;
mod writer;

pub(crate) use frame::{Footer, FrameHeader, header_length};
pub(crate) use geometry::Geometry;
pub(crate) use header::Header;
pub(crate) use index::{Index, IndexBuilder, IndexEntry, Payload};
pub(crate) use layout::{FORMAT_VERSION, MAGIC};
pub(crate) use object::{Object, ObjectKind, PayloadLayout, check_file_name};
pub(crate) use parser::{Chunk, Event, FrameOffsets, Parser, Progress, parse_chunk};
pub(crate) use trailer::Trailer;
pub(crate) use writer::FileWriter;

/// Bytes that an object adds to its frame and to the index, without parameters and chunks.
pub(crate) fn object_overhead(rank: usize, name_length: usize) -> u64 {
    let frame = size_of::<layout::FrameHead>() + layout::CRC_BYTES + Footer::BYTES;
    let index = size_of::<layout::Entry>() + size_of::<zerocopy::little_endian::U32>();
    let twice = name_length + rank * size_of::<zerocopy::little_endian::U64>();
    (frame + index + 2 * twice) as u64
}

/// Bytes that the chunked layout adds per chunk to its frame and to the index.
pub(crate) const CHUNK_OVERHEAD: u64 =
    (size_of::<layout::ChunkHead>() + size_of::<zerocopy::little_endian::U64>()) as u64;
