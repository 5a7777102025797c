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

/// The first byte of a frame.
pub(crate) const FRAME_TAG: u8 = b'F';

/// The bit of a frame's layout byte that marks an object which later ones may refer to.
pub(crate) const REFERENCED: u8 = 1 << 7;

/// The first bytes of the index.
pub(crate) const INDEX_TAG: [u8; 4] = *b"INDX";

/// The most bytes that a name shares with the name before. They are stated in one byte, so that names
/// stay in proportion to the size of the file.
pub(crate) const MAX_SHARED_BYTES: usize = u8::MAX as usize;

/// The fewest decoded bytes of a contiguous payload that is aligned: a page of most processors.
/// Padding costs up to the alignment, which is much for a small tensor.
pub(crate) const MIN_ALIGNED_BYTES: u64 = 4096;

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

/// The first bytes of a chunk of the chunked layout.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy)]
#[repr(C)]
pub(crate) struct ChunkHead {
    pub(crate) length: U32,
    /// Of `length` and the bytes that follow.
    pub(crate) crc: U32,
}

/// The last bytes of a frame of a lossy codec: values that depend on all its chunks. A lossless one
/// has the decoded CRC only, and a contiguous one nothing.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy)]
#[repr(C)]
pub(crate) struct LossyFooter {
    pub(crate) decoded_crc: U32,
    pub(crate) signal: F64,
    pub(crate) noise: F64,
    /// Of the fields above.
    pub(crate) crc: U32,
}

/// The first bytes of the index. Entries, order, descriptions, dimensions, chunk starts and names
/// follow.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy)]
#[repr(C)]
pub(crate) struct IndexHead {
    pub(crate) tag: [u8; 4],
    pub(crate) entries: U32,
    pub(crate) descriptions: U32,
    pub(crate) dimensions: U32,
    pub(crate) chunks: U32,
    pub(crate) names_length: U32,
}

/// One object in the index. Its frame and its name end where those of the next object start.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy)]
#[repr(C)]
pub(crate) struct Entry {
    pub(crate) frame_offset: U64,
    pub(crate) name_start: U32,
    pub(crate) decoded_crc: U32,
    pub(crate) description: U32,
}

/// What several objects in the index may have in common.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy)]
#[repr(C)]
pub(crate) struct Description {
    /// 0 for at most one chunk.
    pub(crate) chunk_elements: U64,
    pub(crate) first_dimension: U32,
    pub(crate) rank: U16,
    pub(crate) kind: u8,
    pub(crate) dtype: u8,
    pub(crate) codec: u8,
    pub(crate) layout: u8,
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
const _: () = assert!(size_of::<LossyFooter>() == 24);
const _: () = assert!(size_of::<ChunkHead>() == 8);
const _: () = assert!(size_of::<IndexHead>() == 24);
const _: () = assert!(size_of::<Entry>() == 20);
const _: () = assert!(size_of::<Description>() == 18);
const _: () = assert!(size_of::<Trailer>() == 40);
