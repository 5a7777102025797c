//! Outlier statistics.

use serde::Serialize;

/// Outlier statistics of an array of values x. All fields are 0 if all values are 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Outliers {
    /// ‖x‖₂. Orthogonal transforms preserve it.
    pub norm: f64,
    /// ‖x‖∞, the largest magnitude.
    pub peak: f64,
    /// ‖x‖∞ ÷ ‖x‖₂.
    pub peak_to_norm: f64,
    /// ‖x‖∞ ÷ the root mean square.
    pub peak_to_rms: f64,
    /// The share of values of at least three times the root mean square: 0.0027 for a Gaussian
    /// distribution.
    pub beyond_3_sigma: f64,
    /// The fourth central moment ÷ the square of the second: 3 for a Gaussian distribution, larger
    /// for heavier tails.
    pub kurtosis: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_of_known_distributions() {
        // Two values with equal counts: the kurtosis is 1, its minimum.
        let two = Outliers::of(&[1.0, -1.0].repeat(50));
        assert_eq!((two.kurtosis, two.peak_to_rms, two.beyond_3_sigma), (1.0, 1.0, 0.0));
        // One of n values differs: the kurtosis is n − 2 + 1 ÷ (n − 1).
        let mut spike = vec![0f32; 100];
        spike[17] = 5.0;
        let spike = Outliers::of(&spike);
        assert!((spike.kurtosis - (98.0 + 1.0 / 99.0)).abs() < 1e-9, "{spike:?}");
        assert_eq!((spike.norm, spike.peak_to_rms, spike.beyond_3_sigma), (5.0, 10.0, 0.01));
        // Uniform distribution: 9 ÷ 5.
        let even: Vec<f32> = (0..10_001).map(|i| i as f32 - 5000.0).collect();
        assert!((Outliers::of(&even).kurtosis - 1.8).abs() < 1e-6);
    }

    #[test]
    fn constant_arrays_have_no_outliers() {
        assert_eq!(Outliers::of(&[]), Outliers::default());
        assert_eq!(Outliers::of(&[0.0; 9]), Outliers::default());
        assert_eq!(Outliers::of(&[2.0; 9]).kurtosis, 0.0);
    }
}
