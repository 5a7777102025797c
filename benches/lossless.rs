//! Lossless encoding and decoding, end to end in memory: `cargo bench --bench lossless`.
//!
//! Throughput is in bytes of the original tensor. Compare results of the same run only.

mod common;

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use occ::{Dtype, Reader, StreamReader, WriteOptions, Writer};

const ROWS: usize = 4096;
const COLUMNS: usize = 1024;

const DTYPES: [Dtype; 3] = [Dtype::Bf16, Dtype::F16, Dtype::F32];

fn main() {
    divan::main();
}

fn weights(dtype: Dtype) -> Vec<u8> {
    let values = common::weights().take(ROWS * COLUMNS);
    match dtype {
        Dtype::Bf16 => values.flat_map(|x| half::bf16::from_f32(x).to_le_bytes()).collect(),
        Dtype::F16 => values.flat_map(|x| half::f16::from_f32(x).to_le_bytes()).collect(),
        _ => values.flat_map(f32::to_le_bytes).collect(),
    }
}

fn written(dtype: Dtype, bytes: &[u8]) -> Vec<u8> {
    let mut file = Vec::with_capacity(bytes.len());
    let mut writer = Writer::new(&mut file, WriteOptions::default()).unwrap();
    writer.add("w", dtype, &[ROWS, COLUMNS], bytes).unwrap();
    writer.finish().unwrap();
    file
}

/// Measures `task` on `threads` threads, in bytes of the original tensor.
fn measure(bencher: Bencher<'_, '_>, threads: usize, bytes: usize, mut task: impl FnMut() + Send) {
    let pool = common::pool(threads);
    bencher.counter(BytesCount::new(bytes)).bench_local(|| pool.install(&mut task));
}

#[divan::bench(args = DTYPES, consts = [1, 2], sample_count = 10)]
fn write<const THREADS: usize>(bencher: Bencher<'_, '_>, dtype: Dtype) {
    let bytes = weights(dtype);
    measure(bencher, THREADS, bytes.len(), || drop(black_box(written(dtype, &bytes))));
}

#[divan::bench(args = DTYPES, consts = [1, 2], sample_count = 10)]
fn decode<const THREADS: usize>(bencher: Bencher<'_, '_>, dtype: Dtype) {
    let bytes = weights(dtype);
    let file = written(dtype, &bytes);
    let reader = Reader::new(&file).unwrap();
    let tensor = reader.tensor("w").unwrap();
    let mut out = vec![0xaa; bytes.len()];
    measure(bencher, THREADS, bytes.len(), || tensor.decode_into(black_box(&mut out)).unwrap());
}

/// BF16 weights that were quantised to integers from −7 to 7: with one scale, whose words are the
/// entries of a dictionary, or with a scale for each `group` weights.
fn quantised(group: usize) -> Vec<u8> {
    let values: Vec<f32> = common::weights().take(ROWS * COLUMNS).collect();
    let words = values.chunks(group).flat_map(|group| {
        let largest = group.iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
        let scale = half::bf16::from_f32(largest / 7.0).to_f32();
        group.iter().map(move |&x| half::bf16::from_f32((x / scale).round() * scale))
    });
    words.flat_map(half::bf16::to_le_bytes).collect()
}

#[divan::bench(args = [64, COLUMNS, ROWS * COLUMNS], consts = [1, 2], sample_count = 10)]
fn decode_quantised<const THREADS: usize>(bencher: Bencher<'_, '_>, group: usize) {
    let bytes = quantised(group);
    let file = written(Dtype::Bf16, &bytes);
    let reader = Reader::new(&file).unwrap();
    let tensor = reader.tensor("w").unwrap();
    let mut out = vec![0xaa; bytes.len()];
    measure(bencher, THREADS, bytes.len(), || tensor.decode_into(black_box(&mut out)).unwrap());
}

#[divan::bench(args = DTYPES, consts = [1, 2], sample_count = 10)]
fn read_stream<const THREADS: usize>(bencher: Bencher<'_, '_>, dtype: Dtype) {
    let bytes = weights(dtype);
    let file = written(dtype, &bytes);
    measure(bencher, THREADS, bytes.len(), || {
        let stream = StreamReader::new(file.as_slice()).unwrap();
        stream.tensors().for_each(|tensor| drop(black_box(tensor.unwrap())));
    });
}

/// Baseline: copying the original bytes.
#[divan::bench(args = DTYPES, sample_count = 10)]
fn copy(bencher: Bencher<'_, '_>, dtype: Dtype) {
    let bytes = weights(dtype);
    let mut out = vec![0; bytes.len()];
    bencher
        .counter(BytesCount::new(bytes.len()))
        .bench_local(|| black_box(&mut out).copy_from_slice(black_box(&bytes)));
}
