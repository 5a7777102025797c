//! A file of 100 000 small tensors: `cargo bench --bench container`.
//!
//! Target: opening the file and finding a tensor takes less than 5 ms.

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use occ::{Dtype, Reader, WriteOptions, Writer};
use std::sync::LazyLock;

const TENSORS: usize = 100_000;
const ELEMENTS: usize = 16;

const WANTED: &str = "model.layers.17.mlp.experts.93.up_proj.weight";

fn main() {
    divan::main();
}

static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let name = |number: usize| {
        let (layer, expert) = (number / 3 / 128, number / 3 % 128);
        let part = ["gate", "up", "down"][number % 3];
        format!("model.layers.{layer}.mlp.experts.{expert}.{part}_proj.weight")
    };
    (0..TENSORS).map(name).collect()
});

static FILE: LazyLock<Vec<u8>> = LazyLock::new(written);

fn written() -> Vec<u8> {
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file, WriteOptions::default()).unwrap();
    let values: [f32; ELEMENTS] = std::array::from_fn(|i| i as f32 / 9.0);
    let bytes = values.map(f32::to_le_bytes).concat();
    for name in NAMES.iter() {
        writer.add(name, Dtype::F32, &[ELEMENTS], &bytes).unwrap();
    }
    writer.finish().unwrap();
    file
}

fn find(reader: &Reader<'_>) {
    let tensor = reader.tensor(black_box(WANTED)).unwrap();
    assert_eq!(black_box(tensor).shape(), [ELEMENTS]);
}

#[divan::bench(sample_count = 50)]
fn open_and_find(bencher: Bencher<'_, '_>) {
    let file = FILE.as_slice();
    bencher.bench_local(|| find(&Reader::new(black_box(file)).unwrap()));
}

/// The file on disk, in a directory that is removed with the guard.
fn on_disk() -> (tempfile::TempDir, std::path::PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("small.occ");
    std::fs::write(&path, FILE.as_slice()).unwrap();
    (directory, path)
}

#[divan::bench(sample_count = 50)]
fn open_file_and_find(bencher: Bencher<'_, '_>) {
    let (_directory, path) = on_disk();
    bencher.bench_local(|| find(&Reader::open(&path).unwrap()));
}

#[divan::bench(sample_count = 50)]
#[allow(unsafe_code)]
fn map_and_find(bencher: Bencher<'_, '_>) {
    let (_directory, path) = on_disk();
    // SAFETY: nothing else opens the file.
    bencher.bench_local(|| find(&unsafe { Reader::map(&path) }.unwrap()));
}

#[divan::bench(sample_count = 50)]
fn find_only(bencher: Bencher<'_, '_>) {
    let reader = Reader::new(FILE.as_slice()).unwrap();
    bencher.bench_local(|| find(&reader));
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn write(bencher: Bencher<'_, '_>) {
    LazyLock::force(&NAMES);
    bencher.counter(ItemsCount::new(TENSORS)).bench_local(|| drop(black_box(written())));
}
