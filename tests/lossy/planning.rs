//! Plans of known tensors.

use crate::common::{Random, Sample};
use occ::{Coordinates, Dtype, Encoding, Error, Plan, RowScales, WriteOptions, Writer};
use serde_json::{Value, json};

/// A change of the sample, the searches or the rate model of an effort level changes the files that
/// it writes. The tensor has so few columns that the sizes of samples differ between the levels.
/// The tolerance allows for other implementations of logarithms.
#[test]
fn steps_of_all_effort_levels_are_known() {
    let mut random = Random(17);
    let (rows, columns) = (2048, 96);
    let values = (0..rows * columns).map(|i| {
        let (row, column) = (i / columns, i % columns);
        random.weight() * [1.0, 3.0, 0.5][row * row % 17 % 3] * [1.0, 6.0][column % 2]
    });
    let bytes = values.flat_map(f32::to_le_bytes).collect();
    let sample = Sample::new("layers.0.mlp.up_proj.weight", Dtype::F32, &[rows, columns], bytes);
    let steps: Vec<f32> = (1..=9)
        .map(|effort| {
            let encoding = Encoding::bits(3.0).effort(effort).max_rank(0);
            let encoding = encoding.coordinates(Coordinates::Hadamard);
            let plan = Plan::of(&sample.source(), &encoding).unwrap();
            plan.lossy.expect("a matrix of floats").step
        })
        .collect();
    let expected = [&[0.038083434f32, 0.019038433][..], &[0.018954094; 7]].concat();
    let close = |(step, expected): (&f32, &f32)| (step / expected - 1.0).abs() < 1e-5;
    assert!(steps.iter().zip(&expected).all(close), "{steps:?}");
}

/// The steps of tensors with the same numbers depend on their names: those of position embeddings
/// are half as large, and projections of inputs have row scales as vocabularies have.
#[test]
fn roles_determine_steps_and_scales() {
    let mut random = Random(18);
    let values: Vec<u8> = (0..512 * 64).flat_map(|_| random.weight().to_le_bytes()).collect();
    let plan = |name: &str| {
        let sample = Sample::new(name, Dtype::F32, &[512, 64], values.clone());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        // Another sign: equal tensors would be tied.
        let mut other = Sample { name: "other.weight".into(), ..sample.clone() };
        other.bytes[3] ^= 0x80;
        std::fs::write(&path, crate::common::safetensors(&[other, sample])).unwrap();
        let checkpoint = occ::convert::Checkpoint::open(&path).unwrap();
        let plan = checkpoint.plan(&Encoding::bits(4.0).max_rank(0), None).unwrap();
        let step = |name: &str| plan.get(name).unwrap().lossy.as_ref().unwrap().step;
        let ratio = step(name) / step("other.weight");
        (ratio, plan.get(name).unwrap().lossy.as_ref().unwrap().row_scales)
    };
    for (name, expected, row_scales) in [
        ("layers.0.weight", 1.0, RowScales::None),
        ("embed_positions.weight", 0.5, RowScales::None),
        ("patch_embed.proj.weight", 1.0, RowScales::Rms),
        ("embedding.weight", 1.0, RowScales::Vocabulary),
    ] {
        let (ratio, found) = plan(name);
        assert!((ratio / expected - 1.0).abs() < 1e-3, "{name}: {ratio}");
        assert_eq!(found, row_scales, "{name}");
    }
}

/// A plan of two tensors with a common budget, as JSON.
fn two_tensors() -> (Sample, Value) {
    let bytes = Random(3).bytes(4 * 64 * 64).iter().map(|byte| byte & 0x3f).collect();
    let sample = Sample::new("a", Dtype::F32, &[64, 64], bytes);
    let planned = Plan::of(&sample.source(), &Encoding::bits(3.0)).unwrap();
    assert!(planned.lossy.is_some());
    let mut plan = Plan::default();
    plan.bits = Some(3.0);
    plan.tensors.extend([("a".to_owned(), planned.clone()), ("b".to_owned(), planned)]);
    (sample, serde_json::from_str(&plan.to_json()).unwrap())
}

/// Numbers of a plan that no planner writes are refused when it is read. Sums of such numbers wrap.
#[test]
fn plans_with_absurd_numbers_are_refused() {
    let (_, plan) = two_tensors();
    assert!(Plan::from_json(&plan.to_string()).is_ok());
    let cases: &[(&str, &[Value])] = &[
        ("/bits", &[json!(0), json!(-1), json!(1e300)]),
        ("/tensors/b/weights", &[json!(u64::MAX), json!(1u64 << 60), json!(-1), json!(0.5)]),
        ("/tensors/b/bytes", &[json!(u64::MAX), json!(1u64 << 60), json!(-1)]),
        (
            "/tensors/b/lossy/step",
            &[json!(0), json!(-0.5), json!(1e-40), json!(1e300), json!(null)],
        ),
        ("/tensors/b/lossy/rank", &[json!(129), json!(u64::MAX), json!(-1)]),
        ("/tensors/b/lossy/transform/block", &[json!(0), json!(3), json!(u64::MAX)]),
        ("/tensors/b/lossy/effort", &[json!(0), json!(10), json!(256)]),
        ("/tensors/b/lossy/max_noise", &[json!(-1e-9), json!("1")]),
        ("/tensors/b/lossy/max_output_noise", &[json!(-1)]),
        ("/tensors/b/lossy/rate/min_bits", &[json!(-0.1), json!(1e300)]),
        ("/tensors/b/lossy/rate/points/1/0", &[json!(1e300), json!(-1e300)]),
        ("/tensors/b/lossy/rate/points/2/1", &[json!(-1), json!(1e300)]),
    ];
    for (pointer, values) in cases {
        for value in *values {
            let mut plan = plan.clone();
            *plan.pointer_mut(pointer).unwrap() = value.clone();
            let error = Plan::from_json(&plan.to_string()).unwrap_err();
            assert!(matches!(error, Error::InvalidArgument { .. }), "{pointer} {value}: {error}");
        }
    }
    let mut plan = plan;
    // Steps that do not increase have no slope between them.
    let first = plan.pointer("/tensors/b/lossy/rate/points/0/0").unwrap().clone();
    *plan.pointer_mut("/tensors/b/lossy/rate/points/1/0").unwrap() = first;
    let error = Plan::from_json(&plan.to_string()).unwrap_err();
    assert_eq!(error.location().unwrap().tensor.as_deref(), Some("b"));
}

/// A budget in bits per weight needs the numbers of weights.
#[test]
fn plans_for_other_tensors_are_refused() {
    let (sample, mut plan) = two_tensors();
    for weights in [4095, 4097, (1u64 << 60) - 4096] {
        plan["tensors"]["a"]["weights"] = json!(weights);
        plan["tensors"]["a"]["bytes"] = json!(1u64 << 59);
        let plan = Plan::from_json(&plan.to_string()).unwrap();
        let mut writer = Writer::new(std::io::sink(), WriteOptions::default()).unwrap();
        let error = writer.add_all(&[sample.source()], &plan).unwrap_err();
        assert!(matches!(error, Error::InvalidArgument { .. }), "{error}");
        assert_eq!(error.location().unwrap().tensor.as_deref(), Some("a"));
    }
}
