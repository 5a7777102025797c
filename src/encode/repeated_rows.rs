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

/// The rows that are looked at for parts that repeat, and the numbers of parts.
const DIVIDED_ROWS: u64 = 16;
const PARTS: [u64; 2] = [2, 4];

/// The most different elements in the prefix of a part that is not looked at.
const FEW_WORDS: usize = 4;

/// The bytes of a row, or of a part of it, if rows of a tensor, or parts of rows, seem to repeat. A row
/// spans the last dimensions that have at least [`MIN_ROW`] bytes together.
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
    let step = (2 * rows).div_ceil(ROWS).next_power_of_two().max(2);
    // Pairs of neighbours, since each row may be stored twice.
    let pairs = (0..rows).step_by(step as usize).flat_map(|row| [row, row + 1]);
    let starts = pairs.filter(|&number| number < rows).map(|number| number * row);
    let prefixes = prefixes(source, starts)?;
    let count = prefixes.len() / PREFIX as usize;
    let seen: HashSet<&[u8]> = prefixes.chunks(PREFIX as usize).collect();
    let copies = count - seen.len();
    // Constant tensors need no copies.
    let found = copies > count / SHARE && !(seen.len() == 1 && seen.iter().all(is_constant));
    let part = repeated_part(source, row, rows)?;
    Ok(part.or(found.then_some(bytes)))
}

/// The first bytes of rows, or of parts, that start at these positions. All are read before they are
/// compared: memory is then read at several of the positions at a time.
fn prefixes(source: &TensorSource<'_>, starts: impl Iterator<Item = u64>) -> Result<Vec<u8>> {
    let (mut prefixes, mut buffer) = (Vec::new(), Vec::new());
    for start in starts {
        let prefix = source.data.read_at(start..start + PREFIX, &mut buffer)?;
        prefixes.extend_from_slice(prefix);
    }
    Ok(prefixes)
}

/// The bytes of a half or a quarter of a row, if such parts of rows seem to repeat.
fn repeated_part(source: &TensorSource<'_>, row: u64, rows: u64) -> Result<Option<u32>> {
    let element = u64::from(source.dtype.bits().div_ceil(8));
    for parts in PARTS {
        if !row.is_multiple_of(parts * element) || row / parts < MIN_ROW {
            continue;
        }
        let part = row / parts;
        let numbers = (0..rows).step_by(rows.div_ceil(DIVIDED_ROWS) as usize);
        let starts = numbers.flat_map(|number| (0..parts).map(move |i| number * row + i * part));
        let prefixes = prefixes(source, starts)?;
        let (mut seen, mut count, mut copies) = (HashSet::new(), 0, 0);
        for of_row in prefixes.chunks((parts * PREFIX) as usize) {
            let mut repeats = false;
            for prefix in of_row.chunks(PREFIX as usize) {
                let few = has_few_words(prefix, element as usize);
                repeats |= !few && !seen.insert(prefix);
            }
            count += 1;
            copies += usize::from(repeats);
        }
        if 2 * copies > count {
            return Ok(u32::try_from(part).ok());
        }
    }
    Ok(None)
}

/// Whether a part of a row has few different elements, as those of masks and of zeros have: these
/// repeat, but take few bits anyway.
fn has_few_words(part: &[u8], element: usize) -> bool {
    let mut different = Vec::with_capacity(FEW_WORDS);
    // Most parts have too many of them among the first elements.
    part.chunks(element).all(|word| {
        let is_new = !different.contains(&word);
        if is_new && different.len() < FEW_WORDS {
            different.push(word);
            return true;
        }
        !is_new
    })
}

fn is_constant(row: impl AsRef<[u8]>) -> bool {
    let row = row.as_ref();
    row.chunks(8).all(|word| word == &row[..word.len()])
}
