//! Gauss's distribution, which charts compare others to.

use std::f64::consts::SQRT_2;

/// The share of standard normal numbers below x.
pub fn gaussian_below(x: f64) -> f64 {
    0.5 * libm::erfc(-x / SQRT_2)
}

/// The share of standard normal numbers of at least this magnitude.
pub fn gaussian_beyond(magnitude: f64) -> f64 {
    libm::erfc(magnitude / SQRT_2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaussian_numbers_below() {
        let known = [(0.0, 0.5), (1.0, 0.841_344_746), (-3.0, 0.001_349_898), (-8.0, 0.0)];
        for (x, share) in known {
            assert!((gaussian_below(x) - share).abs() < 1e-9, "{x}");
        }
        assert!((gaussian_beyond(3.0) - 0.002_699_796).abs() < 1e-9);
    }
}
