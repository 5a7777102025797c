//! Everything that is trained, coded and measured.

use super::coding::{self, Coded};
use super::fourier::{self, TopK};
use super::network::{ACTIVATIONS, Activation, Network, Parameter};
use super::rotation::hadamard;
use super::target::{CASES, Case, SAMPLES, Split, Target};
use super::training::{answers, cost, train};
use crate::progress::Progress;
use occ::Result;
use occ::analysis::{Outliers, concentration};
use rayon::prelude::*;
use serde::Serialize;

pub const WIDTHS: [usize; 3] = [64, 128, 256];

/// How many of Fourier's coefficients are kept.
pub const COEFFICIENTS: [usize; 5] = [1, 4, 16, 64, 256];

#[derive(Serialize)]
pub struct Experiment {
    pub seed: u64,
    pub steps: u32,
    pub samples: usize,
    pub held_out: usize,
    pub cases: Vec<CaseResult>,
}

/// A function, and all descriptions of it.
#[derive(Serialize)]
pub struct CaseResult {
    pub case: Case,
    /// Where its energy lies.
    pub mean_frequency: f64,
    /// Its own numbers: amplitudes, frequencies and phases.
    pub parameters: Coded,
    /// The largest of Fourier's coefficients, for each of [`COEFFICIENTS`].
    pub fourier: Vec<Coded>,
    pub networks: Vec<NetworkResult>,
    /// Energy of the largest 1 % of its samples, and of its coordinates in Fourier's basis.
    pub samples_top_percent: f64,
    pub fourier_top_percent: f64,
    #[serde(skip)]
    pub truth: Vec<f64>,
    #[serde(skip)]
    pub coordinates: Vec<f32>,
}

/// A trained network.
#[derive(Serialize)]
pub struct NetworkResult {
    pub activation: Activation,
    pub width: usize,
    pub plain: Weights,
    /// The same with every matrix's rows multiplied by Hadamard's.
    pub rotated: Weights,
    #[serde(skip)]
    pub network: Network,
}

/// Weights in some coordinates. All but `coded` is of the hidden matrix, width × width.
#[derive(Serialize)]
pub struct Weights {
    pub outliers: Outliers,
    /// The share of energy that the largest 1 % hold.
    pub top_percent: f64,
    /// The share of weights below a tenth of the root mean square: 0.08 of Gaussian ones.
    pub near_zero: f64,
    pub coded: Coded,
    #[serde(skip)]
    pub hidden: Vec<f32>,
}

impl Experiment {
    /// Trains every network with so many steps; several at a time, each on one thread.
    ///
    /// # Errors
    /// [`occ::Error::Cancelled`].
    pub fn run(seed: u64, steps: u32) -> Result<Self> {
        let split = Split::of(seed);
        // Large ones first, so that no thread is left alone with one.
        let trainings = |case| {
            let networks = WIDTHS.iter().rev().flat_map(move |&width| {
                ACTIVATIONS.map(|activation| (case, new_network(width, activation, seed)))
            });
            networks.collect::<Vec<_>>()
        };
        let trainings: Vec<_> = CASES.into_iter().flat_map(trainings).collect();
        let work = trainings.iter().map(|(_, network)| cost(network) * u64::from(steps)).sum();
        let progress = Progress::share("training", work);
        let trained = trainings.into_par_iter().with_max_len(1).map(|(case, mut network)| {
            let truth = Target::of(case, seed).samples();
            train(&mut network, &truth, &split, steps, seed, &progress)?;
            Ok((case, NetworkResult::of(network, &truth, &split)))
        });
        let trained: Vec<_> = trained.collect::<Result<_>>()?;
        let mut cases = CASES.map(|case| CaseResult::of(case, seed, &split));
        for (case, network) in trained {
            cases[case as usize].networks.push(network);
        }
        for case in &mut cases {
            case.networks.sort_by_key(|network| (network.activation as usize, network.width));
        }
        let held_out = split.held_out.len();
        Ok(Self { seed, steps, samples: SAMPLES, held_out, cases: cases.into() })
    }

    pub fn networks(&self) -> impl Iterator<Item = &NetworkResult> {
        self.cases.iter().flat_map(|case| &case.networks)
    }
}

/// Both cases begin with the same weights.
fn new_network(width: usize, activation: Activation, seed: u64) -> Network {
    Network::new(width, activation, seed ^ (width as u64) << 32 ^ (activation as u64) << 48)
}

impl CaseResult {
    /// Without networks.
    fn of(case: Case, seed: u64, split: &Split) -> Self {
        let target = Target::of(case, seed);
        let truth = target.samples();
        let error_db = |found: &[f64]| split.error_db(&truth, &split.held_out_of(found));
        let numbers = [&target.amplitudes, &target.frequencies, &target.phases];
        let numbers = numbers.map(|numbers| numbers.iter().map(|&x| x as f32).collect::<Vec<_>>());
        let parameters = Coded::of("parameters", &numbers, 0, |numbers| {
            error_db(&Target::from_numbers(numbers).samples())
        });
        let seen = fourier::spectrum(&fourier::interpolated(&truth, split));
        let fourier = COEFFICIENTS.map(|k| {
            let top = TopK::of(&seen, SAMPLES, k);
            let coefficients = [top.coefficients.clone()];
            Coded::of(format!("FFT, top {k}"), &coefficients, top.frequency_bytes(), |numbers| {
                error_db(&top.samples(&numbers[0]))
            })
        });
        let coordinates = fourier::coordinates(&fourier::spectrum(&truth), SAMPLES);
        let samples: Vec<f32> = truth.iter().map(|&x| x as f32).collect();
        Self {
            case,
            mean_frequency: target.mean_frequency(),
            parameters,
            fourier: fourier.into(),
            networks: Vec::new(),
            samples_top_percent: top_percent(&samples),
            fourier_top_percent: top_percent(&coordinates),
            truth,
            coordinates,
        }
    }
}

impl NetworkResult {
    fn of(network: Network, truth: &[f64], split: &Split) -> Self {
        let weights = |rotated: bool| {
            let vectors = vectors(&network, rotated);
            let name = format!("{}{}", network.name(), if rotated { ", rotated" } else { "" });
            let coded = Coded::of(name, &vectors, 0, |vectors| {
                let network = with_vectors(&network, vectors, rotated);
                split.error_db(truth, &answers(&network, &split.held_out))
            });
            Weights::of(vectors.into_iter().nth(HIDDEN).unwrap_or_default(), coded)
        };
        let (plain, rotated) = (weights(false), weights(true));
        Self { activation: network.activation, width: network.width, plain, rotated, network }
    }
}

/// Where the hidden matrix is among matrices and vectors.
const HIDDEN: usize = 2;

impl Weights {
    fn of(hidden: Vec<f32>, coded: Coded) -> Self {
        let outliers = Outliers::of(&hidden);
        let small = 0.1 * outliers.norm / (hidden.len() as f64).sqrt();
        let near_zero = hidden.iter().filter(|&&x| f64::from(x).abs() < small).count();
        let near_zero = near_zero as f64 / hidden.len() as f64;
        Self { outliers, top_percent: top_percent(&hidden), near_zero, coded, hidden }
    }
}

fn top_percent(numbers: &[f32]) -> f64 {
    concentration::top_energy(numbers, numbers.len().div_ceil(100))
}

/// All matrices and vectors, the former rotated on request.
fn vectors(network: &Network, rotated: bool) -> Vec<Vec<f32>> {
    let vector = |parameter: Parameter| {
        let mut numbers = network.parameters[parameter.range].to_vec();
        if rotated && parameter.shape.len() == 2 {
            hadamard(&mut numbers, network.width);
        }
        numbers
    };
    network.named().into_iter().map(vector).collect()
}

/// The network with its weights at so many bits, quantised as rotated on request.
pub fn quantised(network: &Network, bits: u32, rotated: bool) -> Network {
    let vectors: Vec<_> =
        vectors(network, rotated).iter().map(|vector| coding::quantised(vector, bits)).collect();
    with_vectors(network, &vectors, rotated)
}

/// The network with other numbers, which are rotated back on request.
fn with_vectors(network: &Network, vectors: &[Vec<f32>], rotated: bool) -> Network {
    let mut network = network.clone();
    network.parameters = vectors.concat();
    if rotated {
        network.parameters = self::vectors(&network, true).concat();
    }
    network
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toy::target::SINUSOIDS;

    #[test]
    fn rotated_weights_are_the_same_network() {
        let network = new_network(64, Activation::Tanh, 1);
        let rotated = vectors(&network, true);
        let back = with_vectors(&network, &rotated, true);
        let same = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-5;
        assert!(network.parameters.iter().zip(&back.parameters).all(same));
        assert!(rotated[HIDDEN] != vectors(&network, false)[HIDDEN], "the hidden one is rotated");
        assert!(rotated[1] == vectors(&network, false)[1], "biases are not");
    }

    #[test]
    fn descriptions_of_the_function_itself_are_nearly_exact() {
        let split = Split::of(1);
        for case in CASES {
            let result = CaseResult::of(case, 1, &split);
            assert!(result.parameters.exact.error_db < -120.0);
            assert_eq!(result.parameters.exact.bytes, 4 * 3 * SINUSOIDS);
            // Lines between samples are all that is wrong with 16 coefficients of 6 sinusoids.
            let error = result.fourier[2].exact.error_db;
            assert!((-120.0..-60.0).contains(&error), "{error}");
            assert!(result.fourier_top_percent > 0.99999 && result.samples_top_percent < 0.1);
        }
    }
}
