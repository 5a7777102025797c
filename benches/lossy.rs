//! Lossy encoding and decoding, end to end in memory: `cargo bench --bench lossy`.
//!
//! Throughput is in bytes of the original BF16 tensor and in weights. Compare results of the same
//! run only.

mod common;

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use occ::{
    Coordinates, Dtype, Encoding, Plan, Reader, TensorPlan, TensorSource, WriteOptions, Writer,
};

const ROWS: usize = 2048;
const COLUMNS: usize = 2048;
const SHAPE: [usize; 2] = [ROWS, COLUMNS];

fn main() {
    divan::main();
}

/// Coordinates and number of trellis states. The effort determines the number of states.
#[derive(Clone, Copy, Debug)]
enum Case {
    Identity8,
    Hadamard8,
    Hadamard256,
    Klt8,
}
use Case::*;

const CASES: [Case; 4] = [Identity8, Hadamard8, Hadamard256, Klt8];

fn weights() -> Vec<u8> {
    let weights = common::weights().take(ROWS * COLUMNS);
    weights.flat_map(|x| half::bf16::from_f32(x).to_le_bytes()).collect()
}

fn encoding(case: Case) -> Encoding {
    let bits = Encoding::bits(3.0).max_rank(0);
    match case {
        Identity8 => bits.coordinates(Coordinates::Identity),
        Hadamard8 => bits.coordinates(Coordinates::Hadamard),
        Hadamard256 => bits.coordinates(Coordinates::Hadamard).effort(9),
        Klt8 => bits.coordinates(Coordinates::Klt),
    }
}

fn plan_of(case: Case, bytes: &[u8]) -> TensorPlan {
    Plan::of(&TensorSource::new("w", Dtype::Bf16, &SHAPE, &bytes), &encoding(case)).unwrap()
}

fn written(bytes: &[u8], plan: &TensorPlan) -> Vec<u8> {
    let mut file = Vec::with_capacity(bytes.len());
    let mut writer = Writer::new(&mut file, WriteOptions::default()).unwrap();
    writer.add_planned(&TensorSource::new("w", Dtype::Bf16, &SHAPE, &bytes), plan).unwrap();
    writer.finish().unwrap();
    file
}

/// Measures `task` on `threads` threads, in bytes and weights of the original tensor.
fn measure(bencher: Bencher<'_, '_>, threads: usize, mut task: impl FnMut() + Send) {
    let pool = common::pool(threads);
    let weights = ROWS * COLUMNS;
    let bencher = bencher.counter(BytesCount::new(2 * weights)).counter(ItemsCount::new(weights));
    bencher.bench_local(|| pool.install(&mut task));
}

#[divan::bench(args = CASES, sample_count = 3)]
fn plan(bencher: Bencher<'_, '_>, case: Case) {
    let bytes = weights();
    measure(bencher, 1, || _ = black_box(plan_of(case, &bytes)));
}

#[divan::bench(args = CASES, consts = [1, 2], sample_count = 5)]
fn encode<const THREADS: usize>(bencher: Bencher<'_, '_>, case: Case) {
    let bytes = weights();
    let plan = plan_of(case, &bytes);
    measure(bencher, THREADS, || drop(black_box(written(&bytes, &plan))));
}

#[divan::bench(args = CASES, consts = [1, 2], sample_count = 20)]
fn decode<const THREADS: usize>(bencher: Bencher<'_, '_>, case: Case) {
    let bytes = weights();
    let file = written(&bytes, &plan_of(case, &bytes));
    let reader = Reader::new(&file).unwrap();
    let tensor = reader.tensor("w").unwrap();
    let mut out = vec![0xaa; bytes.len()];
    measure(bencher, THREADS, || tensor.decode_into(black_box(&mut out)).unwrap());
}

/// Baseline: copying the original bytes.
#[divan::bench(sample_count = 20)]
fn copy(bencher: Bencher<'_, '_>) {
    let bytes = weights();
    let mut out = vec![0xaa; bytes.len()];
    measure(bencher, 1, || black_box(&mut out).copy_from_slice(black_box(&bytes)));
}
