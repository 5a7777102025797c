//! Standard normal random numbers.

/// A standard normal number (Box and Muller, 1958).
pub(crate) fn standard_normal(random: &mut fastrand::Rng) -> f64 {
    let radius = (-2.0 * (1.0 - random.f64()).ln()).sqrt();
    radius * (std::f64::consts::TAU * random.f64()).cos()
}

/// `count` independent standard normal numbers. They depend on the seed only.
#[cfg(test)]
pub(crate) fn gaussian_noise(seed: u64, count: usize) -> Vec<f32> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..count).map(|_| standard_normal(&mut random) as f32).collect()
}
