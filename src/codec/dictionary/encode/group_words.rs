//! Dictionaries of the words of each group.

use super::grouped::{each_group, words_of};
use super::indexed::Indexed;
use crate::codec::dictionary::MAX_ENTRIES;
use crate::codec::dictionary::groups::Groups;

/// Words of a row that are looked at first, and the most different ones that they may contain.
const PROBED: usize = 1024;
const MAX_DISTINCT: usize = 320;

/// Each group has words of its own.
pub(super) struct GroupWords {
    pub(super) groups: Groups,
    /// The most words of a group, which is the index of words without an entry.
    pub(super) most: usize,
}

impl GroupWords {
    /// `None` if the groups of a sample, in pieces, have too many different words.
    pub(super) fn of_sample<'s>(
        width: usize,
        groups: Groups,
        mut pieces: impl Iterator<Item = &'s [u8]>,
    ) -> Option<Self> {
        let first = pieces.next()?;
        let mut words = words_of(width, &first[..first.len().min(PROBED * width)]);
        words.truncate(groups.row);
        if groups.columns > 1 && distinct(width, &words).len() > MAX_DISTINCT.min(words.len() / 2) {
            return None;
        }
        let mut most = 0;
        for piece in std::iter::once(first).chain(pieces) {
            let words = words_of(width, piece);
            each_group(&groups, &words, &mut vec![0; words.len()], |words, _| {
                most = most.max(repeated(width, words).count());
            });
        }
        // Other groups may have a few words more.
        let most = (most + most / 8 + 1).min(MAX_ENTRIES);
        Some(Self { groups, most })
    }

    /// The indices of the words of a chunk, and the words of its groups.
    pub(super) fn index_all(&self, width: usize, chunk: &[u8], out: &mut Indexed) {
        let words = words_of(width, chunk);
        out.indices.resize(words.len(), 0);
        let (mut counts, mut group_words) = (Vec::new(), Vec::new());
        each_group(&self.groups, &words, &mut out.indices, |words, indices| {
            let mut entries: Vec<(u32, usize)> = repeated(width, words).collect();
            if entries.len() > self.most {
                entries.sort_by_key(|&(key, count)| (std::cmp::Reverse(count), key));
                entries.truncate(self.most);
                entries.sort_unstable();
            }
            counts.push(entries.len() as u8);
            for &(key, _) in &entries {
                group_words.extend_from_slice(&from_key(width, key).to_le_bytes()[..width]);
            }
            for (index, &word) in indices.iter_mut().zip(words) {
                let found = entries.binary_search_by_key(&key(width, word), |&(key, _)| key);
                *index = found.unwrap_or(self.most) as u8;
            }
        });
        out.groups.extend(counts);
        out.groups.extend(group_words);
        out.escape(self.most as u8, width, chunk);
    }
}

/// The keys of words that occur more than once, ascending, and how often they do. Other words take
/// fewer bytes without an entry.
fn repeated(width: usize, words: &[u32]) -> impl Iterator<Item = (u32, usize)> {
    distinct(width, words).into_iter().filter(|&(_, count)| count > 1)
}

fn distinct(width: usize, words: &[u32]) -> Vec<(u32, usize)> {
    let mut keys: Vec<u32> = words.iter().map(|&word| key(width, word)).collect();
    keys.sort_unstable();
    keys.chunk_by(|a, b| a == b).map(|run| (run[0], run.len())).collect()
}

/// A number in the order of the values of floats: neighbouring words then have neighbouring indices,
/// and those of small values are frequent in most groups.
fn key(width: usize, word: u32) -> u32 {
    let sign = 1 << (8 * width - 1);
    if word & sign != 0 { !word & (sign | (sign - 1)) } else { word | sign }
}

fn from_key(width: usize, key: u32) -> u32 {
    let sign = 1 << (8 * width - 1);
    if key & sign != 0 { key & !sign } else { !key & (sign | (sign - 1)) }
}
