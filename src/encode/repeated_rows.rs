//! Whether rows of a tensor repeat, from a sample of them.

use super::source::TensorSource;
use crate::error::Result;
use std::collections::HashSet;

/// Chunks of tensors with repeated rows hold this many times as many elements: copies reach further.
pub(super) const CHUNK_FACTOR: u64 = 16;

/// The least bytes of a row.
const MIN_ROW: u64 = 64;

/// The most rows that are looked at, evenly spaced, and the bytes of each.
const ROWS: u64 = 256;
const PREFIX: u64 = 64;

/// The share of copies in the sample from which they are left out: one in so many.
const SHARE: usize = 64;

/// The bytes of a row, if rows of a tensor seem to repeat. A row spans the last dimensions that have
/// at least [`MIN_ROW`] bytes together.
pub(super) fn find(source: &TensorSource<'_>) -> Result<Option<u32>> {
    let mut elements = 1u64;
    let mut row = 0;
    for &size in source.shape.iter().rev() {
        elements = elements.saturating_mul(size as u64);
        row = source.dtype.byte_len(elements).unwrap_or(0);
        if row >= MIN_ROW {
            break;
        }
    }
    let (size, Ok(bytes)) = (source.data.size(), u32::try_from(row)) else { return Ok(None) };
    if row < MIN_ROW || size < 4 * row {
        return Ok(None);
    }
    let rows = size / row;
    // A power of two: copies of blocks of rows often are such a distance apart.
    let step = rows.div_ceil(ROWS).next_power_of_two();
    let (mut seen, mut buffer) = (HashSet::<Vec<u8>>::new(), Vec::new());
    let (mut count, mut copies) = (0, 0);
    for number in (0..rows).step_by(step as usize) {
        let start = number * row;
        let prefix = source.data.read_at(start..start + PREFIX, &mut buffer)?;
        copies += usize::from(!seen.insert(prefix.to_vec()));
        count += 1;
    }
    // Constant tensors need no copies.
    let is_constant =
        seen.len() == 1 && seen.iter().all(|row| row.chunks(8).all(|w| w == &row[..8]));
    Ok((!is_constant && copies > count / SHARE).then_some(bytes))
}
