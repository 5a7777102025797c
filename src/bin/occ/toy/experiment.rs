//! Training, coding and measurement.

use super::fourier::{self, TopK};
use super::hadamard::hadamard;
use super::network::{ACTIVATIONS, Activation, Network, Parameter};
use super::representation::{self, Representation};
use super::target::{CASES, Case, SAMPLES, Split, Target};
use super::training::{cost, predict, train};
use crate::progress::Progress;
use occ::Result;
use occ::analysis::{Outliers, concentration};
use rayon::prelude::*;
use serde::Serialize;

/// Widths of the hidden layers.
pub const WIDTHS: [usize; 3] = [64, 128, 256];

/// Numbers of Fourier coefficients.
pub const COEFFICIENTS: [usize; 5] = [1, 4, 16, 64, 256];

#[derive(Serialize)]
pub struct Experiment {
    pub seed: u64,
    pub steps: u32,
    pub samples: usize,
    pub held_out: usize,
    pub cases: Vec<CaseResult>,
}

/// A function and its representations.
#[derive(Serialize)]
pub struct CaseResult {
    pub case: Case,
    /// Mean frequency, weighted by energy.
    pub mean_frequency: f64,
    /// Amplitudes, frequencies and phases.
    pub parameters: Representation,
    /// The largest Fourier coefficients, for each of [`COEFFICIENTS`].
    pub fourier: Vec<Representation>,
    pub networks: Vec<NetworkResult>,
    /// Shares of the energy in the largest 1 % of samples and of Fourier coordinates.
    pub samples_top_percent: f64,
    pub fourier_top_percent: f64,
    /// Samples of the function.
    #[serde(skip)]
    pub truth: Vec<f64>,
    /// Fourier coordinates of the function.
    #[serde(skip)]
    pub coordinates: Vec<f32>,
}

/// A trained network.
#[derive(Serialize)]
pub struct NetworkResult {
    pub activation: Activation,
    pub width: usize,
    pub plain: WeightResult,
    /// With the rows of every matrix multiplied by a Hadamard matrix.
    pub rotated: WeightResult,
    #[serde(skip)]
    pub network: Network,
}

/// Weights in one coordinate system. All fields but `coded` are about the hidden matrix, width ×
/// width.
#[derive(Serialize)]
pub struct WeightResult {
    pub outliers: Outliers,
    /// Share of the energy in the largest 1 % of weights.
    pub top_percent: f64,
    /// Share of weights with a magnitude below a tenth of the RMS: 0.08 for Gaussian weights.
    pub near_zero: f64,
    pub coded: Representation,
    #[serde(skip)]
    pub hidden: Vec<f32>,
}

impl Experiment {
    /// Trains every network for a number of steps, in parallel with one thread per network.
    ///
    /// # Errors
    /// [`occ::Error::Cancelled`].
    pub fn run(seed: u64, steps: u32) -> Result<Self> {
        let split = Split::of(seed);
        // Large networks first, which balances the load of threads.
        let trainings = |case| {
            let networks = WIDTHS.iter().rev().flat_map(move |&width| {
                ACTIVATIONS.map(|activation| (case, new_network(width, activation, seed)))
            });
            networks.collect::<Vec<_>>()
        };
        let trainings: Vec<_> = CASES.into_iter().flat_map(trainings).collect();
        let work = trainings.iter().map(|(_, network)| cost(network) * u64::from(steps)).sum();
        let progress = Progress::percentage("training", work);
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

/// An untrained network. Both cases start from the same weights.
fn new_network(width: usize, activation: Activation, seed: u64) -> Network {
    Network::new(width, activation, seed ^ (width as u64) << 32 ^ (activation as u64) << 48)
}

impl CaseResult {
    /// All representations but the networks.
    fn of(case: Case, seed: u64, split: &Split) -> Self {
        let target = Target::of(case, seed);
        let truth = target.samples();
        let error_db = |samples: &[f64]| split.error_db(&truth, &split.select_held_out(samples));
        let numbers = [&target.amplitudes, &target.frequencies, &target.phases];
        let numbers = numbers.map(|numbers| numbers.iter().map(|&x| x as f32).collect::<Vec<_>>());
        let parameters = Representation::of("parameters", &numbers, 0, |numbers| {
            error_db(&Target::from_vectors(numbers).samples())
        });
        let training = fourier::spectrum(&fourier::interpolated(&truth, split));
        let fourier = COEFFICIENTS.map(|k| {
            let top = TopK::of(&training, SAMPLES, k);
            let coefficients = [top.coefficients.clone()];
            Representation::of(
                format!("Fourier, {k} largest"),
                &coefficients,
                top.frequency_bytes(),
                |numbers| error_db(&top.samples(&numbers[0])),
            )
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
            let coded = Representation::of(name, &vectors, 0, |vectors| {
                let network = with_vectors(&network, vectors, rotated);
                split.error_db(truth, &predict(&network, &split.held_out))
            });
            WeightResult::of(vectors.into_iter().nth(HIDDEN).unwrap_or_default(), coded)
        };
        let (plain, rotated) = (weights(false), weights(true));
        Self { activation: network.activation, width: network.width, plain, rotated, network }
    }
}

/// Position of the hidden matrix among matrices and vectors.
const HIDDEN: usize = 2;

impl WeightResult {
    fn of(hidden: Vec<f32>, coded: Representation) -> Self {
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

/// All matrices and vectors; the rows of matrices are rotated if `rotated`.
fn vectors(network: &Network, rotated: bool) -> Vec<Vec<f32>> {
    let vector = |parameter: Parameter| {
        let mut numbers = network.parameters[parameter.range].to_vec();
        if rotated && parameter.shape.len() == 2 {
            hadamard(&mut numbers, network.width);
        }
        numbers
    };
    network.parameter_list().into_iter().map(vector).collect()
}

/// The network with quantised weights; the rows of matrices are quantised rotated if `rotated`.
pub fn quantised(network: &Network, bits: u32, rotated: bool) -> Network {
    let vectors: Vec<_> = vectors(network, rotated)
        .iter()
        .map(|vector| representation::quantised(vector, bits))
        .collect();
    with_vectors(network, &vectors, rotated)
}

/// The network with other weights, which are rotated back if `rotated`.
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
    fn rotation_is_invertible() {
        let network = new_network(64, Activation::Tanh, 1);
        let rotated = vectors(&network, true);
        let back = with_vectors(&network, &rotated, true);
        let same = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-5;
        assert!(network.parameters.iter().zip(&back.parameters).all(same));
        assert!(
            rotated[HIDDEN] != vectors(&network, false)[HIDDEN],
            "the hidden matrix is rotated"
        );
        assert!(rotated[1] == vectors(&network, false)[1], "biases are not rotated");
    }

    #[test]
    fn parameters_and_fourier_coefficients_are_nearly_exact() {
        let split = Split::of(1);
        for case in CASES {
            let result = CaseResult::of(case, 1, &split);
            assert!(result.parameters.exact.error_db < -120.0);
            assert_eq!(result.parameters.exact.bytes, 4 * 3 * SINUSOIDS);
            // The only error of 16 coefficients of 6 sinusoids is that of linear interpolation.
            let error = result.fourier[2].exact.error_db;
            assert!((-120.0..-60.0).contains(&error), "{error}");
            assert!(result.fourier_top_percent > 0.99999 && result.samples_top_percent < 0.1);
        }
    }
}
