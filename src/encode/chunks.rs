//! Tensors cut into chunks, and all of them coded.

use super::job::Coder;
use crate::codec::Scratch;
use crate::codec::trellis::EncodedChunk;
use crate::dtype::Dtype;
use crate::error::Result;
use crate::format::Geometry;
use crate::io::ReadAt;
use crate::parallel;
use std::sync::Mutex;

/// Memory for chunks that are being coded, which goes round: as much as those in flight need.
#[derive(Default)]
pub(super) struct BufferPool {
    /// For reading a chunk, and for coding it.
    desks: Mutex<Vec<(Vec<u8>, Scratch)>>,
    /// For what becomes of it.
    spare: Mutex<Vec<Vec<u8>>>,
}

impl BufferPool {
    fn desk(&self) -> (Vec<u8>, Scratch) {
        let (bytes, mut scratch) = taken(&self.desks).unwrap_or_default();
        scratch.out = taken(&self.spare).unwrap_or_default();
        (bytes, scratch)
    }

    /// Takes back what was handed on.
    pub(super) fn reuse(&self, encoded: EncodedChunk) {
        put_back(&self.spare, encoded.bytes);
    }
}

fn taken<T>(buffers: &Mutex<Vec<T>>) -> Option<T> {
    buffers.lock().ok()?.pop()
}

fn put_back<T>(buffers: &Mutex<Vec<T>>, thing: T) {
    if let Ok(mut buffers) = buffers.lock() {
        buffers.push(thing);
    }
}

/// Codes all chunks of a source in parallel and hands them on in order, each with the bytes of the
/// source that it covers.
pub(super) fn encode_chunks(
    geometry: &Geometry,
    source: &dyn ReadAt,
    coder: &Coder,
    buffers: &BufferPool,
    mut sink: impl FnMut(EncodedChunk, u64) -> Result<()>,
) -> Result<()> {
    let encode = |number| {
        let (mut bytes, mut scratch) = buffers.desk();
        let range = geometry.chunk_range(number);
        let length = range.end - range.start;
        let encoded = coder.encode(number, source.read_at(range, &mut bytes)?, &mut scratch)?;
        put_back(&buffers.desks, (bytes, scratch));
        Ok((encoded, length))
    };
    let chunks = (0..geometry.chunk_count()).map(Ok);
    parallel::ordered(chunks, encode, |(encoded, length)| sink(encoded, length))
}

/// The largest chunk written. Coded, an unlucky one may grow by half, still well within the
/// limits that readers have by default.
pub(super) const MAX_CHUNK_BYTES: u64 = 64 << 20;

/// Elements a chunk: whole rows of the matrix that the leading dimensions make, and whole bytes;
/// part of a row where one row exceeds `target`.
pub(super) fn chunk_elements(dtype: Dtype, shape: &[u64], target: u64) -> u64 {
    let target = target.min(MAX_CHUNK_BYTES * 8 / u64::from(dtype.bits()));
    // Eight elements of any type are whole bytes.
    let unit = if dtype.bits() < 8 { 8 } else { 1 };
    let columns = shape.last().copied().unwrap_or(1).max(1);
    let row = match columns.checked_mul(unit / gcd(columns, unit)) {
        Some(row) if row <= target => row,
        _ => unit,
    };
    (target / row).max(1) * row
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_whole_rows_and_whole_bytes() {
        assert_eq!(chunk_elements(Dtype::F32, &[1000, 384], 1 << 18), 682 * 384);
        assert_eq!(chunk_elements(Dtype::F32, &[8, 100, 384], 1 << 18), 682 * 384);
        assert_eq!(chunk_elements(Dtype::F32, &[1, 1 << 30], 1 << 18), 1 << 18);
        assert_eq!(chunk_elements(Dtype::F4, &[1000, 6], 100), 96);
        assert_eq!(chunk_elements(Dtype::F4, &[1000, 7], 100), 56);
        assert_eq!(chunk_elements(Dtype::F4, &[1000, 70], 100), 96);
        assert_eq!(chunk_elements(Dtype::U8, &[], 100), 100);
        assert_eq!(chunk_elements(Dtype::F4, &[5, 0], 1), 8);
        assert_eq!(chunk_elements(Dtype::F64, &[1 << 30], u64::MAX), 8 << 20);
    }
}
