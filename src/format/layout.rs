//! The bytes on the wire, field by field. `spec/format.md` says the same in prose: change both
//! together, and after version 1 neither.

use zerocopy::little_endian::{F64, U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// A byte no text starts with, letters, CR LF, ^Z, LF: any damage by a text-mode transfer shows.
pub(crate) const MAGIC: [u8; 8] = *b"\x8fOCC\r\n\x1a\n";

/// The last bytes of every file.
pub(crate) const END_MAGIC: [u8; 8] = *b"\n\x1a\n\rCCO\x8f";

/// The version written and the only one read.
pub(crate) const FORMAT_VERSION: u16 = 0;

/// The oldest reader that understands what is written.
pub(crate) const MIN_READER: u16 = 0;

/// Feature bits this reader implements.
pub(crate) const KNOWN_FEATURES: u64 = 0;

/// Starts a frame.
pub(crate) const FRAME_TAG: [u8; 4] = *b"FRAM";

/// Starts the index.
pub(crate) const INDEX_TAG: [u8; 4] = *b"INDX";

/// Bytes of a CRC32.
pub(crate) const CRC_BYTES: usize = 4;

/// The first bytes of a file. The places of magic, versions and CRC never change, in any version.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy)]
#[repr(C)]
pub(crate) struct Header {
    pub(crate) magic: [u8; 8],
    pub(crate) format_version: U16,
    pub(crate) min_reader: U16,
    pub(crate) alignment_log2: u8,
    pub(crate) reserved: [u8; 3],
    pub(crate) required_features: U64,
    pub(crate) optional_features: U64,
    pub(crate) reserved_too: [u8; 28],
    pub(crate) crc: U32,
}

/// What every frame starts with. Dimensions, name, codec parameters, chunk CRCs (contiguous
/// layout only) and the header's CRC follow.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy)]
#[repr(C)]
pub(crate) struct FrameHead {
    pub(crate) tag: [u8; 4],
    pub(crate) header_length: U32,
    pub(crate) kind: u8,
    pub(crate) dtype: u8,
    pub(crate) codec: u8,
    pub(crate) layout: u8,
    pub(crate) rank: U16,
    pub(crate) reserved: U16,
    pub(crate) name_length: U32,
    pub(crate) parameters_length: U32,
    pub(crate) chunk_elements: U64,
}

/// What every chunk of the chunked layout starts with.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy)]
#[repr(C)]
pub(crate) struct ChunkHead {
    pub(crate) length: U32,
    /// Of `length` and the bytes that follow.
    pub(crate) crc: U32,
}

/// What every frame ends with: what is known only after its chunks.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy)]
#[repr(C)]
pub(crate) struct FrameFooter {
    pub(crate) decoded_crc: U32,
    pub(crate) signal: F64,
    pub(crate) noise: F64,
    /// Of the fields above.
    pub(crate) crc: U32,
}

/// What the index starts with. Entries, order, dimensions, chunk ends and names follow.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy)]
#[repr(C)]
pub(crate) struct IndexHead {
    pub(crate) tag: [u8; 4],
    pub(crate) reserved: U32,
    pub(crate) entries: U64,
    pub(crate) dimensions: U64,
    pub(crate) chunks: U64,
    pub(crate) names_length: U64,
}

/// One object in the index.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy)]
#[repr(C)]
pub(crate) struct Entry {
    pub(crate) frame_offset: U64,
    pub(crate) payload_offset: U64,
    pub(crate) payload_length: U64,
    pub(crate) chunk_elements: U64,
    pub(crate) name_offset: U64,
    pub(crate) first_dimension: U64,
    pub(crate) first_chunk: U64,
    pub(crate) name_length: U32,
    pub(crate) decoded_crc: U32,
    pub(crate) kind: u8,
    pub(crate) dtype: u8,
    pub(crate) codec: u8,
    pub(crate) layout: u8,
    pub(crate) rank: U16,
    pub(crate) reserved: U16,
}

/// The last bytes of a file.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy)]
#[repr(C)]
pub(crate) struct Trailer {
    pub(crate) index_offset: U64,
    pub(crate) index_length: U64,
    pub(crate) file_length: U64,
    pub(crate) index_crc: U32,
    /// Of the fields above.
    pub(crate) crc: U32,
    pub(crate) magic: [u8; 8],
}

const _: () = assert!(size_of::<Header>() == 64);
const _: () = assert!(size_of::<FrameHead>() == 32);
const _: () = assert!(size_of::<FrameFooter>() == 24);
const _: () = assert!(size_of::<ChunkHead>() == 8);
const _: () = assert!(size_of::<IndexHead>() == 40);
const _: () = assert!(size_of::<Entry>() == 72);
const _: () = assert!(size_of::<Trailer>() == 40);
