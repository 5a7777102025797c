//! Comparison of outputs with files of statistics, which follow the convention of `Calibration`.

use crate::common::{Sample, f32_sample, safetensors, safetensors_with_header, written};
use occ::{Calibration, CompareOptions, Comparison, Dtype, Error, Inputs, Result, WriteOptions};
use std::fs;

const TWO: &[usize] = &[2, 2];

/// Weights with these names: in B, the last element is smaller by 1.
fn models(names: &[&str]) -> [Vec<Sample>; 2] {
    [4.0, 3.0].map(|last| {
        names.iter().map(|name| f32_sample(name, TWO, &[1.0, 2.0, 3.0, last])).collect()
    })
}

/// A safetensors file with a metadata entry `share`.
fn sharing(samples: &[Sample], share: &str) -> Vec<u8> {
    let plain = safetensors(samples);
    let (length, rest) = plain.split_at(8);
    let (header, data) = rest.split_at(u64::from_le_bytes(length.try_into().unwrap()) as usize);
    let mut header: serde_json::Value = serde_json::from_slice(header).unwrap();
    header["__metadata__"] = serde_json::json!({ "share": share });
    safetensors_with_header(&header.to_string(), data)
}

/// Compares the weights with these names for the inputs in a file.
fn compared(names: &[&str], inputs: &[u8]) -> Result<Comparison> {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let [a, b] = models(names);
    fs::write(path("a"), safetensors(&a)).unwrap();
    fs::write(path("b"), safetensors(&b)).unwrap();
    fs::write(path("x"), inputs).unwrap();
    let found =
        occ::compare(path("a"), path("b"), &CompareOptions::default().inputs(path("x")), None)?;
    // A file that follows the convention can be opened as statistics, with the same entries unused.
    if let Ok(calibration) = Calibration::open([path("x")]) {
        let mut unused = found.unused_inputs.clone();
        unused.sort();
        assert_eq!(calibration.unused(names.iter().copied()), unused);
    }
    Ok(found)
}

/// The relative errors and the forms of inputs, where there are any.
fn operators(comparison: &Comparison) -> Vec<Option<(f64, Inputs)>> {
    let operator = |tensor: &occ::TensorComparison| {
        tensor.operator.map(|operator| (operator.rel_error, tensor.inputs.unwrap()))
    };
    comparison.tensors.iter().map(operator).collect()
}

/// The error for the diagonal (1, 2): 2 · 1² of 1 + 9 + 2 · (4 + 16).
fn of_diagonal() -> f64 {
    (2.0 / 50.0f64).sqrt()
}

fn close(found: f64, expected: f64) -> bool {
    (found - expected).abs() < 1e-9
}

#[test]
fn diagonals_weigh_squares_of_weights() {
    for dtype in [Dtype::F32, Dtype::F64] {
        let values = [1.0, 2.0];
        let bytes = match dtype {
            Dtype::F32 => values.iter().flat_map(|&x| (x as f32).to_le_bytes()).collect(),
            _ => values.iter().flat_map(|x: &f64| x.to_le_bytes()).collect(),
        };
        let diagonal = [Sample::new("w.diag", dtype, &[2], bytes)];
        for file in [safetensors(&diagonal), written(&diagonal, WriteOptions::default())] {
            let found = compared(&["w"], &file).unwrap();
            let [Some((error, Inputs::Diagonal))] = operators(&found)[..] else {
                panic!("{found:?}");
            };
            assert!(close(error, of_diagonal()), "{error}");
            assert_eq!(found.total.operator, found.tensors[0].operator);
            assert!(found.unused_inputs.is_empty());
        }
    }
    // The same as a Gram matrix without correlations.
    let gram = safetensors(&[f32_sample("w.gram", TWO, &[1.0, 0.0, 0.0, 2.0])]);
    let found = compared(&["w"], &gram).unwrap();
    assert!(close(operators(&found)[0].unwrap().0, of_diagonal()));
}

/// One input and three outputs, stored as inputs × outputs.
#[test]
fn a_diagonal_determines_the_layout() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for (file, last) in [("a", 2.0), ("b", 1.0)] {
        let weight = f32_sample("w", &[1, 3], &[1.0, 2.0, last]);
        fs::write(path(file), safetensors(&[weight])).unwrap();
    }
    fs::write(path("x"), safetensors(&[f32_sample("w.diag", &[1], &[7.0])])).unwrap();
    let options = CompareOptions::default().inputs(path("x"));
    let found = occ::compare(path("a"), path("b"), &options, None).unwrap();
    assert!(found.tensors[0].transposed);
    assert!(close(operators(&found)[0].unwrap().0, 1.0 / 3.0));
}

#[test]
fn other_inputs_come_before_a_diagonal() {
    let diagonal = f32_sample("w.diag", &[2], &[1.0, 0.0]);
    let gram = f32_sample("w.gram", TWO, &[1.0, 0.0, 0.0, 2.0]);
    let batch = f32_sample("w.inputs", &[1, 2], &[1.0, 1.0]);
    for entries in [[diagonal.clone(), gram.clone()], [gram, diagonal.clone()]] {
        let found = compared(&["w"], &safetensors(&entries)).unwrap();
        let (error, inputs) = operators(&found)[0].unwrap();
        assert!(close(error, of_diagonal()) && inputs == Inputs::Gram);
        assert!(found.unused_inputs.is_empty());
    }
    let found = compared(&["w"], &safetensors(&[diagonal, batch])).unwrap();
    assert_eq!(operators(&found)[0].unwrap().1, Inputs::Batch { vectors: 1 });
}

#[test]
fn statistics_of_outputs_are_ignored() {
    let entries = [
        f32_sample("w.diag", &[2], &[1.0, 2.0]),
        f32_sample("w.rows", &[2], &[1.0, f32::NAN]),
        f32_sample("w.counts", &[3], &[1.0; 3]),
        f32_sample("v.rows", &[2], &[1.0; 2]),
        f32_sample("v.counts", &[2], &[1.0; 2]),
        f32_sample("v.diag", &[2], &[1.0; 2]),
    ];
    let found = compared(&["w"], &safetensors(&entries)).unwrap();
    assert!(close(operators(&found)[0].unwrap().0, of_diagonal()));
    assert_eq!(found.unused_inputs, ["v.rows", "v.counts", "v.diag"]);
}

#[test]
fn weights_share_inputs() {
    let entries = [
        f32_sample("q.diag", &[2], &[1.0, 2.0]),
        f32_sample("own.gram", TWO, &[1.0, 0.0, 0.0, 0.0]),
        f32_sample("other.gram", TWO, &[1.0, 0.0, 0.0, 2.0]),
        f32_sample("lost.gram", TWO, &[1.0, 0.0, 0.0, 2.0]),
        f32_sample("other.rows", &[2], &[1.0, 1.0]),
    ];
    // `other` is not compared; `k` has no inputs of its own; `own` has.
    let share = r#"{"k":"q","own":"other","only":"other","none":"lost"}"#;
    let names = ["q", "k", "own", "only", "plain"];
    let found = compared(&names, &sharing(&entries[..4], share)).unwrap();
    let [q, k, own, only, plain] = operators(&found).try_into().unwrap();
    assert_eq!((q, plain), (k, None));
    assert_eq!(q.unwrap().1, Inputs::Diagonal);
    assert!(close(q.unwrap().0, of_diagonal()));
    assert_eq!(own, Some((0.0, Inputs::Gram)), "the second input is zero");
    assert!(close(only.unwrap().0, of_diagonal()));
    assert_eq!(found.unused_inputs, ["lost.gram"]);
    // A shared Gram matrix comes before a diagonal.
    let share = r#"{"q":"other"}"#;
    let found = compared(&["q"], &sharing(&[entries[0].clone(), entries[2].clone()], share));
    assert_eq!(operators(&found.unwrap())[0].unwrap().1, Inputs::Gram);
    let error = compared(&["w"], &sharing(&entries, r#"{"k":1}"#)).unwrap_err();
    assert!(matches!(error, Error::InvalidArgument { .. }));
    assert!(error.to_string().contains("share"), "{error}");
    assert!(error.location().unwrap().file.as_ref().unwrap().ends_with("x"));
}

#[test]
fn invalid_diagonals_are_rejected_by_name() {
    for (shape, values, message) in [
        (&[2][..], &[1.0, -1.0][..], "negative"),
        (&[2], &[1.0, f32::NAN], "finite"),
        (&[3], &[1.0; 3], "width 3"),
        (&[1, 2], &[1.0; 2], "not a vector"),
        (&[2, 2], &[1.0; 4], "not a vector"),
    ] {
        let error = compared(&["w"], &safetensors(&[f32_sample("w.diag", shape, values)]));
        let error = error.unwrap_err();
        assert!(matches!(error, Error::InvalidArgument { .. }));
        assert!(error.to_string().contains(message), "{error}");
        assert_eq!(error.location().unwrap().tensor.as_deref(), Some("w.diag"));
    }
}
