//! The crate against a decoder written from `spec/format.md` alone: both must accept the same
//! files and read the same from them.

#![allow(clippy::single_range_in_vec_init)] // lists of ranges, some of one

mod common;
mod spec_decoder;

use common::{Sample, few, menagerie, small_chunks, written};
use occ::{Reader, VerifyOptions, WriteOptions};
use spec_decoder::{DecodedObject, decode_indexed, decode_stream};
use std::ops::Range;

fn is_sound(file: &[u8]) -> bool {
    let options = VerifyOptions { deep: true, ..VerifyOptions::default() };
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
    for options in [
        WriteOptions::default(),
        small_chunks(77),
        WriteOptions { alignment: 1, ..small_chunks(500) },
    ] {
        let file = written(&samples, options);
        assert_same(&decode_stream(&file).unwrap(), &samples);
        assert_same(&decode_indexed(&file).unwrap(), &samples);
    }
    assert!(decode_stream(&written(&[], WriteOptions::default())).unwrap().is_empty());
}

#[test]
fn reads_codecs_by_their_ids() {
    let file = written(&menagerie(), WriteOptions::default());
    let reader = Reader::from_bytes(&file).unwrap();
    for object in decode_stream(&file).unwrap() {
        assert_eq!(reader.tensor(&object.name).unwrap().stored().unwrap().id(), object.codec);
    }
}

/// A CRC and what it covers, innermost first.
struct Checksum {
    covered: Vec<Range<usize>>,
    at: usize,
}

fn number(file: &[u8], at: usize, bytes: usize) -> usize {
    file[at..at + bytes].iter().rev().fold(0, |x, &byte| x << 8 | usize::from(byte))
}

/// All checksums of a sound file, but for those of decoded bytes, by the tables of the spec.
fn checksums(file: &[u8]) -> Vec<Checksum> {
    let mut all = vec![Checksum { covered: vec![0..60], at: 60 }];
    let index = number(file, file.len() - 40, 8);
    let entries = number(file, index + 8, 8);
    let ends = index + 40 + 76 * entries + 8 * number(file, index + 16, 8);
    for entry in (0..entries).map(|entry| index + 40 + 72 * entry) {
        let (frame, payload) = (number(file, entry, 8), number(file, entry + 8, 8));
        let payload_end = payload + number(file, entry + 16, 8);
        let header_end = frame + number(file, frame + 4, 4);
        let mut chunk = payload;
        if file[frame + 11] == 1 {
            // Contiguous: one chunk in these files, its CRC before the header's.
            all.push(Checksum { covered: vec![payload..payload_end], at: header_end - 8 });
            if payload == payload_end {
                all.pop();
            }
        } else {
            let first = number(file, entry + 48, 8);
            let mut end_at = ends + 8 * first;
            while chunk < payload_end {
                let end = number(file, end_at, 8);
                all.push(Checksum {
                    covered: vec![chunk..chunk + 4, chunk + 8..end],
                    at: chunk + 4,
                });
                (chunk, end_at) = (end, end_at + 8);
            }
        }
        all.push(Checksum { covered: vec![frame..header_end - 4], at: header_end - 4 });
        all.push(Checksum { covered: vec![payload_end..payload_end + 20], at: payload_end + 20 });
    }
    let trailer = file.len() - 40;
    all.push(Checksum { covered: vec![index..trailer], at: trailer + 24 });
    all.push(Checksum { covered: vec![trailer..trailer + 28], at: trailer + 28 });
    all
}

fn mend(file: &mut [u8], checksums: &[Checksum]) {
    for Checksum { covered, at } in checksums {
        let mut hasher = crc32fast::Hasher::new();
        for range in covered {
            hasher.update(&file[range.clone()]);
        }
        file[*at..at + 4].copy_from_slice(&hasher.finalize().to_le_bytes());
    }
}

/// Every byte changed, every checksum mended: what is left to find are the rules themselves.
#[test]
fn agrees_on_what_is_sound_behind_valid_checksums() {
    let samples = few();
    let file = written(&samples, WriteOptions { alignment: 16, ..small_chunks(1 << 18) });
    let checksums = checksums(&file);
    let mut mended = file.clone();
    mend(&mut mended, &checksums);
    assert_eq!(mended, file, "the checksums were found");
    let mut sound = 0;
    for at in 0..file.len() {
        for flip in [0x01, 0x10, 0x80, 0xff] {
            let mut damaged = file.clone();
            damaged[at] ^= flip;
            mend(&mut damaged, &checksums);
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
