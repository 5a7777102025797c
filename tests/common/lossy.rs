//! Small tensors that each exercise one part of the lossy codec, and the layout of their frames.

use super::{Random, Sample, f32_sample, float8};
use half::bf16;
use occ::{
    BlockTransform, ColumnScales, Dtype, Encoding, Plan, Result, RowScales, TensorPlan,
    WriteOptions, Writer,
};

/// A tensor, and the plan with which it exercises the part of the codec in its name.
pub struct LossySample {
    pub sample: Sample,
    pub plan: TensorPlan,
}

/// A plan with this transform and step, without any search.
fn plan(sample: &Sample, transform: BlockTransform, step: f32, effort: u8) -> TensorPlan {
    let encoding = Encoding::lossless().bits_for("*", 2.0).max_rank(0);
    let mut plan = Plan::of(&sample.source(), &encoding).unwrap();
    let lossy = plan.lossy.as_mut().expect("a tensor that is coded lossily");
    (lossy.transform, lossy.step, lossy.effort, lossy.gain) = (transform, step, effort, 0.25);
    plan
}

/// Noise of standard deviation 1, changed by a function of row, column and value.
fn values(
    seed: u64,
    rows: usize,
    columns: usize,
    value: impl Fn(usize, usize, f32) -> f32,
) -> Vec<f32> {
    let mut random = Random(seed);
    (0..rows * columns).map(|i| value(i / columns, i % columns, 50.0 * random.weight())).collect()
}

fn bf16_sample(name: &str, shape: &[usize], values: &[f32]) -> Sample {
    let bytes = values.iter().flat_map(|&value| bf16::from_f32(value).to_le_bytes()).collect();
    Sample::new(name, Dtype::Bf16, shape, bytes)
}

/// Tensors whose encoding uses no linear algebra. The encoded bytes are the same on every machine.
/// The names are part of the golden files.
pub fn portable_samples() -> Vec<LossySample> {
    let noise = |seed, rows| values(seed, rows, 64, |_, _, x| x);
    let lossy_sample = |sample: Sample, transform, step, effort| {
        let plan = plan(&sample, transform, step, effort);
        LossySample { sample, plan }
    };
    let scaled =
        values(1, 64, 64, |row, column, x| x * [1.0, 4.0][row % 2] * [1.0, 6.0][column % 2]);
    // Two large values in 6144: too few for the encoder to store low bits separately.
    let mut with_escapes = noise(4, 96);
    with_escapes[777] = 700.0;
    with_escapes[3000] = -900.0;
    let mut with_outliers = noise(5, 64);
    for (at, value) in [(0, f32::NAN), (70, f32::INFINITY), (4095, f32::NEG_INFINITY), (9, 1e20)] {
        with_outliers[at] = value;
    }
    let scaled_rows = values(6, 64, 64, |row, _, x| x * [0.5, 0.7, 1.0, 1.4, 2.0][row % 5]);
    let signed = BlockTransform::hadamard(16, true);
    let mut samples = vec![
        lossy_sample(bf16_sample("classes", &[64, 64], &scaled), BlockTransform::IDENTITY, 2.0, 5),
        // 68 = 64 + 4: blocks of two sizes. 70 rows: an incomplete last band.
        lossy_sample(
            bf16_sample("hadamard", &[70, 68], &values(2, 70, 68, |_, _, x| x)),
            BlockTransform::hadamard(64, false),
            1.0,
            3,
        ),
        lossy_sample(f32_sample("signed hadamard", &[8, 8, 64], &noise(3, 64)), signed, 0.9, 9),
        lossy_sample(
            f32_sample("escapes", &[96, 64], &with_escapes),
            BlockTransform::IDENTITY,
            1.0,
            5,
        ),
        lossy_sample(bf16_sample("exceptions", &[64, 64], &with_outliers), signed, 0.8, 2),
        lossy_sample(
            f32_sample("row scales", &[64, 64], &scaled_rows),
            BlockTransform::IDENTITY,
            1.0,
            1,
        ),
        lossy_sample(
            f32_sample("bypass", &[64, 64], &noise(7, 64)),
            BlockTransform::IDENTITY,
            1.0 / 256.0,
            4,
        ),
        lossy_sample(bf16_sample("column scales", &[64, 64], &scaled), signed, 1.0, 4),
    ];
    samples[5].plan.lossy.as_mut().unwrap().row_scales = RowScales::Rms;
    samples[7].plan.lossy.as_mut().unwrap().column_scales = ColumnScales::Rms;
    samples
}

/// Tensors of FP8, as portable as the others. Some values are the largest ones, and are decoded to
/// larger ones before they are rounded; others are not finite.
pub fn float8_samples() -> Vec<LossySample> {
    let sample = |dtype, largest: f32, step| {
        let noise = values(10, 66, 64, |_, _, x| (x * largest / 3.0).clamp(-largest, largest));
        let mut bytes: Vec<u8> = noise.iter().map(|&x| float8::from_f64(dtype, x.into())).collect();
        (bytes[70], bytes[4000]) = (0x7f, 0xff);
        let sample = Sample::new(&format!("{dtype}"), dtype, &[66, 64], bytes);
        LossySample { plan: plan(&sample, BlockTransform::hadamard(64, true), step, 5), sample }
    };
    vec![sample(Dtype::F8_E4M3, 448.0, 60.0), sample(Dtype::F8_E5M2, 57344.0, 8000.0)]
}

/// Tensors with a learned basis.
pub fn learned_basis_samples() -> Vec<LossySample> {
    let mix = |row: usize, column: usize, x: f32| {
        x + 3.0 * ((row * 7 % 13) as f32 - 6.0) * (column as f32 * 0.3).sin() / 6.0
    };
    let klt = bf16_sample("aligned", &[66, 64], &values(8, 66, 64, mix));
    let low_rank =
        f32_sample("low rank", &[64, 64], &values(9, 64, 64, |r, c, x| 2.0 + mix(r, c, x)));
    let klt = LossySample { plan: plan(&klt, BlockTransform::klt(24), 1.0, 5), sample: klt };
    let hadamard = BlockTransform::hadamard(64, false);
    let mut low_rank = LossySample { plan: plan(&low_rank, hadamard, 1.0, 3), sample: low_rank };
    let lossy = low_rank.plan.lossy.as_mut().unwrap();
    (lossy.mean, lossy.rank) = (true, 2);
    vec![klt, low_rank]
}

pub fn written(samples: &[LossySample], options: WriteOptions) -> Vec<u8> {
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file, options).unwrap();
    for LossySample { sample, plan } in samples {
        writer.add_planned(&sample.source(), plan).unwrap();
    }
    writer.finish().unwrap();
    file
}

/// A file with only this tensor, encoded by this plan.
pub fn planned(sample: &Sample, plan: &TensorPlan, options: WriteOptions) -> Result<Vec<u8>> {
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file, options)?;
    writer.add_planned(&sample.source(), plan)?;
    writer.finish()?;
    Ok(file)
}

/// A file with only this tensor in this encoding.
pub fn coded(sample: &Sample, encoding: &Encoding, options: WriteOptions) -> Vec<u8> {
    let plan = Plan::of(&sample.source(), encoding).unwrap();
    planned(sample, &plan, options).unwrap()
}

/// Byte ranges in the only frame of a file, by the tables of the specification.
pub struct FrameLayout {
    pub parameters: std::ops::Range<usize>,
    /// The first chunk, including its header.
    pub chunk: std::ops::Range<usize>,
    /// The end of the footer.
    pub end: usize,
}

pub fn number(file: &[u8], at: usize, bytes: usize) -> usize {
    file[at..at + bytes].iter().rev().fold(0, |x, &byte| x << 8 | usize::from(byte))
}

/// The integer of variable length at an offset, and the offset after it.
fn varint(file: &[u8], mut at: usize) -> (usize, usize) {
    let (mut value, mut bits) = (0, 0);
    loop {
        value |= usize::from(file[at] & 127) << bits;
        (at, bits) = (at + 1, bits + 7);
        if file[at - 1] < 128 {
            return (value, at);
        }
    }
}

impl FrameLayout {
    pub fn of(file: &[u8]) -> Self {
        let frame = 64;
        assert_eq!(file[frame], b'F');
        let (length, at) = varint(file, frame + 1);
        let header_end = at + length;
        let (rank, mut at) = varint(file, at + 4);
        // Dimensions and chunk elements.
        for _ in 0..rank + 1 {
            at = varint(file, at).1;
        }
        // What the name shares with the one before is in one byte.
        let (name, at) = varint(file, at + 1);
        let (length, start) = varint(file, at + name);
        let parameters = start..start + length;
        assert_eq!(parameters.end + 4, header_end, "the layout is chunked");
        let chunk = header_end..header_end + 8 + number(file, header_end, 4);
        let end = number(file, file.len() - 40, 8);
        Self { parameters, chunk, end }
    }

    /// The offset of the footer of a lossy object.
    pub fn footer(&self) -> usize {
        self.end - 24
    }

    /// Bypass bits: the low bits that are stored beside the entropy-coded symbols.
    pub fn bypass(&self, file: &[u8]) -> u8 {
        file[self.parameters.start + 6] >> 4
    }

    /// Numbers of escaped integers and of outliers in the first chunk, with elements of `width` bytes.
    pub fn counts(&self, file: &[u8], width: usize) -> [usize; 2] {
        let head = number(file, self.chunk.start + 8, 4);
        let outliers = head % (1 << 31);
        let mut at = self.chunk.start + 12 + (4 + width) * outliers;
        let mut escapes = 0;
        if head >> 31 == 1 {
            escapes = number(file, at + 4, 4);
            at += 4 + number(file, at, 4);
        }
        [escapes + number(file, at, 4), outliers]
    }
}
