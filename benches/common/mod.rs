//! Data and thread pools that several benches share.

#[path = "../../src/gaussian.rs"]
mod gaussian;

use rayon::{ThreadPool, ThreadPoolBuilder};

/// Gaussian weights with standard deviation 0.02, the same in every run.
pub fn weights() -> impl Iterator<Item = f32> {
    gaussian::gaussian_noise(1).map(|x| 0.02 * x)
}

/// A pool of `threads` threads.
pub fn pool(threads: usize) -> ThreadPool {
    ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
}
