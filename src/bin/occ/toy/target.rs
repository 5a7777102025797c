//! The functions to learn: sums of sinusoids.

use fastrand::Rng;
use serde::Serialize;
use std::f64::consts::TAU;

/// Number of samples, at t = 0, 1 ÷ 4096, …
pub const SAMPLES: usize = 4096;

/// Number of sinusoids.
pub const SINUSOIDS: usize = 6;
/// The highest frequency. Frequencies are integers, so that the Fourier transform has no leakage.
/// They are low because networks learn high frequencies slowly (Rahaman et al., 2019).
pub const HIGHEST: usize = 8;

/// The distribution of amplitudes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Case {
    /// One amplitude is 1, all others are 0.01.
    A,
    /// Log-uniform between 0.01 and 1.
    B,
}

pub const CASES: [Case; 2] = [Case::A, Case::B];

/// f(t) = Σ a·sin(2πft + φ).
#[derive(Clone, Debug)]
pub struct Target {
    pub amplitudes: Vec<f64>,
    pub frequencies: Vec<f64>,
    pub phases: Vec<f64>,
}

impl Target {
    /// Both cases of a seed have the same frequencies and phases.
    pub fn of(case: Case, seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let mut frequencies: Vec<f64> = (1..=HIGHEST).map(|f| f as f64).collect();
        random.shuffle(&mut frequencies);
        frequencies.truncate(SINUSOIDS);
        let phases = (0..SINUSOIDS).map(|_| TAU * random.f64()).collect();
        let amplitude = |number| match case {
            Case::A if number == 0 => 1.0,
            Case::A => 0.01,
            Case::B => 10f64.powf(-2.0 * random.f64()),
        };
        Self { amplitudes: (0..SINUSOIDS).map(amplitude).collect(), frequencies, phases }
    }

    /// The function with these amplitudes, frequencies and phases.
    pub fn from_vectors(vectors: &[Vec<f32>]) -> Self {
        let vector = |number: usize| vectors[number].iter().map(|&x| x.into()).collect();
        Self { amplitudes: vector(0), frequencies: vector(1), phases: vector(2) }
    }

    pub fn samples(&self) -> Vec<f64> {
        (0..SAMPLES).map(|sample| self.at(sample as f64 / SAMPLES as f64)).collect()
    }

    /// The mean frequency, weighted by energy.
    pub fn mean_frequency(&self) -> f64 {
        let energies = self.amplitudes.iter().map(|a| a * a);
        let sum: f64 = energies.clone().zip(&self.frequencies).map(|(energy, f)| energy * f).sum();
        sum / energies.sum::<f64>()
    }

    fn at(&self, t: f64) -> f64 {
        let sinusoids = self.amplitudes.iter().zip(&self.frequencies).zip(&self.phases);
        sinusoids.map(|((a, f), phase)| a * (TAU * f * t + phase).sin()).sum()
    }
}

/// Numbers of the training samples and of the held-out samples.
#[derive(Clone, Debug)]
pub struct Split {
    pub training: Vec<usize>,
    pub held_out: Vec<usize>,
}

impl Split {
    /// Holds out a random 30 %.
    pub fn of(seed: u64) -> Self {
        let mut samples: Vec<usize> = (0..SAMPLES).collect();
        Rng::with_seed(seed ^ 0x5eed).shuffle(&mut samples);
        let mut training = samples.split_off(SAMPLES * 3 / 10);
        training.sort_unstable();
        samples.sort_unstable();
        Self { training, held_out: samples }
    }

    /// The held-out ones of all samples.
    pub fn select_held_out(&self, samples: &[f64]) -> Vec<f64> {
        self.held_out.iter().map(|&sample| samples[sample]).collect()
    }

    /// Energy of the error on held-out samples relative to their energy, in decibels. `truth` has
    /// all samples, `predicted` only the held-out ones.
    pub fn error_db(&self, truth: &[f64], predicted: &[f64]) -> f64 {
        let truth = self.select_held_out(truth);
        let error: f64 =
            truth.iter().zip(predicted).map(|(truth, predicted)| (truth - predicted).powi(2)).sum();
        let energy: f64 = truth.iter().map(|truth| truth.powi(2)).sum();
        10.0 * (error / energy).max(1e-30).log10()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amplitudes_match_the_case() {
        let (a, b) = (Target::of(Case::A, 1), Target::of(Case::B, 1));
        assert_eq!((&a.frequencies, &a.phases), (&b.frequencies, &b.phases));
        // Sinusoids are orthogonal over whole periods: their energies a²/2 add up.
        for target in [&a, &b] {
            let energy = target.samples().iter().map(|x| x * x).sum::<f64>() / SAMPLES as f64;
            let expected = target.amplitudes.iter().map(|a| a * a / 2.0).sum::<f64>();
            assert!((energy / expected - 1.0).abs() < 1e-9, "{energy}, {expected}");
            assert!(target.samples().iter().sum::<f64>().abs() < 1e-9);
        }
        let dominant = a.frequencies[0];
        assert!((a.mean_frequency() - dominant).abs() < 0.01, "{a:?}");
        assert_eq!(a.amplitudes.iter().filter(|&&a| a == 0.01).count(), SINUSOIDS - 1);
        let seeds = (0..200).flat_map(|seed| Target::of(Case::B, seed).amplitudes);
        let logarithms: Vec<f64> = seeds.map(f64::log10).collect();
        let mean = logarithms.iter().sum::<f64>() / logarithms.len() as f64;
        assert!((mean + 1.0).abs() < 0.05 && logarithms.iter().all(|x| (-2.0..=0.0).contains(x)));
    }

    #[test]
    fn training_and_held_out_samples_are_disjoint() {
        let split = Split::of(1);
        let mut all = [split.training.clone(), split.held_out.clone()].concat();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..SAMPLES) && split.held_out.len() == 1228);
        let truth = vec![1.0; SAMPLES];
        assert!((split.error_db(&truth, &[0.9; 1228]) + 20.0).abs() < 1e-9);
        assert!((split.error_db(&truth, &[0.0; 1228])).abs() < 1e-9);
    }
}
