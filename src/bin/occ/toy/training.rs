//! Training of networks on samples of a function.

use super::adam::Adam;
use super::network::Network;
use super::target::{SAMPLES, Split};
use crate::progress::Progress;
use fastrand::Rng;
use occ::{Error, Result};
use std::f64::consts::PI;

const BATCH: usize = 64;
/// Initial learning rate. It decreases to zero with a cosine schedule (Loshchilov and Hutter, 2016).
const RATE: f64 = 4e-3;

/// The network input for a sample: its time, scaled to −1 to 1.
fn input(sample: usize) -> f32 {
    2.0 * sample as f32 / SAMPLES as f32 - 1.0
}

/// The outputs of a network for samples.
pub fn predict(network: &Network, samples: &[usize]) -> Vec<f64> {
    let inputs: Vec<f32> = samples.iter().map(|&sample| input(sample)).collect();
    network.forward(&inputs).output().iter().map(|&x| x.into()).collect()
}

/// Minimises the mean squared error on the training samples, in batches of 64.
///
/// # Errors
/// [`Error::Cancelled`].
pub fn train(
    network: &mut Network,
    samples: &[f64],
    split: &Split,
    steps: u32,
    seed: u64,
    progress: &Progress,
) -> Result<()> {
    let mut adam = Adam::new(network.parameters.len());
    let mut random = Rng::with_seed(seed);
    let mut order = split.training.clone();
    let mut remaining: &[usize] = &[];
    for step in 0..steps {
        if remaining.len() < BATCH {
            random.shuffle(&mut order);
            remaining = &order;
        }
        let (batch, rest) = remaining.split_at(BATCH);
        let inputs: Vec<f32> = batch.iter().map(|&sample| input(sample)).collect();
        let pass = network.forward(&inputs);
        let outputs = batch.iter().zip(pass.output());
        let to_output = outputs.map(|(&sample, &x)| (x - samples[sample] as f32) / BATCH as f32);
        let gradient = network.backward(&pass, to_output.collect());
        let rate = RATE * 0.5 * (1.0 + (PI * f64::from(step) / f64::from(steps)).cos());
        adam.step(&mut network.parameters, &gradient, rate);
        remaining = rest;
        if progress.advance(cost(network)).is_break() {
            return Err(Error::Cancelled);
        }
    }
    Ok(())
}

/// Relative cost of a training step.
pub fn cost(network: &Network) -> u64 {
    network.parameters.len() as u64
}
