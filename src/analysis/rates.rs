//! What coordinates take when they are quantised.

use super::blocks::max_block;
use super::marchenko_pastur::gain_of_noise;
use super::quantised::Quantised;
use super::uniform::Uniform;
use crate::coordinates::Coordinates;
use serde::Serialize;
use std::f64::consts::{E, TAU};

/// Bits of the quantisers whose outermost levels are at the peak.
const BITS: [u32; 5] = [2, 3, 4, 6, 8];

/// Steps in σ of the quantisers that are the same for all systems.
const STEPS: [f64; 5] = [1.0, 0.5, 0.25, 0.125, 0.0625];

/// Levels further out count as the last one.
const FARTHEST: i32 = 1 << 16;

/// Rates in bits a weight, over a sample of rows: all of them up to 2^20 weights, else as many,
/// evenly spread. σ is the matrix's root mean square, the same in all systems.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Rates {
    /// Weights in the sample.
    pub sampled_weights: u64,
    /// Symmetric quantisers of 2, 3, 4, 6 and 8 bits whose outermost levels are at the peak of all
    /// weights: an outlier makes their steps wide.
    pub uniform: Vec<UniformRate>,
    /// Quantisers of the same step in all systems, so of nearly the same error: 1, ½, ¼, ⅛ and
    /// 1/16 σ. What differs is the rate.
    pub fixed_step: Vec<StepRate>,
    /// Bits a weight that a coder which knows the variance of every coordinate saves over one that
    /// knows but their mean: ½ log₂ of the variances' arithmetic over their geometric mean, of all
    /// rows. `null` where a coordinate is always 0, as principal axes are of fewer rows than
    /// columns.
    pub variance_gain: Option<f64>,
    /// How much of that principal axes would find in pure noise of as many rows and columns, just
    /// because they were learned from what they are tried on (Marchenko and Pastur, 1967); 0 in
    /// systems that are not learned. `null` for fewer rows than columns.
    pub variance_gain_of_noise: Option<f64>,
    /// Bits a weight that the distribution of all numbers takes less than a Gaussian one of the
    /// same variance: ½ log₂ 2πe − log₂ Δ − H, at Δ = 1/16 σ. 0 for Gaussian numbers, positive for
    /// all others.
    pub entropy_gain: f64,
    /// What `occ` would spend at equal distortion; `null` for systems that the codec has not, and
    /// matrices that it does not code with loss. Principal axes in whichever blocks take least are
    /// told of under `aligned`.
    pub coded: Option<CodedRate>,
}

/// A quantiser whose outermost levels are at the peak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct UniformRate {
    /// Bits that the number of a level takes, of 2^bits − 1 levels.
    pub bits: u32,
    /// The distance between levels, in the unit of the weights.
    pub step: f64,
    /// The entropy of levels, in bits a weight (Shannon, 1948): less than `bits`, as most weights
    /// are in a few of them.
    pub entropy: f64,
    /// Signal to noise in decibels; `null` where nothing is lost.
    pub snr_db: Option<f64>,
}

/// A quantiser of a given step, of as many levels as it takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct StepRate {
    /// The distance between levels, in σ.
    pub step: f64,
    /// The entropy of levels, in bits a weight.
    pub entropy: f64,
    /// Signal to noise in decibels; `null` where nothing is lost.
    pub snr_db: Option<f64>,
}

/// What the codec would spend, planned but not coded; without a low-dimensional part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CodedRate {
    /// Bits a weight in all, at [`AnalyzeOptions::snr_db`](super::AnalyzeOptions::snr_db).
    pub bits: f64,
    /// Of these, bits a weight of headers, tables and axes.
    pub side_bits: f64,
    /// Columns that are mixed at once.
    pub block: usize,
}

/// A matrix's numbers in a system, over its root mean square.
pub(super) struct Sampled<'n> {
    pub(super) system: Coordinates,
    /// In this system, whole rows.
    pub(super) numbers: &'n [f32],
    /// The largest magnitude in all rows.
    pub(super) peak: f64,
    /// Mean squares of columns, over all rows.
    pub(super) variances: &'n [f64],
    /// Rows of the matrix.
    pub(super) rows: usize,
    /// The matrix's root mean square.
    pub(super) rms: f64,
}

impl Rates {
    /// All but what the codec would spend.
    pub(super) fn of(sampled: &Sampled<'_>) -> Self {
        let Sampled { system, numbers, peak, variances, rows, rms } = *sampled;
        let fixed_step = STEPS.map(|step| StepRate::of(numbers, step));
        let [.., StepRate { step, entropy, .. }] = fixed_step;
        let is_learned = matches!(system, Coordinates::Klt | Coordinates::KltBlocks);
        let block = if is_learned { max_block(system, variances.len()) } else { 0 };
        Self {
            sampled_weights: numbers.len() as u64,
            uniform: BITS.map(|bits| UniformRate::of(numbers, peak, bits, rms)).to_vec(),
            fixed_step: fixed_step.to_vec(),
            variance_gain: variance_gain(variances),
            variance_gain_of_noise: gain_of_noise(block, rows),
            entropy_gain: if rms > 0.0 { gaussian_entropy() - step.log2() - entropy } else { 0.0 },
            coded: None,
        }
    }
}

/// The differential entropy of standard normal numbers, in bits.
fn gaussian_entropy() -> f64 {
    0.5 * (TAU * E).log2()
}

/// ½ log₂ of the arithmetic over the geometric mean.
fn variance_gain(variances: &[f64]) -> Option<f64> {
    let count = variances.len() as f64;
    let mean = variances.iter().sum::<f64>() / count;
    // Rounding leaves a little where there is nothing.
    if mean == 0.0 || variances.iter().any(|&variance| variance < mean * 1e-10) {
        return None;
    }
    let logs: f64 = variances.iter().map(|variance| (variance / mean).log2()).sum();
    Some((-0.5 * logs / count).max(0.0))
}

impl UniformRate {
    fn of(numbers: &[f32], peak: f64, bits: u32, rms: f64) -> Self {
        let quantiser = Uniform::with_peak(peak, bits);
        let found = quantiser.quantised(numbers);
        let step = quantiser.step() * rms;
        Self { bits, step, entropy: found.entropy(), snr_db: found.snr_db() }
    }
}

impl StepRate {
    fn of(numbers: &[f32], step: f64) -> Self {
        let found = Quantised::of(numbers, step, FARTHEST);
        Self { step, entropy: found.entropy(), snr_db: found.snr_db() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::rotation::normal;
    use super::*;

    fn rates(numbers: &[f32], variances: &[f64]) -> Rates {
        let peak = numbers.iter().fold(0f32, |peak, x| peak.max(x.abs())).into();
        let (system, rows, rms) = (Coordinates::Identity, numbers.len() / variances.len(), 1.0);
        Rates::of(&Sampled { system, numbers, peak, variances, rows, rms })
    }

    /// At fine steps entropy is h(X) − log₂ Δ and noise Δ² ÷ 12 (Gish and Pierce, 1968); of
    /// Gaussian numbers nearer so with the variance of noise added to that of X.
    #[test]
    fn gaussian_numbers_take_what_theory_says() {
        let mut random = fastrand::Rng::with_seed(5);
        let numbers: Vec<f32> = (0..1 << 20).map(|_| normal(&mut random) as f32).collect();
        let rates = rates(&numbers, &[1.0; 64]);
        for StepRate { step, entropy, snr_db } in &rates.fixed_step[1..] {
            let theory = 2.0471 + 0.5 * (1.0 + step * step / 12.0).log2() - step.log2();
            assert!((entropy - theory).abs() < 0.004, "{step}: {entropy}");
            let expected = 10.0 * (12.0 / (step * step)).log10();
            assert!((snr_db.unwrap() - expected).abs() < 0.05, "{step}");
        }
        assert!(rates.entropy_gain.abs() < 0.003, "{rates:?}");
        assert_eq!((rates.variance_gain, rates.variance_gain_of_noise), (Some(0.0), Some(0.0)));
    }

    /// Evenly spread numbers, of which 55 steps hold all: each level comes as often.
    #[test]
    fn even_numbers_fill_their_levels() {
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
    fn one_outlier_ruins_a_uniform_quantiser() {
        let mut numbers = [-1.0f32, 1.0].repeat(5000);
        assert_eq!(rates(&numbers, &[1.0]).uniform[2].snr_db, None);
        numbers[7] = 1000.0;
        let four = rates(&numbers, &[1.0]).uniform[2];
        assert!((four.step - 1000.0 / 7.0).abs() < 1e-9 && four.entropy < 0.01, "{four:?}");
        let fixed = &rates(&numbers, &[1.0]).fixed_step[0];
        assert!((1.0..1.01).contains(&fixed.entropy), "what is coded hardly changes: {fixed:?}");
    }

    #[test]
    fn loud_and_quiet_columns_are_worth_knowing() {
        // √(AM ÷ GM) = √(2.5 ÷ 2).
        let gain = variance_gain(&[1.0, 4.0]).unwrap();
        assert!((gain - 0.5 * 1.25f64.log2()).abs() < 1e-12);
        assert_eq!((variance_gain(&[1.0, 0.0]), variance_gain(&[0.0; 4])), (None, None));
    }

    #[test]
    fn nothing_takes_nothing() {
        let zeros = [0.0; 128];
        let (system, variances) = (Coordinates::Hadamard, &[0.0; 64]);
        let sampled = Sampled { system, numbers: &zeros, peak: 0.0, variances, rows: 2, rms: 0.0 };
        let rates = Rates::of(&sampled);
        assert_eq!((rates.entropy_gain, rates.variance_gain), (0.0, None));
        assert!(rates.uniform.iter().all(|rate| rate.entropy == 0.0 && rate.snr_db.is_none()));
    }
}
