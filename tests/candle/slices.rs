//! Parts of tensors, for tensor parallelism.

use crate::common::{self, Sample, small_chunks};
use crate::{assert_same, cpu};
use candle_core::{CpuStorage, DType, Storage};
use candle_nn::var_builder::{Shard, ShardedSafeTensors, VarBuilderArgs};
use occ::candle::OccTensors;
use occ::{Dtype, Encoding, Plan, Reader, Writer};
use std::ops::Range;

/// Files with small chunks: lossless, of whole rows and not, and lossy.
fn files() -> Vec<(Sample, Vec<u8>)> {
    let samples = [
        Sample::new("w", Dtype::Bf16, &[96, 40], common::bf16_weights(1, 96 * 40)),
        Sample::new("w", Dtype::F32, &[6, 10, 8, 4], common::f32_weights(2, 6 * 10 * 8 * 4)),
        Sample::new("w", Dtype::U8, &[30, 7], (0..210).map(|i| i as u8).collect()),
        Sample::new("w", Dtype::U16, &[4, 3], (0..24).collect()),
        Sample::new("w", Dtype::F8_E4M3, &[16, 6], (0..96).collect()),
        Sample::new("w", Dtype::F32, &[3, 0, 2], Vec::new()),
        Sample::new("w", Dtype::F8_E4M3, &[3, 0, 2], Vec::new()),
        Sample::new("w", Dtype::I64, &[5], common::Random(1).bytes(40)),
    ];
    let mut files = Vec::new();
    for sample in samples {
        for chunk_elements in [50, 1 << 18] {
            for encoding in [Encoding::lossless(), Encoding::snr(15.0)] {
                let source = sample.source();
                let plan = Plan::of(&source, &encoding).unwrap();
                let mut file = Vec::new();
                let mut writer = Writer::new(&mut file, small_chunks(chunk_elements)).unwrap();
                writer.add_planned(&source, &plan).unwrap();
                writer.finish().unwrap();
                files.push((sample.clone(), file));
            }
        }
    }
    files
}

fn tensors(file: &[u8]) -> OccTensors<'_> {
    OccTensors::from_readers(vec![Reader::new(file).unwrap()]).unwrap()
}

fn ranges(size: usize) -> Vec<Range<usize>> {
    vec![0..size, 0..size / 2, size / 3..size, size / 2..size / 2, size.saturating_sub(1)..size]
}

#[test]
fn a_slice_is_that_of_the_whole_tensor() {
    for (sample, file) in files() {
        let tensors = tensors(&file);
        let own = tensors.load("w", &cpu()).unwrap().dtype();
        for dtype in [own, DType::F32, DType::BF16] {
            let whole = tensors.load_as("w", dtype, &cpu()).unwrap();
            for (dimension, &size) in sample.shape.iter().enumerate() {
                for range in ranges(size) {
                    let name = format!("{} {:?} {dimension} {range:?}", sample.dtype, sample.shape);
                    let found =
                        tensors.load_slice("w", dimension, range.clone(), dtype, &cpu()).unwrap();
                    let mut dims = sample.shape.clone();
                    dims[dimension] = range.len();
                    assert_eq!(found.dims(), dims, "{name}");
                    // candle cannot copy parts without elements.
                    if found.elem_count() > 0 {
                        let expected = whole.narrow(dimension, range.start, range.len()).unwrap();
                        assert_same(&name, &found, &expected.contiguous().unwrap());
                    }
                }
            }
        }
    }
}

/// candle converts neither dtype, and its own slices of them are wrong or panic.
#[test]
fn dtypes_without_conversions_are_sliced_by_bytes_or_refused() {
    let scales = Sample::new("w", Dtype::F8_E8M0, &[4, 6], (0..24).collect());
    let file = common::written(&[scales], small_chunks(7));
    for (dimension, size) in [(0, 4), (1, 6)] {
        for range in ranges(size) {
            let (tensors, mut dims) = (tensors(&file), [4, 6]);
            dims[dimension] = range.len();
            let found = tensors.load_slice("w", dimension, range.clone(), DType::F8E8M0, &cpu());
            let found = found.unwrap();
            assert_eq!((found.dims(), found.dtype()), (&dims[..], DType::F8E8M0));
            let (storage, _) = found.storage_and_layout();
            let Storage::Cpu(CpuStorage::F8E8M0(bytes)) = &*storage else { panic!("{dimension}") };
            let expected = (0..24u8).filter(|i| match dimension {
                0 => range.contains(&usize::from(i / 6)),
                _ => range.contains(&usize::from(i % 6)),
            });
            assert!(expected.eq(bytes.iter().copied()), "{dimension} {range:?}");
        }
    }
    for (dtype, own, length) in [(Dtype::F4, DType::F4, 16), (Dtype::F6_E2M3, DType::F6E2M3, 24)] {
        let file =
            common::written(&[Sample::new("w", dtype, &[4, 8], vec![1; length])], small_chunks(8));
        for dimension in [0, 1] {
            let error = tensors(&file).load_slice("w", dimension, 1..3, own, &cpu()).unwrap_err();
            assert!(error.to_string().contains("slices of dtype F"), "{error}");
        }
    }
}

#[test]
fn slices_that_do_not_exist_are_errors() {
    for (sample, file) in files() {
        let tensors = tensors(&file);
        let own = tensors.load("w", &cpu()).unwrap().dtype();
        let size = sample.shape[0];
        let reversed = Range { start: 1, end: 0 };
        for (dimension, range) in [(0, 0..size + 1), (0, reversed), (sample.shape.len(), 0..1)] {
            let error = tensors.load_slice("w", dimension, range, own, &cpu()).unwrap_err();
            assert!(error.to_string().contains("`w`"), "{error}");
        }
    }
}

#[test]
#[allow(unsafe_code)]
fn shards_are_those_of_candle() {
    let sample = Sample::new("w", Dtype::Bf16, &[96, 40], common::bf16_weights(1, 96 * 40));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.safetensors");
    std::fs::write(&path, common::safetensors(std::slice::from_ref(&sample))).unwrap();
    let file = common::written(std::slice::from_ref(&sample), small_chunks(500));
    // SAFETY: nothing modifies the file.
    let theirs = unsafe { ShardedSafeTensors::var_builder(&[path], DType::F32, &cpu()) }.unwrap();
    let ours = VarBuilderArgs::new_with_args(tensors(&file), DType::F32, &cpu());
    assert!(ours.contains_tensor("w") && !ours.contains_tensor("v"));
    for dim in 0..3 {
        for world_size in [1, 2, 4, 5, 7] {
            for rank in 0..world_size {
                let shard = Shard { dim, rank, world_size };
                let found = ours.get_with_hints((96, 40), "w", shard);
                match dim < 2 {
                    true => match (found, theirs.get_with_hints((96, 40), "w", shard)) {
                        (Ok(found), Ok(expected)) => assert_same("w", &found, &expected),
                        (found, expected) => {
                            assert_eq!(found.is_ok(), expected.is_ok(), "{shard:?}");
                        }
                    },
                    false => assert_eq!(found.is_ok(), world_size == 1), // candle panics
                }
            }
        }
    }
    for (rank, world_size) in [(0, 0), (2, 2)] {
        let shard = Shard { dim: 0, rank, world_size };
        ours.get_with_hints((96, 40), "w", shard).unwrap_err();
    }
}
