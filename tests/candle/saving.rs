//! Files from tensors of candle.

use crate::{assert_same, cpu};
use candle_core::{DType, Tensor};
use occ::candle::{load, save};
use occ::{Encoding, Reader};
use std::collections::HashMap;

#[test]
fn tensors_are_restored() {
    let device = cpu();
    let matrix = Tensor::randn(0f32, 0.02, (64, 96), &device).unwrap();
    let mut tensors = HashMap::from([
        ("matrix".to_owned(), matrix.clone()),
        ("transposed".to_owned(), matrix.t().unwrap()),
        ("part".to_owned(), matrix.narrow(0, 3, 11).unwrap()),
        ("columns".to_owned(), matrix.narrow(1, 3, 11).unwrap()),
        ("scalar".to_owned(), Tensor::new(1.5f64, &device).unwrap()),
        ("empty".to_owned(), Tensor::zeros((3, 0), DType::I64, &device).unwrap()),
    ]);
    for dtype in [
        DType::U8,
        DType::U32,
        DType::I16,
        DType::I32,
        DType::I64,
        DType::BF16,
        DType::F16,
        DType::F64,
        DType::F8E4M3,
    ] {
        let values = (&matrix * 1000.0).unwrap().to_dtype(dtype).unwrap();
        tensors.insert(format!("all.{}", dtype.as_str()), values);
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.occ");
    std::fs::write(&path, b"what was there before").unwrap();
    save(&tensors, &path, &Encoding::lossless()).unwrap();
    let found = load(&path, &device).unwrap();
    assert_eq!(found.len(), tensors.len());
    for (name, tensor) in &tensors {
        assert_same(name, &found[name], &tensor.contiguous().unwrap());
    }
    let first = std::fs::read(&path).unwrap();
    save(&tensors, &path, &Encoding::lossless()).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), first, "the order of a map has no influence");
}

#[test]
fn a_budget_is_for_all_tensors() {
    let device = cpu();
    let random = |scale| Tensor::randn(0f32, scale, (256, 512), &device).unwrap();
    let tensors = HashMap::from([("a", random(0.01)), ("b", random(1.0))]);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.occ");
    save(&tensors, &path, &Encoding::bits(3.0)).unwrap();
    let file = Reader::open(&path).unwrap();
    assert!(file.file_bytes() * 8 <= 3 * 2 * 256 * 512);
    assert!(file.file_bytes() * 8 >= 2 * 2 * 256 * 512);
    let found = load(&path, &device).unwrap();
    for (name, tensor) in &tensors {
        let square = |tensor: Tensor| tensor.sqr().unwrap().sum_all().unwrap();
        let noise = square((&found[*name] - tensor).unwrap()).to_scalar::<f32>().unwrap();
        let signal = square(tensor.clone()).to_scalar::<f32>().unwrap();
        assert!((0.001..0.03).contains(&(noise / signal)), "{name}: {}", noise / signal);
    }
}

#[test]
fn what_cannot_be_saved_is_an_error() {
    let (device, directory) = (cpu(), tempfile::tempdir().unwrap());
    let path = directory.path().join("model.occ");
    let tensor = Tensor::zeros((4, 4), DType::F32, &device).unwrap();
    let tensors = HashMap::from([("w", tensor)]);
    save(&tensors, directory.path().join("missing/model.occ"), &Encoding::lossless()).unwrap_err();
    let error = save(&tensors, &path, &Encoding::bits(0.5)).unwrap_err();
    assert!(error.to_string().contains("budget"), "{error}");
    let four_bits = Tensor::from_raw_buffer(&[1; 8], DType::F4, &[16], &device).unwrap();
    let error = save(&HashMap::from([("f4", four_bits)]), &path, &Encoding::lossless());
    assert!(error.unwrap_err().to_string().contains("`f4`"));
    assert!(!path.exists());
}
