//! Files written by earlier builds: they must be read, and written again, bit for bit.
//!
//! After a deliberate change of the format, `OCC_BLESS=1 cargo test --test golden` writes new ones.

mod common;

use common::{few, menagerie, safetensors, small_chunks, written};
use occ::convert::Checkpoint;
use occ::{Reader, WriteOptions, Writer};
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

fn check(name: &str, file: &[u8]) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("OCC_BLESS").is_some() {
        let version = Reader::from_bytes(file).unwrap().format_version();
        assert_eq!(version, 0, "goldens of a frozen version are never written anew");
        fs::write(&path, file).unwrap();
    }
    let golden = fs::read(&path).unwrap();
    assert!(golden == file, "{name} is written differently now");
    golden
}

#[test]
fn tensors_of_every_dtype() {
    let samples = menagerie();
    for (name, options) in
        [("v0-dtypes.occ", WriteOptions::default()), ("v0-chunks.occ", small_chunks(100))]
    {
        let golden = check(name, &written(&samples, options));
        let reader = Reader::from_bytes(&golden).unwrap();
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
    checkpoint.write_to(&mut writer, &mut |_| ControlFlow::Continue(())).unwrap();
    writer.finish().unwrap();
    let golden = check("v0-safetensors.occ", &file);
    let mut back = Vec::new();
    let target = occ::convert::Target::Stream(&mut back);
    occ::convert::decompress_stream(golden.as_slice(), target, &mut |_| ControlFlow::Continue(()))
        .unwrap();
    assert!(back == original);
}
