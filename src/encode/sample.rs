//! Samples of tensors, from which the first pass chooses what to count.

use super::chunk_size;
use super::source::TensorSource;
use crate::codec::Sample;
use crate::error::Result;

/// The number of evenly spaced pieces of a sample, and the most bytes of each.
const PIECES: u64 = 8;
const PIECE: u64 = 1 << 13;

/// Smaller tensors have no sample.
const SMALL: u64 = 1 << 13;

/// Pieces of tensors with longer rows start at multiples of so many elements.
const ALIGNMENT: u64 = 256;

/// The most rows and columns of the second part of a sample.
const ROWS: u64 = 256;
const COLUMNS: u64 = 16;

/// Chunks of tensors with groups in columns hold this many times as many elements: what is stored for
/// a column is stored in every chunk.
pub(super) const COLUMN_CHUNK_FACTOR: u64 = 16;

/// A sample of whole elements; empty for a small tensor. Its second part is empty unless words of
/// columns repeat.
pub(super) fn take(source: &TensorSource<'_>) -> Result<Sample> {
    let (length, dtype) = (source.data.size(), source.dtype);
    let (mut sample, mut buffer) = (Sample::default(), Vec::new());
    if length < SMALL {
        return Ok(sample);
    }
    let row = dtype.byte_len(chunk_size::row_elements(source.shape)).unwrap_or(0);
    let distance = length / PIECES;
    let unit = match row {
        1.. if row <= distance => row,
        _ => dtype.byte_len(ALIGNMENT).unwrap_or(1),
    };
    // Multiples of the size of every element.
    let distance = if distance < unit { distance / 8 * 8 } else { distance / unit * unit };
    let piece = PIECE.min(distance);
    for start in (0..PIECES).map(|number| number * distance) {
        sample.bytes.extend_from_slice(source.data.read_at(start..start + piece, &mut buffer)?);
    }
    (sample.piece, sample.row) = (piece as usize, row as usize);
    if unit == row && columns_repeat(source, &sample)? {
        let width = u64::from(dtype.bits() / 8);
        let columns = COLUMNS.min(row / width) * width;
        // In the middle, at multiples of the sizes of groups.
        let rows = ROWS.min(length / row);
        let first = (length / row - rows) / 2 / ROWS * ROWS;
        let start = first * row + row / width / 2 / COLUMNS * COLUMNS * width;
        for start in (0..rows).map(|number| start + number * row) {
            let words = source.data.read_at(start..start + columns, &mut buffer)?;
            sample.columns.extend_from_slice(words);
        }
        sample.columns_row = columns as usize;
    }
    Ok(sample)
}

/// Whether words of two or four bytes repeat in columns more often than in rows, as those of weights
/// do that were quantised by columns. Ordinary weights rarely repeat.
fn columns_repeat(source: &TensorSource<'_>, sample: &Sample) -> Result<bool> {
    let repeat: fn(&[u8], usize) -> bool = match source.dtype.bits() {
        16 => |bytes, distance| repeat::<2>(bytes, distance, 128),
        32 => |bytes, distance| repeat::<4>(bytes, distance, 1024),
        _ => return Ok(false),
    };
    if repeat(&sample.bytes, sample.piece) {
        return Ok(true);
    }
    // Two rows in the middle, where a group may start: groups of few rows end before the next piece.
    let (row, mut buffer) = (sample.row as u64, Vec::new());
    let start = source.data.size() / row / 2 * row;
    let length = row.min(PIECE);
    let mut rows = Vec::new();
    for start in [start, start + row] {
        rows.extend_from_slice(source.data.read_at(start..start + length, &mut buffer)?);
    }
    Ok(repeat(&rows, length as usize))
}

/// Whether at least one word in `one_in` equals the one `distance` bytes before it, and at most half as
/// many equal the one before them. Zeros, which pruning leaves, do not count.
fn repeat<const W: usize>(bytes: &[u8], distance: usize, one_in: usize) -> bool {
    let words = bytes.as_chunks::<W>().0;
    let is_zero =
        |word: &[u8; W]| word[W - 1] & 0x7f == 0 && word[..W - 1].iter().all(|&byte| byte == 0);
    let count = |distance: usize| {
        let pairs = words.iter().zip(words.iter().skip(distance));
        pairs.filter(|(a, b)| a == b && !is_zero(a)).count()
    };
    let (below, beside) = (count(distance / W), count(1));
    below * one_in > words.len() && below > 2 * beside
}
