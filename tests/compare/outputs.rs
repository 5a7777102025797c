//! Comparison of outputs: known results, a reference implementation, and invalid inputs.

use crate::common::{Random, Sample, safetensors, small_chunks, written};
use half::bf16;
use occ::{CompareOptions, Comparison, Dtype, Error, Inputs, Result, TensorComparison};
use proptest::prelude::*;
use std::fs;
use std::ops::ControlFlow;

/// Compares two models: A and the inputs stored as safetensors, B as `.occ`.
fn compared(a: &[Sample], b: &[Sample], inputs: &[Sample]) -> Result<Comparison> {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("a"), safetensors(a)).unwrap();
    fs::write(path("b"), written(b, small_chunks(100))).unwrap();
    fs::write(path("x"), safetensors(inputs)).unwrap();
    let mut reported = 0;
    let mut progress = |bytes| {
        reported += bytes;
        ControlFlow::Continue(())
    };
    let options = CompareOptions::default().inputs(path("x"));
    let comparison = occ::compare(path("a"), path("b"), &options, Some(&mut progress))?;
    let both = a.iter().filter(|a| b.iter().any(|b| a.name == b.name));
    let bytes: usize = both.map(|sample| sample.bytes.len()).sum();
    assert_eq!(reported, bytes as u64, "every byte is reported once");
    Ok(comparison)
}

fn f32_sample(name: &str, shape: &[usize], values: &[f64]) -> Sample {
    let bytes = values.iter().flat_map(|&value| (value as f32).to_le_bytes()).collect();
    Sample::new(name, Dtype::F32, shape, bytes)
}

fn f64_sample(name: &str, shape: &[usize], values: &[f64]) -> Sample {
    let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Sample::new(name, Dtype::F64, shape, bytes)
}

/// Compares weights of one shape with inputs for them.
fn tensor(shape: &[usize], [a, b]: [&[f64]; 2], inputs: Sample) -> TensorComparison {
    let comparison =
        compared(&[f32_sample("w", shape, a)], &[f32_sample("w", shape, b)], &[inputs]).unwrap();
    let [tensor] = comparison.tensors.try_into().unwrap();
    assert_eq!(comparison.total.operator, tensor.operator);
    assert!(comparison.unused_inputs.is_empty());
    tensor
}

fn rel_error(shape: &[usize], weights: [&[f64]; 2], inputs: Sample) -> f64 {
    let operator = tensor(shape, weights, inputs).operator.unwrap();
    assert!(close(operator.snr_db, -20.0 * operator.rel_error.log10()));
    operator.rel_error
}

fn close(found: f64, expected: f64) -> bool {
    found == expected || (found - expected).abs() <= 1e-9 * expected.abs().max(1e-3)
}

const TWO: &[usize] = &[2, 2];
/// W and Ŵ, which differ by 1 in one element.
const NEAR: [&[f64]; 2] = [&[1.0, 2.0, 3.0, 4.0], &[1.0, 2.0, 3.0, 3.0]];

/// W x = (3, 7) and (5, 11), E x = (0, 1) and (0, 2).
#[test]
fn known_output_errors() {
    let batch = |name| f32_sample(name, TWO, &[1.0, 1.0, 1.0, 2.0]);
    let expected = (5.0 / 204.0f64).sqrt();
    let found = tensor(TWO, NEAR, batch("w.inputs"));
    assert!(close(found.operator.unwrap().rel_error, expected), "{found:?}");
    assert!(close(found.operator.unwrap().snr_db, 10.0 * (204.0f64 / 5.0).log10()));
    assert_eq!((found.inputs, found.transposed), (Some(Inputs::Batch { vectors: 2 }), false));
    // One vector, as a vector or as a matrix with one row.
    for shape in [&[2][..], &[1, 2], &[1, 1, 2]] {
        let found = rel_error(TWO, NEAR, f32_sample("w", shape, &[1.0, 2.0]));
        assert!(close(found, (4.0 / 146.0f64).sqrt()), "{found}");
    }
    // Leading dimensions count vectors.
    let vectors = f32_sample("w", &[2, 2, 2], &[1.0, 1.0, 1.0, 2.0, 0.0, 0.0, 0.0, 0.0]);
    let found = tensor(TWO, NEAR, vectors);
    assert_eq!(found.inputs, Some(Inputs::Batch { vectors: 4 }));
    assert!(close(found.operator.unwrap().rel_error, expected), "from a Gram matrix");
    let found = tensor(TWO, NEAR, f32_sample("w", TWO, &[2.0, 3.0, 3.0, 5.0]));
    assert_eq!(found.inputs, Some(Inputs::Gram));
    assert!(close(found.operator.unwrap().rel_error, expected));
}

/// The same numbers as a batch and as a Gram matrix.
#[test]
fn suffix_determines_form() {
    let diagonal = |name| f32_sample(name, TWO, &[1.0, 0.0, 0.0, 2.0]);
    let inputs = |name| tensor(TWO, NEAR, diagonal(name)).inputs.unwrap();
    assert_eq!(inputs("w"), Inputs::Gram);
    assert_eq!(inputs("w.gram"), Inputs::Gram);
    assert_eq!(inputs("w.inputs"), Inputs::Batch { vectors: 2 });
    let gram = (2.0 / (1.0 + 9.0 + 2.0 * 4.0 + 2.0 * 16.0f64)).sqrt();
    let batch = (4.0 / (1.0 + 9.0 + 4.0 * 4.0 + 4.0 * 16.0f64)).sqrt();
    assert!(close(rel_error(TWO, NEAR, diagonal("w.gram")), gram));
    assert!(close(rel_error(TWO, NEAR, diagonal("w.inputs")), batch));
}

#[test]
fn form_without_suffix_depends_on_symmetry() {
    let inputs = |x: [f64; 4]| tensor(TWO, NEAR, f32_sample("w", TWO, &x)).inputs.unwrap();
    let batch = Inputs::Batch { vectors: 2 };
    // Symmetric, exactly and up to rounding.
    assert_eq!(inputs([2.0, 1.0, 1.0, 3.0]), Inputs::Gram);
    assert_eq!(inputs([2.0, 1.0, 1.0 + 1e-6, 3.0]), Inputs::Gram);
    assert_eq!(inputs([0.0; 4]), Inputs::Gram);
    // Not symmetric; negative, or too large, for a Gram matrix.
    assert_eq!(inputs([2.0, 1.0, 1.1, 3.0]), batch);
    assert_eq!(inputs([-2.0, 1.0, 1.0, 3.0]), batch);
    assert_eq!(inputs([0.0, 1.0, 1.0, 0.0]), batch);
    assert_eq!(inputs([1.0, 4.0, 4.0, 1.0]), batch);
    // The tolerance of BF16 is larger.
    let bytes = [2.0, 1.0, 1.0078125, 3.0].map(|x| bf16::from_f64(x).to_le_bytes()).concat();
    let coarse = tensor(TWO, NEAR, Sample::new("w", Dtype::Bf16, TWO, bytes));
    assert_eq!(coarse.inputs, Some(Inputs::Gram));
}

#[test]
fn identity_inputs_give_the_weight_error() {
    let identity = |name| f32_sample(name, TWO, &[1.0, 0.0, 0.0, 1.0]);
    for name in ["w", "w.gram", "w.inputs"] {
        let found = tensor(TWO, NEAR, identity(name));
        let (operator, weights) = (found.operator.unwrap(), found.distortion.unwrap());
        assert_eq!(operator.rel_error, weights.rel_error, "{name}");
        assert_eq!(operator.snr_db, weights.snr_db);
    }
}

#[test]
fn inputs_orthogonal_to_the_error_give_no_error() {
    let weights: [&[f64]; 2] = [&[1.0, 2.0, 3.0, 4.0], &[0.0, 1.0, 5.0, 6.0]];
    let batch = f32_sample("w", &[3, 2], &[1.0, -1.0, -2.0, 2.0, 0.5, -0.5]);
    let gram = f32_sample("w", TWO, &[5.25, -5.25, -5.25, 5.25]);
    for inputs in [batch, gram, f32_sample("w", &[2], &[3.0, -3.0])] {
        let found = tensor(TWO, weights, inputs);
        assert!(found.distortion.unwrap().rel_error > 0.5);
        let operator = found.operator.unwrap();
        assert_eq!((operator.rel_error, operator.snr_db), (0.0, f64::INFINITY));
    }
}

#[test]
fn zero_outputs_and_special_weights() {
    let ones = || f32_sample("w", &[2], &[1.0, 1.0]);
    assert_eq!(rel_error(TWO, [&[0.0; 4], &[0.0; 4]], ones()), 0.0);
    assert_eq!(rel_error(TWO, [&[0.0; 4], NEAR[0]], ones()), f64::INFINITY);
    assert_eq!(rel_error(TWO, NEAR, f32_sample("w", &[2], &[0.0, 0.0])), 0.0);
    assert_eq!(rel_error(TWO, NEAR, f32_sample("w", &[0, 2], &[])), 0.0);
    assert_eq!(rel_error(&[0, 2], [&[], &[]], ones()), 0.0);
    assert_eq!(rel_error(&[2, 0], [&[], &[]], f32_sample("w", &[3, 0], &[])), 0.0);
    // As in the comparison of weights: excluded if both are the same, else infinite.
    let [nan, infinity] = [f64::NAN, f64::INFINITY];
    for same in [nan, infinity] {
        let found = rel_error(TWO, [&[same, 2.0, 3.0, 4.0], &[same, 2.0, 3.0, 3.0]], ones());
        assert!(close(found, (1.0 / (4.0 + 49.0f64)).sqrt()), "{found}");
    }
    assert_eq!(rel_error(TWO, [NEAR[0], &[1.0, 2.0, 3.0, nan]], ones()), infinity);
}

/// Stored as inputs × outputs, as in GPT-2: three inputs, two outputs.
#[test]
fn weights_stored_as_inputs_by_outputs_are_transposed() {
    let by_outputs: [&[f64]; 2] =
        [&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[1.0, 2.0, 4.0, 4.0, 3.0, 6.0]];
    let by_inputs: [&[f64]; 2] = [&[1.0, 4.0, 2.0, 5.0, 3.0, 6.0], &[1.0, 4.0, 2.0, 3.0, 4.0, 6.0]];
    let gram = [9.0, 1.0, 2.0, 1.0, 8.0, 3.0, 2.0, 3.0, 7.0];
    for inputs in [
        f32_sample("w", &[3], &[1.0, 2.0, 3.0]),
        f32_sample("w", &[4, 3], &[1.0, 2.0, 3.0, 0.0, 1.0, 5.0, 2.0, 2.0, 1.0, 0.0, 0.0, 1.0]),
        f32_sample("w.gram", &[3, 3], &gram),
    ] {
        let found = tensor(&[3, 2], by_inputs, inputs.clone());
        let expected = tensor(&[2, 3], by_outputs, inputs);
        assert!(found.transposed && !expected.transposed);
        assert_eq!((found.operator, found.inputs), (expected.operator, expected.inputs));
    }
    let single =
        tensor(&[3, 2], by_inputs, f32_sample("w", &[3], &[1.0, 2.0, 3.0])).operator.unwrap();
    // Outputs 14 and 32; errors −3 and 4.
    assert!(close(single.rel_error, (25.0 / (14.0 * 14.0 + 32.0 * 32.0f64)).sqrt()), "{single:?}");
}

/// Two 2 × 2 filters of one channel: patches of four elements.
#[test]
fn inputs_of_convolutions_are_patches() {
    let a = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
    let b = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 9.0];
    let found = tensor(&[2, 1, 2, 2], [&a, &b], f32_sample("w", &[4], &[1.0, 0.0, 0.0, 1.0]));
    let expected = (1.0 / (25.0 + 169.0f64)).sqrt();
    assert!(close(found.operator.unwrap().rel_error, expected) && !found.transposed);
}

#[test]
fn total_sums_energies() {
    let model = |last: f64| {
        ["v", "w", "other"].map(|name| f32_sample(name, TWO, &[1.0, 2.0, 3.0, last])).to_vec()
    };
    let inputs = [f32_sample("w", &[2], &[1.0, 1.0]), f32_sample("v", &[2], &[1.0, 2.0])];
    let total = compared(&model(4.0), &model(3.0), &inputs).unwrap().total;
    let expected = ((1.0 + 4.0) / (9.0 + 49.0 + 25.0 + 121.0f64)).sqrt();
    assert!(close(total.operator.unwrap().rel_error, expected));
}

#[test]
fn unused_inputs_are_listed() {
    let weights = [
        f32_sample("w", TWO, NEAR[0]),
        f32_sample("norm", &[2], &[1.0, 2.0]),
        f32_sample("missing", TWO, NEAR[0]),
    ];
    let names = ["x", "w.input", "norm", "missing", "w.gram", "norm.gram"];
    let inputs = names.map(|name| f32_sample(name, TWO, &[f64::NAN, 0.0, 0.0, 1.0]));
    let mut inputs = inputs.to_vec();
    inputs[4] = f32_sample("w.gram", TWO, &[1.0, 0.0, 0.0, 1.0]);
    let comparison = compared(&weights, &weights[..2], &inputs).unwrap();
    assert_eq!(comparison.unused_inputs, ["x", "w.input", "norm", "missing", "norm.gram"]);
    let operators: Vec<_> = comparison.tensors.iter().map(|t| t.operator.is_some()).collect();
    assert_eq!(operators, [true, false]);
    // An entry with the exact name of a weight takes precedence.
    let weights = ["w", "w.gram"].map(|name| f32_sample(name, TWO, NEAR[0]));
    let comparison = compared(&weights, &weights, &inputs[4..5]).unwrap();
    assert!(comparison.tensors[0].operator.is_none() && comparison.tensors[1].operator.is_some());
}

#[test]
fn invalid_inputs_are_rejected_by_name() {
    let refused = |inputs: &[Sample], message: &str| {
        let [a, b] = NEAR.map(|values| f32_sample("w", TWO, values));
        let error = compared(&[a], &[b], inputs).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
        let at = error.location().unwrap();
        assert_eq!(at.tensor.as_ref(), inputs.last().map(|inputs| &inputs.name));
        assert!(at.file.as_ref().unwrap().ends_with("x"));
        error
    };
    let invalid = |inputs: Sample, message| {
        assert!(matches!(refused(&[inputs], message), Error::InvalidArgument { .. }));
    };
    invalid(f32_sample("w", &[1, 3], &[1.0; 3]), "width 3 for a weight of shape [2, 2]");
    invalid(f32_sample("w.inputs", &[3, 1], &[1.0; 3]), "width 1");
    invalid(f32_sample("w", &[], &[1.0]), "dimensions");
    invalid(f32_sample("w.gram", &[3, 2], &[1.0; 6]), "square");
    invalid(f32_sample("w.gram", &[2], &[1.0; 2]), "square");
    invalid(f32_sample("w.gram", TWO, &[2.0, 1.0, 1.1, 3.0]), "symmetric");
    invalid(f32_sample("w.gram", TWO, &[0.0, 1.0, 1.0, 0.0]), "semi-definite");
    for bad in [f64::NAN, f64::INFINITY] {
        invalid(f32_sample("w", TWO, &[1.0, 2.0, 2.0, bad]), "finite");
        invalid(f32_sample("w", &[3, 2], &[1.0, 2.0, 2.0, 1.0, bad, 0.0]), "finite");
    }
    invalid(f64_sample("w", &[2], &[1e200, 1e200]), "overflow F64");
    invalid(f64_sample("w", &[3, 2], &[1e200; 6]), "overflow F64");
    let complex = Sample::new("w", Dtype::C64, &[2], vec![0; 16]);
    assert!(matches!(refused(&[complex], "C64"), Error::Unsupported { .. }));
    let twice = ["w.gram", "w"].map(|name| f32_sample(name, TWO, &[1.0, 0.0, 0.0, 1.0]));
    assert!(matches!(refused(&twice, "second entry"), Error::InvalidArgument { .. }));
}

/// The bounds on single entries hold, but the energy of E is negative.
#[test]
fn indefinite_gram_matrix_is_rejected() {
    let shape = &[1, 3];
    let [a, b] = [[2.0, 2.0, 2.0], [1.0, 1.0, 1.0]].map(|w| f32_sample("w", shape, &w));
    let x = f32_sample("w", &[3, 3], &[1.0, -0.9, -0.9, -0.9, 1.0, -0.9, -0.9, -0.9, 1.0]);
    let error = compared(&[a], &[b], &[x]).unwrap_err();
    assert!(error.to_string().contains("semi-definite"), "{error}");
    assert_eq!(error.location().unwrap().tensor.as_deref(), Some("w"));
}

/// Because of rounding, the energy of the error is slightly negative.
#[test]
fn rounded_gram_matrix_gives_no_negative_error() {
    let weights: [&[f64]; 2] = [&[1.0, 1.0], &[0.0, 2.0]];
    let gram = f32_sample("w.gram", TWO, &[1.0, 1.000001, 1.000001, 1.0]);
    assert_eq!(rel_error(&[1, 2], weights, gram), 0.0);
}

#[test]
fn inputs_can_be_in_any_file_format() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let [a, b] = NEAR.map(|values| f32_sample("w", TWO, values));
    let x = f32_sample("w", &[3, 2], &[1.0, 2.0, -3.0, 4.0, 0.5, 0.25]);
    fs::write(path("a"), safetensors(&[a])).unwrap();
    fs::write(path("b"), safetensors(&[b])).unwrap();
    fs::write(path("x.safetensors"), safetensors(std::slice::from_ref(&x))).unwrap();
    fs::write(path("x.occ"), written(std::slice::from_ref(&x), small_chunks(2))).unwrap();
    fs::create_dir(path("x")).unwrap();
    let index = r#"{"weight_map":{"w":"1.safetensors"}}"#;
    fs::write(path("x/model.safetensors.index.json"), index).unwrap();
    fs::write(path("x/1.safetensors"), safetensors(&[x])).unwrap();
    let inputs = |x: &str| CompareOptions::default().inputs(path(x));
    let with = |x: &str| occ::compare(path("a"), path("b"), &inputs(x), None).unwrap();
    assert_eq!(with("x.safetensors"), with("x.occ"));
    assert_eq!(with("x.safetensors"), with("x"));
    let none = occ::compare(path("a"), path("b"), &inputs("none"), None);
    assert!(matches!(none, Err(Error::Io { path: Some(_), .. })));
    // Without inputs, outputs are not compared, and weights give the same result.
    let plain = occ::compare(path("a"), path("b"), &CompareOptions::default(), None).unwrap();
    assert!(plain.total.operator.is_none() && plain.tensors[0].operator.is_none());
    assert_eq!(plain.tensors[0].distortion, with("x").tensors[0].distortion);
    let cancel = &mut |_| ControlFlow::Break(());
    let stopped = occ::compare(path("a"), path("b"), &inputs("x"), Some(cancel));
    assert!(matches!(stopped, Err(Error::Cancelled)));
}

/// Several bands, both layouts, a batch of several blocks and a Gram matrix.
#[test]
fn threads_do_not_change_results() {
    let mut random = Random(5);
    let mut noise = |name: &str, shape: &[usize]| {
        Sample::new(name, Dtype::I8, shape, random.bytes(shape.iter().product()))
    };
    let shapes = [("normal", [500, 300]), ("transposed", [300, 4500]), ("narrow", [13000, 90])];
    let a = shapes.map(|(name, shape)| noise(name, &shape));
    let b = shapes.map(|(name, shape)| noise(name, &shape));
    let inputs = [
        noise("normal", &[3900, 300]),
        noise("transposed", &[41, 300]),
        noise("narrow", &[90, 90]),
    ];
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| compared(&a, &b, &inputs).unwrap())
    };
    let one = on(1);
    assert_eq!(one, on(4));
    for (at, tensor) in one.tensors.iter().enumerate() {
        let expected = plain_rel_error(&a[at], &b[at], &inputs[at]);
        let found = tensor.operator.unwrap().rel_error;
        assert!(close(found, expected), "{}: {found} {expected}", tensor.name);
    }
}

/// The relative error of outputs for I8 weights and inputs, by plain loops.
fn plain_rel_error(a: &Sample, b: &Sample, inputs: &Sample) -> f64 {
    let width = inputs.shape[1];
    // Distances between the weights of one output, and between outputs.
    let (step, stride) = if a.shape[1] == width { (1, width) } else { (a.shape[1], 1) };
    let outputs = a.bytes.len() / width;
    let value = |byte: u8| f64::from(byte as i8);
    let (mut error, mut signal) = (0.0, 0.0);
    let weights = |side: &Sample, output: usize| -> Vec<f64> {
        (0..width).map(|i| value(side.bytes[output * stride + i * step])).collect()
    };
    let vectors: Vec<Vec<f64>> =
        inputs.bytes.chunks(width).map(|x| x.iter().map(|&byte| value(byte)).collect()).collect();
    for output in 0..outputs {
        let (a, b) = (weights(a, output), weights(b, output));
        for x in &vectors {
            let product = |w: &[f64]| w.iter().zip(x).map(|(w, x)| w * x).sum::<f64>();
            let (a, b) = (product(&a), product(&b));
            signal += a * a;
            error += (a - b) * (a - b);
        }
    }
    f64::sqrt(error) / f64::sqrt(signal)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// A batch, its Gram matrix and a reference implementation.
    #[test]
    fn batch_and_gram_matrix_agree(
        (outputs, width, vectors) in (1usize..90, 1usize..20, 1usize..40),
        seed in any::<u64>(),
    ) {
        let mut random = Random(seed);
        let mut numbers = |count: usize| -> Vec<f64> {
            (0..count).map(|_| f64::from(random.weight())).collect()
        };
        let (a, e) = (numbers(outputs * width), numbers(outputs * width));
        let x = numbers(vectors * width);
        let b: Vec<f64> = a.iter().zip(&e).map(|(a, e)| a + e).collect();
        let product = |at: usize| -> f64 {
            x.chunks(width).map(|x| x[at / width] * x[at % width]).sum()
        };
        let gram: Vec<f64> = (0..width * width).map(product).collect();
        let energy = |w: &[f64]| -> f64 {
            let output = |w: &[f64], x: &[f64]| w.iter().zip(x).map(|(w, x)| w * x).sum::<f64>();
            let outputs = w.chunks(width).flat_map(|w| x.chunks(width).map(move |x| output(w, x)));
            outputs.map(|y| y * y).sum()
        };
        let expected = (energy(&e) / energy(&a)).sqrt();
        let shape = [outputs, width];
        for inputs in [
            f64_sample("w.inputs", &[vectors, width], &x),
            f64_sample("w.gram", &[width, width], &gram),
        ] {
            let [a, b] = [&a, &b].map(|values| f64_sample("w", &shape, values));
            let found = compared(&[a], &[b], &[inputs]).unwrap().total.operator.unwrap();
            prop_assert!(
                (found.rel_error - expected).abs() <= 1e-6 * expected,
                "{} {}", found.rel_error, expected
            );
        }
    }
}
