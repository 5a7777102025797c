//! The search for the scale and the minimum of a group of evenly spaced numbers.
//!
//! The smallest word and the largest one have the levels 0 and *K*; *K* is tried. This determines the
//! levels of the other words. Each of them restricts the minimum for a given scale to an interval.
//! The excess of the largest lower bound over the smallest upper bound is a convex function of the
//! scale, so bisection finds a scale at which the intervals meet.

use super::numbers::{KnownLevels, bounds, rounded, shortest, value};
use crate::dtype::Dtype;
use std::cmp::Ordering;

/// All numbers of levels up to this are tried. More levels are usually all used.
const EVERY: u16 = 15;
const MORE: [u16; 8] = [31, 30, 63, 62, 127, 126, 255, 254];

/// Steps of bisection.
const STEPS: usize = 30;

/// The search in the groups of one chunk.
pub(super) struct MinimumSearch {
    /// The largest levels, those that were found last first.
    tried: Vec<u16>,
    /// The levels of the words of the last group.
    pub(super) levels: Vec<u16>,
    known: KnownLevels,
    /// The different words of the group, some of them several times.
    used: Vec<Used>,
}

/// A word, its level, and the numbers that round to it.
struct Used {
    word: u32,
    level: u16,
    from: f64,
    to: f64,
}

impl MinimumSearch {
    pub(super) fn new() -> Self {
        let tried = (1..=EVERY).chain(MORE).collect();
        Self { tried, levels: Vec::new(), known: KnownLevels::new(), used: Vec::new() }
    }

    /// A scale and a minimum with which levels give all words of a group.
    pub(super) fn find(&mut self, dtype: Dtype, words: &[u32]) -> Option<(f32, f32)> {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for &word in words {
            let value = value(dtype, word);
            if !value.is_finite() {
                return None;
            }
            (low, high) = (low.min(value), high.max(value));
        }
        if low == high {
            self.levels.clear();
            self.levels.resize(words.len(), 0);
            // Not if the sum has another sign: zeros may have both.
            let minimum = low as f32;
            let sum = rounded(dtype, 0.0 + minimum);
            return words.iter().all(|&word| word == sum).then_some((0.0, minimum));
        }
        for number in 0..self.tried.len() {
            let largest = self.tried[number];
            if let Some(found) = self.with_levels(dtype, words, (low, high), largest) {
                self.tried[..=number].rotate_right(1);
                return Some(found);
            }
        }
        None
    }

    fn with_levels(
        &mut self,
        dtype: Dtype,
        words: &[u32],
        (low, high): (f64, f64),
        largest: u16,
    ) -> Option<(f32, f32)> {
        let inverse = f64::from(largest) / (high - low);
        // Beyond this distance from its level, rounding of the ends does not explain a word.
        let slack = high.abs().max(low.abs()) * step(dtype);
        self.levels.clear();
        self.used.clear();
        self.known.clear();
        for &word in words {
            let level = self.known.level(word, || {
                let position = (value(dtype, word) - low) * inverse;
                let level = (position + 0.5) as u16;
                let (from, to) = bounds(dtype, word);
                self.used.push(Used { word, level, from, to });
                let distance = (position - f64::from(level)).abs();
                (distance <= (slack + (to - from) * 0.5) * inverse).then_some(level)
            });
            self.levels.push(level?);
        }
        let ends = [low, high].map(|end| bounds(dtype, rounded(dtype, end as f32)));
        let scales = [ends[1].0 - ends[0].1, ends[1].1 - ends[0].0];
        let scales = scales.map(|range| range / f64::from(largest));
        let (least, most) = (scales[0].max(0.0), scales[1]);
        let found = self.bisect(least, most, slack_of_sums(low, high))?;
        // Sums of F32 are nearly exact: then the scale is, and often has few bits.
        let short = shortest(least, most).unwrap_or(found);
        // Bisection leaves out the rounding of products, which is as large as that of sums of F32.
        let middle = ((least + most) / 2.0) as f32;
        let near = |scale: f32| [scale.next_down(), scale.next_up()];
        let [[down, up], [found_down, found_up]] = [near(middle), near(found)];
        let scales = match dtype {
            Dtype::F32 => [short, middle, down, up, down.next_down(), up.next_up()],
            _ => [found, short, middle, found_down, found_up, middle],
        };
        for scale in scales.into_iter().filter(|scale| *scale > 0.0 && scale.is_finite()) {
            let (from, to) = self.minima(scale.into());
            // The smallest word need not have the smallest level.
            for first in 0..=EVERY.saturating_sub(largest) {
                let offset = f64::from(scale) * f64::from(first);
                let (from, to) = (from - offset, to - offset);
                let middle = ((from + to) / 2.0) as f32;
                let short = shortest(from.min(to), to.max(from)).unwrap_or(middle);
                let minima =
                    [short, (low - offset) as f32, middle, middle.next_down(), middle.next_up()];
                for minimum in minima {
                    if minimum.is_finite() && self.gives(dtype, first, (scale, minimum)) {
                        self.levels.iter_mut().for_each(|level| *level += first);
                        return Some((scale, minimum));
                    }
                }
                // Other levels do not matter where numbers are rounded coarsely.
                if dtype != Dtype::F32 {
                    break;
                }
            }
        }
        None
    }

    /// The bounds of the minimum at this scale. The first is the greater one if there is no minimum.
    fn minima(&self, scale: f64) -> (f64, f64) {
        self.used.iter().fold((f64::NEG_INFINITY, f64::INFINITY), |(low, high), used| {
            let offset = scale * f64::from(used.level);
            (low.max(used.from - offset), high.min(used.to - offset))
        })
    }

    /// A scale at which there are minima in an interval longer than `margin`; if there is none, that of
    /// the longest interval, or nearly so.
    fn bisect(&self, mut least: f64, mut most: f64, margin: f64) -> Option<f32> {
        for _ in 0..STEPS {
            let scale = (least + most) / 2.0;
            let (mut low, mut high) = ((f64::NEG_INFINITY, 0), (f64::INFINITY, 0));
            for &Used { level, from, to, .. } in &self.used {
                let offset = scale * f64::from(level);
                low = if from - offset > low.0 { (from - offset, level) } else { low };
                high = if to - offset < high.0 { (to - offset, level) } else { high };
            }
            if low.0 + margin <= high.0 {
                return Some(scale as f32);
            }
            match low.1.cmp(&high.1) {
                Ordering::Greater => least = scale,
                Ordering::Less => most = scale,
                Ordering::Equal => return (low.0 <= high.0).then_some(scale as f32),
            }
        }
        // Sums are rounded twice, so the bounds are not exact.
        Some(((least + most) / 2.0) as f32)
    }

    /// Whether the levels, from `first`, give all words.
    fn gives(&self, dtype: Dtype, first: u16, (scale, minimum): (f32, f32)) -> bool {
        self.used.iter().all(|used| {
            let product = f32::from(used.level + first) * scale;
            rounded(dtype, product + minimum) == used.word
        })
    }
}

/// A bound of the errors of rounding a product and a sum to F32. At the ends of an interval they
/// matter: these are often exact, as bounds of words have few bits.
fn slack_of_sums(low: f64, high: f64) -> f64 {
    2.0 * high.abs().max(low.abs()) * f64::from(f32::EPSILON)
}

/// The largest relative error of rounding.
fn step(dtype: Dtype) -> f64 {
    match dtype {
        Dtype::Bf16 => 1.0 / 256.0,
        Dtype::F16 => 1.0 / 2048.0,
        _ => f64::from(f32::EPSILON),
    }
}
