//! Dictionaries of factors, of which scales of groups make words.

use super::grouped::{all_narrowed, each_group, words_of};
use super::indexed::Indexed;
use super::levels::Levels;
use super::minimum_search::MinimumSearch;
use super::scale_search::ScaleSearch;
use crate::codec::dictionary::MAX_ENTRIES;
use crate::codec::dictionary::groups::Groups;
use crate::dtype::Dtype;

/// The bounds of the most levels of a group with a minimum that are looked for: those of 4 and 8 bits.
const MIN_LEVELS: usize = 16;
const MAX_LEVELS: usize = 256;

/// Levels, those of them that are entries, and the groups of words that share a scale.
pub(super) struct Factors {
    dtype: Dtype,
    pub(super) form: Form,
    pub(super) groups: Groups,
    /// The entries, ascending.
    pub(super) entries: Vec<f32>,
    /// The index of each level; that of words without an entry for levels that are no entries.
    indices: Vec<u8>,
}

/// How levels make words.
#[derive(Clone, Copy)]
pub(super) struct Form {
    pub(super) levels: &'static Levels,
    /// Whether a minimum of the group is added.
    pub(super) has_minima: bool,
    /// What products are rounded to before they become words.
    pub(super) rounding: Dtype,
}

/// The search for what a group stores.
enum Search {
    Scale(ScaleSearch),
    Minimum(MinimumSearch),
}

/// What a group stores, and the positions of the levels of its words.
struct Found<'s> {
    scale: f32,
    minimum: f32,
    levels: &'s [u16],
}

impl Form {
    fn search(&self) -> Search {
        match self.has_minima {
            true => Search::Minimum(MinimumSearch::new()),
            false => Search::Scale(ScaleSearch::new(self.levels)),
        }
    }

    /// Whether most groups of a sample are explained. Groups of equal words do not count.
    pub(super) fn explains(
        &self,
        dtype: Dtype,
        groups: impl ExactSizeIterator<Item = Vec<u32>>,
    ) -> bool {
        let total = groups.len();
        let (mut tried, mut found) = (0, 0);
        let mut search = self.search();
        for words in groups {
            if words.iter().all(|&word| word == words[0]) {
                continue;
            }
            let words = all_narrowed(dtype, self.rounding, words);
            tried += 1;
            let may_be_found = !self.has_minima || has_few_levels(&words);
            found += usize::from(may_be_found && search.find(*self, &words).is_some());
            // Too few of them, whatever the others are.
            if 2 * (tried - found) >= total {
                return false;
            }
        }
        2 * found > tried
    }
}

/// Whether the words of a group are few enough for evenly spaced levels. Ordinary weights of low
/// precision are near some of many levels, but the search for these takes long.
fn has_few_levels(words: &[u32]) -> bool {
    let most = (words.len() * 3 / 4).clamp(MIN_LEVELS, MAX_LEVELS);
    let has_few = |words: &[u32]| {
        let mut words = words.to_vec();
        words.sort_unstable();
        words.chunk_by(|a, b| a == b).count() <= most
    };
    // Ordinary weights have too many different words in a part already.
    has_few(&words[..words.len().min(most + most / 4)]) && has_few(words)
}

impl Search {
    fn find(&mut self, form: Form, words: &[u32]) -> Option<Found<'_>> {
        match self {
            Self::Scale(search) => {
                let scale = search.find(form.rounding, form.levels, words)?;
                Some(Found { scale, minimum: 0.0, levels: &search.levels })
            }
            Self::Minimum(search) => {
                let (scale, minimum) = search.find(form.rounding, words)?;
                Some(Found { scale, minimum, levels: &search.levels })
            }
        }
    }
}

impl Factors {
    /// The levels that are frequent in a sample, in pieces, become entries.
    pub(super) fn of_sample<'s>(
        dtype: Dtype,
        form: Form,
        groups: Groups,
        pieces: impl Iterator<Item = &'s [u8]>,
    ) -> Self {
        let mut counts = vec![0; form.levels.values.len()];
        let mut search = form.search();
        let width = dtype.bits() as usize / 8;
        for piece in pieces {
            let words = all_narrowed(dtype, form.rounding, words_of(width, piece));
            each_group(&groups, &words, &mut vec![0; words.len()], |words, _| {
                let found = search.find(form, words);
                let levels = found.iter().flat_map(|found| found.levels);
                levels.for_each(|&level| counts[usize::from(level)] += 1);
            });
        }
        let used = form.levels.used(&counts, MAX_ENTRIES);
        let mut indices = vec![used.len() as u8; form.levels.values.len()];
        (0..).zip(&used).for_each(|(index, &level)| indices[level] = index);
        let entries = used.iter().map(|&level| form.levels.values[level]).collect();
        Self { dtype, form, groups, entries, indices }
    }

    /// The indices of the words of a chunk, and the scales and minima of its groups. The words of a
    /// group without a scale have no entry.
    pub(super) fn index_all(&self, chunk: &[u8], out: &mut Indexed) {
        let (escape, width) = (self.entries.len() as u8, self.dtype.bits() as usize / 8);
        let words = all_narrowed(self.dtype, self.form.rounding, words_of(width, chunk));
        let (mut search, mut minima) = (self.form.search(), Vec::new());
        out.indices.resize(words.len(), 0);
        each_group(&self.groups, &words, &mut out.indices, |words, indices| {
            let (scale, minimum) = match search.find(self.form, words) {
                Some(Found { scale, minimum, levels }) => {
                    for (index, &level) in indices.iter_mut().zip(levels) {
                        *index = self.indices[usize::from(level)];
                    }
                    (scale, minimum)
                }
                None => {
                    indices.fill(escape);
                    (0.0, 0.0)
                }
            };
            out.groups.extend(scale.to_le_bytes());
            minima.extend(minimum.to_le_bytes());
        });
        if self.form.has_minima {
            out.groups.extend(minima);
        }
        out.escape(escape, width, chunk);
    }
}
