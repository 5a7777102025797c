//! The lossy path, end to end in memory: `cargo bench --bench lossy`.
//!
//! Bytes per second are of the original tensor, in BF16, which `copy` moves as they are. Compare
//! figures of one run only.

mod common;

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use occ::{Coordinates, Dtype, Encoding, Plan, Reader, TensorPlan, WriteOptions, Writer};

const ROWS: usize = 2048;
const COLUMNS: usize = 2048;
const SHAPE: [usize; 2] = [ROWS, COLUMNS];

fn main() {
    divan::main();
}

/// How weights are coded: axes, and effort, which decides the number of states.
#[derive(Clone, Copy, Debug)]
enum Coding {
    Identity8,
    Hadamard8,
    Hadamard256,
    Aligned8,
}
use Coding::*;

const CODINGS: [Coding; 4] = [Identity8, Hadamard8, Hadamard256, Aligned8];

fn weights() -> Vec<u8> {
    let weights = common::weights().take(ROWS * COLUMNS);
    weights.flat_map(|x| half::bf16::from_f32(x).to_le_bytes()).collect()
}

fn encoding(coding: Coding) -> Encoding {
    let bits = Encoding::bits(3.0).max_rank(0);
    match coding {
        Identity8 => bits.coordinates(Coordinates::Identity),
        Hadamard8 => bits.coordinates(Coordinates::Hadamard),
        Hadamard256 => bits.coordinates(Coordinates::Hadamard).effort(9),
        Aligned8 => bits.coordinates(Coordinates::Klt),
    }
}

fn plan_of(coding: Coding, bytes: &[u8]) -> TensorPlan {
    Plan::of("w", Dtype::Bf16, &SHAPE, bytes, &encoding(coding)).unwrap()
}

fn written(bytes: &[u8], plan: &TensorPlan) -> Vec<u8> {
    let mut file = Vec::with_capacity(bytes.len());
    let mut writer = Writer::new(&mut file, WriteOptions::default()).unwrap();
    writer.add_planned("w", Dtype::Bf16, &SHAPE, bytes, plan).unwrap();
    writer.finish().unwrap();
    file
}

/// Runs `task` on a pool of so many threads, counting the original's bytes and weights.
fn measure(bencher: Bencher<'_, '_>, threads: usize, mut task: impl FnMut() + Send) {
    let pool = common::pool(threads);
    let weights = ROWS * COLUMNS;
    let bencher = bencher.counter(BytesCount::new(2 * weights)).counter(ItemsCount::new(weights));
    bencher.bench_local(|| pool.install(&mut task));
}

#[divan::bench(args = CODINGS, sample_count = 3)]
fn plan(bencher: Bencher<'_, '_>, coding: Coding) {
    let bytes = weights();
    measure(bencher, 1, || _ = black_box(plan_of(coding, &bytes)));
}

#[divan::bench(args = CODINGS, consts = [1, 2], sample_count = 5)]
fn encode<const THREADS: usize>(bencher: Bencher<'_, '_>, coding: Coding) {
    let bytes = weights();
    let plan = plan_of(coding, &bytes);
    measure(bencher, THREADS, || drop(black_box(written(&bytes, &plan))));
}

#[divan::bench(args = CODINGS, consts = [1, 2], sample_count = 20)]
fn decode<const THREADS: usize>(bencher: Bencher<'_, '_>, coding: Coding) {
    let bytes = weights();
    let file = written(&bytes, &plan_of(coding, &bytes));
    let reader = Reader::new(&file).unwrap();
    let tensor = reader.tensor("w").unwrap();
    let mut out = vec![0xaa; bytes.len()];
    measure(bencher, THREADS, || tensor.decode_into(black_box(&mut out)).unwrap());
}

/// The yardstick: the same bytes copied.
#[divan::bench(sample_count = 20)]
fn copy(bencher: Bencher<'_, '_>) {
    let bytes = weights();
    let mut out = vec![0xaa; bytes.len()];
    measure(bencher, 1, || black_box(&mut out).copy_from_slice(black_box(&bytes)));
}
