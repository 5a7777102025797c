//! The levels of number formats that weights are quantised to.

use std::cmp::Ordering;

/// The largest integer level: that of 8 bits.
const LARGEST_INTEGER: u8 = 127;

/// The positive and the negative levels of NF4 (Dettmers et al., 2023).
const NF4: [f32; 14] = [
    -1.0,
    -0.6961928,
    -0.52507305,
    -0.3949175,
    -0.28444138,
    -0.18477343,
    -0.091050036,
    0.0795803,
    0.1609302,
    0.2461123,
    0.33791524,
    0.44070983,
    0.562617,
    0.72295684,
];

/// Levels, of which a scale and rounding make words.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Levels {
    /// Ascending, with −0 before 0.
    pub(super) values: Vec<f32>,
    /// The magnitudes that the largest word of a group may have, in the order of trial.
    pub(super) largest: Vec<f32>,
}

impl Levels {
    /// Integers. The smallest range that fits is the right one.
    pub(super) fn integers() -> Self {
        let largest = (1..=LARGEST_INTEGER).map(f32::from).collect();
        Self { values: signed((1..=LARGEST_INTEGER).map(f32::from)), largest }
    }

    /// The floats with four exponent and three mantissa bits and without infinities (Micikevicius et
    /// al., 2022). A factor of two in the scale hardly matters, so the largest words of a group are
    /// in the highest binade.
    pub(super) fn e4m3() -> Self {
        let subnormal = (1..8u8).map(|mantissa| f32::from(mantissa) / 512.0);
        let normal = (1..16u8).flat_map(|exponent| {
            let binade = (f32::from(exponent) - 10.0).exp2();
            (8..16u8).map(move |mantissa| f32::from(mantissa) * binade)
        });
        let largest = [448.0, 416.0, 384.0, 352.0, 320.0, 288.0, 256.0].to_vec();
        let values = signed(subnormal.chain(normal).filter(|&value| value <= 448.0));
        Self { values, largest }
    }

    /// NF4; with `digits`, rounded to so many decimals.
    pub(super) fn nf4(digits: Option<i32>) -> Self {
        let rounded = |value: f32| match digits {
            Some(digits) => {
                let power = 10f64.powi(digits);
                ((f64::from(value) * power).round() / power) as f32
            }
            None => value,
        };
        let mut values: Vec<f32> = NF4.map(rounded).to_vec();
        values.extend([-0.0, 0.0, 1.0]);
        values.sort_by(f32::total_cmp);
        // Words of a group usually reach 1. Those of a part of a group need not.
        let mut largest: Vec<f32> = values.iter().map(|value| value.abs()).collect();
        largest.sort_by(|a, b| b.total_cmp(a));
        largest.dedup();
        largest.retain(|&level| level > 0.0);
        Self { values, largest }
    }

    /// The position of the level nearest to a number that is not 0.
    pub(super) fn nearest(&self, x: f64) -> usize {
        let above = self.values.partition_point(|&value| f64::from(value) < x);
        let distance = |at: usize| self.values.get(at).map(|&value| (f64::from(value) - x).abs());
        match (above.checked_sub(1), distance(above)) {
            (Some(below), Some(up)) if distance(below).is_some_and(|down| down < up) => below,
            (Some(below), None) => below,
            _ => above,
        }
    }

    /// The position of a level.
    pub(super) fn position(&self, value: f32) -> Option<usize> {
        self.values.binary_search_by(|level| level.total_cmp(&value)).ok()
    }

    /// The positions of the levels with a positive count, and of those next to them, ascending and
    /// at most `most`.
    pub(super) fn used(&self, counts: &[u64], most: usize) -> Vec<usize> {
        let magnitude = |at: usize| self.values[at].abs();
        let all = 0..counts.len();
        let reach = all.clone().filter(|&at| counts[at] > 0).map(magnitude).fold(0.0, f32::max);
        let reach = all.clone().map(magnitude).filter(|&m| m > reach).fold(f32::INFINITY, f32::min);
        let mut positions: Vec<usize> = all.filter(|&at| magnitude(at) <= reach).collect();
        // The least frequent are left out first; of equally frequent ones, the largest.
        positions.sort_by(|&a, &b| match counts[b].cmp(&counts[a]) {
            Ordering::Equal => magnitude(a).total_cmp(&magnitude(b)).then(b.cmp(&a)),
            order => order,
        });
        positions.truncate(most);
        positions.sort_unstable();
        positions
    }
}

/// These magnitudes with both signs, and both zeros.
fn signed(magnitudes: impl Iterator<Item = f32>) -> Vec<f32> {
    let mut values: Vec<f32> =
        magnitudes.chain([0.0]).flat_map(|magnitude| [-magnitude, magnitude]).collect();
    values.sort_by(f32::total_cmp);
    values
}
