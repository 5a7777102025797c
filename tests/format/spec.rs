//! The crate against a decoder that was written only from `spec/format.md`: both must accept the
//! same files and decode them to the same bytes.

use crate::common::{
    Sample, paired_exponents, problems, small_chunks, small_samples, varied_samples, written,
};
use crate::spec_decoder::checksums::{checksums, fix_checksums};
use crate::spec_decoder::{DecodedObject, decode_indexed, decode_stream};
use occ::{Reader, WriteOptions};

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
    let samples = [paired_exponents()];
    // Plane 0 is raw; plane 1 is paired with base 120.
    let parameters = [0, 3, 120];
    let file = written(&samples, small_chunks(1 << 18));
    assert!(file.windows(3).any(|bytes| bytes == parameters));
    assert_same(&decode_stream(&file).unwrap(), &samples);
    check_agreement(&samples);
}

fn check_agreement(samples: &[Sample]) {
    let file = written(samples, small_chunks(1 << 18).alignment(16));
    let checksums = checksums(&file);
    let mut fixed = file.clone();
    fix_checksums(&mut fixed, &checksums);
    assert_eq!(fixed, file, "all checksums were found");
    let mut valid = 0;
    for at in 0..file.len() {
        for flip in [0x01, 0x10, 0x80, 0xff] {
            let mut damaged = file.clone();
            damaged[at] ^= flip;
            fix_checksums(&mut damaged, &checksums);
            let accepted = problems(&damaged, true).is_empty();
            let expected = decode_stream(&damaged);
            assert_eq!(accepted, expected.is_ok(), "byte {at} ^ {flip:#x}: {:?}", expected.err());
            assert!(!accepted || decode_indexed(&damaged).is_ok());
            valid += usize::from(accepted);
        }
    }
    // Unknown optional features are ignored, and changed checksums were fixed. A changed name that
    // is still UTF-8 differs from the index; a changed tensor differs from its decoded CRC.
    assert!(valid >= 8 * 4 + 4 * checksums.len() && valid < file.len() / 4, "{valid}");
}
