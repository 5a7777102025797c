//! Encoded sizes against entropies, which are computed here from the bits of the tensors.

use crate::common::{Random, Sample, bf16_weights, f16_weights, f32_weights, written};
use occ::{Dtype, WriteOptions};
use std::collections::HashMap;
use std::path::PathBuf;

/// The information of all values in bits: their number times their empirical entropy.
fn information(values: impl Iterator<Item = u32>) -> f64 {
    let mut counts = HashMap::<u32, u64>::new();
    values.for_each(|value| *counts.entry(value).or_default() += 1);
    let total = counts.values().sum::<u64>() as f64;
    counts.values().map(|&count| count as f64 * (total / count as f64).log2()).sum()
}

/// The size of a tensor whose exponents are coded at their entropy and whose other bits are noise.
fn ideal_bytes(dtype: Dtype, bytes: &[u8]) -> f64 {
    let width = dtype.bits() as usize / 8;
    let words = || {
        bytes
            .chunks(width)
            .map(|word| word.iter().rev().fold(0u32, |x, &byte| x << 8 | u32::from(byte)))
    };
    let (field_bits, bits) = match dtype {
        Dtype::Bf16 => (8, information(words().map(|word| word >> 7 & 0xff))),
        Dtype::F32 => (8, information(words().map(|word| word >> 23 & 0xff))),
        Dtype::F16 => (5, information(words().map(|word| word >> 10 & 0x1f))),
        _ => (0, 0.0),
    };
    let noise = f64::from(dtype.bits() - field_bits) * words().count() as f64;
    ((bits + noise) / 8.0).min(bytes.len() as f64)
}

fn assert_near_entropy(what: &str, samples: &[Sample]) {
    let file = written(samples, WriteOptions::default()).len() as f64;
    let ideal: f64 = samples.iter().map(|sample| ideal_bytes(sample.dtype, &sample.bytes)).sum();
    let original: f64 = samples.iter().map(|sample| sample.bytes.len() as f64).sum();
    let excess = file / ideal - 1.0;
    println!(
        "{what}: ratio {:.5}, ideal {:.5}, {:+.3} % above",
        file / original,
        ideal / original,
        excess * 100.0
    );
    assert!(excess < 0.003, "{what}: {excess}");
}

#[test]
fn synthetic_weights_are_coded_near_their_entropy() {
    let shape = [1024, 1024];
    let count = shape[0] * shape[1];
    for (what, dtype, bytes) in [
        ("bf16", Dtype::Bf16, bf16_weights(1, count)),
        ("f16", Dtype::F16, f16_weights(2, count)),
        ("f32", Dtype::F32, f32_weights(3, count)),
    ] {
        assert_near_entropy(what, &[Sample::new("w", dtype, &shape, bytes)]);
    }
}

#[test]
fn noise_grows_by_at_most_a_thousandth() {
    for (dtype, shape) in
        [(Dtype::U8, vec![1 << 20]), (Dtype::F32, vec![512, 512]), (Dtype::I64, vec![1 << 17])]
    {
        let count = dtype.byte_len(shape.iter().product::<usize>() as u64).unwrap() as usize;
        let sample = Sample::new("noise", dtype, &shape, Random(9).bytes(count));
        let file = written(&[sample], WriteOptions::default());
        assert!(file.len() as f64 <= count as f64 * 1.001, "{dtype}: {}", file.len());
    }
}

/// Real models, in their own dtype and with F32 converted to BF16. `OCC_MODELS` is their folder.
#[test]
#[ignore = "needs OCC_MODELS, a folder of .safetensors files"]
fn real_models_are_coded_near_their_entropy() {
    let folder = PathBuf::from(std::env::var_os("OCC_MODELS").expect("OCC_MODELS is set"));
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "safetensors") {
            continue;
        }
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let bytes = std::fs::read(&path).unwrap();
        let samples = tensors(&bytes);
        assert_near_entropy(&name, &samples);
        if samples.iter().any(|sample| sample.dtype == Dtype::F32) {
            let cast: Vec<Sample> = samples.into_iter().map(to_bf16).collect();
            assert_near_entropy(&format!("{name} as BF16"), &cast);
        }
        seen += 1;
    }
    assert!(seen > 0, "no models");
}

fn tensors(file: &[u8]) -> Vec<Sample> {
    let parsed = safetensors::SafeTensors::deserialize(file).unwrap();
    let tensors = parsed.tensors().into_iter().map(|(name, view)| {
        let dtype = view.dtype().to_string().parse().unwrap();
        Sample::new(&name, dtype, view.shape(), view.data().to_vec())
    });
    tensors.collect()
}

fn to_bf16(sample: Sample) -> Sample {
    if sample.dtype != Dtype::F32 {
        return sample;
    }
    let values = sample.bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes));
    let bytes = values.flat_map(|value| half::bf16::from_f32(value).to_le_bytes()).collect();
    Sample { dtype: Dtype::Bf16, bytes, ..sample }
}
