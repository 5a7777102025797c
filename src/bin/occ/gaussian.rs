//! The standard normal distribution: a generator, and probabilities that charts compare with.

use std::f64::consts::TAU;
use std::ops::Range;

/// Standard normal numbers by the polar method (Marsaglia and Bray, 1964).
pub struct Gaussian {
    random: fastrand::Rng,
    /// The method makes two numbers at a time.
    spare: Option<f64>,
}

impl Gaussian {
    pub fn with_seed(seed: u64) -> Self {
        Self { random: fastrand::Rng::with_seed(seed), spare: None }
    }

    pub fn next(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        loop {
            let (u, v) = (2.0 * self.random.f64() - 1.0, 2.0 * self.random.f64() - 1.0);
            let square = u * u + v * v;
            if square > 0.0 && square < 1.0 {
                let factor = (-2.0 * square.ln() / square).sqrt();
                self.spare = Some(v * factor);
                return u * factor;
            }
        }
    }
}

/// The probability of a range, by Simpson's rule with steps of at most 1/64.
pub fn probability(range: Range<f64>) -> f64 {
    let steps = (64.0 * (range.end - range.start)).ceil().max(1.0);
    let step = (range.end - range.start) / steps;
    let density = |x: f64| (-0.5 * x * x).exp() / TAU.sqrt();
    let areas = (0..steps as u32).map(|number| {
        let x = range.start + f64::from(number) * step;
        (density(x) + 4.0 * density(x + 0.5 * step) + density(x + step)) * step / 6.0
    });
    areas.sum()
}

/// The probability of numbers of at least this magnitude.
pub fn tail_probability(magnitude: f64) -> f64 {
    // At most 2·10⁻²³ of it lies further out than 10 more standard deviations.
    2.0 * probability(magnitude..magnitude + 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_match_tables() {
        assert!((probability(-1.0..1.0) - 0.682_689_492_1).abs() < 1e-9);
        assert!((probability(0.0..0.2) - 0.079_259_709_4).abs() < 1e-9);
        for (magnitude, known) in [(0.0, 1.0), (3.0, 2.699_796_063e-3), (6.0, 1.973_175_29e-9)] {
            assert!((tail_probability(magnitude) / known - 1.0).abs() < 1e-6, "{magnitude}");
        }
    }

    #[test]
    fn moments_are_those_of_the_normal_distribution() {
        let mut random = Gaussian::with_seed(1);
        let numbers: Vec<f64> = (0..1 << 18).map(|_| random.next()).collect();
        let moment =
            |power| numbers.iter().map(|x| x.powi(power)).sum::<f64>() / numbers.len() as f64;
        let moments = [1, 2, 3, 4].map(moment);
        for (found, expected) in moments.into_iter().zip([0.0, 1.0, 0.0, 3.0]) {
            assert!((found - expected).abs() < 0.05, "{moments:?}");
        }
    }
}
