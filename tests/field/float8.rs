//! Checkpoints of FP8, with the scales of rows or blocks beside the weights.

use crate::common::lossy::planned;
use crate::common::{Random, Sample, f32_sample, float8, safetensors, written_from_plan};
use half::bf16;
use occ::convert::Checkpoint;
use occ::{Dtype, Encoding, LosslessReason, Plan, Reader, WriteOptions};

const ROWS: usize = 256;
const COLUMNS: usize = 384;

/// Weights of standard deviation 1, times a factor.
fn weights(seed: u64, factor: f32) -> Vec<f32> {
    let mut random = Random(seed);
    (0..ROWS * COLUMNS).map(|_| 50.0 * factor * random.weight()).collect()
}

/// Weights divided by scales, as FP8.
fn quantised(name: &str, weights: &[f32], scale: impl Fn(usize, usize) -> f32) -> Sample {
    let element = |(at, weight): (usize, &f32)| {
        let stored = weight / scale(at / COLUMNS, at % COLUMNS);
        float8::from_f64(Dtype::F8_E4M3, stored.into())
    };
    let bytes = weights.iter().enumerate().map(element).collect();
    Sample::new(name, Dtype::F8_E4M3, &[ROWS, COLUMNS], bytes)
}

/// The scale of a block of 128 rows and columns: 1, 2 or 4 times 1 or 8, divided by 50.
fn block_scale(row: usize, column: usize) -> f32 {
    [1.0, 8.0][row / 128] * [2.0, 1.0, 4.0][column / 128] / 50.0
}

fn block_scales(name: &str) -> Sample {
    let scales: Vec<f32> = (0..6).map(|at| block_scale(at / 3 * 128, at % 3 * 128)).collect();
    f32_sample(name, &[2, 3], &scales)
}

fn bf16_sample(name: &str, weights: &[f32]) -> Sample {
    let bytes = weights.iter().flat_map(|&x| bf16::from_f32(x).to_le_bytes()).collect();
    Sample::new(name, Dtype::Bf16, &[ROWS, COLUMNS], bytes)
}

/// A plan of these tensors as one checkpoint, and the file.
fn coded(samples: &[Sample], encoding: &Encoding) -> (Plan, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    std::fs::write(&path, safetensors(samples)).unwrap();
    let checkpoint = Checkpoint::open(&path).unwrap();
    let plan = checkpoint.plan(encoding, None).unwrap();
    let file = written_from_plan(&checkpoint, &plan);
    (plan, file)
}

/// The SNR of weights: the elements, read as F32, times their scales.
fn snr(file: &[u8], name: &str, weights: &[f32], scale: impl Fn(usize, usize) -> f32) -> f64 {
    let bytes = Reader::new(file).unwrap().tensor(name).unwrap().decode_as(Dtype::F32).unwrap();
    let (mut signal, mut noise) = (0.0, 0.0);
    for (at, (weight, bytes)) in weights.iter().zip(bytes.chunks(4)).enumerate() {
        let element = f32::from_le_bytes(bytes.try_into().unwrap());
        let decoded = element * scale(at / COLUMNS, at % COLUMNS);
        signal += f64::from(*weight).powi(2);
        noise += f64::from(weight - decoded).powi(2);
    }
    10.0 * f64::log10(signal / noise)
}

#[test]
fn errors_are_weighted_by_the_scales_beside() {
    let weights = weights(1, 1.0);
    let of_row = |row: usize, _: usize| [0.01, 0.08, 0.02][row % 3];
    let row_scales: Vec<f32> = (0..ROWS).map(|row| of_row(row, 0)).collect();
    let blocks = quantised("a.weight", &weights, block_scale);
    let rows = quantised("a.weight", &weights, of_row);
    let encoding = Encoding::bits(3.0);
    let reference = {
        let (_, file) = coded(&[bf16_sample("a.weight", &weights)], &encoding);
        snr(&file, "a.weight", &weights, |_, _| 1.0)
    };
    for (what, sample, scales, scale) in [
        ("blocks", &blocks, block_scales("a.weight_scale_inv"), &block_scale as &dyn Fn(_, _) -> _),
        ("rows", &rows, f32_sample("a.weight_scale", &[ROWS], &row_scales), &of_row),
        ("rows", &rows, f32_sample("a.scale", &[ROWS, 1], &row_scales), &of_row),
    ] {
        let (plan, file) = coded(&[sample.clone(), scales.clone()], &encoding);
        let found = snr(&file, "a.weight", &weights, scale);
        // The scales take bits, and FP8 is rounded.
        assert!(found > reference - 0.7, "{what}: {found} {reference}");
        let stored = Reader::new(&file).unwrap().tensor(&scales.name).unwrap().decode().unwrap();
        assert!(stored == scales.bytes && plan.tensors[&scales.name].lossy.is_none());
        // The same tensors without a relation.
        let unrelated = Sample { name: "other".into(), ..scales };
        let (_, file) = coded(&[sample.clone(), unrelated], &encoding);
        let without = snr(&file, "a.weight", &weights, scale);
        assert!(found > without + 2.0, "{what}: {found} {without}");
        // A plan from JSON has the scales.
        let again = Plan::from_json(&plan.to_json()).unwrap();
        assert_eq!(again, plan);
        let file = |plan: &Plan| {
            planned(sample, &plan.tensors["a.weight"], WriteOptions::default()).unwrap()
        };
        assert!(file(&again) == file(&plan));
    }
}

#[test]
fn scales_in_plans_are_checked() {
    let samples =
        [quantised("a.weight", &weights(1, 1.0), block_scale), block_scales("a.weight_scale")];
    let (plan, _) = coded(&samples, &Encoding::bits(3.0));
    let json: serde_json::Value = serde_json::from_str(&plan.to_json()).unwrap();
    let scales = "/tensors/a.weight/lossy/quantization_scales";
    for (place, value) in [("rows/length", 0), ("columns/eighths/1", 999), ("rows/eighths/0", -129)]
    {
        let mut json = json.clone();
        *json.pointer_mut(&format!("{scales}/{place}")).unwrap() = value.into();
        assert!(Plan::from_json(&json.to_string()).is_err(), "{place}");
    }
}

/// A factor of all scales of a tensor changes nothing, as a factor of all weights does.
#[test]
fn layers_share_a_budget_by_relative_errors() {
    let layers = |factor: f32| {
        let scale = move |row, column| factor * block_scale(row, column);
        let mut scales = block_scales("b.weight_scale_inv");
        scales.bytes =
            (0..6).flat_map(|at| scale(at / 3 * 128, at % 3 * 128).to_le_bytes()).collect();
        [
            quantised("a.weight", &weights(1, 1.0), block_scale),
            block_scales("a.weight_scale_inv"),
            quantised("b.weight", &weights(2, factor), scale),
            scales,
        ]
    };
    let steps = |samples: &[Sample]| {
        let plan = coded(samples, &Encoding::bits(3.0)).0;
        ["a.weight", "b.weight"].map(|name| plan.tensors[name].lossy.as_ref().unwrap().step)
    };
    assert_eq!(steps(&layers(1.0)), steps(&layers(100.0)));
    let [a, b] = steps(&layers(100.0));
    assert!((a / b - 1.0).abs() < 0.02, "{a} {b}");
}

/// FP8 and BF16 take about the same bits, and FP8 stays lossless where that takes no more.
#[test]
fn a_budget_spans_both_kinds_of_weights() {
    let (first, second) = (weights(1, 30.0), weights(2, 30.0));
    let samples = [quantised("a.weight", &first, |_, _| 1.0), bf16_sample("b.weight", &second)];
    let (_, file) = coded(&samples, &Encoding::bits(3.0));
    let reader = Reader::new(&file).unwrap();
    let bytes = ["a.weight", "b.weight"].map(|name| reader.tensor(name).unwrap().coded_bytes());
    assert!((bytes[0] as f64 / bytes[1] as f64 - 1.0).abs() < 0.03, "{bytes:?}");
    let (plan, file) = coded(&samples, &Encoding::bits(8.0));
    assert_eq!(plan.tensors["a.weight"].lossless, Some(LosslessReason::Smaller));
    let decoded = Reader::new(&file).unwrap().tensor("a.weight").unwrap().decode().unwrap();
    assert!(decoded == samples[0].bytes);
}

/// A bound on the error is one on the elements.
#[test]
fn bounds_on_errors_hold_with_scales_beside() {
    let samples =
        [quantised("a.weight", &weights(1, 1.0), block_scale), block_scales("a.weight_scale")];
    let (_, file) = coded(&samples, &Encoding::snr(20.0));
    let coding = Reader::new(&file).unwrap().tensor("a.weight").unwrap().coding().unwrap().unwrap();
    assert!(coding.snr_db().unwrap() >= 20.0 && !coding.row_scales);
}

#[test]
fn scales_of_another_shape_or_without_values_change_nothing() {
    let weights = quantised("a.weight", &weights(1, 1.0), block_scale);
    let step = |scales: Sample| {
        let (plan, _) = coded(&[weights.clone(), scales], &Encoding::bits(3.0));
        let lossy = plan.tensors["a.weight"].lossy.clone().unwrap();
        assert!(lossy.quantization_scales.is_none());
        lossy.transform
    };
    let zero =
        |name: &str, shape: &[usize]| f32_sample(name, shape, &vec![0.0; shape.iter().product()]);
    let expected = step(zero("other", &[2, 3]));
    for scales in [
        zero("a.weight_scale", &[]),
        zero("a.weight_scale", &[1]),
        zero("a.weight_scale_inv", &[2, 3]),
        zero("a.weight_scale_inv", &[3, 5]),
        zero("a.weight_scale_inv", &[ROWS, COLUMNS]),
        zero("a.weight_scale_inv", &[0, 3]),
        zero("a.weight_scale_inv", &[2, 3, 1]),
        Sample::new("a.weight_scale", Dtype::I32, &[2, 3], vec![1; 24]),
    ] {
        assert_eq!(step(scales), expected);
    }
}
