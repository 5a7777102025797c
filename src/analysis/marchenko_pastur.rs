//! Singular values of random noise.

use std::f64::consts::{LN_2, PI};

/// The distribution of the eigenvalues of X Xᵀ ÷ n for an m × n matrix X of independent numbers with
/// variance 1, m ≤ n, in the limit of large m and n (Marchenko and Pastur, 1967).
pub(super) struct MarchenkoPastur {
    /// m ÷ n.
    ratio: f64,
    /// The distribution function at the eigenvalues 1 + β − 2√β cos θ for evenly spaced angles θ.
    cumulated: Vec<f64>,
}

/// Number of angles: gives six digits.
const ANGLES: usize = 4096;

impl MarchenkoPastur {
    pub(super) fn new(short: usize, long: usize) -> Self {
        let ratio = short as f64 / long.max(1) as f64;
        let mut law = Self { ratio, cumulated: Vec::with_capacity(ANGLES + 1) };
        let mut sum = 0.0;
        law.cumulated.push(0.0);
        for angle in 0..ANGLES {
            // The density in θ, 2 sin² θ ÷ (π λ), is smooth at both ends.
            let angle = PI * (angle as f64 + 0.5) / ANGLES as f64;
            sum += angle.sin().powi(2) / law.eigenvalue(angle).max(f64::MIN_POSITIVE);
            law.cumulated.push(sum);
        }
        law.cumulated.iter_mut().for_each(|share| *share /= sum);
        law
    }

    fn eigenvalue(&self, angle: f64) -> f64 {
        1.0 + self.ratio - 2.0 * self.ratio.sqrt() * angle.cos()
    }

    /// The eigenvalue below which a share of all eigenvalues lies.
    pub(super) fn quantile(&self, share: f64) -> f64 {
        let above = self.cumulated.partition_point(|&cumulated| cumulated < share);
        let above = above.clamp(1, ANGLES);
        let (low, high) = (self.cumulated[above - 1], self.cumulated[above]);
        let part = if high > low { ((share - low) / (high - low)).clamp(0.0, 1.0) } else { 0.0 };
        self.eigenvalue(PI * ((above - 1) as f64 + part) / ANGLES as f64)
    }
}

/// The 99.9 % quantile of the largest squared singular value of noise of variance 1: centre and scale
/// of Johnstone (2001), and the quantile of the Tracy–Widom distribution.
pub(super) fn threshold(short: usize, long: usize) -> f64 {
    const QUANTILE: f64 = 3.27;
    let (short, long) = ((short as f64).sqrt(), (long as f64 - 1.0).max(1.0).sqrt());
    let sum = short + long;
    sum * sum + QUANTILE * sum * (short.recip() + long.recip()).cbrt()
}

/// The apparent coding gain of a KLT learned from noise, in bits per weight: ½ log₂ of the arithmetic
/// mean ÷ the geometric mean of the variances of its coordinates, in closed form. `None` for blocks
/// of more columns than rows.
pub(super) fn gain_of_noise(block: usize, rows: usize) -> Option<f64> {
    let ratio = block as f64 / rows.max(1) as f64;
    if block == 0 {
        Some(0.0)
    } else if ratio < 1.0 {
        // −E ln λ = 1 + (1 − β) ln(1 − β) ÷ β.
        Some(0.5 / LN_2 * (1.0 + (1.0 - ratio) * (-ratio).ln_1p() / ratio))
    } else {
        (ratio == 1.0).then_some(0.5 / LN_2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mean is 1 for every ratio. The median for square matrices is known.
    #[test]
    fn quantiles_match_known_values() {
        for (short, long) in [(1, 1000), (300, 1000), (1000, 1000)] {
            let law = MarchenkoPastur::new(short, long);
            let quantiles = (0..10_000).map(|i| law.quantile((f64::from(i) + 0.5) / 10_000.0));
            let (sum, logs) = quantiles.fold((0.0, 0.0), |(a, b), x| (a + x, b + x.ln()));
            assert!((sum / 10_000.0 - 1.0).abs() < 1e-3, "{short}");
            let gain = gain_of_noise(short, long).unwrap();
            assert!((-0.5 * logs / 10_000.0 / LN_2 - gain).abs() < 2e-3, "{short} {gain}");
            let root = (short as f64 / long as f64).sqrt();
            assert!((law.quantile(0.0) - (1.0 - root).powi(2)).abs() < 1e-9);
            assert!((law.quantile(1.0) - (1.0 + root).powi(2)).abs() < 1e-9);
        }
        // 4 ÷ √3 ÷ the median singular value is 2.858 (Gavish and Donoho, 2014).
        let median = MarchenkoPastur::new(7, 7).quantile(0.5).sqrt();
        assert!((4.0 / 3f64.sqrt() / median - 2.858).abs() < 1e-3, "{median}");
    }

    #[test]
    fn thresholds_are_slightly_above_the_edge() {
        for (short, long) in [(50, 1000), (400, 400)] {
            let edge = ((short as f64).sqrt() + (long as f64).sqrt()).powi(2);
            assert!((1.0..1.1).contains(&(threshold(short, long) / edge)));
        }
    }
}
