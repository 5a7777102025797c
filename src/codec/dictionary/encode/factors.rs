//! Dictionaries of factors, and the search for the scale of a group.
//!
//! A scale and a level give a word if their product rounds to it. So each word restricts the scale to
//! an interval, once its level is known. The level of the largest word is tried; it determines the
//! levels of the others. The scale is in the intersection of all intervals.

use super::indexed::{Indexed, each_word};
use super::levels::Levels;
use crate::codec::dictionary::MAX_ENTRIES;
use crate::dtype::Dtype;
use half::{bf16, f16};

/// Levels, those of them that are entries, and the number of words that share a scale.
pub(super) struct Factors {
    pub(super) dtype: Dtype,
    pub(super) group: usize,
    pub(super) levels: Levels,
    /// The entries, ascending.
    pub(super) entries: Vec<f32>,
    /// The index of each level; that of words without an entry for levels that are no entries.
    indices: Vec<u8>,
}

/// Neighbours of the middle of the interval that are tried as scales.
const NEIGHBOURS: u32 = 2;

impl Factors {
    /// The levels that are frequent in a sample become entries.
    pub(super) fn of_sample<'s>(
        dtype: Dtype,
        group: usize,
        levels: Levels,
        pieces: impl Iterator<Item = &'s [u8]>,
    ) -> Self {
        let mut counts = vec![0; levels.values.len()];
        for piece in pieces {
            each_group(dtype, &levels, group, piece, |_, found| {
                let levels = found.into_iter().flat_map(|(_, levels)| levels);
                levels.for_each(|&level| counts[level] += 1);
            });
        }
        let used = levels.used(&counts, MAX_ENTRIES);
        let mut indices = vec![used.len() as u8; levels.values.len()];
        (0..).zip(&used).for_each(|(index, &level)| indices[level] = index);
        let entries = used.iter().map(|&level| levels.values[level]).collect();
        Self { dtype, group, levels, entries, indices }
    }

    /// The indices of the words of a chunk, and the scales of its groups. The words of a group
    /// without a scale have no entry.
    pub(super) fn index_all(&self, chunk: &[u8], out: &mut Indexed) {
        let (escape, width) = (self.entries.len() as u8, self.dtype.bits() as usize / 8);
        each_group(self.dtype, &self.levels, self.group, chunk, |bytes, found| {
            let Some((scale, levels)) = found else {
                out.scales.push(0.0);
                out.indices.resize(out.indices.len() + bytes.len() / width, escape);
                out.escaped.extend_from_slice(bytes);
                return;
            };
            out.scales.push(scale);
            for (&level, word) in levels.iter().zip(bytes.chunks_exact(width)) {
                out.indices.push(self.indices[level]);
                if self.indices[level] == escape {
                    out.escaped.extend_from_slice(word);
                }
            }
        });
    }
}

/// Calls `visit` with the bytes of each group, its scale and the levels of its words; without these
/// if it has no scale.
fn each_group(
    dtype: Dtype,
    levels: &Levels,
    group: usize,
    chunk: &[u8],
    mut visit: impl FnMut(&[u8], Option<(f32, &[usize])>),
) {
    let width = dtype.bits() as usize / 8;
    let (mut words, mut found, mut search) = (Vec::new(), Vec::new(), Search::default());
    for bytes in chunk.chunks(group * width) {
        words.clear();
        each_word(width, bytes, |word| words.push(word as u32));
        let scale = search.scale(dtype, levels, &words);
        found.clear();
        if scale.is_some() {
            found.extend(words.iter().map(|&word| search.level(word)));
        }
        visit(bytes, scale.map(|scale| (scale, &found[..])));
    }
}

/// Working memory of the search, and the level of the largest word of the group before.
#[derive(Default)]
pub(super) struct Search {
    last: Option<f32>,
    words: Vec<u32>,
    /// The distinct words of the last group, ascending, and their levels.
    known: Vec<(u32, usize)>,
}

impl Search {
    /// A scale with which levels give all words of a group. O(words · levels), but words usually
    /// rule out a wrong level of the largest word after a few of them.
    pub(super) fn scale(&mut self, dtype: Dtype, levels: &Levels, group: &[u32]) -> Option<f32> {
        self.words.clear();
        self.words.extend(group);
        self.words.sort_unstable();
        self.words.dedup();
        self.known.clear();
        let magnitude = |word: u32| word & !sign(dtype);
        let largest = self.words.iter().copied().max_by_key(|&word| magnitude(word))?;
        if !value(dtype, largest).is_finite() {
            return None;
        }
        if magnitude(largest) == 0 {
            return self.check(dtype, levels, 0.0).then_some(0.0);
        }
        let first = self.last.into_iter();
        let tried = first.chain(levels.largest.iter().copied().filter(|&l| Some(l) != self.last));
        for level in tried.collect::<Vec<_>>() {
            if let Some(scale) = self.scale_at(dtype, levels, largest, level) {
                self.last = Some(level);
                return Some(scale);
            }
        }
        None
    }

    /// A scale at which the largest word has this level, up to its sign.
    fn scale_at(&mut self, dtype: Dtype, levels: &Levels, largest: u32, level: f32) -> Option<f32> {
        let (low, high) = bounds(dtype, largest);
        let level = f64::from(level);
        let (mut low, mut high) = (low / level, high / level);
        // The largest words first: they rule out most.
        for &word in self.words.iter().rev().filter(|&&word| word & !sign(dtype) != 0) {
            let x = value(dtype, word);
            let level = f64::from(levels.values[levels.nearest(x / ((low + high) / 2.0))]);
            if level == 0.0 || (level < 0.0) != (x < 0.0) {
                return None;
            }
            let (from, to) = bounds(dtype, word);
            (low, high) = (low.max(from / level.abs()), high.min(to / level.abs()));
            if low > high {
                return None;
            }
        }
        let middle = ((low + high) / 2.0) as f32;
        let (mut down, mut up) = (middle, middle);
        for _ in 0..=NEIGHBOURS {
            for scale in [down, up] {
                if scale.is_finite() && self.check(dtype, levels, scale) {
                    return Some(scale);
                }
            }
            (down, up) = (down.next_down().max(0.0), up.next_up());
        }
        None
    }

    /// Whether levels give all words at this scale.
    fn check(&mut self, dtype: Dtype, levels: &Levels, scale: f32) -> bool {
        self.known.clear();
        for &word in &self.words {
            let level = level_at(dtype, levels, word, scale);
            if rounded(dtype, levels.values[level] * scale) != word {
                return false;
            }
            self.known.push((word, level));
        }
        true
    }

    /// The level of a word of the group whose scale was found last.
    fn level(&self, word: u32) -> usize {
        let at = self.known.partition_point(|&(known, _)| known < word);
        self.known[at].1
    }
}

/// The level that may give a word at this scale.
fn level_at(dtype: Dtype, levels: &Levels, word: u32, scale: f32) -> usize {
    let zero = if word & sign(dtype) == 0 { 0.0 } else { -0.0 };
    match word & !sign(dtype) {
        0 => levels.position(zero).unwrap_or(0),
        _ => levels.nearest(value(dtype, word) / f64::from(scale)),
    }
}

/// The sign bit of a word.
fn sign(dtype: Dtype) -> u32 {
    1 << (dtype.bits() - 1)
}

/// The number that a word stands for.
fn value(dtype: Dtype, word: u32) -> f64 {
    match dtype {
        Dtype::Bf16 => f32::from_bits(word << 16).into(),
        Dtype::F16 => f16::from_bits(word as u16).to_f64(),
        _ => f32::from_bits(word).into(),
    }
}

/// The word of a number, as the decoder rounds it.
fn rounded(dtype: Dtype, number: f32) -> u32 {
    match dtype {
        Dtype::Bf16 => bf16::from_f32(number).to_bits().into(),
        Dtype::F16 => f16::from_f32(number).to_bits().into(),
        _ => number.to_bits(),
    }
}

/// The magnitudes between which numbers round to this word.
fn bounds(dtype: Dtype, word: u32) -> (f64, f64) {
    let magnitude = word & !sign(dtype);
    let at = value(dtype, magnitude);
    let (below, above) = (value(dtype, magnitude - 1), value(dtype, magnitude + 1));
    let half = if above.is_finite() { (above - at) / 2.0 } else { (at - below) / 2.0 };
    ((below + at) / 2.0, at + half)
}
