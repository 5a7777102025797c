//! The entries of a dictionary.

use super::factors::Factors;
use super::group_words::GroupWords;
use super::indexed::Indexed;
use super::words::Words;
use crate::codec::dictionary::groups::Groups;
use crate::codec::dictionary::{KIND_FACTORS, KIND_GROUP_WORDS, KIND_WORDS};

/// The entries of a dictionary.
pub(super) enum Entries {
    Words(Words),
    Factors(Factors),
    GroupWords(GroupWords),
}

impl Entries {
    /// The number of entries, which is the index of words without one.
    pub(super) fn count(&self) -> usize {
        match self {
            Self::Words(words) => words.words.len(),
            Self::Factors(factors) => factors.entries.len(),
            Self::GroupWords(words) => words.most,
        }
    }

    /// Replaces the content of `out` by the indices of a chunk. O(words), with the search for scales
    /// as a factor where entries are factors.
    pub(super) fn index(&self, width: usize, chunk: &[u8], out: &mut Indexed) {
        out.clear();
        match self {
            Self::Words(words) => words.index_all(width, chunk, out),
            Self::Factors(factors) => factors.index_all(chunk, out),
            Self::GroupWords(words) => words.index_all(width, chunk, out),
        }
    }

    /// Sets the words in a row, of which groups are parts.
    pub(super) fn set_row(&mut self, row: usize) {
        match self {
            Self::Words(_) => {}
            Self::Factors(factors) => factors.groups.row = row,
            Self::GroupWords(words) => words.groups.row = row,
        }
    }

    /// The codec parameters up to the frequency table.
    pub(super) fn parameters(&self, width: usize, distance: u32) -> Vec<u8> {
        let kind = match self {
            Self::Words(_) => KIND_WORDS,
            Self::Factors(_) => KIND_FACTORS,
            Self::GroupWords(_) => KIND_GROUP_WORDS,
        };
        let mut out = vec![kind, self.count() as u8];
        out.extend(distance.to_le_bytes());
        match self {
            Self::Words(words) => {
                out.extend(
                    words.words.iter().flat_map(|word| word.to_le_bytes()[..width].to_vec()),
                );
            }
            Self::Factors(factors) => {
                out.extend(stored(&factors.groups));
                out.push(factors.form.rounding.id());
                out.push(factors.form.has_minima.into());
                out.extend(factors.entries.iter().flat_map(|value| value.to_le_bytes()));
            }
            Self::GroupWords(words) => out.extend(stored(&words.groups)),
        }
        out
    }
}

fn stored(groups: &Groups) -> impl Iterator<Item = u8> {
    [groups.row, groups.rows, groups.columns]
        .into_iter()
        .flat_map(|number| u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes())
}
