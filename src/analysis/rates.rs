//! Bit rates of quantised coordinates.

use super::blocks::max_block;
use super::marchenko_pastur::gain_of_noise;
use super::uniform::Uniform;
use super::uniform_levels::UniformLevels;
use crate::coordinates::Coordinates;
use serde::Serialize;
use std::f64::consts::{E, TAU};

/// Bits of the quantisers whose outermost levels are at the peak.
const BITS: [u32; 5] = [2, 3, 4, 6, 8];

/// Steps in σ of the quantisers with a fixed step.
const STEPS: [f64; 5] = [1.0, 0.5, 0.25, 0.125, 0.0625];

/// The outermost level of quantisers with a fixed step.
const MAX_LEVEL: i32 = 1 << 16;

/// Rates in bits per weight. Matrices with more than 2^20 weights are sampled: evenly spread rows
/// with about 2^20 weights. σ is the root mean square of the matrix, which is the same in all
/// coordinate systems.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Rates {
    /// Number of weights in the sample.
    pub sampled_weights: u64,
    /// Symmetric uniform quantisers of 2, 3, 4, 6 and 8 bits. Their outermost levels are at the peak
    /// of all weights, so outliers increase the step.
    pub uniform: Vec<UniformRate>,
    /// Uniform quantisers with steps of 1, ½, ¼, ⅛ and 1/16 σ. The error is nearly the same in all
    /// coordinate systems; the rate differs.
    pub fixed_step: Vec<StepRate>,
    /// The coding gain of adapting to the variance of each coordinate, in bits per weight: ½ log₂ of
    /// the arithmetic mean ÷ the geometric mean of the variances over all rows. `None` if a
    /// coordinate is always 0, as in the KLT of a matrix with fewer rows than columns.
    pub variance_gain: Option<f64>,
    /// The `variance_gain` of a KLT on Gaussian noise of the same shape, which is due to learning
    /// the basis from the same data (Marchenko and Pastur, 1967). 0 for other transforms; `None` if
    /// there are fewer rows than columns.
    pub variance_gain_of_noise: Option<f64>,
    /// How much lower the entropy H of the values is than that of a Gaussian distribution of the
    /// same variance, in bits per weight: ½ log₂ 2πe − log₂ Δ − H with step Δ = 1/16 σ. 0 for a
    /// Gaussian distribution, positive for others.
    pub entropy_gain: f64,
    /// The rate of the codec at [`AnalyzeOptions::snr_db`](super::AnalyzeOptions::snr_db); `None`
    /// for coordinate systems that the codec does not implement and for matrices that it codes
    /// losslessly. That of [`Coordinates::Klt`] is for the block size with the lowest rate.
    pub coded: Option<CodedRate>,
}

/// The rate of a uniform quantiser whose outermost levels are at the peak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct UniformRate {
    /// Bits of a level index; there are 2^bits − 1 levels.
    pub bits: u32,
    /// The distance between levels, in the unit of the weights.
    pub step: f64,
    /// The entropy of the levels in bits per weight (Shannon, 1948).
    pub entropy: f64,
    /// The signal-to-noise ratio in decibels; `None` without errors.
    pub snr_db: Option<f64>,
}

/// The rate of a uniform quantiser with a fixed step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct StepRate {
    /// The distance between levels in σ.
    pub step: f64,
    /// The entropy of the levels in bits per weight.
    pub entropy: f64,
    /// The signal-to-noise ratio in decibels; `None` without errors.
    pub snr_db: Option<f64>,
}

/// The planned rate of the codec, without a low-rank part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CodedRate {
    /// Total bits per weight.
    pub bits: f64,
    /// Bits per weight of side information: headers, tables and KLT bases.
    pub side_bits: f64,
    /// Number of columns that the transform combines.
    pub block: usize,
}

/// A sample of a matrix in one coordinate system, divided by the root mean square of the matrix.
pub(super) struct RateSample<'n> {
    pub(super) coordinates: Coordinates,
    /// Whole transformed rows.
    pub(super) values: &'n [f32],
    /// The largest magnitude in all rows.
    pub(super) peak: f64,
    /// Mean square of each column over all rows.
    pub(super) variances: &'n [f64],
    /// Number of rows of the matrix.
    pub(super) rows: usize,
    /// Root mean square of the matrix.
    pub(super) rms: f64,
}

impl Rates {
    /// All rates except [`coded`](Self::coded).
    pub(super) fn of(sample: &RateSample<'_>) -> Self {
        let RateSample { coordinates, values, peak, variances, rows, rms } = *sample;
        let fixed_step = STEPS.map(|step| StepRate::of(values, step));
        let [.., StepRate { step, entropy, .. }] = fixed_step;
        let is_learned = matches!(coordinates, Coordinates::Klt | Coordinates::KltBlocks);
        let block = if is_learned { max_block(coordinates, variances.len()) } else { 0 };
        Self {
            sampled_weights: values.len() as u64,
            uniform: BITS.map(|bits| UniformRate::of(values, peak, bits, rms)).to_vec(),
            fixed_step: fixed_step.to_vec(),
            variance_gain: variance_gain(variances),
            variance_gain_of_noise: gain_of_noise(block, rows),
            entropy_gain: if rms > 0.0 { gaussian_entropy() - step.log2() - entropy } else { 0.0 },
            coded: None,
        }
    }
}

/// The differential entropy of the standard normal distribution in bits.
fn gaussian_entropy() -> f64 {
    0.5 * (TAU * E).log2()
}

/// ½ log₂ of the arithmetic mean ÷ the geometric mean.
fn variance_gain(variances: &[f64]) -> Option<f64> {
    let count = variances.len() as f64;
    let mean = variances.iter().sum::<f64>() / count;
    // Rounding errors can make a zero variance positive.
    if mean == 0.0 || variances.iter().any(|&variance| variance < mean * 1e-10) {
        return None;
    }
    let logs: f64 = variances.iter().map(|variance| (variance / mean).log2()).sum();
    Some((-0.5 * logs / count).max(0.0))
}

impl UniformRate {
    fn of(numbers: &[f32], peak: f64, bits: u32, rms: f64) -> Self {
        let quantizer = Uniform::with_peak(peak, bits);
        let found = quantizer.levels(numbers);
        let step = quantizer.step() * rms;
        Self { bits, step, entropy: found.entropy(), snr_db: found.snr_db() }
    }
}

impl StepRate {
    fn of(numbers: &[f32], step: f64) -> Self {
        let found = UniformLevels::of(numbers, step, MAX_LEVEL);
        Self { step, entropy: found.entropy(), snr_db: found.snr_db() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gaussian::gaussian_noise;

    fn rates(numbers: &[f32], variances: &[f64]) -> Rates {
        let peak = numbers.iter().fold(0f32, |peak, x| peak.max(x.abs())).into();
        Rates::of(&RateSample {
            coordinates: Coordinates::Identity,
            values: numbers,
            peak,
            variances,
            rows: numbers.len() / variances.len(),
            rms: 1.0,
        })
    }

    /// For small steps the entropy is h(X) − log₂ Δ and the noise Δ² ÷ 12 (Gish and Pierce, 1968).
    /// For Gaussian X the approximation is closer with the variance of the noise added to that of X.
    #[test]
    fn rates_of_gaussian_noise_match_theory() {
        let rates = rates(&gaussian_noise(5).take(1 << 20).collect::<Vec<_>>(), &[1.0; 64]);
        for StepRate { step, entropy, snr_db } in &rates.fixed_step[1..] {
            let theory = 2.0471 + 0.5 * (1.0 + step * step / 12.0).log2() - step.log2();
            assert!((entropy - theory).abs() < 0.004, "{step}: {entropy}");
            let expected = 10.0 * (12.0 / (step * step)).log10();
            assert!((snr_db.unwrap() - expected).abs() < 0.05, "{step}");
        }
        assert!(rates.entropy_gain.abs() < 0.003, "{rates:?}");
        assert_eq!((rates.variance_gain, rates.variance_gain_of_noise), (Some(0.0), Some(0.0)));
    }

    /// Uniformly distributed numbers over 55 steps: all levels are equally frequent.
    #[test]
    fn rates_of_uniform_distribution_match_theory() {
        let even = |i: i32| (f64::from(i) / 150_000.0 - 1.0) * 27.5 / 16.0;
        let numbers: Vec<f32> = (0..300_000).map(|i| even(i) as f32).collect();
        let rates = rates(&numbers, &[1.0]);
        let theory = 2.0471 + 4.0 - 55f64.log2();
        assert!((rates.entropy_gain - theory).abs() < 0.001, "{}", rates.entropy_gain);
        let eight = rates.uniform[4];
        assert!((eight.entropy - 254f64.log2()).abs() < 0.01, "{eight:?}");
        let expected = 20.0 * 254f64.log10();
        assert!((eight.snr_db.unwrap() - expected).abs() < 0.1, "{eight:?}");
    }

    #[test]
    fn one_outlier_spoils_a_uniform_quantizer() {
        let mut numbers = [-1.0f32, 1.0].repeat(5000);
        assert_eq!(rates(&numbers, &[1.0]).uniform[2].snr_db, None);
        numbers[7] = 1000.0;
        let four = rates(&numbers, &[1.0]).uniform[2];
        assert!((four.step - 1000.0 / 7.0).abs() < 1e-9 && four.entropy < 0.01, "{four:?}");
        let fixed = &rates(&numbers, &[1.0]).fixed_step[0];
        assert!(
            (1.0..1.01).contains(&fixed.entropy),
            "the rate at a fixed step hardly changes: {fixed:?}"
        );
    }

    #[test]
    fn unequal_variances_give_a_gain() {
        // √(AM ÷ GM) = √(2.5 ÷ 2).
        let gain = variance_gain(&[1.0, 4.0]).unwrap();
        assert!((gain - 0.5 * 1.25f64.log2()).abs() < 1e-12);
        assert_eq!((variance_gain(&[1.0, 0.0]), variance_gain(&[0.0; 4])), (None, None));
    }

    #[test]
    fn rates_of_zeros_are_zero() {
        let zeros = [0.0; 128];
        let rates = Rates::of(&RateSample {
            coordinates: Coordinates::Hadamard,
            values: &zeros,
            peak: 0.0,
            variances: &[0.0; 64],
            rows: 2,
            rms: 0.0,
        });
        assert_eq!((rates.entropy_gain, rates.variance_gain), (0.0, None));
        assert!(rates.uniform.iter().all(|rate| rate.entropy == 0.0 && rate.snr_db.is_none()));
    }
}
