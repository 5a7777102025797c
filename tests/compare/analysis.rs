//! Analysis of models: statistics of known matrices, determinism, errors.
#![cfg(feature = "analysis")]

use crate::common::{Sample, bf16_weights, f16_weights, f32_weights, safetensors, varied_samples};
use occ::Coordinates;
use occ::analysis::{Analysis, AnalyzeOptions, analyze};
use occ::{Dtype, Error, TensorRole};
use std::ops::ControlFlow;

fn analyzed(samples: &[Sample], options: &AnalyzeOptions) -> occ::Result<Analysis> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    std::fs::write(&path, safetensors(samples)).unwrap();
    analyze(&path, options, None)
}

fn model() -> Vec<Sample> {
    let mut embedding = f32_weights(5, 640 * 96);
    // One weight of about 50 standard deviations.
    embedding[4 * (600 * 96 + 17)..][..4].copy_from_slice(&1f32.to_le_bytes());
    vec![
        Sample::new("wte.weight", Dtype::F32, &[640, 96], embedding),
        Sample::new("h.0.attn.c_attn.weight", Dtype::Bf16, &[96, 288], bf16_weights(1, 96 * 288)),
        Sample::new("h.0.ln_1.weight", Dtype::F32, &[320], f32_weights(2, 320)),
        Sample::new("h.1.mlp.c_fc.weight", Dtype::F16, &[96, 384], f16_weights(3, 96 * 384)),
    ]
}

#[test]
fn matrices_are_analysed_and_summarised() {
    let found = analyzed(&model(), &AnalyzeOptions::default()).unwrap();
    let (weights, matrices) =
        (640 * 96 + 96 * 288 + 320 + 96 * 384, 640 * 96 + 96 * 288 + 96 * 384);
    assert_eq!((found.tensors, found.weights, found.matrix_weights), (4, weights, matrices));
    let roles: Vec<_> = found.matrices.iter().map(|matrix| (matrix.role, matrix.layer)).collect();
    let expected = [
        (TensorRole::Embedding, None),
        (TensorRole::QueryKeyValue, Some(0)),
        (TensorRole::Up, Some(1)),
    ];
    assert_eq!(roles, expected);
    for matrix in &found.matrices {
        let coordinates: Vec<Coordinates> =
            matrix.coordinates.iter().map(|found| found.coordinates).collect();
        assert_eq!(coordinates, Coordinates::ALL);
        for found in &matrix.coordinates {
            let coded = found.rates.coded;
            let is_coded = found.coordinates.is_coded();
            assert_eq!(coded.is_some(), is_coded, "{:?}", found.coordinates);
            // The weights are nearly Gaussian, so rates are near the bound of Shannon.
            assert!(coded.is_none_or(|coded| (2.5..6.0).contains(&coded.bits)), "{coded:?}");
            let norm = found.outliers.norm;
            assert!((norm / matrix.coordinates[0].outliers.norm - 1.0).abs() < 1e-5);
        }
    }
    let [identity, hadamard, _] = &found.coordinates[..] else { panic!("three summaries") };
    assert_eq!(identity.coordinates, Coordinates::Identity);
    assert_eq!(hadamard.coordinates, Coordinates::Hadamard);
    assert_eq!(identity.worst_matrix, "wte.weight");
    assert!(identity.worst_peak_to_rms > 45.0 && hadamard.worst_peak_to_rms < 15.0);
    assert_eq!((found.roles.len(), found.layers.len()), (3, 2));
    assert_eq!((found.layers[1].stack.as_str(), found.layers[1].matrices), ("h", 1));
    for pair in found.rate_distortion.windows(2) {
        // Nearly 1 bit per 6 dB.
        assert!((0.8..1.1).contains(&(pair[1].bits - pair[0].bits)), "{pair:?}");
    }
    for point in &found.rate_distortion {
        assert!((point.shannon_bits - point.snr_db / 6.0206).abs() < 1e-4);
        assert!((0.0..0.5).contains(&(point.matrix_bits - point.shannon_bits)), "{point:?}");
    }
}

#[test]
fn results_do_not_depend_on_threads() {
    let found = [1, 4].map(|threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| analyzed(&model(), &AnalyzeOptions::default()).unwrap())
    });
    assert_eq!(found[0], found[1]);
    let json = found.map(|found| serde_json::to_string(&found).unwrap());
    assert_eq!(json[0], json[1]);
}

#[test]
fn pattern_selects_tensors() {
    let with = |pattern: &str| analyzed(&model(), &AnalyzeOptions::default().tensors(pattern));
    let found = with("*c_fc*").unwrap();
    assert_eq!((found.matrices.len(), found.weights), (1, 96 * 384));
    let vector = with("*ln_1*").unwrap();
    assert_eq!((vector.tensors, vector.matrices.len(), vector.coordinates.len()), (1, 0, 0));
    let error = with("nothing*").unwrap_err();
    assert!(
        matches!(error, Error::InvalidArgument { .. }) && error.to_string().contains("nothing*")
    );
}

/// All dtypes, special values, zeros and constants.
#[test]
fn unusual_tensors_are_analysed() {
    let mut samples = varied_samples();
    let specials = [f32::NAN, f32::INFINITY, f32::MAX, f32::MIN_POSITIVE, -0.0, 1e-30];
    let bytes = (0..4096).flat_map(|i| specials[i % 6].to_le_bytes()).collect();
    samples.push(Sample::new("special", Dtype::F32, &[64, 64], bytes));
    samples.push(Sample::new("zero", Dtype::Bf16, &[64, 64], vec![0; 8192]));
    samples.push(Sample::new("ones", Dtype::F32, &[64, 64], 1f32.to_le_bytes().repeat(4096)));
    let found = analyzed(&samples, &AnalyzeOptions::default()).unwrap();
    // The last six of the varied samples are matrices, too.
    assert_eq!(found.matrices.len(), 9);
    assert_eq!(found.matrices[6].not_finite, 683 + 683);
    let json = serde_json::to_string(&found).unwrap();
    let back: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(back["matrices"][7]["coordinates"][0]["outliers"]["peak"] == 0.0);
    assert_eq!(found.matrices[8].spectrum.stable_rank.round(), 1.0);
}

#[test]
fn bad_options_and_cancellation_are_errors() {
    let options = AnalyzeOptions::default().snr_db(f64::NAN);
    assert!(matches!(analyzed(&model(), &options), Err(Error::InvalidArgument { .. })));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    std::fs::write(&path, safetensors(&model())).unwrap();
    let cancel = &mut |_| ControlFlow::Break(());
    let stopped = analyze(&path, &AnalyzeOptions::default(), Some(cancel));
    assert!(matches!(stopped, Err(Error::Cancelled)));
}
