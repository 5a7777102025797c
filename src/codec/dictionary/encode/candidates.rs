//! The dictionaries that are tried with a sample.

use super::entries::Entries;
use super::factors::{Factors, Form};
use super::group_words::GroupWords;
use super::grouped::{narrowed, words_of};
use super::levels::Levels;
use super::words::Words;
use crate::codec::dictionary::groups::Groups;
use crate::codec::dictionary::{has_factors, has_groups};
use crate::codec::planes::split::Split;
use crate::dtype::Dtype;

/// Sizes of groups that are tried besides whole rows or columns, the largest first.
const GROUPS: [usize; 4] = [128, 64, 32, 16];

/// Groups that are looked at first, evenly spaced in the sample.
const PROBES: usize = 8;

/// A part of a tensor in pieces of whole rows, or of parts of rows.
#[derive(Clone, Copy)]
pub(crate) struct Part<'s> {
    pub(crate) bytes: &'s [u8],
    /// Bytes of a piece.
    pub(crate) piece: usize,
    /// Bytes of a row.
    pub(crate) row: usize,
}

impl<'s> Part<'s> {
    pub(super) fn pieces(self) -> std::slice::Chunks<'s, u8> {
        self.bytes.chunks(self.piece.max(1))
    }
}

/// Dictionaries that may suit a sample, each with the part of it that shows its groups: `columns` has
/// rows of a few columns, and may be empty.
pub(super) fn candidates<'s>(
    dtype: Dtype,
    sample: Part<'s>,
    columns: Part<'s>,
) -> Vec<(Entries, Part<'s>)> {
    let width = Split::of(dtype).width;
    let words = Words::of_sample(width, sample.bytes).into_iter().map(Entries::Words);
    let mut found: Vec<_> = words.map(|words| (words, sample)).collect();
    if has_groups(dtype) && sample.row >= width {
        let row = sample.row / width;
        let whole = GROUPS.into_iter().filter(|group| row.is_multiple_of(*group) && *group < row);
        let columns_of = |columns| Groups { row, rows: 1, columns };
        let layouts: Vec<_> = [row].into_iter().chain(whole).map(columns_of).collect();
        found.extend(grouped(dtype, sample, &layouts));
    }
    if has_groups(dtype) && !columns.bytes.is_empty() {
        let row = columns.row / width;
        let rows_of = |rows| Groups { row, rows, columns: 1 };
        let layouts: Vec<_> = [u32::MAX as usize].into_iter().chain(GROUPS).map(rows_of).collect();
        found.extend(grouped(dtype, columns, &layouts));
    }
    found
}

/// Dictionaries with groups, the largest ones of the first of `layouts`.
fn grouped<'s>(dtype: Dtype, part: Part<'s>, layouts: &[Groups]) -> Vec<(Entries, Part<'s>)> {
    let mut found = Vec::new();
    if has_factors(dtype) {
        let rounding = rounding(dtype, part.bytes);
        let scaled =
            [Levels::integers(), Levels::e4m3(), Levels::nf4(), Levels::nf4_of_four_digits()];
        let forms = scaled.map(|levels| Form { levels, has_minima: false, rounding });
        let minima = Form { levels: Levels::naturals(), has_minima: true, rounding };
        for form in forms.into_iter().chain([minima]) {
            let explains = |groups: &Groups| form.explains(dtype, probes(dtype, part, groups));
            // A scale of a large group is one of the small groups in it. With a minimum, a small
            // group need not have the smallest and the largest level.
            let smallest = layouts.last().filter(|_| !form.has_minima);
            if smallest.is_some_and(|smallest| !explains(smallest)) {
                continue;
            }
            if let Some(&groups) = layouts.iter().find(|groups| explains(groups)) {
                let factors = Factors::of_sample(dtype, form, groups, part.pieces());
                found.push((Entries::Factors(factors), part));
            }
        }
    }
    if let Some(&groups) = layouts.first() {
        let width = Split::of(dtype).width;
        let words = GroupWords::of_sample(width, groups, part.pieces());
        found.extend(words.map(|words| (Entries::GroupWords(words), part)));
    }
    found
}

/// The words of groups that are looked at first: parts of the first row or column of pieces, or of
/// further columns where there is a single piece.
fn probes(
    dtype: Dtype,
    part: Part<'_>,
    groups: &Groups,
) -> impl ExactSizeIterator<Item = Vec<u32>> {
    let width = dtype.bits() as usize / 8;
    let pieces: Vec<&[u8]> = part.pieces().collect();
    let (row, groups) = (part.row / width, *groups);
    (0..PROBES).map(move |number| {
        let piece = pieces[number * pieces.len() / PROBES];
        match groups.columns {
            1 => {
                let column = |row: &[u8]| row[number * width % row.len()..][..width].to_vec();
                let rows = piece.chunks_exact(row * width).take(groups.rows);
                words_of(width, &rows.flat_map(column).collect::<Vec<_>>())
            }
            columns => words_of(width, &piece[..piece.len().min(columns * width)]),
        }
    })
}

/// The dtype of least precision that has all values of a part.
fn rounding(dtype: Dtype, bytes: &[u8]) -> Dtype {
    if dtype != Dtype::F32 {
        return dtype;
    }
    // All words: sums of few levels mostly have few bits.
    let words = bytes.as_chunks().0.iter().map(|&word| u32::from_le_bytes(word));
    let narrow = [Dtype::Bf16, Dtype::F16]
        .into_iter()
        .find(|&narrow| words.clone().all(|word| narrowed(dtype, narrow, word).is_some()));
    narrow.unwrap_or(dtype)
}
