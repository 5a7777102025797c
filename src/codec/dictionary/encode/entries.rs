//! The entries of a dictionary.

use super::factors::Factors;
use super::indexed::Indexed;
use super::words::Words;
use crate::codec::dictionary::{KIND_FACTORS, KIND_WORDS};

/// The entries of a dictionary.
pub(super) enum Entries {
    Words(Words),
    Factors(Factors),
}

impl Entries {
    /// The number of entries, which is the index of words without one.
    pub(super) fn count(&self) -> usize {
        match self {
            Self::Words(words) => words.words.len(),
            Self::Factors(factors) => factors.entries.len(),
        }
    }

    /// Replaces the content of `out` by the indices of a chunk. O(words), with the search for scales
    /// as a factor where entries are factors.
    pub(super) fn index(&self, width: usize, chunk: &[u8], out: &mut Indexed) {
        out.indices.clear();
        out.scales.clear();
        out.escaped.clear();
        match self {
            Self::Words(words) => words.index_all(width, chunk, out),
            Self::Factors(factors) => factors.index_all(chunk, out),
        }
    }

    /// The codec parameters up to the frequency table.
    pub(super) fn parameters(&self, width: usize, distance: u32) -> Vec<u8> {
        let kind = match self {
            Self::Words(_) => KIND_WORDS,
            Self::Factors(_) => KIND_FACTORS,
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
                out.extend((factors.group as u32).to_le_bytes());
                out.extend(factors.entries.iter().flat_map(|value| value.to_le_bytes()));
            }
        }
        out
    }
}
