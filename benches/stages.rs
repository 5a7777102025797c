//! The stages, each by every kernel of this machine: `cargo bench --features stages --bench stages`.
//!
//! Items are symbols or weights. Compare figures of one run only.

use divan::Bencher;
use divan::counter::ItemsCount;
use occ::stages::{self, Stage, kernels};

fn main() {
    divan::main();
}

fn measure(bencher: Bencher<'_, '_>, stage: Stage) {
    bencher.counter(ItemsCount::new(stage.items)).bench_local(stage.run);
}

#[divan::bench_group(sample_count = 100)]
mod entropy {
    use super::*;

    #[divan::bench]
    fn histogram(bencher: Bencher<'_, '_>) {
        measure(bencher, stages::histogram());
    }

    #[divan::bench(args = kernels())]
    fn rans_encode(bencher: Bencher<'_, '_>, kernel: &str) {
        measure(bencher, stages::rans_encode(kernel));
    }

    #[divan::bench(args = kernels())]
    fn rans_decode(bencher: Bencher<'_, '_>, kernel: &str) {
        measure(bencher, stages::rans_decode(kernel));
    }

    #[divan::bench(args = kernels())]
    fn rans_decode_words(bencher: Bencher<'_, '_>, kernel: &str) {
        measure(bencher, stages::rans_decode_words(kernel));
    }

    #[divan::bench(args = kernels())]
    fn rans_decode_pairs(bencher: Bencher<'_, '_>, kernel: &str) {
        measure(bencher, stages::rans_decode_pairs(kernel));
    }

    #[divan::bench(args = kernels())]
    fn rans_decode_run(bencher: Bencher<'_, '_>, kernel: &str) {
        measure(bencher, stages::rans_decode_run(kernel));
    }
}

#[divan::bench_group(sample_count = 200)]
mod transform {
    use super::*;

    #[divan::bench(args = kernels())]
    fn inverse_hadamard(bencher: Bencher<'_, '_>, kernel: &str) {
        measure(bencher, stages::inverse_hadamard(kernel));
    }

    #[divan::bench(args = kernels())]
    fn stored_basis(bencher: Bencher<'_, '_>, kernel: &str) {
        measure(bencher, stages::stored_basis(kernel));
    }

    #[divan::bench(args = kernels())]
    fn transposition(bencher: Bencher<'_, '_>, kernel: &str) {
        measure(bencher, stages::transposition(kernel));
    }

    #[divan::bench(args = kernels())]
    fn forward_hadamard(bencher: Bencher<'_, '_>, kernel: &str) {
        measure(bencher, stages::forward_hadamard(kernel));
    }
}

#[divan::bench_group(sample_count = 20)]
mod quantizer {
    use super::*;

    #[divan::bench(args = kernels())]
    fn search_8_states(bencher: Bencher<'_, '_>, kernel: &str) {
        measure(bencher, stages::search(kernel, 3));
    }

    #[divan::bench(args = kernels())]
    fn search_256_states(bencher: Bencher<'_, '_>, kernel: &str) {
        measure(bencher, stages::search(kernel, 8));
    }
}

#[divan::bench_group(sample_count = 100)]
mod planes {
    use super::*;

    #[divan::bench(args = kernels())]
    fn split(bencher: Bencher<'_, '_>, kernel: &str) {
        measure(bencher, stages::split(kernel));
    }

    #[divan::bench(args = kernels())]
    fn join(bencher: Bencher<'_, '_>, kernel: &str) {
        measure(bencher, stages::join(kernel));
    }
}
