//! Golden files, written by earlier versions: they decode to the same bits, and the same input
//! gives the same file.
//!
//! After a deliberate change of the format, `OCC_BLESS=1 cargo test --test format golden` rewrites
//! them.

use crate::common::lossy::{LossySample, float8_samples, learned_basis_samples, portable_samples};
use crate::common::{
    assert_valid, lossy, safetensors, small_chunks, small_samples, tied_samples, varied_samples,
    written, written_together,
};
use occ::convert::Checkpoint;
use occ::{Reader, WriteOptions, Writer};
use std::fs;
use std::path::Path;

fn check(name: &str, file: &[u8]) -> Vec<u8> {
    let golden = read(name, file);
    assert!(golden == file, "{name} is encoded differently");
    golden
}

/// The golden file of this name. With `OCC_BLESS` it is first replaced by `file`.
fn read(name: &str, file: &[u8]) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("OCC_BLESS").is_some() {
        let version = Reader::new(file).unwrap().format_version();
        assert_eq!(version, 0, "golden files of a frozen version are never rewritten");
        fs::write(&path, file).unwrap();
    }
    fs::read(&path).unwrap()
}

#[test]
fn tensors_of_every_dtype() {
    let samples = varied_samples();
    for (name, options) in
        [("v0-dtypes.occ", WriteOptions::default()), ("v0-chunks.occ", small_chunks(100))]
    {
        let golden = check(name, &written(&samples, options));
        let reader = Reader::new(&golden).unwrap();
        for sample in &samples {
            let tensor = reader.tensor(&sample.name).unwrap();
            assert_eq!((tensor.dtype(), tensor.shape()), (sample.dtype, &sample.shape[..]));
            assert_eq!(tensor.decode().unwrap(), sample.bytes);
        }
    }
}

#[test]
fn references() {
    let samples = tied_samples();
    let golden = check("v0-references.occ", &written_together(&samples, small_chunks(2000)));
    assert_valid(&golden);
    let reader = Reader::new(&golden).unwrap();
    for sample in &samples {
        assert_eq!(reader.tensor(&sample.name).unwrap().decode().unwrap(), sample.bytes);
    }
}

#[test]
fn a_file_without_tensors() {
    check("v0-empty.occ", &written(&[], WriteOptions::default()));
}

#[test]
fn a_converted_file() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("in.safetensors");
    let original = safetensors(&small_samples());
    fs::write(&input, &original).unwrap();
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file, WriteOptions::default()).unwrap();
    let checkpoint = Checkpoint::open(&input).unwrap();
    checkpoint.write_to(&mut writer, None).unwrap();
    writer.finish().unwrap();
    let golden = check("v0-safetensors.occ", &file);
    let mut back = Vec::new();
    let target = occ::convert::Target::Stream(&mut back);
    occ::convert::decompress_stream(golden.as_slice(), target, None).unwrap();
    assert!(back == original);
}

/// The CRC-32 of every decoded tensor. The expected values are in this file, so that every machine
/// and decoder is compared with them.
fn assert_decodes(golden: &[u8], samples: &[LossySample], crcs: &[u32]) {
    assert_valid(golden);
    let reader = Reader::new(golden).unwrap();
    let mut found = Vec::new();
    for LossySample { sample, plan } in samples {
        let tensor = reader.tensor(&sample.name).unwrap();
        let (coding, lossy) = (tensor.coding().unwrap().unwrap(), plan.lossy.as_ref().unwrap());
        assert_eq!(
            (coding.transform, coding.step),
            (lossy.transform, lossy.step),
            "{}",
            sample.name
        );
        assert!(tensor.chunks() > 1);
        found.push(crc32fast::hash(&tensor.decode().unwrap()));
    }
    assert_eq!(found, crcs, "decoded differently: {found:08x?}");
}

/// Transforms of additions and subtractions only: encoding gives the same bytes on every machine.
#[test]
fn lossy_tensors() {
    let samples = portable_samples();
    let golden = check("v0-lossy.occ", &lossy::written(&samples, small_chunks(1)));
    let crcs = [
        0x8bcd3dee, 0x7711344f, 0x6ba1bc2b, 0x2255f766, 0x89a28809, 0x56f6f998, 0x9ce4178f,
        0x3740a635,
    ];
    assert_decodes(&golden, &samples, &crcs);
}

#[test]
fn lossy_tensors_of_eight_bits() {
    let samples = float8_samples();
    let golden = check("v0-lossy-float8.occ", &lossy::written(&samples, small_chunks(1)));
    assert_decodes(&golden, &samples, &[0x8804ecac, 0xc398b278]);
}

/// The order of additions, and thus the last digits of a learned basis, depend on the processor. So
/// encoded files may differ, but decoding a given file may not.
#[test]
fn lossy_tensors_with_a_learned_basis() {
    let samples = learned_basis_samples();
    let golden = read("v0-lossy-learned.occ", &lossy::written(&samples, small_chunks(1)));
    assert_decodes(&golden, &samples, &[0x0fd39c9b, 0xfff46f82]);
}
