//! Synthetic tensors and files for several tests.
#![allow(dead_code)] // each test binary uses a part

pub mod float8;
pub mod lossy;

use occ::convert::Checkpoint;
use occ::{Dtype, Error, Plan, TensorSource, VerifyOptions, WriteOptions, Writer};

/// The dtypes of the lossy codec, which convert to each other.
pub const FLOATS: [Dtype; 6] =
    [Dtype::F8_E4M3, Dtype::F8_E5M2, Dtype::F16, Dtype::Bf16, Dtype::F32, Dtype::F64];

/// A tensor before encoding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    pub name: String,
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

impl Sample {
    pub fn new(name: &str, dtype: Dtype, shape: &[usize], bytes: Vec<u8>) -> Self {
        Self { name: name.to_owned(), dtype, shape: shape.to_vec(), bytes }
    }

    pub fn source(&self) -> TensorSource<'_> {
        TensorSource::new(&self.name, self.dtype, &self.shape, &self.bytes)
    }
}

/// SplitMix64 (Steele, Lea and Flood, 2014).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// Approximately normal, standard deviation 0.02: the centred sum of twelve uniform numbers.
    pub fn weight(&mut self) -> f32 {
        let sum: f64 = (0..12).map(|_| self.next() as f64 / u64::MAX as f64).sum();
        ((sum - 6.0) * 0.02) as f32
    }

    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }
}

pub fn bf16_weights(seed: u64, count: usize) -> Vec<u8> {
    let mut random = Random(seed);
    (0..count).flat_map(|_| half::bf16::from_f32(random.weight()).to_le_bytes()).collect()
}

pub fn f16_weights(seed: u64, count: usize) -> Vec<u8> {
    let mut random = Random(seed);
    (0..count).flat_map(|_| half::f16::from_f32(random.weight()).to_le_bytes()).collect()
}

pub fn f32_weights(seed: u64, count: usize) -> Vec<u8> {
    let mut random = Random(seed);
    (0..count).flat_map(|_| random.weight().to_le_bytes()).collect()
}

pub fn f32_sample(name: &str, shape: &[usize], values: &[f32]) -> Sample {
    let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Sample::new(name, Dtype::F32, shape, bytes)
}

/// Small tensors of every dtype, coded and raw, with unusual shapes and names.
pub fn varied_samples() -> Vec<Sample> {
    let mut random = Random(7);
    let mut samples = vec![
        Sample::new("bf16.coded", Dtype::Bf16, &[40, 33], bf16_weights(1, 40 * 33)),
        Sample::new("f32.coded", Dtype::F32, &[3, 5, 37], f32_weights(2, 3 * 5 * 37)),
        Sample::new("noise.raw", Dtype::U8, &[7, 100], random.bytes(700)),
        Sample::new("zeros", Dtype::F64, &[90], vec![0; 720]),
        Sample::new("scalar", Dtype::F32, &[], 1.5f32.to_le_bytes().into()),
        Sample::new("empty", Dtype::Bf16, &[4, 0, 2], Vec::new()),
        Sample::new(
            "positions",
            Dtype::I64,
            &[1, 64],
            (0..64i64).flat_map(i64::to_le_bytes).collect(),
        ),
        Sample::new("six.bits", Dtype::F6_E2M3, &[20, 6], random.bytes(90)),
        Sample::new("ünï \"quoted\"\n", Dtype::Bool, &[11], vec![1, 0, 1, 0, 0, 0, 1, 1, 0, 1, 0]),
    ];
    samples.extend(Dtype::ALL.iter().map(|&dtype| {
        let count = dtype.byte_len(1024).unwrap() as usize;
        let bytes = random.bytes(count).iter().map(|byte| byte & 0x47).collect();
        Sample::new(&format!("all.{dtype}"), dtype, &[32, 32], bytes)
    }));
    samples.push(Sample::new("noise.f16", Dtype::F16, &[40, 20], random.bytes(1600)));
    samples.extend([paired_exponents(), paired_f16_exponents()]);
    samples.extend([quantised(), mask(), padded()]);
    samples.extend([quantised_with_minima(), codebooks(), pruned()]);
    samples
}

/// BF16 values with three different exponents, which are coded in pairs, and rare outliers. The
/// last elements are in no complete block.
pub fn paired_exponents() -> Sample {
    let mut random = Random(9);
    let exponent = |word: usize, noise: u8| if word % 2000 == 7 { 200 } else { 120 - noise % 3 };
    let words = random.bytes(6436).into_iter().zip(random.bytes(6436)).enumerate();
    let words = words.map(|(word, (low, noise))| {
        u16::from_be_bytes([exponent(word, noise), low]).rotate_right(1)
    });
    let bytes = words.flat_map(u16::to_le_bytes).collect();
    Sample::new("bf16.paired", Dtype::Bf16, &[4, 1609], bytes)
}

/// F16 values like those of [`paired_exponents`]; the three bits below an exponent are random.
pub fn paired_f16_exponents() -> Sample {
    let mut random = Random(10);
    let exponent = |word: usize, noise: u8| if word % 2000 == 7 { 2 } else { 20 - noise % 3 };
    let words = random.bytes(6436).into_iter().zip(random.bytes(6436)).enumerate();
    let words = words.map(|(word, (low, noise))| {
        u16::from_be_bytes([exponent(word, noise >> 3) << 3 | noise & 7, low]).rotate_right(1)
    });
    let bytes = words.flat_map(u16::to_le_bytes).collect();
    Sample::new("f16.paired", Dtype::F16, &[4, 1609], bytes)
}

/// BF16 weights that were quantised to integers from −7 to 7 with a scale for each 32, and rare
/// words of another kind.
pub fn quantised() -> Sample {
    let mut random = Random(21);
    let mut bytes = Vec::new();
    for group in 0..192 {
        let scale = half::bf16::from_f32(0.01 + random.weight().abs()).to_f32();
        for i in 0..32 {
            let integer = if i == 5 { 7.0 } else { (random.next() % 15) as f32 - 7.0 };
            let value = if group % 60 == 1 { random.weight() } else { integer * scale };
            bytes.extend(half::bf16::from_f32(value).to_le_bytes());
        }
    }
    Sample::new("bf16.quantised", Dtype::Bf16, &[96, 64], bytes)
}

/// F32 weights of four bits with a scale and a minimum for each 32, which were rounded to F16.
pub fn quantised_with_minima() -> Sample {
    let mut random = Random(22);
    let mut bytes = Vec::new();
    for _ in 0..2 * 64 {
        let [scale, minimum] = [0.01, -0.2].map(|mean| mean + random.weight() / 10.0);
        for i in 0..32 {
            let integer = if i < 2 { 15.0 * i as f32 } else { (random.next() % 16) as f32 };
            let value = half::f16::from_f32(integer * scale + minimum);
            bytes.extend(value.to_f32().to_le_bytes());
        }
    }
    Sample::new("f32.minima", Dtype::F32, &[64, 64], bytes)
}

/// BF16 weights with eight words in each row, and rare others.
pub fn codebooks() -> Sample {
    let mut random = Random(23);
    let mut bytes = Vec::new();
    for _ in 0..64 {
        let words: Vec<f32> = (0..8).map(|_| random.weight()).collect();
        for i in 0..80 {
            let rare = i == 9 && random.next().is_multiple_of(8);
            let value = if rare { random.weight() } else { words[(random.next() % 8) as usize] };
            bytes.extend(half::bf16::from_f32(value).to_le_bytes());
        }
    }
    Sample::new("bf16.codebooks", Dtype::Bf16, &[64, 80], bytes)
}

/// BF16 weights of which blocks of eight columns and eight rows are zero.
pub fn pruned() -> Sample {
    let mut bytes = bf16_weights(52, 64 * 80);
    let words = bytes.as_chunks_mut::<2>().0.iter_mut().enumerate();
    words.filter(|(i, _)| (i % 80 / 8 + i / 80 / 8) % 3 > 0).for_each(|(_, word)| *word = [0; 2]);
    Sample::new("bf16.pruned", Dtype::Bf16, &[64, 80], bytes)
}

/// A causal mask: zeros, and the lowest finite F32 above the diagonal.
pub fn mask() -> Sample {
    let value = |i: usize| if i % 64 > i / 64 { f32::MIN } else { 0.0 };
    let bytes = (0..64 * 64).flat_map(|i| value(i).to_le_bytes()).collect();
    Sample::new("mask", Dtype::F32, &[1, 1, 64, 64], bytes)
}

/// A vocabulary of BF16 with rows of padding, all equal.
pub fn padded() -> Sample {
    let bytes = [bf16_weights(50, 60 * 64), bf16_weights(51, 64).repeat(30)].concat();
    Sample::new("padded", Dtype::Bf16, &[90, 64], bytes)
}

/// The first of the varied samples, for a file of a few kilobytes.
pub fn small_samples() -> Vec<Sample> {
    let mut samples = varied_samples();
    samples.truncate(9);
    samples
}

/// A file of these samples.
pub fn written(samples: &[Sample], options: WriteOptions) -> Vec<u8> {
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file, options).unwrap();
    for sample in samples {
        writer.add(&sample.name, sample.dtype, &sample.shape, &sample.bytes).unwrap();
    }
    let length = writer.finish().unwrap();
    assert_eq!(length, file.len() as u64);
    file
}

/// Elements as F32; F64 is rounded.
pub fn to_f32(dtype: Dtype, bytes: &[u8]) -> Vec<f32> {
    let value = |bytes: &[u8]| match dtype {
        Dtype::F8_E4M3 | Dtype::F8_E5M2 => float8::to_f64(dtype, bytes[0]) as f32,
        Dtype::F16 => half::f16::from_le_bytes(bytes.try_into().unwrap()).to_f32(),
        Dtype::Bf16 => half::bf16::from_le_bytes(bytes.try_into().unwrap()).to_f32(),
        Dtype::F32 => f32::from_le_bytes(bytes.try_into().unwrap()),
        _ => f64::from_le_bytes(bytes.try_into().unwrap()) as f32,
    };
    bytes.chunks(dtype.bits() as usize / 8).map(value).collect()
}

/// The file of a checkpoint that is written from a plan.
pub fn written_from_plan(checkpoint: &Checkpoint, plan: &Plan) -> Vec<u8> {
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file, WriteOptions::default()).unwrap();
    checkpoint.write_planned(&mut writer, plan, None).unwrap();
    writer.finish().unwrap();
    file
}

/// A file of these samples, written together: equal ones become references.
pub fn written_together(samples: &[Sample], options: WriteOptions) -> Vec<u8> {
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file, options).unwrap();
    let sources: Vec<TensorSource<'_>> = samples.iter().map(Sample::source).collect();
    writer.add_all(&sources, &Plan::default()).unwrap();
    writer.finish().unwrap();
    file
}

/// Equal tensors, coded and raw, between others.
pub fn tied_samples() -> Vec<Sample> {
    let skewed = Random(40).bytes(5000).iter().map(|&byte| byte.trailing_zeros() as u8).collect();
    let (coded, noise): (Vec<u8>, _) = (skewed, Random(41).bytes(4096));
    vec![
        Sample::new("embedding", Dtype::U8, &[50, 100], coded.clone()),
        Sample::new("noise", Dtype::U8, &[4096], noise.clone()),
        Sample::new("head", Dtype::U8, &[50, 100], coded.clone()),
        Sample::new("other shape", Dtype::U8, &[5000], coded.clone()),
        Sample::new("noise again", Dtype::U8, &[4096], noise),
        Sample::new("third", Dtype::U8, &[50, 100], coded),
    ]
}

/// The problems that a verification reports; a deep one decodes all tensors.
pub fn problems(file: &[u8], deep: bool) -> Vec<Error> {
    let options = VerifyOptions::default().deep(deep);
    occ::verify(file, options).unwrap().problems
}

/// Asserts that a deep verification reports no problem.
pub fn assert_valid(file: &[u8]) {
    let problems = problems(file, true);
    assert!(problems.is_empty(), "{problems:?}");
}

/// Options with which small tensors have several chunks.
pub fn small_chunks(chunk_elements: u64) -> WriteOptions {
    WriteOptions::default().chunk_elements(chunk_elements)
}

/// A safetensors file of these tensors, with a header like that of PyTorch checkpoints.
pub fn safetensors(samples: &[Sample]) -> Vec<u8> {
    let mut end = 0;
    let entries: Vec<String> = samples
        .iter()
        .map(|sample| {
            let start = end;
            end += sample.bytes.len();
            format!(
                "{}:{{\"dtype\":\"{}\",\"shape\":{:?},\"data_offsets\":[{start},{end}]}}",
                serde_json::Value::from(sample.name.as_str()),
                sample.dtype,
                sample.shape
            )
        })
        .collect();
    let mut header = format!("{{\"__metadata__\":{{\"format\":\"pt\"}},{}}}", entries.join(","));
    header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));
    safetensors_with_header(
        &header,
        &samples.iter().flat_map(|s| s.bytes.clone()).collect::<Vec<_>>(),
    )
}

pub fn safetensors_with_header(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}
