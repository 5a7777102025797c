//! The levels of number formats that weights are quantised to.

use std::cmp::Ordering;
use std::sync::LazyLock;

/// The largest integer level: that of the difference of two integers of 8 bits.
const LARGEST_INTEGER: u8 = u8::MAX;

/// Levels near a number are looked up by the first bits of a float: its sign, its exponent and so many
/// bits of its mantissa.
const MANTISSA_BITS: u32 = 5;
const LOOKED_UP: u32 = 9 + MANTISSA_BITS;

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
pub(super) struct Levels {
    /// Ascending, with −0 before 0.
    pub(super) values: Vec<f32>,
    /// The inverses of the magnitudes.
    pub(super) inverses: Vec<f64>,
    /// The magnitudes that the largest word of a group may have, in the order of trial.
    pub(super) largest: Vec<f32>,
    /// The positions of −0 and 0.
    zeros: [u16; 2],
    /// The largest level of those that are all integers.
    integers: Option<u8>,
    /// For each group of floats with the same first bits, the position of a level that is at most the
    /// nearest one of all of them.
    near: Vec<u16>,
}

impl Levels {
    fn new(values: Vec<f32>, largest: Vec<f32>) -> Self {
        let inverses = values.iter().map(|&value| 1.0 / f64::from(value.abs())).collect();
        let zero = |zero: f32| values.iter().position(|v| v.to_bits() == zero.to_bits());
        let zeros = [-0.0, 0.0].map(|number| zero(number).unwrap_or_default() as u16);
        let near = (0..1u32 << LOOKED_UP).map(|bits| {
            let first = bits << (32 - LOOKED_UP);
            let ends = [first, first | (u32::MAX >> LOOKED_UP)];
            let least = ends.map(f32::from_bits).into_iter().fold(f32::INFINITY, f32::min);
            values.partition_point(|&value| value < least).saturating_sub(1) as u16
        });
        let near = near.collect();
        Self { values, inverses, largest, zeros, integers: None, near }
    }

    /// Integers. The smallest range that fits is the right one.
    pub(super) fn integers() -> &'static Self {
        static LEVELS: LazyLock<Levels> = LazyLock::new(|| {
            let largest = (1..=LARGEST_INTEGER).map(f32::from).collect();
            let levels = Levels::new(signed((1..=LARGEST_INTEGER).map(f32::from)), largest);
            Levels { integers: Some(LARGEST_INTEGER), ..levels }
        });
        &LEVELS
    }

    /// Integers from 0, for groups with a minimum.
    pub(super) fn naturals() -> &'static Self {
        static LEVELS: LazyLock<Levels> = LazyLock::new(|| {
            Levels::new((0..=LARGEST_INTEGER).map(f32::from).collect(), Vec::new())
        });
        &LEVELS
    }

    /// The floats with four exponent and three mantissa bits and without infinities (Micikevicius et
    /// al., 2022). A factor of two in the scale hardly matters, so the largest words of a group are
    /// in the highest binade.
    pub(super) fn e4m3() -> &'static Self {
        static LEVELS: LazyLock<Levels> = LazyLock::new(|| {
            let subnormal = (1..8u8).map(|mantissa| f32::from(mantissa) / 512.0);
            let normal = (1..16u8).flat_map(|exponent| {
                let binade = (f32::from(exponent) - 10.0).exp2();
                (8..16u8).map(move |mantissa| f32::from(mantissa) * binade)
            });
            let largest = [448.0, 416.0, 384.0, 352.0, 320.0, 288.0, 256.0].to_vec();
            let magnitudes = subnormal.chain(normal).filter(|&value| value <= 448.0);
            Levels::new(signed(magnitudes), largest)
        });
        &LEVELS
    }

    /// NF4.
    pub(super) fn nf4() -> &'static Self {
        static LEVELS: LazyLock<Levels> = LazyLock::new(|| nf4_of(NF4));
        &LEVELS
    }

    /// NF4, rounded to four decimals.
    pub(super) fn nf4_of_four_digits() -> &'static Self {
        static LEVELS: LazyLock<Levels> = LazyLock::new(|| {
            nf4_of(NF4.map(|value| ((f64::from(value) * 1e4).round() / 1e4) as f32))
        });
        &LEVELS
    }

    /// The position of −0 or 0.
    pub(super) fn zero(&self, is_negative: bool) -> u16 {
        self.zeros[usize::from(!is_negative)]
    }

    /// The position of the level nearest to a number that is not 0.
    #[inline]
    pub(super) fn nearest(&self, x: f64) -> usize {
        if let Some(largest) = self.integers {
            let magnitude = ((x.abs() + 0.5) as usize).min(largest.into());
            let zero = usize::from(self.zeros[usize::from(x > 0.0)]);
            return if x > 0.0 { zero + magnitude } else { zero - magnitude };
        }
        let mut at = usize::from(self.near[((x as f32).to_bits() >> (32 - LOOKED_UP)) as usize]);
        let distance = |at: usize| (f64::from(self.values[at]) - x).abs();
        while at + 1 < self.values.len() && distance(at + 1) <= distance(at) {
            at += 1;
        }
        at
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

fn nf4_of(others: [f32; 14]) -> Levels {
    let mut values = others.to_vec();
    values.extend([-0.0, 0.0, 1.0]);
    values.sort_by(f32::total_cmp);
    // Words of a group usually reach 1. Those of a part of a group need not.
    let mut largest: Vec<f32> = values.iter().map(|value| value.abs()).collect();
    largest.sort_by(|a, b| b.total_cmp(a));
    largest.dedup();
    largest.retain(|&level| level > 0.0);
    Levels::new(values, largest)
}
