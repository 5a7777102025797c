//! Comparison of weights: known results, a reference implementation, special values and errors.

use crate::common::{
    self, Random, Sample, bf16_weights, safetensors, small_chunks, small_samples, varied_samples,
    written,
};
use half::{bf16, f16};
use occ::{
    CompareOptions, Comparison, Distortion, Dtype, Error, Result, TensorComparison, WriteOptions,
};
use proptest::prelude::*;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Compares two model files.
fn compare(a: impl AsRef<Path>, b: impl AsRef<Path>) -> Result<Comparison> {
    occ::compare(a, b, &CompareOptions::default(), None)
}

/// Compares two models: A stored as safetensors, B as `.occ`.
fn compared(a: &[Sample], b: &[Sample]) -> Comparison {
    let folder = tempfile::tempdir().unwrap();
    let (a_path, b_path) = (folder.path().join("a"), folder.path().join("b"));
    fs::write(&a_path, safetensors(a)).unwrap();
    fs::write(&b_path, written(b, small_chunks(100))).unwrap();
    compare(a_path, b_path).unwrap()
}

/// Compares two tensors with the same name.
fn tensors(a: Sample, b: Sample) -> TensorComparison {
    let comparison = compared(&[a], &[b]);
    let [tensor] = comparison.tensors.try_into().unwrap();
    assert_eq!(comparison.total.distortion, tensor.distortion);
    tensor
}

fn f32_sample(values: &[f32]) -> Sample {
    common::f32_sample("w", &[values.len()], values)
}

fn f64_sample(values: &[f64]) -> Sample {
    let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Sample::new("w", Dtype::F64, &[values.len()], bytes)
}

fn bytes(dtype: Dtype, bytes: &[u8]) -> Sample {
    Sample::new("w", dtype, &[bytes.len() * 8 / dtype.bits() as usize], bytes.to_vec())
}

/// Relative error, SNR, largest error and cosine.
fn numbers(distortion: Option<Distortion>) -> [f64; 4] {
    let d = distortion.unwrap();
    [d.rel_error, d.snr_db, d.max_abs_error, d.cosine]
}

fn distortion(a: &[f32], b: &[f32]) -> [f64; 4] {
    numbers(tensors(f32_sample(a), f32_sample(b)).distortion)
}

const INFINITY: f64 = f64::INFINITY;
const EQUAL: [f64; 4] = [0.0, INFINITY, 0.0, 1.0];

#[test]
fn known_distortions() {
    let decibels = |ratio: f64| 20.0 * ratio.log10();
    for (a, b, expected) in [
        ([3.0, 4.0], [3.0, 4.5], [0.1, 20.0, 0.5, 27.0 / 5.0 / 29.25f64.sqrt()]),
        ([3.0, 4.0], [4.0, 3.0], [2f64.sqrt() / 5.0, decibels(12.5f64.sqrt()), 1.0, 24.0 / 25.0]),
        ([1.0, 0.0], [0.0, 1.0], [2f64.sqrt(), decibels(0.5f64.sqrt()), 1.0, 0.0]),
        ([2.0, -1.0], [-2.0, 1.0], [2.0, decibels(0.5), 4.0, -1.0]),
        ([1.0, 2.0], [0.0, 0.0], [1.0, 0.0, 2.0, 0.0]),
        ([1.0, 2.0], [1.0, 2.0], EQUAL),
    ] {
        let found = distortion(&a, &b);
        assert!(
            found.into_iter().zip(expected).all(|(x, y)| close(x, y)),
            "{found:?} {expected:?}"
        );
    }
}

#[test]
fn distortions_of_zeros_and_empty_tensors() {
    assert_eq!(distortion(&[], &[]), EQUAL);
    assert_eq!(distortion(&[0.0; 3], &[0.0; 3]), EQUAL);
    assert_eq!(distortion(&[0.0; 3], &[0.0, 0.5, 0.0]), [INFINITY, -INFINITY, 0.5, 0.0]);
    let tensor = tensors(f32_sample(&[0.0]), f32_sample(&[-0.0]));
    assert_eq!((numbers(tensor.distortion), tensor.identical), (EQUAL, false));
}

#[test]
fn nan_and_infinity_are_excluded_or_make_errors_infinite() {
    let nan = f32::NAN;
    let other_nan = f32::from_bits(nan.to_bits() + 1);
    let infinity = f32::INFINITY;
    // The same bits: no error, excluded from norms.
    for same in [nan, other_nan, infinity, -infinity] {
        assert_eq!(distortion(&[3.0, same, 4.0], &[3.0, same, 4.0]), EQUAL);
        let [rel_error, _, largest, _] = distortion(&[3.0, same, 4.0], &[3.0, same, 4.5]);
        assert_eq!([rel_error, largest], [0.1, 0.5]);
    }
    // Different bits: infinite errors, and the cosine of the other elements.
    for (a, b) in [
        (nan, 1.0),
        (1.0, nan),
        (infinity, 1.0),
        (1.0, -infinity),
        (infinity, -infinity),
        (nan, infinity),
        (nan, other_nan),
        (nan, -nan),
    ] {
        let found = distortion(&[3.0, a, 4.0], &[3.0, b, 4.0]);
        assert_eq!(found, [INFINITY, -INFINITY, INFINITY, 1.0], "{a} {b}");
        assert_eq!(distortion(&[a], &[b]), [INFINITY, -INFINITY, INFINITY, 1.0], "{a} {b}");
    }
}

#[test]
fn large_f64_values_do_not_overflow() {
    let large = f64_sample(&[1e300, 1.0]);
    assert_eq!(numbers(tensors(large.clone(), large).distortion), EQUAL);
    for (a, b) in [(1e300, 1e299), (1e300, 1.0), (1.0, 1e300)] {
        let found = numbers(tensors(f64_sample(&[a, 1.0]), f64_sample(&[b, 1.0])).distortion);
        assert_eq!(found, [INFINITY, -INFINITY, INFINITY, 1.0], "{a} {b}");
    }
    let (large, larger) = (f64_sample(&[1e144; 5]), f64_sample(&[3e144; 5]));
    let [rel_error, _, largest, cosine] = numbers(tensors(large, larger).distortion);
    assert!(close(rel_error, 2.0) && close(cosine, 1.0) && close(largest / 2e144, 1.0));
}

#[test]
fn different_dtypes_are_compared_as_numbers() {
    let values = [1.0f32, -2.5, 1024.0, 0.0, f32::NAN, f32::NEG_INFINITY];
    let in_f32 = f32_sample(&values);
    let bf16_bytes = values.iter().flat_map(|&x| bf16::from_f32(x).to_le_bytes());
    let f16_bytes = values.iter().flat_map(|&x| f16::from_f32(x).to_le_bytes());
    let in_bf16 = bytes(Dtype::Bf16, &bf16_bytes.collect::<Vec<_>>());
    let in_f16 = bytes(Dtype::F16, &f16_bytes.collect::<Vec<_>>());
    let in_f64 = f64_sample(&values.map(f64::from));
    for (a, b) in [(&in_f32, &in_bf16), (&in_bf16, &in_f16), (&in_f16, &in_f64), (&in_f64, &in_f32)]
    {
        let tensor = tensors(a.clone(), b.clone());
        assert_eq!((tensor.dtype, tensor.dtype_b), (a.dtype, b.dtype));
        assert_eq!(numbers(tensor.distortion), EQUAL);
        assert!(!tensor.identical && tensor.comparable());
    }
    let one = || bytes(Dtype::Bf16, &[0x80, 0x3f]);
    for special in [f32::NAN, f32::INFINITY] {
        let tensor = tensors(f32_sample(&[special]), one());
        assert_eq!(tensor.distortion.unwrap().rel_error, INFINITY);
        let tensor = tensors(one(), f32_sample(&[special]));
        assert_eq!(tensor.distortion.unwrap().rel_error, INFINITY);
    }
    let third = tensors(f32_sample(&[1.0 / 3.0]), bytes(Dtype::Bf16, &[0xab, 0x3e]));
    let error = f64::from(1.0f32 / 3.0) - f64::from(bf16::from_bits(0x3eab).to_f32());
    assert_eq!(third.distortion.unwrap().max_abs_error, error.abs());
}

#[test]
fn integers_and_eight_bit_floats_are_numeric() {
    for (dtype, a, b, error) in [
        (Dtype::Bool, vec![0, 1], vec![1, 1], 1.0),
        (Dtype::U8, vec![0, 255], vec![3, 250], 5.0),
        (Dtype::I8, vec![0, 255], vec![0, 1], 2.0),
        (Dtype::I16, vec![0, 128], vec![255, 127], 65535.0),
        (Dtype::U32, vec![0; 4], vec![255; 4], 4294967295.0),
        (Dtype::I64, vec![255; 8], vec![0; 8], 1.0),
        (Dtype::F8_E4M3, vec![0x38, 0x7f], vec![0x40, 0x7f], 1.0),
        (Dtype::F8_E5M2, vec![0x3c, 0x7c], vec![0x40, 0x7c], 1.0),
        (Dtype::F8_E8M0, vec![127], vec![129], 3.0),
    ] {
        let tensor = tensors(bytes(dtype, &a), bytes(dtype, &b));
        assert_eq!(tensor.distortion.unwrap().max_abs_error, error, "{dtype}");
    }
}

#[test]
fn only_bytes_of_f4_f6_and_c64_are_compared() {
    for dtype in [Dtype::F4, Dtype::F6_E2M3, Dtype::F6_E3M2, Dtype::C64] {
        let sample = bytes(dtype, &[7; 24]);
        let mut other = sample.clone();
        other.bytes[23] = 8;
        let same = tensors(sample.clone(), sample.clone());
        assert!(same.identical && same.comparable() && same.distortion.is_none());
        let differing = tensors(sample.clone(), other);
        assert!(!differing.identical && differing.comparable() && differing.distortion.is_none());
        let number = Sample::new("w", Dtype::U8, &sample.shape, vec![0; sample.shape[0]]);
        let different = tensors(sample, number);
        assert!(!different.identical && !different.comparable());
        assert!(different.distortion.is_none());
    }
}

#[test]
fn different_names_and_shapes_are_reported() {
    let named = |name: &str, sample: &Sample| Sample { name: name.into(), ..sample.clone() };
    let sample = f32_sample(&[3.0, 4.0]);
    let column = Sample { shape: vec![2, 1], ..sample.clone() };
    let a = ["z", "missing", "y", "a"].map(|name| named(name, &sample));
    let b = [named("a", &sample), named("new", &sample), named("y", &column), named("z", &sample)];
    let comparison = compared(&a, &b);
    let names: Vec<_> = comparison.tensors.iter().map(|tensor| &tensor.name[..]).collect();
    assert_eq!(names, ["z", "y", "a"]);
    assert_eq!(
        (comparison.only_in_a, comparison.only_in_b),
        (vec!["missing".into()], vec!["new".into()])
    );
    let y = &comparison.tensors[1];
    assert_eq!((&y.shape[..], &y.shape_b[..], y.weights), (&[2][..], &[2, 1][..], 2));
    assert!(!y.comparable() && !y.identical && y.distortion.is_none());
    assert_eq!(comparison.total.weights, 4);
    assert!(!comparison.total.identical);
    assert_eq!(numbers(comparison.total.distortion), EQUAL);

    let disjoint = compared(&a[1..2], &b[1..2]);
    assert!(disjoint.tensors.is_empty() && disjoint.total.distortion.is_none());
    assert!(!disjoint.total.identical);
    let more = compared(&a[..1], &b);
    assert!(more.tensors[0].identical && !more.total.identical, "B has more tensors");
}

#[test]
fn total_equals_comparison_of_concatenated_tensors() {
    let parts = |parts: [&[f32]; 2]| {
        ["x", "w"]
            .into_iter()
            .zip(parts)
            .map(|(name, part)| Sample { name: name.into(), ..f32_sample(part) })
            .collect::<Vec<_>>()
    };
    let total = compared(&parts([&[1.0, 2.0], &[3.0]]), &parts([&[1.5, 2.0], &[-3.0]])).total;
    assert_eq!(numbers(total.distortion), distortion(&[1.0, 2.0, 3.0], &[1.5, 2.0, -3.0]));
    assert_eq!(total.weights, 3);
}

/// A model as `.occ`, as a safetensors file and as a folder of shards.
fn stored_in_all_formats(folder: &TempDir, samples: &[Sample]) -> [PathBuf; 3] {
    let path = |name: &str| folder.path().join(name);
    fs::write(path("m.occ"), written(samples, small_chunks(500))).unwrap();
    fs::write(path("m.safetensors"), safetensors(samples)).unwrap();
    let (first, second) = samples.split_at(samples.len() / 2);
    fs::create_dir(path("m")).unwrap();
    let of_shard = |samples: &[Sample], shard: &str| -> Vec<String> {
        let names = samples.iter().map(|sample| serde_json::Value::from(sample.name.as_str()));
        names.map(|name| format!("{name}:\"{shard}\"")).collect()
    };
    let entries = [of_shard(first, "1.safetensors"), of_shard(second, "2.safetensors")].concat();
    let index = format!("{{\"weight_map\":{{{}}}}}", entries.join(","));
    fs::write(path("m/model.safetensors.index.json"), index).unwrap();
    fs::write(path("m/1.safetensors"), safetensors(first)).unwrap();
    fs::write(path("m/2.safetensors"), safetensors(second)).unwrap();
    ["m.occ", "m.safetensors", "m"].map(path)
}

#[test]
fn file_format_does_not_change_results() {
    let folder = tempfile::tempdir().unwrap();
    let samples = varied_samples();
    let paths = stored_in_all_formats(&folder, &samples);
    for a in &paths {
        for b in &paths {
            let comparison = compare(a, b).unwrap();
            assert!(comparison.total.identical);
            assert_eq!(comparison.tensors.len(), samples.len());
            assert!(comparison.only_in_a.is_empty() && comparison.only_in_b.is_empty());
            for (tensor, sample) in comparison.tensors.iter().zip(&samples) {
                assert_eq!((&tensor.name, tensor.dtype), (&sample.name, sample.dtype));
                assert!(tensor.identical && tensor.comparable());
                assert!(tensor.distortion.is_none_or(|d| numbers(Some(d)) == EQUAL));
            }
            assert_eq!(numbers(comparison.total.distortion), EQUAL);
        }
    }
}

/// Tensors of two pieces and many blocks, with elements of different sizes.
#[test]
fn last_elements_of_long_tensors_are_compared() {
    const COUNT: usize = (1 << 20) + 5000;
    let weights: Vec<u8> = bf16_weights(1, 1000).repeat(COUNT.div_ceil(1000))[..2 * COUNT].to_vec();
    let mut in_bf16 = bytes(Dtype::Bf16, &weights);
    let widened = |sample: &Sample| {
        f32_sample(&decoded(sample).iter().map(|&x| x as f32).collect::<Vec<_>>())
    };
    let mut in_f32 = widened(&in_bf16);
    assert_eq!(numbers(tensors(in_f32.clone(), in_bf16.clone()).distortion), EQUAL);
    for at in [4096, COUNT - 1] {
        let nan = 0x7fc1u16.to_le_bytes();
        in_bf16.bytes[2 * at..2 * at + 2].copy_from_slice(&nan);
        assert_eq!(numbers(tensors(in_bf16.clone(), in_bf16.clone()).distortion), EQUAL);
        assert_eq!(numbers(tensors(in_f32, in_bf16.clone()).distortion)[2], INFINITY);
        in_f32 = widened(&in_bf16);
        assert_eq!(numbers(tensors(in_f32.clone(), in_bf16.clone()).distortion), EQUAL);
    }
    let mut other = in_bf16.clone();
    other.bytes[2 * COUNT - 2] ^= 2; // another NaN
    let tensor = tensors(in_bf16, other);
    assert_eq!((tensor.identical, tensor.distortion.unwrap().max_abs_error), (false, INFINITY));
}

/// Several pieces and threads: identical results, equal to a plain sum.
#[test]
fn threads_and_file_format_do_not_change_results() {
    const COUNT: usize = 2_500_000;
    let folder = tempfile::tempdir().unwrap();
    let noise = |seed| Sample::new("w", Dtype::I8, &[COUNT / 4, 4], Random(seed).bytes(COUNT));
    let (a, b) = (noise(1), noise(2));
    let path = |name: &str| folder.path().join(name);
    fs::write(path("a"), safetensors(std::slice::from_ref(&a))).unwrap();
    fs::write(path("b.safetensors"), safetensors(std::slice::from_ref(&b))).unwrap();
    fs::write(path("b.occ"), written(std::slice::from_ref(&b), WriteOptions::default())).unwrap();
    let on = |threads, b: &str| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let mut reported = 0;
        let mut progress = |bytes| {
            reported += bytes;
            ControlFlow::Continue(())
        };
        let options = CompareOptions::default();
        let compare = || occ::compare(path("a"), path(b), &options, Some(&mut progress));
        let result = pool.install(compare).unwrap();
        assert_eq!(reported, COUNT as u64);
        result
    };
    let one = on(1, "b.safetensors");
    assert_eq!(one, on(4, "b.safetensors"));
    assert_eq!(one, on(4, "b.occ"));
    let value = |&byte: &u8| i64::from(byte as i8);
    let square = |sum: i64| (sum as f64).sqrt();
    let pairs = || a.bytes.iter().map(value).zip(b.bytes.iter().map(value));
    let norm = square(pairs().map(|(a, _)| a * a).sum());
    let error = square(pairs().map(|(a, b)| (a - b).pow(2)).sum());
    // Sums of these integers are exact.
    assert_eq!(one.tensors[0].distortion.unwrap().rel_error, error / norm);
    assert_eq!(one.tensors[0].distortion.unwrap().max_abs_error, 255.0);
}

fn failure(a: &Path, b: &Path) -> Error {
    compare(a, b).unwrap_err()
}

#[test]
fn errors_name_file_and_tensor() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let good = path("good");
    fs::write(&good, safetensors(&small_samples()[..1])).unwrap();
    let mut damaged = written(&small_samples()[..1], WriteOptions::default());
    let middle = damaged.len() / 2; // within the only chunk
    damaged[middle] ^= 1;
    fs::write(path("damaged"), damaged).unwrap();
    fs::write(path("text"), "text, longer than the length field of safetensors").unwrap();
    let error = failure(&good, &path("damaged"));
    assert!(matches!(error, Error::ChecksumMismatch { .. }), "{error}");
    let at = error.location().unwrap();
    assert_eq!(
        (at.tensor.as_deref(), at.file.as_ref()),
        (Some("bf16.coded"), Some(&path("damaged")))
    );
    for (a, b) in [(&good, path("text")), (&path("text"), good.clone())] {
        let error = failure(a, &b);
        assert!(matches!(error, Error::NotSafetensors { .. }), "{error}");
        assert_eq!(error.location().unwrap().file, Some(path("text")));
    }
    assert!(matches!(failure(&good, &path("none")), Error::Io { path: Some(_), .. }));
    assert!(matches!(failure(folder.path(), &good), Error::Io { path: Some(_), .. }));
    let cancel = &mut |_| ControlFlow::Break(());
    let stopped = occ::compare(&good, &good, &CompareOptions::default(), Some(cancel));
    assert!(matches!(stopped, Err(Error::Cancelled)));
}

fn encoded(dtype: Dtype, values: &[f64]) -> Sample {
    let two_bytes = |convert: fn(f64) -> [u8; 2]| values.iter().flat_map(|&x| convert(x)).collect();
    let bytes = match dtype {
        Dtype::F16 => two_bytes(|x| f16::from_f64(x).to_le_bytes()),
        Dtype::Bf16 => two_bytes(|x| bf16::from_f64(x).to_le_bytes()),
        Dtype::F32 => values.iter().flat_map(|&x| (x as f32).to_le_bytes()).collect(),
        _ => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
    };
    Sample::new("w", dtype, &[values.len()], bytes)
}

/// The inverse of `encoded`.
fn decoded(sample: &Sample) -> Vec<f64> {
    let two = |bytes: &[u8]| [bytes[0], bytes[1]];
    let width = sample.dtype.bits() as usize / 8;
    let value = |bytes: &[u8]| match sample.dtype {
        Dtype::F16 => f16::from_le_bytes(two(bytes)).to_f64(),
        Dtype::Bf16 => bf16::from_le_bytes(two(bytes)).to_f64(),
        Dtype::F32 => f32::from_le_bytes(bytes.try_into().unwrap()).into(),
        _ => f64::from_le_bytes(bytes.try_into().unwrap()),
    };
    sample.bytes.chunks(width).map(value).collect()
}

fn floats() -> impl Strategy<Value = Dtype> {
    prop::sample::select(vec![Dtype::F16, Dtype::Bf16, Dtype::F32, Dtype::F64])
}

fn close(found: f64, expected: f64) -> bool {
    found == expected || (found - expected).abs() <= 1e-12 * expected.abs().max(1e-3)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn results_equal_the_reference(
        pairs in prop::collection::vec((-100f64..100.0, -100f64..100.0), 1..300),
        (a, b) in (floats(), floats()),
    ) {
        let (a_values, b_values): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        let (a, b) = (encoded(a, &a_values), encoded(b, &b_values));
        let (x, y) = (decoded(&a), decoded(&b));
        let norm = |values: &[f64]| values.iter().map(|v| v * v).sum::<f64>().sqrt();
        let errors: Vec<f64> = x.iter().zip(&y).map(|(x, y)| x - y).collect();
        let product: f64 = x.iter().zip(&y).map(|(x, y)| x * y).sum();
        let largest = errors.iter().fold(0f64, |most, error| most.max(error.abs()));
        let found = tensors(a.clone(), b.clone()).distortion.unwrap();
        prop_assert!(close(found.rel_error, norm(&errors) / norm(&x)));
        prop_assert!(close(found.snr_db, 20.0 * (norm(&x) / norm(&errors)).log10()));
        prop_assert_eq!(found.max_abs_error, largest);
        prop_assert!(close(found.cosine, product / (norm(&x) * norm(&y))));
        // Swapping A and B changes only the norm that errors are relative to.
        let back = tensors(b, a).distortion.unwrap();
        prop_assert_eq!((back.max_abs_error, back.cosine), (largest, found.cosine));
        prop_assert!(close(back.rel_error, norm(&errors) / norm(&y)));
    }

    /// Results are never NaN, the largest error is symmetric, and equal tensors have no error.
    #[test]
    fn results_of_any_bytes_are_not_nan(
        dtype in prop::sample::select(Dtype::ALL.to_vec()),
        noise in prop::collection::vec((any::<u8>(), any::<u8>()), 1..20),
    ) {
        let (a, b): (Vec<u8>, Vec<u8>) = noise.into_iter().unzip();
        // 24 bytes are a whole number of elements for every dtype.
        let [a, b] = [a, b].map(|part| bytes(dtype, &part.repeat(24)));
        let there = tensors(a.clone(), b.clone());
        let back = tensors(b, a.clone());
        if let (Some(there), Some(back)) = (there.distortion, back.distortion) {
            prop_assert!(!numbers(Some(there)).iter().any(|number| number.is_nan()), "{:?}", there);
            prop_assert_eq!(there.max_abs_error, back.max_abs_error);
            prop_assert!((-1.0..=1.0).contains(&there.cosine) && there.rel_error >= 0.0);
        }
        let same = tensors(a.clone(), a);
        prop_assert!(same.identical);
        prop_assert!(same.distortion.is_none_or(|d| numbers(Some(d)) == EQUAL));
    }
}

#[test]
fn nan_and_infinite_elements_are_counted_on_each_side() {
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    let counts = |a: Sample, b: Sample| {
        let n = tensors(a, b).non_finite.unwrap();
        [n.nan_a, n.infinite_a, n.nan_b, n.infinite_b, n.differing]
    };
    let pair = |a: &[f32], b: &[f32]| counts(f32_sample(a), f32_sample(b));
    assert_eq!(pair(&[1.0, 2.0], &[1.0, 3.0]), [0; 5]);
    assert_eq!(pair(&[nan, inf, -inf, 1.0], &[nan, inf, -inf, 2.0]), [1, 2, 1, 2, 0]);
    assert_eq!(pair(&[nan, inf, -inf, 1.0], &[1.0, -inf, -inf, nan]), [1, 2, 1, 2, 3]);
    // The same value with other bits, and huge numbers that are excluded from norms.
    let other = f32::from_bits(nan.to_bits() | 1);
    assert_eq!(pair(&[nan], &[other]), [1, 0, 1, 0, 1]);
    assert_eq!(counts(f64_sample(&[1e300]), f64_sample(&[2e300])), [0; 5]);
    assert_eq!(counts(f64_sample(&[f64::NAN]), f32_sample(&[other])), [1, 0, 1, 0, 0]);
    // Of all pieces of a large tensor, and in total.
    let many = |step: usize| {
        let value = |i| if i % step == 0 { nan } else { 1.0 };
        f32_sample(&(0..(1 << 20) + 10).map(value).collect::<Vec<_>>())
    };
    let [a, b] = [1 << 19, 1 << 20];
    let comparison = compared(
        &[many(a), common::f32_sample("v", &[1], &[inf])],
        &[many(b), common::f32_sample("v", &[1], &[inf])],
    );
    let total = comparison.total.non_finite.unwrap();
    assert_eq!((total.nan_a, total.nan_b, total.infinite_b, total.differing), (3, 2, 1, 1));
}
