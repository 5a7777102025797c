//! The number of elements in a chunk.

use super::source::TensorSource;
use crate::codec::trellis::ROW_GROUP;
use crate::dtype::Dtype;
use crate::role::TensorRole;

/// Elements in a chunk, approximately, unless another number is requested.
const TARGET: u64 = 1 << 18;

/// The same for tensors of which single rows are read. Their files are about 0.1 % larger.
const TARGET_OF_ROWS: u64 = 1 << 16;

/// The largest chunk that is written, in decoded bytes. An encoded chunk may be half as long again,
/// which is well below the default limits of a reader.
const MAX_CHUNK_BYTES: u64 = 64 << 20;

/// Chunks of the lossy codec hold this many times as many elements, since they take fewer bytes.
const LOSSY_FACTOR: u64 = 2;

/// Rows of fewer elements than this are joined, as those of the kernels of a convolution.
const MIN_ROW: u64 = 64;

/// Chunks of tensors with groups in columns hold a multiple of so many rows: the size of the largest
/// groups that do not span all rows.
const GROUPED_ROWS: u64 = 128;

/// The approximate number of elements in a chunk: the one that is requested, or else one for the use
/// of the tensor.
pub(super) fn target(source: &TensorSource<'_>, requested: Option<u64>) -> u64 {
    let is_read_by_row =
        source.is_tensor() && TensorRole::of(source.name, source.shape.len()).is_read_by_row();
    requested.unwrap_or(if is_read_by_row { TARGET_OF_ROWS } else { TARGET })
}

/// Elements in a chunk before the codec of a tensor is known: that of the lossy codec for a matrix.
pub(super) fn expected(source: &TensorSource<'_>) -> u64 {
    let target = target(source, None);
    match source.matrix() {
        Some(matrix) => lossy(source.dtype, matrix.columns, target),
        None => lossless(source.dtype, source.shape, target),
    }
}

/// Elements of a row of a matrix for lossless coding: the last dimension, joined with those before it,
/// except the first, while a row is short.
pub(super) fn row_elements(shape: &[usize]) -> u64 {
    let inner = if shape.len() > 1 { &shape[1..] } else { shape };
    let mut row = 1u64;
    for &size in inner.iter().rev() {
        row = row.saturating_mul(size as u64);
        if row >= MIN_ROW {
            break;
        }
    }
    row
}

/// Elements in a chunk of a lossless codec: whole rows of [`row_elements`], and whole bytes; a part of
/// a row where a row exceeds `target`.
pub(super) fn lossless(dtype: Dtype, shape: &[usize], target: u64) -> u64 {
    let target = target.min(max_elements(dtype));
    // Eight elements of any dtype are whole bytes.
    let unit = if dtype.bits() < 8 { 8 } else { 1 };
    let columns = row_elements(shape).max(1);
    let row = match columns.checked_mul(unit / gcd(columns, unit)) {
        Some(row) if row <= target => row,
        _ => unit,
    };
    (target / row).max(1) * row
}

/// Elements in a chunk of a tensor with groups in columns.
pub(super) fn grouped(dtype: Dtype, shape: &[usize], target: u64) -> u64 {
    let rows = row_elements(shape).max(1).saturating_mul(GROUPED_ROWS);
    match target.min(max_elements(dtype)) / rows {
        0 => lossless(dtype, shape, target),
        chunks => chunks * rows,
    }
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
    fn vocabularies_have_small_chunks_unless_others_are_requested() {
        let (shape, data) = ([1 << 17, 1 << 12], Vec::new());
        let source = |name| TensorSource::new(name, Dtype::Bf16, &shape, &data);
        for name in ["model.embed_tokens.weight", "lm_head.weight"] {
            assert_eq!(target(&source(name), None), 1 << 16);
            assert_eq!(target(&source(name), Some(5)), 5);
            assert_eq!(expected(&source(name)), 1 << 17);
        }
        assert_eq!(target(&source("model.layers.0.mlp.up_proj.weight"), None), 1 << 18);
    }

    #[test]
    fn lossy_chunks_are_whole_bands() {
        assert_eq!(lossy(Dtype::Bf16, 512, 1 << 18), 1 << 19);
        assert_eq!(lossy(Dtype::Bf16, 1 << 16, 1), 1 << 21);
    }
}
