//! The crate against a decoder written from `spec/format.md` alone: both must accept the same
//! files and read the same from them.

use crate::common::{Sample, few, menagerie, paired, small_chunks, written};
use crate::spec_decoder::checksums::{checksums, fix_checksums};
use crate::spec_decoder::{DecodedObject, decode_indexed, decode_stream};
use occ::{Reader, VerifyOptions, WriteOptions};

fn is_sound(file: &[u8]) -> bool {
    let options = VerifyOptions::default().deep(true);
    occ::verify(file, options).unwrap().problems.is_empty()
}

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
fn reads_what_is_written() {
    let samples = menagerie();
    for options in [WriteOptions::default(), small_chunks(77), small_chunks(500).alignment(1)] {
        let file = written(&samples, options);
        assert_same(&decode_stream(&file).unwrap(), &samples);
        assert_same(&decode_indexed(&file).unwrap(), &samples);
    }
    assert!(decode_stream(&written(&[], WriteOptions::default())).unwrap().is_empty());
}

#[test]
fn reads_codecs_by_their_ids() {
    let file = written(&menagerie(), WriteOptions::default());
    let reader = Reader::new(&file).unwrap();
    for object in decode_stream(&file).unwrap() {
        assert_eq!(reader.tensor(&object.name).unwrap().stored().unwrap().id(), object.codec);
    }
}

/// Every byte changed, every checksum mended: what is left to find are the rules themselves.
#[test]
fn agrees_on_what_is_sound_behind_valid_checksums() {
    agrees(&few());
}

#[test]
fn agrees_on_pairs() {
    let samples = [paired()];
    // Low bytes as they are, exponents in pairs from 120 down.
    let parameters = [0, 3, 120];
    let file = written(&samples, small_chunks(1 << 18));
    assert!(file.windows(3).any(|bytes| bytes == parameters));
    assert_same(&decode_stream(&file).unwrap(), &samples);
    agrees(&samples);
}

fn agrees(samples: &[Sample]) {
    let file = written(samples, small_chunks(1 << 18).alignment(16));
    let checksums = checksums(&file);
    let mut mended = file.clone();
    fix_checksums(&mut mended, &checksums);
    assert_eq!(mended, file, "the checksums were found");
    let mut sound = 0;
    for at in 0..file.len() {
        for flip in [0x01, 0x10, 0x80, 0xff] {
            let mut damaged = file.clone();
            damaged[at] ^= flip;
            fix_checksums(&mut damaged, &checksums);
            let ours = is_sound(&damaged);
            let theirs = decode_stream(&damaged);
            assert_eq!(ours, theirs.is_ok(), "byte {at} ^ {flip:#x}: {:?}", theirs.err());
            assert!(!ours || decode_indexed(&damaged).is_ok());
            sound += usize::from(ours);
        }
    }
    // Optional feature bits are free, and damaged checksums were mended. A changed name that is
    // still UTF-8 now differs from the index, a changed tensor from its decoded checksum.
    assert!(sound >= 8 * 4 + 4 * checksums.len() && sound < file.len() / 4, "{sound}");
}
