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
mod overhead;
mod parser;
mod trailer;
mod varint;
mod writer;

pub(crate) use frame::{Footer, FrameHeader, header_length};
pub(crate) use geometry::Geometry;
pub(crate) use header::Header;
pub(crate) use index::{Index, IndexBuilder, IndexEntry, Payload};
pub(crate) use layout::{FORMAT_VERSION, MAGIC, MIN_ALIGNED_BYTES};
pub(crate) use object::{Object, ObjectKind, PayloadLayout, check_relative_path};
pub(crate) use overhead::{
    CHUNK_OVERHEAD, MAX_DEFAULT_PADDING, OverheadCounter, contiguous_overhead,
};
pub(crate) use parser::{Chunk, Event, FrameOffsets, Parser, Progress, chunk_crc, parse_chunk};
pub(crate) use trailer::Trailer;
pub(crate) use writer::FileWriter;
