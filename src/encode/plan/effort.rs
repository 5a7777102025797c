//! Effort levels, and the approximate relation between step, rate and error.

use crate::codec::trellis::Effort;

/// The settings of an effort level from 1 to 9.
pub(crate) fn encoder_effort(level: u8) -> Effort {
    let (states_log2, passes, sample) = match level {
        0 | 1 => (0, 2, 1 << 16),
        2 => (2, 2, 1 << 16),
        3 => (3, 2, 1 << 16),
        4 => (3, 2, 1 << 17),
        5 => (3, 3, 1 << 17),
        6 => (5, 3, 1 << 17),
        7 => (6, 3, 1 << 17),
        8 => (7, 3, 1 << 18),
        _ => (8, 4, 1 << 18),
    };
    Effort { states_log2, passes, sample }
}

/// The settings of an effort level for planning: the rate hardly depends on the number of states
/// beyond one, nor on the size of the sample, so that shorter searches suffice. At effort levels
/// other than 4 to 7 the sample differs from the encoder's, except for matrices with so many columns
/// that the smallest number of rows determines both. Where it is the same, the encoder reuses what
/// planning learned.
pub(super) fn planning_effort(level: u8) -> Effort {
    Effort { states_log2: encoder_effort(level).states_log2.min(3), passes: 2, sample: 1 << 17 }
}

/// The approximate step at a number of bits per weight, relative to the RMS of the tensor. With a
/// trellis, the points that a state allows are two steps apart.
pub(super) fn step_for_bits(level: u8, bits: f64) -> f64 {
    if encoder_effort(level).states_log2 == 0 { (2.0 - bits).exp2() } else { (1.0 - bits).exp2() }
}

/// The approximate step at a squared error, both relative to the RMS of the tensor.
pub(super) fn step_for_noise(level: u8, share: f64) -> f64 {
    if encoder_effort(level).states_log2 == 0 {
        (12.0 * share).sqrt()
    } else {
        (share / 0.265).sqrt()
    }
}

/// The range of steps in which `f32` arithmetic neither overflows nor loses precision.
const STEPS: std::ops::Range<f64> = 1e-30..1e16;

pub(crate) fn is_valid_step(step: f64) -> bool {
    STEPS.contains(&step)
}
