//! Files written by earlier builds: they must be read, and written again, bit for bit.
//!
//! After a deliberate change of the format, `OCC_BLESS=1 cargo test --test format golden` writes
//! new ones.

use crate::common::lossy::{Exhibit, learned_exhibits, simple_exhibits};
use crate::common::{few, lossy, menagerie, safetensors, small_chunks, written};
use occ::convert::Checkpoint;
use occ::{Reader, VerifyOptions, WriteOptions, Writer};
use std::fs;
use std::path::Path;

fn check(name: &str, file: &[u8]) -> Vec<u8> {
    let golden = read(name, file);
    assert!(golden == file, "{name} is written differently now");
    golden
}

/// The golden file of this name, which takes the place of `file` when asked to.
fn read(name: &str, file: &[u8]) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("OCC_BLESS").is_some() {
        let version = Reader::new(file).unwrap().format_version();
        assert_eq!(version, 0, "goldens of a frozen version are never written anew");
        fs::write(&path, file).unwrap();
    }
    fs::read(&path).unwrap()
}

#[test]
fn tensors_of_every_dtype() {
    let samples = menagerie();
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
fn nothing() {
    check("v0-empty.occ", &written(&[], WriteOptions::default()));
}

#[test]
fn a_converted_file() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("in.safetensors");
    let original = safetensors(&few());
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

/// The CRCs of what tensors decode to, here and not only in the file: the same on every machine and by every decoder.
fn assert_decodes(golden: &[u8], exhibits: &[Exhibit], crcs: &[u32]) {
    let options = VerifyOptions::default().deep(true);
    assert!(occ::verify(golden, options).unwrap().problems.is_empty());
    let reader = Reader::new(golden).unwrap();
    let mut found = Vec::new();
    for Exhibit { sample, plan } in exhibits {
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
    assert_eq!(found, crcs, "decoded otherwise: {found:08x?}");
}

/// Coordinates that are sums and differences alone: also encoding is the same everywhere.
#[test]
fn lossy_tensors() {
    let exhibits = simple_exhibits();
    let golden = check("v0-lossy.occ", &lossy::written(&exhibits, small_chunks(1)));
    let crcs = [
        0xc4a3fbd4, 0x7711344f, 0x6ba1bc2b, 0x2255f766, 0x89a28809, 0x56f6f998, 0x9ce4178f,
        0x3740a635,
    ];
    assert_decodes(&golden, &exhibits, &crcs);
}

/// Axes that are learned may differ in their last digits where the processor adds in another
/// order, and so may files; what is decoded from one may not.
#[test]
fn lossy_tensors_in_learned_axes() {
    let exhibits = learned_exhibits();
    let golden = read("v0-lossy-learned.occ", &lossy::written(&exhibits, small_chunks(1)));
    assert_decodes(&golden, &exhibits, &[0x0fd39c9b, 0xfff46f82]);
}
