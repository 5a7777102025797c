//! What several benches share.

use rayon::{ThreadPool, ThreadPoolBuilder};

/// Nearly normal weights of deviation 0.02, always the same: sums of twelve uniform numbers.
pub fn weights() -> impl Iterator<Item = f32> {
    let mut random = fastrand::Rng::with_seed(1);
    std::iter::repeat_with(move || {
        let sum: f32 = (0..12).map(|_| random.f32()).sum();
        (sum - 6.0) * 0.02
    })
}

/// A pool of so many threads.
pub fn pool(threads: usize) -> ThreadPool {
    ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
}
