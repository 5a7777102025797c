//! Whole tensors: every dtype, conversions, errors.

use crate::common::lossy::coded;
use crate::common::{self, Random, Sample, safetensors, varied_samples};
use crate::{assert_same, cpu};
use candle_core::safetensors::{Load, load_buffer};
use candle_core::{DType, Tensor};
use occ::candle::{OccTensors, load};
use occ::{Dtype, Encoding, Reader, WriteOptions};

fn file_of(samples: &[Sample]) -> Vec<u8> {
    common::written(samples, WriteOptions::default())
}

fn tensors(file: &[u8]) -> OccTensors<'_> {
    OccTensors::from_readers(vec![Reader::new(file).unwrap()]).unwrap()
}

/// candle refuses to load the others from safetensors, too.
const MISSING: [Dtype; 7] = [
    Dtype::Bool,
    Dtype::I8,
    Dtype::F8_E5M2,
    Dtype::F8_E4M3Fnuz,
    Dtype::F8_E5M2Fnuz,
    Dtype::C64,
    Dtype::U64,
];

#[test]
fn all_dtypes_load_as_candle_loads_them_from_safetensors() {
    let mut loaded = 0;
    for sample in varied_samples() {
        let file = file_of(std::slice::from_ref(&sample));
        let found = tensors(&file).load(&sample.name, &cpu());
        let expected = load_buffer(&safetensors(std::slice::from_ref(&sample)), &cpu());
        match (found, expected) {
            (Ok(found), Ok(expected)) => {
                assert_same(&sample.name, &found, &expected[&sample.name]);
                loaded += 1;
            }
            (Err(error), Err(_)) => {
                assert!(MISSING.contains(&sample.dtype), "{}", sample.dtype);
                let message = error.to_string();
                let name = sample.name.escape_debug().to_string();
                for part in [name.as_str(), sample.dtype.name(), "candle does not have"] {
                    assert!(message.contains(part), "{message}");
                }
            }
            (found, expected) => panic!("{}: {found:?}, {expected:?}", sample.name),
        }
    }
    assert!(loaded > 20);
}

#[test]
fn a_file_loads_as_a_map() {
    let samples: Vec<Sample> = varied_samples()
        .into_iter()
        .filter(|sample| !MISSING.contains(&sample.dtype) && sample.dtype.bits() >= 8)
        .collect();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.occ");
    std::fs::write(&path, file_of(&samples)).unwrap();
    let found = load(&path, &cpu()).unwrap();
    let expected = load_buffer(&safetensors(&samples), &cpu()).unwrap();
    assert_eq!(found.len(), expected.len());
    for (name, tensor) in &found {
        assert_same(name, tensor, &expected[name]);
    }
}

/// All 16-bit patterns, and F32 of all magnitudes with ties between BF16 and between F16 values.
fn all_values(dtype: Dtype) -> Sample {
    let mut random = Random(3);
    let bytes: Vec<u8> = match dtype {
        Dtype::F32 => (0..1u32 << 16)
            .flat_map(|high| {
                let low = [0x8000, 0x1000, 0x7fff, random.next() as u16][high as usize % 4];
                (high << 16 | u32::from(low)).to_le_bytes()
            })
            .collect(),
        Dtype::F8_E4M3 => (0..=255).collect(),
        Dtype::F64 => (0..1000).flat_map(|_| f64::from(random.weight()).to_le_bytes()).collect(),
        _ => (0..=u16::MAX).flat_map(u16::to_le_bytes).collect(),
    };
    let count = bytes.len() * 8 / dtype.bits() as usize;
    Sample::new("w", dtype, &[count / 8, 8], bytes)
}

#[test]
fn lossless_tensors_convert_as_candle_converts_them() {
    let floats = [DType::F32, DType::BF16, DType::F16, DType::F64];
    for dtype in [Dtype::F32, Dtype::Bf16, Dtype::F16, Dtype::F64, Dtype::F8_E4M3] {
        let sample = all_values(dtype);
        let file = file_of(std::slice::from_ref(&sample));
        let own = tensors(&file).load("w", &cpu()).unwrap();
        for to in floats {
            let found = tensors(&file).load_as("w", to, &cpu()).unwrap();
            assert_eq!(found.dtype(), to);
            let values = |tensor: &Tensor| -> Vec<u64> {
                let wide = tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap();
                let wide = wide.to_vec1::<f64>().unwrap();
                // Any NaN is as good as another.
                wide.iter().map(|&value| if value.is_nan() { 1 } else { value.to_bits() }).collect()
            };
            // candle 0.11 converts F8E4M3 to F64 by an endless recursion.
            let by_f32 = own.to_dtype(DType::F32).unwrap().to_dtype(to).unwrap();
            let expected =
                if own.dtype() == DType::F64 { own.to_dtype(to).unwrap() } else { by_f32 };
            let (found, expected) = (values(&found), values(&expected));
            let differs =
                found.iter().zip(&expected).position(|(found, expected)| found != expected);
            assert_eq!(differs, None, "{dtype} to {to:?}");
        }
    }
    // Integers by candle.
    let sample = Sample::new("w", Dtype::U8, &[3], vec![1, 2, 255]);
    let file = file_of(&[sample]);
    let found = tensors(&file).load_as("w", DType::F32, &cpu()).unwrap();
    assert_eq!(found.to_vec1::<f32>().unwrap(), [1.0, 2.0, 255.0]);
}

#[test]
fn a_lossy_tensor_is_rounded_once() {
    let sample = Sample::new("w", Dtype::Bf16, &[128, 64], common::bf16_weights(1, 128 * 64));
    let file = coded(&sample, &Encoding::bits(6.0), WriteOptions::default());
    let found = tensors(&file).load_as("w", DType::F32, &cpu()).unwrap();
    let stored = Reader::new(&file).unwrap().tensor("w").unwrap();
    let expected = common::to_f32(Dtype::F32, &stored.decode_as(Dtype::F32).unwrap());
    assert_eq!(found.flatten_all().unwrap().to_vec1::<f32>().unwrap(), expected);
    let twice = stored.load(&cpu()).unwrap().to_dtype(DType::F32).unwrap();
    assert_ne!(twice.flatten_all().unwrap().to_vec1::<f32>().unwrap(), expected);
}

#[test]
fn several_files_are_one_model() {
    let samples = varied_samples();
    let (first, second) = (file_of(&samples[..2]), file_of(&samples[2..4]));
    let reader = |file| Reader::new(file).unwrap();
    let both = OccTensors::from_readers(vec![reader(&first), reader(&second)]).unwrap();
    let names: Vec<&str> = both.names().map(Result::unwrap).collect();
    assert_eq!(names, ["bf16.coded", "f32.coded", "noise.raw", "zeros"]);
    assert!(both.contains("zeros").unwrap() && !both.contains("scalar").unwrap());
    assert_eq!(both.load_all(&cpu()).unwrap().len(), 4);
    let error = both.load("scalar", &cpu()).unwrap_err();
    assert!(error.to_string().contains("scalar"), "{error}");

    let error = OccTensors::from_readers(vec![reader(&first), reader(&first)]).unwrap_err();
    assert!(error.to_string().contains("bf16.coded"), "{error}");
}

#[test]
fn damage_is_an_error_with_tensor_and_chunk() {
    let mut file = file_of(&varied_samples()[..1]);
    let offset = file.len() / 2;
    file[offset] ^= 1;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("damaged.occ");
    std::fs::write(&path, file).unwrap();
    let message = load(&path, &cpu()).unwrap_err().to_string();
    for part in ["damaged.occ", "bf16.coded", "chunk 0", "checksum"] {
        assert!(message.contains(part), "{message}");
    }
    let missing = load(directory.path().join("missing.occ"), &cpu()).unwrap_err().to_string();
    assert!(missing.contains("missing.occ"), "{missing}");
}
