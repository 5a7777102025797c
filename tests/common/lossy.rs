//! Small tensors that each show a part of the lossy codec, and where in a file that part lies.

use super::{Random, Sample};
use half::bf16;
use occ::{BlockTransform, Dtype, Encoding, Plan, RowScales, TensorPlan, WriteOptions, Writer};

/// A tensor, and the plan by which it shows what its name says.
pub struct Exhibit {
    pub sample: Sample,
    pub plan: TensorPlan,
}

/// A plan with these axes and this step, whatever would suit the tensor better.
fn plan(sample: &Sample, axes: BlockTransform, step: f32, effort: u8) -> TensorPlan {
    let encoding = Encoding::lossless().bits_for("*", 2.0).max_rank(0);
    let mut plan = Plan::of(&sample.source(), &encoding).unwrap();
    let lossy = plan.lossy.as_mut().expect("a tensor that a lattice suits");
    (lossy.transform, lossy.step, lossy.effort, lossy.gain) = (axes, step, effort, 0.25);
    plan
}

/// Noise of deviation 1, and rows and columns that are louder or share a direction.
fn values(
    seed: u64,
    rows: usize,
    columns: usize,
    value: impl Fn(usize, usize, f32) -> f32,
) -> Vec<f32> {
    let mut random = Random(seed);
    (0..rows * columns).map(|i| value(i / columns, i % columns, 50.0 * random.weight())).collect()
}

fn singles(name: &str, shape: &[usize], values: &[f32]) -> Sample {
    let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Sample::new(name, Dtype::F32, shape, bytes)
}

fn halves(name: &str, shape: &[usize], values: &[f32]) -> Sample {
    let bytes = values.iter().flat_map(|&value| bf16::from_f32(value).to_le_bytes()).collect();
    Sample::new(name, Dtype::Bf16, shape, bytes)
}

/// Tensors whose coding needs no linear algebra: it is the same on every machine.
pub fn simple_exhibits() -> Vec<Exhibit> {
    let noise = |seed, rows| values(seed, rows, 64, |_, _, x| x);
    let exhibit = |sample: Sample, axes, step, effort| {
        let plan = plan(&sample, axes, step, effort);
        Exhibit { sample, plan }
    };
    let loud = values(1, 64, 64, |row, column, x| x * [1.0, 4.0][row % 2] * [1.0, 6.0][column % 2]);
    // Two of 6144 are too few for low bits to be stored apart because of them.
    let mut outliers = noise(4, 96);
    outliers[777] = 700.0;
    outliers[3000] = -900.0;
    let mut broken = noise(5, 64);
    for (at, value) in [(0, f32::NAN), (70, f32::INFINITY), (4095, f32::NEG_INFINITY), (9, 1e20)] {
        broken[at] = value;
    }
    let quiet = values(6, 64, 64, |row, _, x| x * [0.5, 0.7, 1.0, 1.4, 2.0][row % 5]);
    let signed = BlockTransform::hadamard(16, true);
    let mut exhibits = vec![
        exhibit(halves("classes", &[64, 64], &loud), BlockTransform::IDENTITY, 2.0, 5),
        // 68 = 64 + 4: blocks of unlike sizes. 70 rows: a last band that is not whole.
        exhibit(
            halves("hadamard", &[70, 68], &values(2, 70, 68, |_, _, x| x)),
            BlockTransform::hadamard(64, false),
            1.0,
            3,
        ),
        exhibit(singles("signed hadamard", &[8, 8, 64], &noise(3, 64)), signed, 0.9, 9),
        exhibit(singles("escapes", &[96, 64], &outliers), BlockTransform::IDENTITY, 1.0, 5),
        exhibit(halves("exceptions", &[64, 64], &broken), signed, 0.8, 2),
        exhibit(singles("row scales", &[64, 64], &quiet), BlockTransform::IDENTITY, 1.0, 1),
        exhibit(
            singles("bypass", &[64, 64], &noise(7, 64)),
            BlockTransform::IDENTITY,
            1.0 / 256.0,
            4,
        ),
        exhibit(halves("column scales", &[64, 64], &loud), signed, 1.0, 4),
    ];
    exhibits[5].plan.lossy.as_mut().unwrap().row_scales = RowScales::Rms;
    exhibits[7].plan.lossy.as_mut().unwrap().column_scales = true;
    exhibits
}

/// Tensors whose axes are learned.
pub fn learned_exhibits() -> Vec<Exhibit> {
    let mix = |row: usize, column: usize, x: f32| {
        x + 3.0 * ((row * 7 % 13) as f32 - 6.0) * (column as f32 * 0.3).sin() / 6.0
    };
    let aligned = halves("aligned", &[66, 64], &values(8, 66, 64, mix));
    let low_rank = singles("low rank", &[64, 64], &values(9, 64, 64, |r, c, x| 2.0 + mix(r, c, x)));
    let aligned =
        Exhibit { plan: plan(&aligned, BlockTransform::klt(24), 1.0, 5), sample: aligned };
    let hadamard = BlockTransform::hadamard(64, false);
    let mut low_rank = Exhibit { plan: plan(&low_rank, hadamard, 1.0, 3), sample: low_rank };
    let lossy = low_rank.plan.lossy.as_mut().unwrap();
    (lossy.mean, lossy.rank) = (true, 2);
    vec![aligned, low_rank]
}

pub fn written(exhibits: &[Exhibit], options: WriteOptions) -> Vec<u8> {
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file, options).unwrap();
    for Exhibit { sample, plan } in exhibits {
        writer.add_planned(&sample.source(), plan).unwrap();
    }
    writer.finish().unwrap();
    file
}

/// Where the only frame of a file has its parts, by the tables of the spec.
pub struct Anatomy {
    pub parameters: std::ops::Range<usize>,
    /// The first chunk, its head included.
    pub chunk: std::ops::Range<usize>,
    /// The end of the foot.
    pub end: usize,
}

pub fn number(file: &[u8], at: usize, bytes: usize) -> usize {
    file[at..at + bytes].iter().rev().fold(0, |x, &byte| x << 8 | usize::from(byte))
}

impl Anatomy {
    pub fn of(file: &[u8]) -> Self {
        let frame = 64;
        assert_eq!(&file[frame..frame + 4], b"FRAM");
        let header_end = frame + number(file, frame + 4, 4);
        let start = frame + 32 + 8 * number(file, frame + 12, 2) + number(file, frame + 16, 4);
        let parameters = start..start + number(file, frame + 20, 4);
        assert_eq!(parameters.end + 4, header_end, "a frame that is chunked");
        let chunk = header_end..header_end + 8 + number(file, header_end, 4);
        let end = number(file, file.len() - 40, 8);
        Self { parameters, chunk, end }
    }

    /// Low bits beside the symbols of points.
    pub fn bypass(&self, file: &[u8]) -> u8 {
        file[self.parameters.start + 6] >> 4
    }

    /// Escaped integers and exceptions in the first chunk.
    pub fn counts(&self, file: &[u8]) -> [usize; 2] {
        [8, 12].map(|at| number(file, self.chunk.start + at, 4))
    }
}
