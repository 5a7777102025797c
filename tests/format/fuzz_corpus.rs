//! Runs the checks of the fuzz targets on the seeds, and generates the seeds.

#[path = "../../fuzz/checksums.rs"]
pub mod checksums;
#[path = "../../fuzz/targets.rs"]
mod targets;

use occ::convert::Checkpoint;
use occ::{BlockTransform, Dtype, Plan, TensorSource, WriteOptions, Writer};
use std::fs;
use std::path::{Path, PathBuf};
use targets::input::{ArbitraryInput, Bytes, noise};

fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target)
}

fn run(target: &str, check: fn(&[u8])) {
    let seeds = fs::read_dir(folder(target)).unwrap().map(|seed| seed.unwrap().path());
    let count = seeds.inspect(|seed| check(&fs::read(seed).unwrap())).count();
    assert!(count > 0, "no seeds for {target}");
}

/// Also with recomputed checksums.
fn run_files(target: &str, check: fn(&[u8])) {
    run(target, check);
    for seed in fs::read_dir(folder(target)).unwrap() {
        let mut file = fs::read(seed.unwrap().path()).unwrap();
        checksums::fix_checksums(&mut file);
        check(&file);
    }
}

#[test]
fn open_arbitrary() {
    run_files("open_arbitrary", targets::open_arbitrary);
}

#[test]
fn stream_arbitrary() {
    run_files("stream_arbitrary", targets::stream_arbitrary);
}

#[test]
fn roundtrip() {
    run("roundtrip", targets::roundtrip);
}

#[test]
fn decode_corrupt() {
    run_files("decode_corrupt", targets::decode_corrupt);
}

#[test]
fn imatrix() {
    run("imatrix", targets::imatrix);
}

#[test]
#[ignore = "rewrites fuzz/seeds"]
fn write_seeds() {
    let files = files();
    save("open_arbitrary", &files);
    save("stream_arbitrary", &files);
    save("roundtrip", &inputs());
    save("decode_corrupt", &files);
    save("imatrix", &importance_matrices());
}

type Seeds = Vec<(&'static str, Vec<u8>)>;

fn save(target: &str, seeds: &Seeds) {
    let _ = fs::remove_dir_all(folder(target));
    fs::create_dir_all(folder(target)).unwrap();
    for (name, bytes) in seeds {
        assert!(bytes.len() < 8192, "{target}/{name} is too large: {}", bytes.len());
        fs::write(folder(target).join(name), bytes).unwrap();
    }
}

fn raw(length: usize) -> Vec<u8> {
    noise(1).map(|noise| noise as u8).take(length).collect()
}

fn skewed(length: usize) -> Vec<u8> {
    noise(2).map(|noise| noise.trailing_zeros() as u8).take(length).collect()
}

/// Words with a random low byte and a skewed high byte, as in BF16 weights.
fn bf16_like(length: usize) -> Vec<u8> {
    let pairs = raw(length / 2).into_iter().zip(skewed(length / 2));
    pairs.flat_map(|(low, high)| [low, high]).collect()
}

/// BF16 values with two different exponents, which are coded in pairs, and rare outliers.
fn paired_exponents(words: usize) -> Vec<u8> {
    let word = |(word, noise): (usize, u32)| {
        let exponent = if word % 2000 == 7 { 200 } else { 120 - (noise >> 20 & 1) as u16 };
        (exponent << 8 | noise as u16 & 0xff).rotate_right(1).to_le_bytes()
    };
    noise(5).enumerate().take(words).flat_map(word).collect()
}

/// F16 values of the same kind, with three random bits below the exponents.
fn paired_f16_exponents(words: usize) -> Vec<u8> {
    let word = |(word, noise): (usize, u32)| {
        let exponent = if word % 2000 == 7 { 2 } else { 20 - (noise >> 20 & 1) as u16 };
        (exponent << 11 | noise as u16 & 0x7ff).rotate_right(1).to_le_bytes()
    };
    noise(5).enumerate().take(words).flat_map(word).collect()
}

/// I32 words of which few are different, and rare others.
fn few(words: usize) -> Vec<u8> {
    let word = |noise: u32| if noise.is_multiple_of(97) { noise } else { noise >> 30 };
    noise(6).take(words).flat_map(|noise| word(noise).to_le_bytes()).collect()
}

/// BF16 weights of 64 integers from −4 to 3 in each group, with a scale that is a power of two times
/// 1, 3, 5 or 7.
fn quantised(groups: usize) -> Vec<u8> {
    let scale = |group: usize| (2 * (group % 4) + 1) as f32 * 0.001953125;
    let words = noise(7).take(64 * groups).enumerate();
    let weight = |(i, noise): (usize, u32)| scale(i / 64) * ((noise >> 29) as f32 - 4.0);
    words.flat_map(|word| ((weight(word).to_bits() >> 16) as u16).to_le_bytes()).collect()
}

/// F32 weights of 64 integers in each group, with a scale and a minimum.
fn minima(groups: usize) -> Vec<u8> {
    let weight = |(i, noise): (usize, u32)| {
        let integer = if i % 64 < 2 { 15 * (i % 64) as u32 } else { noise >> 28 };
        (integer as f32 - 5.5) * (1.0 + (i / 64) as f32) * 0.0078125
    };
    noise(8).take(64 * groups).enumerate().flat_map(|word| weight(word).to_le_bytes()).collect()
}

/// F16 weights of 256 integers from −4 to 3 in each column, with a scale.
fn columns(columns: usize) -> Vec<u8> {
    let weight = |(i, noise): (usize, u32)| {
        let weight = (1 + i % columns) as f32 * ((noise >> 29) as f32 - 4.0) * 0.001;
        half::f16::from_f32(weight).to_le_bytes()
    };
    noise(9).take(256 * columns).enumerate().flat_map(weight).collect()
}

/// Rows of 80 words, of which four are frequent.
fn codebooks(rows: u32) -> Vec<u8> {
    let word = |(i, noise): (u32, u32)| match noise >> 25 {
        0 => noise as u16,
        _ => ((i / 80 + noise % 4 * 1000).wrapping_mul(40503)) as u16,
    };
    (0..80 * rows).zip(noise(10)).flat_map(|word_of| word(word_of).to_le_bytes()).collect()
}

/// BF16 weights of which half are zero.
fn pruned(words: usize) -> Vec<u8> {
    let zeros = noise(11).map(|noise| noise >> 31 == 0);
    let words = paired_exponents(words);
    let words = words.as_chunks::<2>().0.iter().zip(zeros);
    words.flat_map(|(word, zero)| if zero { [0; 2] } else { *word }).collect()
}

/// A tensor and a reference to it, in several chunks.
fn tied() -> Vec<u8> {
    let (shape, bytes) = ([5000], skewed(5000));
    let source = |name| TensorSource::new(name, Dtype::U8, &shape, &bytes);
    written(2000, |writer| {
        writer.add_all(&[source("a"), source("b")], &Plan::default()).unwrap();
    })
}

/// Valid and corrupt files.
fn files() -> Seeds {
    let coded = file(300, &[("coded", Dtype::Bf16, &[30, 50], bf16_like(3000))]);
    let several: [Sample<'_>; 3] = [
        ("z", Dtype::U8, &[1500], skewed(1500)),
        ("a", Dtype::U16, &[5, 20], raw(200)),
        ("", Dtype::F32, &[200], vec![7; 800]),
    ];
    let several = file(500, &several);
    let flipped = |at: usize| {
        let mut file = coded.clone();
        file[at] ^= 1;
        file
    };
    vec![
        ("nothing", file(1, &[])),
        ("raw", file(64, &[("raw", Dtype::U8, &[300], raw(300))])),
        ("constant", file(100, &[("constant", Dtype::F64, &[10, 40], vec![3; 3200])])),
        ("empty", file(9, &[("empty", Dtype::F32, &[4, 0, 2], vec![])])),
        ("scalar", file(9, &[("é", Dtype::F64, &[], raw(8)), ("y", Dtype::Bool, &[], vec![1])])),
        ("sub_byte", file(8, &[("4", Dtype::F4, &[9, 2], raw(9)), six(), six_coded()])),
        ("several", several.clone()),
        ("lone", converted_file()),
        ("sharded", sharded()),
        ("flipped_chunk", flipped(1000)),
        ("flipped_parameters", flipped(64 + 25)),
        ("flipped_index", flipped(coded.len() - 60)),
        ("truncated", several[..several.len() / 2].to_vec()),
        ("coded", coded),
        ("padded", file(1 << 18, &[("padded", Dtype::U8, &[4100], raw(4100))])),
        ("paired", file(1 << 18, &[("paired", Dtype::Bf16, &[4, 1521], paired_exponents(6084))])),
        (
            "paired_f16",
            file(1 << 18, &[("paired", Dtype::F16, &[3, 1407], paired_f16_exponents(4221))]),
        ),
        ("dictionary", file(1 << 18, &[("few", Dtype::I32, &[60, 50], few(3000))])),
        ("factors", file(1 << 18, &[("quantised", Dtype::Bf16, &[80, 64], quantised(80))])),
        ("minima", file(1 << 18, &[("minima", Dtype::F32, &[64, 64], minima(64))])),
        ("columns", file(1 << 18, &[("columns", Dtype::F16, &[256, 48], columns(48))])),
        ("codebooks", file(1 << 18, &[("codebooks", Dtype::U16, &[64, 80], codebooks(64))])),
        ("pruned", file(1 << 18, &[("pruned", Dtype::Bf16, &[64, 80], pruned(5120))])),
        ("reference", tied()),
        ("repetition", file(1 << 18, &[("rows", Dtype::U8, &[40, 100], skewed(800).repeat(5))])),
        ("identity", lossy_file("identity")),
        ("hadamard", lossy_file("hadamard")),
        ("aligned", lossy_file("aligned")),
        ("low_rank", lossy_file("low_rank")),
        ("row_scales", lossy_file("row_scales")),
        ("column_scales", lossy_file("column_scales")),
    ]
}

type Sample<'a> = (&'a str, Dtype, &'a [usize], Vec<u8>);

fn six() -> Sample<'static> {
    ("6", Dtype::F6_E2M3, &[5, 4], raw(15))
}

fn six_coded() -> Sample<'static> {
    ("6 coded", Dtype::F6_E3M2, &[40, 32], skewed(960))
}

fn file(chunk_elements: u64, samples: &[Sample<'_>]) -> Vec<u8> {
    written(chunk_elements, |writer| {
        for (name, dtype, shape, bytes) in samples {
            writer.add(name, *dtype, shape, bytes).unwrap();
        }
    })
}

fn written(chunk_elements: u64, fill: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut file = Vec::new();
    let options = WriteOptions::default().alignment(32).chunk_elements(chunk_elements);
    let mut writer = Writer::new(&mut file, options).unwrap();
    fill(&mut writer);
    writer.finish().unwrap();
    file
}

/// A converted safetensors file: one attachment.
fn converted_file() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    fs::write(&path, safetensors("w")).unwrap();
    converted(&path)
}

/// A converted sharded checkpoint: three attachments.
fn sharded() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let index = r#"{"metadata":{},"weight_map":{"a":"1.safetensors","b":"2.safetensors"}}"#;
    fs::write(folder.path().join("model.safetensors.index.json"), index).unwrap();
    for (shard, tensor) in [("1.safetensors", "a"), ("2.safetensors", "b")] {
        fs::write(folder.path().join(shard), safetensors(tensor)).unwrap();
    }
    converted(folder.path())
}

fn converted(path: &Path) -> Vec<u8> {
    let checkpoint = Checkpoint::open(path).unwrap();
    written(500, |writer| {
        checkpoint.write_to(writer, None).unwrap();
    })
}

fn safetensors(name: &str) -> Vec<u8> {
    let header =
        format!(r#"{{"{name}":{{"dtype":"BF16","shape":[1000],"data_offsets":[0,2000]}}}}"#);
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &bf16_like(2000)].concat()
}

/// Patterns of the contents in an arbitrary input.
const RAW: u8 = 0;
const REPEATED: u8 = 1;
const CONSTANT: u8 = 2;
const SKEWED: u8 = 3;
const ALTERNATING: u8 = 4;

/// The number of a dtype in an arbitrary input.
fn id(dtype: Dtype) -> u8 {
    dtype.id() - 1
}

/// Arbitrary inputs: alignment, chunk size and number of tensors; for each tensor name, dtype,
/// rank, dimensions, pattern, and the parameters of the pattern.
fn inputs() -> Seeds {
    let (u8, f4, f6) = (id(Dtype::U8), id(Dtype::F4), id(Dtype::F6_E3M2));
    let (bf16, f32, f64) = (id(Dtype::Bf16), id(Dtype::F32), id(Dtype::F64));
    let long_raw = [&[5, 2, 1, 0, u8, 1, 30, RAW], raw(510).as_slice()].concat();
    vec![
        ("nothing", vec![0, 0, 0]),
        ("raw", long_raw),
        ("constant", vec![8, 9, 1, 1, f64, 2, 20, 47, CONSTANT, 0x3f]),
        ("repeated", vec![3, 20, 1, 2, f32, 1, 100, REPEATED, 3, 1, 2, 3, 4]),
        ("skewed", vec![0, 60, 1, 3, u8, 1, 250, SKEWED, 1]),
        ("bf16", vec![8, 40, 1, 3, bf16, 2, 47, 46, ALTERNATING, 2]),
        ("one_chunk", vec![8, 255, 1, 0, u8, 1, 240, SKEWED, 9]),
        ("scalars", vec![4, 0, 2, 1, f64, 0, RAW, 1, 2, 3, 4, 5, 6, 7, 8, 1, f4, 0, CONSTANT, 7]),
        ("empty", vec![12, 3, 2, 0, f32, 3, 4, 0, 2, RAW, 2, u8, 1, 0, SKEWED, 1]),
        ("sub_byte", vec![6, 1, 2, 1, f4, 2, 9, 7, ALTERNATING, 3, 0, f6, 3, 4, 12, 12, SKEWED, 4]),
        ("tiny_chunks", vec![6, 0, 1, 2, f6, 2, 5, 4, REPEATED, 2, 9, 8, 7]),
        ("four", FOUR.to_vec()),
    ]
    .into_iter()
    .chain(LOSSY.map(|(name, input)| (name, input.to_vec())))
    .chain(changed_inputs())
    .collect()
}

/// Lossy matrices: dtype, rows and columns; transform, options, effort and step; pattern.
#[rustfmt::skip]
const LOSSY: [(&str, [u8; 15]); 11] = [
    ("identity", [8, 60, 1, 0, 0xe2, 3, 0, 0, 0, 3, 18, 100, 0, 0, 0]),
    ("hadamard", [8, 255, 1, 1, 0xe1, 7, 3, 25, 0, 5, 19, 101, 1, 2, 3]),
    ("signed_hadamard", [8, 9, 1, 2, 0xe3, 0, 1, 22, 4, 9, 19, 102, 1, 2, 3]),
    ("aligned", [8, 60, 1, 3, 0xe2, 3, 0, 95, 0, 4, 18, 103, 9, 9, 9]),
    ("low_rank", [8, 60, 1, 0, 0xe0, 5, 2, 0, 17, 2, 17, 105, 9, 9, 9]),
    ("row_scales", [8, 60, 1, 0, 0xe2, 6, 1, 25, 2, 1, 18, 106, 0, 0, 0]),
    ("column_scales", [8, 60, 1, 0, 0xe2, 3, 0, 25, 32, 3, 18, 100, 0, 0, 0]),
    ("rank_scales", [8, 60, 1, 0, 0xe2, 6, 1, 24, 66, 3, 18, 107, 0, 0, 0]),
    ("low_bits", [8, 60, 1, 0, 0xe2, 6, 1, 25, 0, 3, 6, 108, 0, 0, 0]),
    ("e4m3", [8, 60, 1, 0, 0xf8, 6, 1, 25, 0, 3, 19, 109, 9, 9, 9]),
    ("e5m2", [8, 60, 1, 0, 0xf9, 6, 1, 25, 0, 3, 19, 110, 9, 9, 9]),
];

fn lossy_file(name: &str) -> Vec<u8> {
    let (_, input) = LOSSY.iter().find(|lossy| lossy.0 == name).unwrap();
    ArbitraryInput::read(&mut Bytes::new(input)).write()
}

/// The seeds reach every part of the lossy codec.
#[test]
fn lossy_seeds_match_their_names() {
    let coding = |name: &str| {
        let file = lossy_file(name);
        let reader = occ::Reader::new(&file).unwrap();
        let tensor = reader.tensors().next().unwrap().unwrap();
        let bits = tensor.coded_bytes() * 8 / tensor.elements();
        (tensor.coding().unwrap().expect("a lossy tensor"), bits)
    };
    assert_eq!(coding("identity").0.transform, BlockTransform::IDENTITY);
    assert_eq!(coding("hadamard").0.transform, BlockTransform::hadamard(64, false));
    let signed = coding("signed_hadamard").0;
    assert_eq!((signed.transform, signed.states), (BlockTransform::hadamard(32, true), 256));
    assert_eq!(coding("aligned").0.transform, BlockTransform::klt(24));
    let low_rank = coding("low_rank").0;
    assert!(low_rank.mean && low_rank.rank == 2 && low_rank.states == 4);
    let row_scales = coding("row_scales").0;
    assert!(row_scales.row_scales && row_scales.states == 1);
    assert!(coding("column_scales").0.column_scales && coding("rank_scales").0.row_scales);
    assert!(coding("low_bits").1 > 9);
    assert!(coding("e4m3").1 < 7 && coding("e5m2").1 < 7);
}

/// Four tensors whose names are not in ascending order.
#[rustfmt::skip]
const FOUR: [u8; 38] = [
    7, 20, 4,
    1, 14, 1, 90, ALTERNATING, 5,
    0, 4, 2, 9, 9, REPEATED, 1, 6, 5,
    2, 17, 3, 3, 0, 5, CONSTANT, 1,
    3, 20, 3, 12, 11, 10, SKEWED, 8,
    0, 0, 0, 0,
];

/// Arbitrary inputs, each followed by a change of the file.
fn changed_inputs() -> Seeds {
    let coded = [0, 60, 1, 3, 4, 1, 100, SKEWED, 1];
    let four = &FOUR[..34];
    // Padding precedes raw tensors of a page or more.
    let padded = [&[8, 255, 1, 0, id(Dtype::U8), 1, 241, RAW], raw(4097).as_slice()].concat();
    let seed = |input: &[u8], change: &[u8]| [input, change].concat();
    vec![
        ("overwritten", seed(&coded, &[0, 0, 1, 44, 9])),
        ("flipped_parameters", seed(&coded, &[1, 0, 0, 90, 3])),
        ("flipped_padding", seed(&padded, &[1, 0, 0, 200, 3])),
        ("truncated", seed(four, &[2, 0, 1, 0])),
        ("lossy_chunk", seed(&LOSSY[1].1, &[1, 0, 2, 88, 3])),
    ]
}

/// Importance matrices: GGUF files and files of the older kind.
fn importance_matrices() -> Seeds {
    let (dense, experts) = ("blk.0.attn_q.weight", "blk.0.ffn_up_exps.weight");
    let two: [(&str, &[f32], &[f32]); 2] =
        [(dense, &[1.0, 2.0, 0.5], &[4.0]), (experts, &[1.0, 2.0, 3.0, 4.0], &[7.0, 0.0])];
    let bad: [(&str, &[f32], &[f32]); 1] = [(dense, &[-1.0, f32::NAN], &[f32::INFINITY])];
    let (gguf, legacy) = (gguf(&two), legacy(&two));
    vec![
        ("gguf_bad", self::gguf(&bad)),
        ("gguf_truncated", gguf[..gguf.len() / 2].to_vec()),
        ("gguf", gguf),
        ("legacy_described", [&legacy[..], &[3, 0, 0, 0, 1, 0, 0, 0, b'x']].concat()),
        ("legacy_truncated", legacy[..legacy.len() - 3].to_vec()),
        ("legacy", legacy),
        ("nothing", vec![]),
    ]
}

fn gguf_text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

fn f32_bytes(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|x| x.to_le_bytes()).collect()
}

/// Each entry has a name, sums and counts.
fn gguf(entries: &[(&str, &[f32], &[f32])]) -> Vec<u8> {
    let mut file = [b"GGUF\x03\0\0\0".to_vec(), vec![2 * entries.len() as u8]].concat();
    file.extend([0; 7].into_iter().chain(2u64.to_le_bytes()));
    // A text, and an array of two texts.
    file.extend([gguf_text("general.type"), vec![8, 0, 0, 0], gguf_text("imatrix")].concat());
    file.extend([gguf_text("imatrix.datasets"), vec![9, 0, 0, 0, 8, 0, 0, 0]].concat());
    file.extend([&2u64.to_le_bytes()[..], &gguf_text("a"), &gguf_text("")].concat());
    let mut data = Vec::new();
    for (name, sums, counts) in entries {
        for (part, width, numbers) in
            [("in_sum2", sums.len() / counts.len(), sums), ("counts", 1, counts)]
        {
            data.resize(data.len().next_multiple_of(32), 0);
            file.extend(gguf_text(&format!("{name}.{part}")));
            file.extend([2, 0, 0, 0]);
            let numbers_of = [width, counts.len()].map(|size| (size as u64).to_le_bytes());
            file.extend(numbers_of.as_flattened());
            file.extend([0; 4].into_iter().chain((data.len() as u64).to_le_bytes()));
            data.extend(f32_bytes(numbers));
        }
    }
    file.resize(file.len().next_multiple_of(32), 0);
    [file, data].concat()
}

fn legacy(entries: &[(&str, &[f32], &[f32])]) -> Vec<u8> {
    let mut file = (entries.len() as u32).to_le_bytes().to_vec();
    for (name, sums, _) in entries {
        let head = [(name.len() as u32).to_le_bytes().to_vec(), name.as_bytes().to_vec()].concat();
        file.extend([head, vec![5, 0, 0, 0, sums.len() as u8, 0, 0, 0], f32_bytes(sums)].concat());
    }
    file
}
