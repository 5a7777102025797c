//! The byte layout of all structures. `spec/format.md` specifies it: change both together, and
//! neither after version 1.

use zerocopy::little_endian::{F64, U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The first bytes of every file: a byte that does not occur in text, letters, CR LF, ^Z, LF.
/// Text-mode transfers damage them.
pub(crate) const MAGIC: [u8; 8] = *b"\x8fOCC\r\n\x1a\n";

/// The last bytes of every file.
pub(crate) const END_MAGIC: [u8; 8] = *b"\n\x1a\n\rCCO\x8f";

/// The only version that is written and read.
pub(crate) const FORMAT_VERSION: u16 = 0;

/// The version of the oldest reader that can read the files written.
pub(crate) const MIN_READER: u16 = 0;

/// Feature bits that this reader implements.
pub(crate) const KNOWN_FEATURES: u64 = 0;

/// The first bytes of a frame.
pub(crate) const FRAME_TAG: [u8; 4] = *b"FRAM";

/// The first bytes of the index.
pub(crate) const INDEX_TAG: [u8; 4] = *b"INDX";

/// Bytes of a CRC-32.
pub(crate) const CRC_BYTES: usize = 4;

/// The first bytes of a file. The offsets of magic, versions and CRC are the same in all versions.
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

/// The first bytes of a frame. Dimensions, name, codec parameters, chunk CRCs (contiguous layout
/// only) and the header's CRC follow.
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

/// The first bytes of a chunk of the chunked layout.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy)]
#[repr(C)]
pub(crate) struct ChunkHead {
    pub(crate) length: U32,
    /// Of `length` and the bytes that follow.
    pub(crate) crc: U32,
}

/// The last bytes of a frame: values that depend on all its chunks.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy)]
#[repr(C)]
pub(crate) struct FrameFooter {
    pub(crate) decoded_crc: U32,
    pub(crate) signal: F64,
    pub(crate) noise: F64,
    /// Of the fields above.
    pub(crate) crc: U32,
}

/// The first bytes of the index. Entries, order, dimensions, chunk ends and names follow.
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
