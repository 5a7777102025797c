//! The size of what the container adds to the chunks of objects.

use super::frame::{Footer, FrameHeader};
use super::geometry::Geometry;
use super::index::IndexBuilder;
use super::layout::{CRC_BYTES, ChunkHead, MIN_ALIGNED_BYTES};
use super::object::Object;
use crate::error::Result;
use zerocopy::little_endian::U64;

/// Bytes that a chunked layout adds per chunk to its frame and to the index.
pub(crate) const CHUNK_OVERHEAD: u64 = (size_of::<ChunkHead>() + size_of::<U64>()) as u64;

/// Bytes that the contiguous layout adds at most to chunks of this division at the default alignment:
/// their checksums, and padding.
pub(crate) fn contiguous_overhead(geometry: &Geometry) -> u64 {
    let padding = match geometry.decoded_len() {
        ..MIN_ALIGNED_BYTES => 0,
        MIN_ALIGNED_BYTES.. => MAX_DEFAULT_PADDING,
    };
    geometry.chunk_count() * CRC_BYTES as u64 + padding
}

/// The largest padding at the default alignment.
pub(crate) const MAX_DEFAULT_PADDING: u64 = 255;

/// Bytes that an object with a frame header of `header` bytes adds to its frame and to the index,
/// without padding and without what each chunk adds.
pub(super) fn object_overhead(header: usize, object: &Object, index: &IndexBuilder) -> u64 {
    (header + Footer::length(object.layout)) as u64 + index.growth(object)
}

/// Counts what objects add to a file that contains them in this order.
#[derive(Default)]
pub(crate) struct OverheadCounter {
    index: IndexBuilder,
    /// The name of the last object.
    name: String,
}

impl OverheadCounter {
    /// Bytes that the next object adds, without padding and without what each chunk adds.
    ///
    /// # Errors
    /// `InvalidArgument` if the frame header is too long.
    pub(crate) fn next(&mut self, header: &FrameHeader) -> Result<u64> {
        let length = header.to_bytes(&self.name)?.len();
        let overhead = object_overhead(length, &header.object, &self.index);
        self.index.push(&header.object, &Default::default(), &[]);
        self.name.clone_from(&header.object.name);
        Ok(overhead)
    }
}
