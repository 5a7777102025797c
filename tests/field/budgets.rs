//! Budgets of checkpoints with many small tensors, or with tensors of very different rows.

use crate::common::{Random, Sample, safetensors};
use half::bf16;
use occ::convert::Checkpoint;
use occ::{Dtype, Encoding, Error, Plan, Reader, WriteOptions, Writer};

/// Rows times columns of Gaussian numbers, row by row times `scale`.
fn matrix(name: &str, rows: usize, columns: usize, scale: impl Fn(usize) -> f32) -> Sample {
    let seed = name.bytes().fold(7, |seed: u64, byte| seed.wrapping_mul(31) + u64::from(byte));
    let mut random = Random(seed);
    let value = |i: usize| bf16::from_f32(random.weight() * scale(i / columns)).to_le_bytes();
    let bytes = (0..rows * columns).flat_map(value).collect();
    Sample::new(name, Dtype::Bf16, &[rows, columns], bytes)
}

/// A checkpoint on disk.
struct Model {
    checkpoint: Checkpoint,
    _folder: tempfile::TempDir,
}

impl Model {
    fn new(samples: &[Sample]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        std::fs::write(&path, safetensors(samples)).unwrap();
        Self { checkpoint: Checkpoint::open(path).unwrap(), _folder: folder }
    }

    /// The plan for a budget, the file, and its bits per weight.
    fn compressed(&self, bits: f64) -> occ::Result<(Plan, Vec<u8>, f64)> {
        let plan = self.checkpoint.plan(&Encoding::bits(bits).effort(3), None)?;
        let mut file = Vec::new();
        let mut writer = Writer::new(&mut file, WriteOptions::default())?;
        self.checkpoint.write_planned(&mut writer, &plan, None)?;
        let length = writer.finish()?;
        Ok((plan, file, 8.0 * length as f64 / self.checkpoint.weights() as f64))
    }
}

/// For each lossy tensor, by how many decibels its step differs from the planned one.
fn deviations(plan: &Plan, file: &[u8]) -> Vec<f64> {
    let reader = Reader::new(file).unwrap();
    let deviation = |(name, tensor): (&String, &occ::TensorPlan)| {
        let planned = tensor.lossy.as_ref()?.step;
        let step = reader.tensor(name).unwrap().coding().unwrap().unwrap().step;
        Some(20.0 * f64::from(step / planned).log10())
    };
    plan.tensors.iter().filter_map(deviation).collect()
}

/// No tensor pays for errors in the estimates of the others: not the last one, either.
#[test]
fn many_small_tensors_share_a_budget_evenly() {
    let squares = (0..300).map(|i| matrix(&format!("blocks.{i}.w"), 64, 64, |_| 1.0)).collect();
    let adapters = (0..60)
        .flat_map(|i| {
            let (inputs, outputs) = [(640, 640), (1280, 320), (768, 2048)][i % 3];
            [
                Sample::new(&format!("unet.{i}.alpha"), Dtype::Bf16, &[], vec![0, 0x41]),
                matrix(&format!("unet.{i}.down.weight"), 8, inputs, |_| 1.0),
                matrix(&format!("unet.{i}.up.weight"), outputs, 8, |_| 0.2),
            ]
        })
        .collect();
    let experts = (0..40)
        .flat_map(|i| {
            let scale = 0.5 + (i % 5) as f32;
            [
                matrix(&format!("experts.{i}.up_proj.weight"), 96, 128, |_| scale),
                matrix(&format!("experts.{i}.down_proj.weight"), 128, 96, |_| scale),
            ]
        })
        .collect();
    let kinds: [(&str, Vec<Sample>); 3] =
        [("squares", squares), ("adapters", adapters), ("experts", experts)];
    for (kind, samples) in kinds {
        let model = Model::new(&samples);
        for bits in [2.0, 4.0] {
            let (plan, file, used) = model.compressed(bits).unwrap();
            assert!((0.995 * bits..=bits).contains(&used), "{kind}: {used} of {bits}");
            let deviations = deviations(&plan, &file);
            let largest = deviations.iter().fold(0.0, |largest: f64, db| largest.max(db.abs()));
            assert!(deviations.len() > 50 && largest < 0.3, "{kind} at {bits}: {largest} dB");
        }
    }
}

/// The error names a budget that suffices.
#[test]
fn budgets_that_are_too_small_are_known_when_the_plan_is_made() {
    let mut samples: Vec<Sample> =
        (0..40).map(|i| matrix(&format!("blocks.{i}.w"), 64, 64, |_| 1.0)).collect();
    samples.push(Sample::new("norm", Dtype::F32, &[500], Random(3).bytes(2000)));
    let model = Model::new(&samples);
    let error = model.compressed(0.3).unwrap_err();
    assert!(matches!(error, Error::InvalidArgument { .. }), "{error}");
    let text = error.to_string();
    let after = text.split("the least is ").nth(1).unwrap();
    let least: f64 = after.split(',').next().unwrap().parse().unwrap();
    assert!((0.3..1.2).contains(&least), "{text}");
    let (_, _, used) = model.compressed(least).unwrap();
    assert!(used <= least, "{used} of {least}");
    assert!(model.compressed(least - 0.02).is_err());
}

/// Rows whose magnitudes range over orders of magnitude, and stacked experts of which one is loud
/// and one is zero: the bits are spent, and buy what theory says.
#[test]
fn budgets_are_spent_on_tensors_of_very_different_rows() {
    let mut random = Random(5);
    let scales: Vec<f32> = (0..1024).map(|_| (100.0 * random.weight()).exp()).collect();
    let rows = matrix("w", 1024, 256, |row| scales[row]);
    let experts = matrix("experts.up_proj", 64 * 64, 96, |row| match row / 64 {
        5 => 100.0,
        9 => 0.0,
        _ => 1.0,
    });
    for sample in [rows, experts] {
        let model = Model::new(std::slice::from_ref(&sample));
        for bits in [2.0, 3.0] {
            let (plan, file, used) = model.compressed(bits).unwrap();
            assert!((0.995 * bits..=bits).contains(&used), "{}: {used} of {bits}", sample.name);
            let values: Vec<f64> = sample
                .bytes
                .chunks_exact(2)
                .map(|word| bf16::from_le_bytes([word[0], word[1]]).to_f64())
                .collect();
            let columns = sample.shape[1];
            let variances = values
                .chunks_exact(columns)
                .map(|row| row.iter().map(|x| x * x).sum::<f64>() / columns as f64);
            let coding = Reader::new(&file).unwrap().tensor(&sample.name).unwrap().coding();
            let noise = coding.unwrap().unwrap().noise / values.len() as f64;
            // Shannon's bound for Gaussian rows of these variances, at this error.
            let bound = variances.clone().map(|v| (0.5 * (v / noise).log2()).max(0.0)).sum::<f64>();
            let rows = variances.count() as f64;
            let excess = used - bound / rows;
            assert!(excess < 0.35, "{} at {bits}: {excess} bits above the bound", sample.name);
            assert!(plan.tensors[&sample.name].lossy.is_some());
        }
    }
}
