//! The crate against a decoder that was written only from `spec/format.md`: both must accept the
//! same files and decode them to the same bytes.

use crate::common::lossy::{LossySample, portable_samples};
use crate::common::{
    Random, Sample, codebooks, mask, padded, paired_exponents, paired_f16_exponents, problems,
    pruned, quantised, quantised_with_minima, safetensors, small_chunks, small_samples,
    tied_samples, varied_samples, written, written_together,
};
use crate::spec_decoder::checksums::{checksums, fix_checksums};
use crate::spec_decoder::deflate::inflate;
use crate::spec_decoder::{DecodedObject, decode_indexed, decode_stream};
use occ::convert::Checkpoint;
use occ::{Codec, Dtype, Plan, Reader, WriteOptions, Writer};

fn assert_same(objects: &[DecodedObject], samples: &[Sample]) {
    assert_eq!(objects.len(), samples.len());
    for (object, sample) in objects.iter().zip(samples) {
        let shape: Vec<u64> = sample.shape.iter().map(|&size| size as u64).collect();
        assert_eq!((object.kind, object.dtype), (1, sample.dtype.id()));
        assert_eq!(
            (&object.name, &object.shape, &object.bytes),
            (&sample.name, &shape, &sample.bytes)
        );
    }
}

#[test]
fn decodes_written_files() {
    let samples = varied_samples();
    for options in [WriteOptions::default(), small_chunks(77), small_chunks(500).alignment(1)] {
        let file = written(&samples, options);
        assert_same(&decode_stream(&file).unwrap(), &samples);
        assert_same(&decode_indexed(&file).unwrap(), &samples);
    }
    assert!(decode_stream(&written(&[], WriteOptions::default())).unwrap().is_empty());
}

#[test]
fn codec_ids_agree() {
    let file = written(&varied_samples(), WriteOptions::default());
    let reader = Reader::new(&file).unwrap();
    for object in decode_stream(&file).unwrap() {
        assert_eq!(reader.tensor(&object.name).unwrap().stored().unwrap().id(), object.codec);
    }
}

/// Every byte is changed and every checksum fixed, so only the rules of the format are tested.
#[test]
fn agrees_on_validity_with_fixed_checksums() {
    check_agreement(&small_samples());
}

#[test]
fn agrees_on_paired_exponents() {
    // Plane 0 is raw; plane 1 is paired with base 120 or 20, and without or with three low bits.
    let samples = [(paired_exponents(), [0, 3, 120, 0]), (paired_f16_exponents(), [0, 3, 20, 3])];
    for (sample, parameters) in samples {
        let samples = [sample];
        let file = written(&samples, small_chunks(1 << 18));
        assert!(file.windows(4).any(|bytes| bytes == parameters));
        assert_same(&decode_stream(&file).unwrap(), &samples);
        check_agreement(&samples);
    }
}

/// BF16 weights, paired, and integers of one byte. Of these files only a few bytes are changed.
#[test]
fn agrees_on_sequences_of_two_streams() {
    let mut random = Random(31);
    let weights: Vec<f32> = (0..1 << 17).map(|_| random.weight()).collect();
    let floats = weights.iter().flat_map(|&x| half::bf16::from_f32(x).to_le_bytes()).collect();
    let integers = weights.iter().map(|x| (1000.0 * x) as i8 as u8).collect();
    for (dtype, bytes) in [(Dtype::Bf16, floats), (Dtype::I8, integers)] {
        let samples = [Sample::new("long", dtype, &[256, 512], bytes)];
        let file = written(&samples, WriteOptions::default());
        assert_same(&decode_stream(&file).unwrap(), &samples);
        let number = |at: usize| u32::from_le_bytes(*file[at..].first_chunk().unwrap());
        let second = |first: usize| first + 4 + (number(first) & !(1 << 31)) as usize;
        // The streams have nearly the same length.
        let first = (0..file.len() - 4).find(|&first| {
            let second = second(first);
            number(first) >> 31 == 1
                && second > first + 10_000
                && second + 4 < file.len()
                && (number(second) as usize).abs_diff(second - first - 4) < 500
        });
        let second = second(first.unwrap_or_else(|| panic!("{dtype}: one stream")));
        let heads = [first.unwrap(), second].map(|head| head..head + 12);
        let end = second + number(second) as usize;
        let words = [second - 1, end, end + 3, end + 4];
        check_changes(&file, heads.into_iter().flatten().chain(words));
    }
}

/// The header of a converted file is coded as text.
#[test]
fn agrees_on_attachments() {
    let names = ["model.norm.weight", "model.norm.bias", "model.layers.0.norm.weight"];
    let tensors = names.map(|name| Sample::new(name, Dtype::U8, &[2], vec![1, 2]));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    std::fs::write(&path, safetensors(&tensors)).unwrap();
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file, WriteOptions::default()).unwrap();
    Checkpoint::open(&path).unwrap().write_to(&mut writer, None).unwrap();
    writer.finish().unwrap();
    let objects = decode_stream(&file).unwrap();
    assert_eq!((objects[0].kind, objects[0].codec), (2, Codec::Deflate.id()));
    assert_eq!(safetensors(&tensors)[8..], [&objects[0].bytes[..], &[1, 2, 1, 2, 1, 2]].concat());
    check_file(&file);
}

/// Streams of every kind of block, and of short, long, and overlapping repetitions.
#[test]
fn inflates_what_other_encoders_write() {
    let mut random = Random(3);
    let noise = random.bytes(70_000);
    let text = safetensors(&varied_samples());
    for bytes in [&[][..], b"a", &[7; 3000], &noise[..300], &noise, &text] {
        for level in [0, 1, 4, 6, 9] {
            let coded = miniz_oxide::deflate::compress_to_vec(bytes, level);
            assert!(inflate(&coded, bytes.len()).unwrap() == bytes);
            assert!(inflate(&coded[..coded.len() - 1], bytes.len()).is_err());
            assert!(inflate(&coded, bytes.len() + 1).is_err());
        }
    }
}

#[test]
fn agrees_on_dictionaries() {
    let all = [quantised(), mask(), quantised_with_minima(), codebooks(), pruned()];
    for samples in all.map(|sample| [sample]) {
        let file = written(&samples, small_chunks(1 << 18));
        let objects = decode_stream(&file).unwrap();
        assert_eq!(objects[0].codec, Codec::Dictionary.id(), "{}", samples[0].name);
        assert_same(&objects, &samples);
        check_agreement(&samples);
    }
}

#[test]
fn agrees_on_repetition() {
    let mut sample = padded();
    // Few rows, so that the test is fast.
    sample.bytes.drain(..50 * 128);
    sample.shape[0] = 40;
    let samples = [sample];
    let objects = decode_stream(&written(&samples, small_chunks(1 << 18))).unwrap();
    assert_eq!(objects[0].codec, Codec::Repetition.id());
    assert_same(&objects, &samples);
    check_agreement(&samples);
}

#[test]
fn agrees_on_references() {
    let samples = tied_samples();
    for options in [WriteOptions::default(), small_chunks(700)] {
        let file = written_together(&samples, options);
        assert_same(&decode_stream(&file).unwrap(), &samples);
        assert_same(&decode_indexed(&file).unwrap(), &samples);
    }
    let few: Vec<_> = samples.into_iter().filter(|sample| !sample.name.contains("noise")).collect();
    check_file(&written_together(&few, small_chunks(1 << 18).alignment(16)));
}

#[test]
fn agrees_on_references_to_lossy_tensors() {
    let LossySample { sample, plan } = portable_samples().swap_remove(0);
    let tied = ["first", "second"].map(|name| Sample { name: name.into(), ..sample.clone() });
    let mut plans = Plan::default();
    plans.tensors.extend(tied.iter().map(|sample| (sample.name.clone(), plan.clone())));
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file, WriteOptions::default().alignment(16)).unwrap();
    writer.add_all(&tied.each_ref().map(Sample::source), &plans).unwrap();
    writer.finish().unwrap();
    let objects = decode_stream(&file).unwrap();
    assert_eq!(objects[0].codec, Codec::Trellis.id());
    assert_eq!(objects[1].codec, Codec::Reference.id());
    assert!(objects[0].bytes == objects[1].bytes);
    check_file(&file);
}

fn check_agreement(samples: &[Sample]) {
    check_file(&written(samples, small_chunks(1 << 18).alignment(16)));
}

fn check_file(file: &[u8]) {
    let valid = check_changes(file, 0..file.len());
    // Unknown optional features are ignored, and changed checksums were fixed. A changed name that
    // is still UTF-8 differs from the index; a changed tensor differs from its decoded CRC, except that
    // words need not change with the last bits of their scale.
    let fixed = 4 * checksums(file).len();
    assert!(valid >= 8 * 4 + fixed && valid < file.len() / 2, "{valid}");
}

/// Changes single bytes and fixes all checksums. Returns the number of valid files.
fn check_changes(file: &[u8], positions: impl IntoIterator<Item = usize>) -> usize {
    let checksums = checksums(file);
    let mut fixed = file.to_vec();
    fix_checksums(&mut fixed, &checksums);
    assert_eq!(fixed, file, "all checksums were found");
    let mut valid = 0;
    for at in positions {
        for flip in [0x01, 0x10, 0x80, 0xff] {
            let mut damaged = file.to_vec();
            damaged[at] ^= flip;
            fix_checksums(&mut damaged, &checksums);
            let accepted = problems(&damaged, true).is_empty();
            let expected = decode_stream(&damaged);
            assert_eq!(accepted, expected.is_ok(), "byte {at} ^ {flip:#x}: {:?}", expected.err());
            assert!(!accepted || decode_indexed(&damaged).is_ok());
            valid += usize::from(accepted);
        }
    }
    valid
}
