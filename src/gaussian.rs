//! Pseudo-random Gaussian numbers for unit tests and benches.

use std::f32::consts::TAU;
use std::iter;

/// Independent standard normal numbers (Box and Muller, 1958), the same for equal seeds.
pub(crate) fn standard_normal(seed: u64) -> impl Iterator<Item = f32> {
    let mut random = fastrand::Rng::with_seed(seed);
    iter::repeat_with(move || {
        let radius = (-2.0 * (1.0 - random.f32()).ln()).sqrt();
        let (sine, cosine) = (TAU * random.f32()).sin_cos();
        [radius * sine, radius * cosine]
    })
    .flatten()
}
