//! Pseudo-random Gaussian numbers for the analysis, unit tests and benches.

/// A standard normal number (Box and Muller, 1958).
pub(crate) fn standard_normal(random: &mut fastrand::Rng) -> f64 {
    let radius = (-2.0 * (1.0 - random.f64()).ln()).sqrt();
    radius * (std::f64::consts::TAU * random.f64()).cos()
}

/// Independent standard normal numbers that depend on the seed only.
#[allow(dead_code, reason = "only unit tests and benches use it")]
pub(crate) fn gaussian_noise(seed: u64) -> impl Iterator<Item = f32> {
    let mut random = fastrand::Rng::with_seed(seed);
    std::iter::repeat_with(move || standard_normal(&mut random) as f32)
}
