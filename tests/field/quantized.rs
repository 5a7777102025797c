//! Tensors that are no weights: they lose nothing, unless they are asked for by name.

use crate::command::Workplace;
use crate::common::{Random, Sample, float8, safetensors, written_from_plan};
use half::{bf16, f16};
use occ::convert::Checkpoint;
use occ::{Dtype, Encoding, LosslessReason, Reader};

fn weights(name: &str, shape: &[usize]) -> Sample {
    let mut random = Random(name.len() as u64);
    let count = shape.iter().product::<usize>();
    let bytes = (0..count).flat_map(|_| bf16::from_f32(random.weight()).to_le_bytes()).collect();
    Sample::new(name, Dtype::Bf16, shape, bytes)
}

/// Positive numbers of very different magnitudes, as scales are.
fn scales(name: &str, shape: &[usize]) -> Sample {
    let mut random = Random(5);
    let count = shape.iter().product::<usize>();
    let scale = |_| f16::from_f32((50.0 * random.weight()).exp() * 0.01).to_le_bytes();
    Sample::new(name, Dtype::F16, shape, (0..count).flat_map(scale).collect())
}

/// Weights of FP8, scaled to its range.
fn float8_weights(name: &str, shape: &[usize]) -> Sample {
    let mut random = Random(name.len() as u64);
    let count = shape.iter().product::<usize>();
    let weight = |_| float8::from_f64(Dtype::F8_E4M3, (5e3 * random.weight()).into());
    Sample::new(name, Dtype::F8_E4M3, shape, (0..count).map(weight).collect())
}

fn integers(name: &str, dtype: Dtype, shape: &[usize]) -> Sample {
    let count = shape.iter().product::<usize>() as u64;
    let bytes = Random(9).bytes(dtype.byte_len(count).unwrap() as usize);
    Sample::new(name, dtype, shape, bytes)
}

/// A causal mask, or ternary weights.
fn few_values(name: &str, values: &[f32]) -> Sample {
    let numbers = (0..96 * 96).map(|i| values[(i * i / 7) % values.len()]);
    Sample::new(name, Dtype::F32, &[96, 96], numbers.flat_map(f32::to_le_bytes).collect())
}

fn model() -> Vec<Sample> {
    vec![
        integers("l.0.q.qweight", Dtype::I32, &[64, 512]),
        integers("l.0.q.qzeros", Dtype::I32, &[64, 64]),
        scales("l.0.q.scales", &[64, 512]),
        float8_weights("l.1.q.weight", &[512, 512]),
        integers("l.1.k.weight", Dtype::F8_E8M0, &[512, 512]),
        scales("l.1.q.weight_scale_inv", &[64, 64]),
        integers("l.2.q.weight", Dtype::U32, &[64, 512]),
        scales("l.2.q.biases", &[64, 256]),
        weights("l.3.mlp.gate.weight", &[16, 512]),
        weights("l.3.router.proj.weight", &[64, 128]),
        scales("rotary_emb.cos_cached", &[128, 64]),
        few_values("l.4.mask_of_some_kind", &[0.0, -3.4e38]),
        few_values("l.4.ternary.weight", &[-0.5, 0.0, 0.5]),
        weights("l.4.norm.weight", &[512]),
        weights("l.4.mlp.gate_proj.weight", &[256, 128]),
        weights("embed_tokens.weight", &[1024, 128]),
    ]
}

const LOSSY: [&str; 3] = ["l.1.q.weight", "l.4.mlp.gate_proj.weight", "embed_tokens.weight"];

#[test]
fn what_is_no_weight_loses_nothing() {
    let samples = model();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    std::fs::write(&path, safetensors(&samples)).unwrap();
    let checkpoint = Checkpoint::open(&path).unwrap();
    for encoding in [Encoding::snr(20.0), Encoding::bits(24.0)] {
        let plan = checkpoint.plan(&encoding.effort(1), None).unwrap();
        let file = written_from_plan(&checkpoint, &plan);
        let reader = Reader::new(&file).unwrap();
        for sample in &samples {
            let same = reader.tensor(&sample.name).unwrap().decode().unwrap() == sample.bytes;
            let planned = &plan.tensors[&sample.name];
            assert_eq!(planned.lossless.is_some(), planned.lossy.is_none(), "{}", sample.name);
            assert!(same || LOSSY.contains(&sample.name.as_str()), "{}", sample.name);
        }
    }
    let plan = checkpoint.plan(&Encoding::snr(20.0), None).unwrap();
    let reason = |name: &str| plan.tensors[name].lossless;
    assert_eq!(reason("l.1.q.weight"), None);
    assert_eq!(reason("l.1.q.weight_scale_inv"), Some(LosslessReason::QuantizationParameter));
    assert_eq!(reason("l.1.k.weight"), Some(LosslessReason::Dtype));
    assert_eq!(reason("l.2.q.biases"), Some(LosslessReason::QuantizationParameter));
    assert_eq!(reason("l.3.mlp.gate.weight"), Some(LosslessReason::Router));
    assert_eq!(reason("rotary_emb.cos_cached"), Some(LosslessReason::RotaryTable));
    assert_eq!(reason("l.4.ternary.weight"), Some(LosslessReason::FewValues));
    assert_eq!(reason("l.4.norm.weight"), Some(LosslessReason::Vector));
    assert_eq!(reason("embed_tokens.weight"), None);
}

/// A name asks for it, as far as the codec can.
#[test]
fn rules_by_name_make_other_tensors_lossy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    std::fs::write(&path, safetensors(&model())).unwrap();
    let checkpoint = Checkpoint::open(&path).unwrap();
    let encoding = Encoding::lossless().bits_for("*gate.weight", 4.0).bits_for("*qweight", 4.0);
    let plan = checkpoint.plan(&encoding, None).unwrap();
    assert!(plan.tensors["l.3.mlp.gate.weight"].lossy.is_some());
    assert_eq!(plan.tensors["l.0.q.qweight"].lossless, Some(LosslessReason::Dtype));
    assert_eq!(plan.tensors["l.0.q.scales"].lossless, Some(LosslessReason::Requested));
}

/// The command says what is lossless, why, and what it takes.
#[test]
fn messages_give_the_reasons() {
    let place = Workplace::new();
    place.write("model.safetensors", safetensors(&model()));
    let run = place.succeed(&["compress", "model.safetensors", "--snr", "20"]);
    for part in
        ["lossless: 13 tensors in ", "dtype: 4 (", "quantization parameter: 3 (", "router: 2 ("]
    {
        assert!(run.stderr.contains(part), "{part}: {}", run.stderr);
    }
    let run = place.succeed(&["inspect", "model.occ"]);
    for part in ["(router)", "(rotary table)", "(vector)", "(quantization parameter)"] {
        assert!(run.stdout.contains(part), "{part}: {}", run.stdout);
    }
    let run = place.succeed(&["inspect", "model.occ", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let tensors = json["tensors"].as_array().unwrap();
    let reason = |name: &str| {
        let tensor = tensors.iter().find(|tensor| tensor["name"] == name).unwrap();
        tensor["lossless_reason"].clone()
    };
    assert_eq!(reason("l.0.q.scales"), "quantization_parameter");
    assert!(reason("embed_tokens.weight").is_null());
}
