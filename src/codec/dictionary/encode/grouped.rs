//! The words of each group of a chunk.

use super::indexed::each_word;
use crate::codec::dictionary::groups::{Groups, Segment};
use crate::dtype::Dtype;
use half::{bf16, f16};

/// Columns that are gathered together: words of one cache line.
const GATHERED: usize = 16;

/// The words of a chunk of an element type of two or four bytes.
pub(super) fn words_of(width: usize, chunk: &[u8]) -> Vec<u32> {
    let mut words = Vec::with_capacity(chunk.len() / width);
    each_word(width, chunk, |word| words.push(word as u32));
    words
}

/// The word of `rounding` that has the value of this word of `dtype`.
pub(super) fn narrowed(dtype: Dtype, rounding: Dtype, word: u32) -> Option<u32> {
    if dtype == rounding {
        return Some(word);
    }
    let value = f32::from_bits(word);
    let (narrow, wide) = match rounding {
        Dtype::F16 => {
            let narrow = f16::from_f32(value);
            (narrow.to_bits(), narrow.to_f32())
        }
        _ => {
            let narrow = bf16::from_f32(value);
            (narrow.to_bits(), narrow.to_f32())
        }
    };
    (wide.to_bits() == word).then(|| narrow.into())
}

/// The words of `rounding` that have the values of these words of `dtype`; a NaN where there is none.
pub(super) fn all_narrowed(dtype: Dtype, rounding: Dtype, mut words: Vec<u32>) -> Vec<u32> {
    const NAN: u32 = 0x7fff;
    if dtype != rounding {
        for word in &mut words {
            *word = narrowed(dtype, rounding, *word).unwrap_or(NAN);
        }
    }
    words
}

/// Calls `visit` with the words of each group, in order, and the places of their indices. Groups are
/// parts of one row or of one column.
pub(super) fn each_group(
    groups: &Groups,
    words: &[u32],
    indices: &mut [u8],
    mut visit: impl FnMut(&[u32], &mut [u8]),
) {
    if groups.columns > 1 || groups.rows == 1 {
        groups.segments(words.len(), |range, segment| match segment {
            Segment::InGroup(_) => visit(&words[range.clone()], &mut indices[range]),
            Segment::FromGroup(_) => {
                let indices = indices[range.clone()].chunks_mut(1);
                words[range].chunks(1).zip(indices).for_each(|(word, index)| visit(word, index));
            }
        });
        return;
    }
    let row = groups.row.min(words.len()).max(1);
    let block = row.saturating_mul(groups.rows);
    let (mut column_words, mut column_indices) = (Vec::new(), Vec::new());
    for (words, indices) in words.chunks(block).zip(indices.chunks_mut(block)) {
        for first in (0..row).step_by(GATHERED) {
            let columns = (row - first).min(GATHERED);
            let height = |column: usize| words.len().saturating_sub(first + column).div_ceil(row);
            column_words.resize(GATHERED * height(0), 0);
            column_indices.resize(GATHERED * height(0), 0);
            for (number, row) in words.chunks(row).enumerate() {
                for (column, &word) in row.iter().skip(first).take(columns).enumerate() {
                    column_words[column * height(0) + number] = word;
                }
            }
            for column in 0..columns {
                let range = column * height(0)..column * height(0) + height(column);
                visit(&column_words[range.clone()], &mut column_indices[range]);
            }
            for (number, row) in indices.chunks_mut(row).enumerate() {
                for (column, index) in row.iter_mut().skip(first).take(columns).enumerate() {
                    *index = column_indices[column * height(0) + number];
                }
            }
        }
    }
}
