//! The number of elements in a chunk.

use crate::codec::trellis::ROW_GROUP;
use crate::dtype::Dtype;

/// The largest chunk that is written, in decoded bytes. An encoded chunk may be half as long again,
/// which is well below the default limits of a reader.
const MAX_CHUNK_BYTES: u64 = 64 << 20;

/// Chunks of the lossy codec hold this many times as many elements, since they take fewer bytes.
const LOSSY_FACTOR: u64 = 2;

/// Elements in a chunk of a lossless codec: whole rows of the matrix of the last dimension, and
/// whole bytes; a part of a row where a row exceeds `target`.
pub(super) fn lossless(dtype: Dtype, shape: &[usize], target: u64) -> u64 {
    let target = target.min(max_elements(dtype));
    // Eight elements of any dtype are whole bytes.
    let unit = if dtype.bits() < 8 { 8 } else { 1 };
    let columns = shape.last().map_or(1, |&columns| columns as u64).max(1);
    let row = match columns.checked_mul(unit / gcd(columns, unit)) {
        Some(row) if row <= target => row,
        _ => unit,
    };
    (target / row).max(1) * row
}

/// Elements in a chunk of the lossy codec: whole bands of rows.
pub(super) fn lossy(dtype: Dtype, columns: usize, target: u64) -> u64 {
    let band = (ROW_GROUP * columns) as u64;
    let target = LOSSY_FACTOR.saturating_mul(target).min(max_elements(dtype));
    (target / band).max(1) * band
}

fn max_elements(dtype: Dtype) -> u64 {
    MAX_CHUNK_BYTES * 8 / u64::from(dtype.bits())
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_whole_rows_and_whole_bytes() {
        assert_eq!(lossless(Dtype::F32, &[1000, 384], 1 << 18), 682 * 384);
        assert_eq!(lossless(Dtype::F32, &[8, 100, 384], 1 << 18), 682 * 384);
        assert_eq!(lossless(Dtype::F32, &[1, 1 << 30], 1 << 18), 1 << 18);
        assert_eq!(lossless(Dtype::F4, &[1000, 6], 100), 96);
        assert_eq!(lossless(Dtype::F4, &[1000, 7], 100), 56);
        assert_eq!(lossless(Dtype::F4, &[1000, 70], 100), 96);
        assert_eq!(lossless(Dtype::U8, &[], 100), 100);
        assert_eq!(lossless(Dtype::F4, &[5, 0], 1), 8);
        assert_eq!(lossless(Dtype::F64, &[1 << 30], u64::MAX), 8 << 20);
    }

    #[test]
    fn lossy_chunks_are_whole_bands() {
        assert_eq!(lossy(Dtype::Bf16, 512, 1 << 18), 1 << 19);
        assert_eq!(lossy(Dtype::Bf16, 1 << 16, 1), 1 << 21);
    }
}
