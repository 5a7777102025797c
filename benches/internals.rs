//! Single steps of the codecs, with every kernel of this machine:
//! `cargo bench --features bench-internals --bench internals`.
//!
//! Items are symbols or weights. Compare results of the same run only.

use divan::Bencher;
use divan::counter::ItemsCount;
use occ::bench_internals::{self, Benchmark, kernels};

fn main() {
    divan::main();
}

fn measure(bencher: Bencher<'_, '_>, benchmark: Benchmark) {
    bencher.counter(ItemsCount::new(benchmark.items)).bench_local(benchmark.run);
}

#[divan::bench_group(sample_count = 100)]
mod entropy {
    use super::*;

    #[divan::bench]
    fn histogram(bencher: Bencher<'_, '_>) {
        measure(bencher, bench_internals::histogram());
    }

    #[divan::bench(args = kernels())]
    fn rans_encode(bencher: Bencher<'_, '_>, kernel: &str) {
        measure(bencher, bench_internals::rans_encode(kernel));
    }

    #[divan::bench(args = kernels())]
    fn rans_decode(bencher: Bencher<'_, '_>, kernel: &str) {
        measure(bencher, bench_internals::rans_decode(kernel));
    }

    #[divan::bench(args = kernels())]
    fn rans_decode_words(bencher: Bencher<'_, '_>, kernel: &str) {
        measure(bencher, bench_internals::rans_decode_words(kernel));
    }

    #[divan::bench(args = kernels())]
    fn rans_decode_pairs(bencher: Bencher<'_, '_>, kernel: &str) {
        measure(bencher, bench_internals::rans_decode_pairs(kernel));
    }

    #[divan::bench(args = kernels())]
    fn rans_decode_run(bencher: Bencher<'_, '_>, kernel: &str) {
        measure(bencher, bench_internals::rans_decode_run(kernel));
    }
}

#[divan::bench_group(sample_count = 200)]
mod transform {
    use super::*;

    #[divan::bench(args = kernels())]
    fn inverse_hadamard(bencher: Bencher<'_, '_>, kernel: &str) {
        measure(bencher, bench_internals::inverse_hadamard(kernel));
    }

    #[divan::bench(args = kernels())]
    fn inverse_stored_basis(bencher: Bencher<'_, '_>, kernel: &str) {
        measure(bencher, bench_internals::inverse_stored_basis(kernel));
    }

    #[divan::bench(args = kernels())]
    fn transpose(bencher: Bencher<'_, '_>, kernel: &str) {
        measure(bencher, bench_internals::transpose(kernel));
    }

    #[divan::bench(args = kernels())]
    fn forward_hadamard(bencher: Bencher<'_, '_>, kernel: &str) {
        measure(bencher, bench_internals::forward_hadamard(kernel));
    }
}

#[divan::bench_group(sample_count = 20)]
mod quantizer {
    use super::*;

    #[divan::bench(args = kernels())]
    fn viterbi_search_8_states(bencher: Bencher<'_, '_>, kernel: &str) {
        measure(bencher, bench_internals::viterbi_search(kernel, 3));
    }

    #[divan::bench(args = kernels())]
    fn viterbi_search_256_states(bencher: Bencher<'_, '_>, kernel: &str) {
        measure(bencher, bench_internals::viterbi_search(kernel, 8));
    }

    #[divan::bench(args = kernels())]
    fn feedback_search_576_columns(bencher: Bencher<'_, '_>, kernel: &str) {
        measure(bencher, bench_internals::feedback_search(kernel, 3, 576));
    }

    #[divan::bench(args = kernels(), sample_count = 3)]
    fn feedback_search_2048_columns(bencher: Bencher<'_, '_>, kernel: &str) {
        measure(bencher, bench_internals::feedback_search(kernel, 3, 2048));
    }
}

#[divan::bench_group(sample_count = 100)]
mod planes {
    use super::*;

    #[divan::bench(args = kernels())]
    fn split(bencher: Bencher<'_, '_>, kernel: &str) {
        measure(bencher, bench_internals::split(kernel));
    }

    #[divan::bench(args = kernels())]
    fn join(bencher: Bencher<'_, '_>, kernel: &str) {
        measure(bencher, bench_internals::join(kernel));
    }
}
