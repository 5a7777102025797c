//! Interpretation of arbitrary bytes as the description of a small file.

use occ::{Dtype, Plan, Reader, TensorPlan, TensorSource, WriteOptions, Writer};

/// A tensor before encoding or after decoding.
#[derive(Debug, PartialEq, Eq)]
pub struct Tensor {
    pub name: String,
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

/// A reader of the fuzzer's bytes. Yields zeros after the end.
pub struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    pub fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    pub fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        let digits = [self.byte(), self.byte(), self.byte()];
        digits.iter().fold(0, |number, &digit| number << 8 | usize::from(digit)) % end.max(1)
    }

    /// The next `length` bytes, or fewer at the end.
    pub fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }
}

/// The tensors of a file and how they are written.
pub struct ArbitraryInput {
    pub tensors: Vec<Tensor>,
    /// The plan of each lossy tensor.
    plans: Vec<Option<TensorPlan>>,
    options: WriteOptions,
}

impl ArbitraryInput {
    /// Reads one byte each for alignment, chunk size and number of tensors, then the tensors.
    pub fn read(bytes: &mut Bytes<'_>) -> Self {
        let options = WriteOptions::default()
            .alignment(1 << (bytes.byte() % 13))
            .chunk_elements(1 + 16 * u64::from(bytes.byte()));
        let count = usize::from(bytes.byte() % 5);
        let (tensors, plans) = (0..count).map(|number| tensor(bytes, number)).unzip();
        Self { tensors, plans, options }
    }

    /// Writes the file. Afterwards `tensors` holds the decoded values of lossy tensors.
    pub fn write(&mut self) -> Vec<u8> {
        let mut file = Vec::new();
        let mut writer = Writer::new(&mut file, self.options.clone()).expect("valid options");
        for (Tensor { name, dtype, shape, bytes }, plan) in self.tensors.iter().zip(&self.plans) {
            // A rejected call leaves the writer unchanged.
            let long = [bytes.as_slice(), &[0]].concat();
            assert!(writer.add(name, *dtype, shape, &long).is_err(), "an extra byte is rejected");
            match plan {
                None => writer.add(name, *dtype, shape, bytes).expect("a valid tensor"),
                Some(plan) => {
                    let bytes = bytes.as_slice();
                    let source = TensorSource::new(name, *dtype, shape, &bytes);
                    let added = writer.add_planned(&source, plan);
                    let added = added.expect("a valid tensor and plan");
                    let allowed = plan.lossy.as_ref().and_then(|plan| plan.max_noise);
                    let allowed = allowed.map_or(f64::INFINITY, |bound| bound * added.signal);
                    assert!(added.noise <= allowed, "the error exceeds its bound: {added:?}");
                }
            }
            assert!(
                writer.add(name, *dtype, shape, bytes).is_err(),
                "a duplicate name is rejected"
            );
        }
        let length = writer.finish().expect("a complete file");
        assert_eq!(length, file.len() as u64);
        let reader = Reader::new(&file).expect("the written file is valid");
        for (tensor, _) in
            self.tensors.iter_mut().zip(&self.plans).filter(|(_, plan)| plan.is_some())
        {
            let found = reader.tensor(&tensor.name).expect("the written tensor is valid");
            tensor.bytes = found.decode().expect("the written tensor is valid");
        }
        drop(reader);
        file
    }
}

/// Reads one byte each for name and dtype, the shape, then the values. Dtype bytes from [`LOSSY`] on
/// select a lossy tensor: shape, plan, then the values.
fn tensor(bytes: &mut Bytes<'_>, number: usize) -> (Tensor, Option<TensorPlan>) {
    // Different prefixes: names in a file need not be sorted.
    let prefix = ["", "z", "é", "layer."][usize::from(bytes.byte() % 4)];
    let name = format!("{prefix}{}", ["", "1", "2", "3"][number]);
    let dtype = bytes.byte();
    if dtype >= LOSSY {
        let dtype = match dtype {
            FLOAT8.. => [Dtype::F8_E4M3, Dtype::F8_E5M2][usize::from(dtype % 2)],
            _ => [Dtype::F16, Dtype::Bf16, Dtype::F32, Dtype::F64][usize::from(dtype % 4)],
        };
        // The smallest matrices that are coded lossily, with incomplete bands.
        let shape = vec![61 + usize::from(bytes.byte() % 8), 68 + usize::from(bytes.byte() % 4)];
        let plan = plan(bytes, shape[0] * shape[1]);
        let bytes = floats(bytes, dtype, shape[0] * shape[1]);
        return (Tensor { name, dtype, shape, bytes }, Some(plan));
    }
    let dtype = Dtype::ALL[usize::from(dtype) % Dtype::ALL.len()];
    let (shape, length) = shape(bytes, dtype);
    (Tensor { name, dtype, shape, bytes: contents(bytes, length) }, None)
}

/// The first dtype byte of lossy tensors.
const LOSSY: u8 = 0xe0;

/// The first of those of FP8.
const FLOAT8: u8 = 0xf8;

/// Reads one byte each for the transform, other options, effort and step. An effort of 0 is 1.
fn plan(bytes: &mut Bytes<'_>, weights: usize) -> TensorPlan {
    let (transform, options) = (bytes.byte(), bytes.byte());
    let (coordinates, block) = match transform % 4 {
        0 => ("identity", 1),
        1 | 2 => ("hadamard", 1 << (transform / 4 % 9)),
        _ => ("klt", 1 + usize::from(transform / 4)),
    };
    let signed = transform % 4 == 2;
    let (effort, step) = ((bytes.byte() % 10).max(1), 2f32.powi(i32::from(bytes.byte() % 24) - 20));
    let max_noise = if options & 4 == 0 { "null" } else { "0.03" };
    let plan = format!(
        r#"{{"version":2,"tensors":{{"":{{"weights":{weights},"bytes":0,"lossy":{{"step":{step},
        "transform":{{"coordinates":"{coordinates}","block":{block},"signed":{signed}}},
        "mean":{},"rank":{},"row_scales":"{}","column_scales":"{}","effort":{effort},"gain":0.0,
        "max_noise":{max_noise},"max_output_noise":null,"shares_budget":false,
        "rate":{{"min_bits":0.0,"points":[[0.0,3.0],[1.0,2.0],[2.0,1.0]]}}}}}}}}}}"#,
        options & 1 == 1,
        options / 8 % 4,
        ["none", "rms", "rank"][usize::from(options / 2 % 2 + options / 64 % 2)],
        ["none", "rms"][usize::from(options / 32 % 2)],
    );
    let mut plan = Plan::from_json(&plan).expect("a valid plan");
    plan.tensors.remove("").expect("the plan has one tensor")
}

/// Reads one byte for the pattern, then its parameters: arbitrary bits, or values like weights.
fn floats(bytes: &mut Bytes<'_>, dtype: Dtype, count: usize) -> Vec<u8> {
    let pattern = bytes.byte();
    if pattern < 64 {
        return contents(bytes, count * dtype.bits() as usize / 8);
    }
    let common = pattern.is_multiple_of(3);
    let numbers = noise(pattern).zip(noise(pattern ^ 0xff)).enumerate().map(|(i, (a, b))| {
        let sum = (a % 1000 + b % 1000) as f32 / 1000.0 - 1.0;
        if common { sum + (i % 7) as f32 } else { sum }
    });
    let number = |value: f32| -> Vec<u8> {
        match dtype {
            Dtype::F32 => value.to_le_bytes().into(),
            Dtype::F64 => f64::from(value).to_le_bytes().into(),
            Dtype::Bf16 => value.to_le_bytes()[2..].into(),
            // FP8 values of some exponents, with the sign.
            Dtype::F8_E4M3 | Dtype::F8_E5M2 => {
                vec![
                    (value.to_bits() >> 24 & 0x80) as u8
                        | 0x20
                        | (value.to_bits() >> 19 & 0x1f) as u8,
                ]
            }
            // F16 values from 1 to 2.
            _ => (0x3c00 | (value.to_bits() >> 13 & 0x3ff) as u16).to_le_bytes().into(),
        }
    };
    let mut out: Vec<u8> = numbers.take(count).flat_map(number).collect();
    // A few elements with arbitrary bits.
    let size = dtype.bits() as usize / 8;
    for _ in 0..pattern % 4 {
        let at = bytes.below(count) * size;
        let any = bytes.take(size);
        out[at..at + any.len()].copy_from_slice(any);
    }
    out
}

/// Reads one byte for the rank and one for each dimension. Returns the shape and the number of bytes.
fn shape(bytes: &mut Bytes<'_>, dtype: Dtype) -> (Vec<usize>, usize) {
    let rank = usize::from(bytes.byte() % 4);
    let mut dimension = || match (rank, usize::from(bytes.byte())) {
        (1, byte) => 17 * byte,
        (2, byte) => byte % 48,
        (_, byte) => byte % 13,
    };
    let mut shape: Vec<usize> = (0..rank).map(|_| dimension()).collect();
    let elements: usize = shape.iter().product();
    match dtype.byte_len(elements as u64) {
        Some(length) => (shape, length as usize),
        None => {
            // Four elements of any dtype are whole bytes.
            shape.push(4);
            (shape, 4 * elements * dtype.bits() as usize / 8)
        }
    }
}

/// Reads one byte for the pattern, then its parameters.
fn contents(bytes: &mut Bytes<'_>, length: usize) -> Vec<u8> {
    match bytes.byte() % 5 {
        0 => cycle(bytes.take(length), length),
        1 => {
            let period = 1 + usize::from(bytes.byte() % 16);
            cycle(bytes.take(period), length)
        }
        2 => vec![bytes.byte(); length],
        3 => noise(bytes.byte()).map(skew).take(length).collect(),
        // Every second byte skewed: an entropy-coded and a raw plane.
        _ => noise(bytes.byte())
            .enumerate()
            .map(|(at, noise)| if at % 2 == 0 { noise as u8 } else { skew(noise) })
            .take(length)
            .collect(),
    }
}

fn cycle(run: &[u8], length: usize) -> Vec<u8> {
    run.iter().copied().chain(run.is_empty().then_some(0)).cycle().take(length).collect()
}

/// Geometrically distributed values: the number of trailing zeros.
fn skew(noise: u32) -> u8 {
    noise.trailing_zeros() as u8
}

/// Xorshift (Marsaglia, 2003).
pub fn noise(seed: u8) -> impl Iterator<Item = u32> {
    let mut state = 0x9e37_79b9 ^ u32::from(seed);
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    })
}
