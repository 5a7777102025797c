//! The search for the scale of a group.
//!
//! A scale and a level give a word if their product rounds to it. So each word restricts the scale to
//! an interval, once its level is known. The level of the largest word is tried; it determines the
//! levels of the others. The scale is in the intersection of all intervals.

use super::levels::Levels;
use super::numbers::{KnownLevels, magnitudes, rounded, sign, value};
use crate::dtype::Dtype;

/// Neighbours of the middle of the interval that are tried as scales.
const NEIGHBOURS: u32 = 2;

/// The search in the groups of one chunk.
pub(super) struct ScaleSearch {
    /// The levels of the largest word, those that were found last first.
    tried: Vec<f32>,
    /// The positions of the levels of the words of the last group.
    pub(super) levels: Vec<u16>,
    known: KnownLevels,
    /// The different words of the group, some of them several times, and their levels.
    distinct: Vec<(u32, u16)>,
}

impl ScaleSearch {
    pub(super) fn new(levels: &Levels) -> Self {
        let (known, distinct) = (KnownLevels::new(), Vec::new());
        Self { tried: levels.largest.clone(), levels: Vec::new(), known, distinct }
    }

    /// A scale with which levels give all words of a group. O(words · levels), but words usually
    /// rule out a wrong level of the largest word after a few of them.
    pub(super) fn find(&mut self, dtype: Dtype, levels: &Levels, words: &[u32]) -> Option<f32> {
        let magnitude = |word: u32| word & !sign(dtype);
        let largest = words.iter().map(|&word| magnitude(word)).max()?;
        if !value(dtype, largest).is_finite() {
            return None;
        }
        if largest == 0 {
            self.levels.clear();
            let zeros = words.iter().map(|&word| levels.zero(word != 0));
            self.levels.extend(zeros);
            return Some(0.0);
        }
        let (low, high) = magnitudes(dtype, largest);
        let nonzero = words.iter().copied().filter(|&word| magnitude(word) != 0);
        let smallest = Interval::of(dtype, nonzero.min_by_key(|&word| magnitude(word))?);
        for number in 0..self.tried.len() {
            let level = f64::from(self.tried[number]);
            let between = (low / level, high / level);
            // With most levels of the largest word, none is near the smallest one.
            if !is_possible(smallest.restrict(levels, 2.0 / (between.0 + between.1), between).1) {
                continue;
            }
            if let Some(scale) = self.within(dtype, levels, words, between) {
                self.tried[..=number].rotate_right(1);
                return Some(scale);
            }
        }
        None
    }

    /// A scale in the middle of an interval, or near it.
    fn within(
        &mut self,
        dtype: Dtype,
        levels: &Levels,
        words: &[u32],
        (mut low, mut high): (f64, f64),
    ) -> Option<f32> {
        let inverse = 2.0 / (low + high);
        self.levels.clear();
        self.distinct.clear();
        self.known.clear();
        for &word in words {
            let level = self.known.level(word, || {
                let level = match word & !sign(dtype) {
                    0 => levels.zero(word != 0),
                    _ => {
                        let (level, between) =
                            Interval::of(dtype, word).restrict(levels, inverse, (low, high));
                        (low, high) = between;
                        level
                    }
                };
                self.distinct.push((word, level));
                is_possible((low, high)).then_some(level)
            });
            self.levels.push(level?);
        }
        let middle = ((low + high) / 2.0) as f32;
        let (mut down, mut up) = (middle, middle);
        for _ in 0..=NEIGHBOURS {
            for scale in [down, up] {
                let gives = |&(word, level): &(u32, u16)| {
                    rounded(dtype, levels.values[usize::from(level)] * scale) == word
                };
                if scale.is_finite() && self.distinct.iter().all(gives) {
                    return Some(scale);
                }
            }
            (down, up) = (down.next_down().max(0.0), up.next_up());
        }
        None
    }
}

/// A word that is not zero, and the magnitudes between which numbers round to it.
struct Interval {
    value: f64,
    from: f64,
    to: f64,
}

impl Interval {
    #[inline]
    fn of(dtype: Dtype, word: u32) -> Self {
        let (from, to) = magnitudes(dtype, word);
        Self { value: value(dtype, word), from, to }
    }

    /// The level of the word at a scale, of which the inverse is given, and the scales of an interval
    /// with which the level gives the word.
    #[inline]
    fn restrict(
        &self,
        levels: &Levels,
        inverse: f64,
        (low, high): (f64, f64),
    ) -> (u16, (f64, f64)) {
        let level = levels.nearest(self.value * inverse);
        let inverse = levels.inverses[level];
        (level as u16, (low.max(self.from * inverse), high.min(self.to * inverse)))
    }
}

/// Whether an interval has numbers. Rounding of the inverses is left to the check, and so are signs.
fn is_possible((low, high): (f64, f64)) -> bool {
    low <= high * (1.0 + f64::EPSILON * 4.0)
}
