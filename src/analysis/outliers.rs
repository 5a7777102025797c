//! How far the largest numbers stand out.

use super::numbers::Numbers;
use serde::Serialize;

/// What is said of outliers, over any set of numbers. All are 0 where every number is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Outliers {
    /// ‖x‖₂, which orthogonal maps preserve.
    pub norm: f64,
    /// ‖x‖∞, the largest magnitude.
    pub peak: f64,
    /// ‖x‖∞ ÷ ‖x‖₂.
    pub peak_to_norm: f64,
    /// ‖x‖∞ ÷ the root mean square.
    pub peak_to_rms: f64,
    /// The share of numbers of at least three times the root mean square: 0.0027 of Gaussian ones.
    pub beyond_3_sigma: f64,
    /// The fourth central moment over the square of the second: 3 of Gaussian numbers, more with
    /// heavy tails.
    pub kurtosis: f64,
}

impl Outliers {
    /// Of finite numbers.
    pub fn of(numbers: &[f32]) -> Self {
        let energy: f64 = numbers.iter().map(|&x| f64::from(x).powi(2)).sum();
        let rms = (energy / numbers.len().max(1) as f64).sqrt();
        if rms == 0.0 {
            return Self::default();
        }
        let relative: Vec<f32> = numbers.iter().map(|&x| (f64::from(x) / rms) as f32).collect();
        Numbers::of(&relative, relative.len()).outliers(rms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments() {
        // Two values, as often each: kurtosis is 1, the least there is.
        let two = Outliers::of(&[1.0, -1.0].repeat(50));
        assert_eq!((two.kurtosis, two.peak_to_rms, two.beyond_3_sigma), (1.0, 1.0, 0.0));
        // One in n that differs: kurtosis is n − 2 + 1 ÷ (n − 1), its distance √(n − 1) deviations.
        let mut spike = vec![0f32; 100];
        spike[17] = 5.0;
        let spike = Outliers::of(&spike);
        assert!((spike.kurtosis - (98.0 + 1.0 / 99.0)).abs() < 1e-9, "{spike:?}");
        assert_eq!((spike.norm, spike.peak_to_rms, spike.beyond_3_sigma), (5.0, 10.0, 0.01));
        // Evenly spread numbers: 9 ÷ 5.
        let even: Vec<f32> = (0..10_001).map(|i| i as f32 - 5000.0).collect();
        assert!((Outliers::of(&even).kurtosis - 1.8).abs() < 1e-6);
    }

    #[test]
    fn nothing_has_no_outliers() {
        assert_eq!(Outliers::of(&[]), Outliers::default());
        assert_eq!(Outliers::of(&[0.0; 9]), Outliers::default());
        assert_eq!(Outliers::of(&[2.0; 9]).kurtosis, 0.0);
    }
}
