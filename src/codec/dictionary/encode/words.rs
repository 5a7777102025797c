//! Dictionaries of words.

use super::indexed::{Indexed, each_word, word_of};
use crate::codec::dictionary::MAX_ENTRIES;

/// Words that are looked at first.
const PROBES: usize = 1024;

/// A sample with more distinct words than this among [`PROBES`] has no dictionary, unless one of
/// them is frequent.
const MAX_DISTINCT: usize = 640;

/// The share of a frequent word: one in so many.
const FREQUENT: usize = 16;

/// Slots of the hash table: four for each entry.
const SLOTS: usize = 1 << SLOT_BITS;
const SLOT_BITS: u32 = 10;

/// Words, ascending, and a hash table of them.
pub(super) struct Words {
    pub(super) words: Vec<u64>,
    /// Word and index; the index of words without an entry where there is none.
    slots: Vec<(u64, u8)>,
}

impl Words {
    /// The most frequent words of a sample, and those alone that are very frequent; nothing if the
    /// sample has too many different words.
    pub(super) fn of_sample(width: usize, sample: &[u8]) -> Vec<Self> {
        let count = sample.len() / width;
        // An odd distance visits all columns of matrices with widths that are powers of two.
        let step = (count / PROBES) | 1;
        let probes = sample.chunks_exact(width).step_by(step).take(PROBES).map(word_of).collect();
        let probes = counted(probes);
        let most = probes.iter().map(|&(_, count)| count).max().unwrap_or(0);
        if most == 0 || probes.len() > MAX_DISTINCT && most < PROBES / FREQUENT {
            return Vec::new();
        }
        let mut counts = counted(sample.chunks_exact(width).map(word_of).collect());
        counts.sort_by_key(|&(word, count)| (std::cmp::Reverse(count), word));
        let mut frequent = Vec::new();
        if counts.len() > MAX_ENTRIES {
            let very = counts.iter().take_while(|&&(_, times)| times >= count / FREQUENT);
            frequent = very.copied().collect();
            counts.truncate(MAX_ENTRIES);
            counts.retain(|&(_, count)| count > 1);
        }
        let found = [counts, frequent].into_iter().filter(|words| !words.is_empty());
        found.map(|words| Self::new(words.into_iter().map(|(word, _)| word).collect())).collect()
    }

    fn new(mut words: Vec<u64>) -> Self {
        words.sort_unstable();
        let escape = words.len() as u8;
        let mut slots = vec![(0, escape); SLOTS];
        for (index, &word) in words.iter().enumerate() {
            let mut slot = hash(word);
            while slots[slot].1 != escape {
                slot = (slot + 1) % SLOTS;
            }
            slots[slot] = (word, index as u8);
        }
        Self { words, slots }
    }

    fn index(&self, word: u64) -> u8 {
        let (escape, mut slot) = (self.words.len() as u8, hash(word));
        loop {
            let (found, index) = self.slots[slot];
            if found == word || index == escape {
                return index;
            }
            slot = (slot + 1) % SLOTS;
        }
    }

    /// The indices of the words of a chunk.
    pub(super) fn index_all(&self, width: usize, chunk: &[u8], out: &mut Indexed) {
        let escape = self.words.len() as u8;
        if width == 1 {
            let mut indices = [escape; 256];
            for (index, &word) in self.words.iter().enumerate() {
                indices[word as usize] = index as u8;
            }
            out.indices.extend(chunk.iter().map(|&byte| indices[usize::from(byte)]));
        } else {
            // Runs of one word are frequent.
            let mut last = (self.words[0], 0);
            each_word(width, chunk, |word| {
                if word != last.0 {
                    last = (word, self.index(word));
                }
                out.indices.push(last.1);
            });
        }
        out.escape(escape, width, chunk);
    }
}

fn hash(word: u64) -> usize {
    (word.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - SLOT_BITS)) as usize
}

/// The distinct words, ascending, and how often each occurs.
fn counted(mut words: Vec<u64>) -> Vec<(u64, usize)> {
    words.sort_unstable();
    words.chunk_by(|a, b| a == b).map(|run| (run[0], run.len())).collect()
}
