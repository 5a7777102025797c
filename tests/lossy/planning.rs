//! Plans of known tensors.

use crate::common::{Random, Sample};
use occ::{Coordinates, Dtype, Encoding, Plan, RowScales};

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
    let expected = [&[0.03802612f32, 0.019024046][..], &[0.018950054; 7]].concat();
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
        let other = Sample { name: "other.weight".into(), ..sample.clone() };
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
