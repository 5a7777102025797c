//! Size of a vocabulary and time to decode one of its rows, by chunk size:
//! `cargo bench --bench rows`.
//!
//! The file is on disk, in the page cache. Rows are read in random order; the times are medians and 99th
//! percentiles with one handle of the tensor, and medians with a new handle for each row, which builds
//! the decoding tables again. Compare results of the same run only. As a test it reads few rows of
//! small tensors.

#[path = "../src/gaussian.rs"]
mod gaussian;

use occ::{
    Coordinates, Dtype, Encoding, Plan, Reader, TensorSource, WriteOptions, Writer, write_file,
};
use std::ops::Range;
use std::time::Instant;

/// Rows and columns.
const SHAPES: [[usize; 2]; 2] = [[8192, 4096], [49152, 576]];
/// Elements in a chunk; `None` for the default.
const CHUNKS: [Option<u64>; 6] =
    [None, Some(1 << 14), Some(1 << 15), Some(1 << 16), Some(1 << 17), Some(1 << 18)];
const READS: usize = 400;
const NAME: &str = "embed_tokens.weight";

fn main() {
    // Cargo passes this argument unless benches are run as tests.
    let is_measured = std::env::args().any(|argument| argument == "--bench");
    let (parts, chunks) = if is_measured { (1, &CHUNKS[..]) } else { (32, &CHUNKS[..1]) };
    let most = SHAPES.iter().map(|[rows, columns]| rows * columns).max().unwrap_or(0);
    let weights: Vec<u8> = gaussian::gaussian_noise(1)
        .take(most)
        .flat_map(|x| half::bf16::from_f32(0.02 * x).to_le_bytes())
        .collect();
    let bits = |coordinates| Encoding::bits(4.0).max_rank(0).coordinates(coordinates);
    let cases = [
        ("lossless", Encoding::lossless()),
        ("4 bits, hadamard", bits(Coordinates::Hadamard)),
        ("4 bits, klt", bits(Coordinates::Klt)),
    ];
    println!(
        "shape        coding             chunk     bytes  median, µs  99 %, µs  new handle, µs"
    );
    for [rows, columns] in SHAPES {
        let shape = [rows / parts, columns];
        let bytes = &weights[..2 * shape[0] * shape[1]];
        let source = TensorSource::new(NAME, Dtype::Bf16, &shape, &bytes);
        for (name, encoding) in &cases {
            let plan = Plan::of(&source, encoding).unwrap();
            for &chunk in chunks {
                let options = WriteOptions::default().chunk_elements(chunk);
                let mut file = Vec::new();
                let mut writer = Writer::new(&mut file, options).unwrap();
                writer.add_planned(&source, &plan).unwrap();
                writer.finish().unwrap();
                let [median, high, new] = row_micros(&file, shape[0]);
                let chunk = chunk.map_or("default".into(), |chunk| chunk.to_string());
                let (size, shape) = (file.len(), format!("{} x {}", shape[0], shape[1]));
                println!(
                    "{shape:12} {name:16} {chunk:>7} {size:9} {median:11.1} {high:9.1} {new:15.1}"
                );
            }
        }
    }
}

/// Microseconds to decode one of `rows` rows: the median and the 99th percentile with one handle, and
/// the median with a new one each time.
fn row_micros(file: &[u8], rows: usize) -> [f64; 3] {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rows.occ");
    write_file(&path, file, false).unwrap();
    let reader = Reader::open(&path).unwrap();
    let handle = || reader.tensor(NAME).unwrap();
    let tensor = handle();
    let kept = sorted_micros(READS, rows, |row| drop(tensor.decode_rows(row).unwrap()));
    let new = sorted_micros(READS / 10, rows, |row| drop(handle().decode_rows(row).unwrap()));
    [kept[READS / 2], kept[READS * 99 / 100], new[READS / 20]]
}

/// Microseconds of `count` reads of one of `rows` rows, in increasing order.
fn sorted_micros(count: usize, rows: usize, read: impl Fn(Range<usize>)) -> Vec<f64> {
    let mut random = fastrand::Rng::with_seed(1);
    let mut one = || {
        let row = random.usize(..rows);
        let start = Instant::now();
        read(row..row + 1);
        start.elapsed().as_secs_f64() * 1e6
    };
    let mut times: Vec<f64> = (0..count).map(|_| one()).collect();
    times.sort_by(f64::total_cmp);
    times
}
