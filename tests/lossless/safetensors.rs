//! Conversion of safetensors files and checkpoint folders to `.occ` and back, byte for byte.

use crate::common::{
    Sample, assert_valid, bf16_weights, f32_weights, safetensors, safetensors_with_header,
    small_chunks, varied_samples,
};
use occ::convert::{self, Checkpoint, Target};
use occ::{Dtype, Error, Reader, Result, StreamReader, WriteOptions, Writer};
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

fn compressed(input: &Path) -> Result<Vec<u8>> {
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file, small_chunks(500)).unwrap();
    Checkpoint::open(input)?.write_to(&mut writer, None)?;
    writer.finish()?;
    assert_valid(&file);
    Ok(file)
}

fn target(path: PathBuf) -> Target<'static> {
    Target::Path { path, overwrite: false }
}

/// Compresses and restores a file, from a path and from a stream.
fn assert_round_trip(original: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let (input, coded) = (folder.path().join("in.safetensors"), folder.path().join("in.occ"));
    fs::write(&input, original).unwrap();
    let file = compressed(&input).unwrap();
    fs::write(&coded, &file).unwrap();
    let back = folder.path().join("back");
    let done = convert::decompress(&coded, target(back.clone()), None).unwrap();
    assert!(fs::read(&back).unwrap() == original);
    assert_eq!((done.input_bytes, done.output_bytes), (file.len() as u64, original.len() as u64));
    let mut streamed = Vec::new();
    convert::decompress_stream(file.as_slice(), Target::Stream(&mut streamed), None).unwrap();
    assert!(streamed == original);
    let spooled = Checkpoint::spool(original, folder.path(), None).unwrap();
    let mut from_stream = Vec::new();
    let mut writer = Writer::new(&mut from_stream, small_chunks(500)).unwrap();
    spooled.write_to(&mut writer, None).unwrap();
    writer.finish().unwrap();
    assert!(from_stream == file, "a stream and a file give the same result");
}

#[test]
fn file_is_restored() {
    assert_round_trip(&safetensors(&varied_samples()));
}

#[test]
fn files_without_tensors_are_restored() {
    for header in ["{}", "{}     ", r#"{"__metadata__":{}}"#, r#"{"__metadata__":{"a":"b"}}   "#] {
        assert_round_trip(&safetensors_with_header(header, b""));
    }
}

#[test]
fn unusual_headers_are_restored() {
    let data = [bf16_weights(1, 600), vec![1, 2, 3, 4]].concat();
    let tensor = |name: &str, dtype: &str, shape: &str, start: usize, end: usize| {
        format!(r#""{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{start},{end}]}}"#)
    };
    let a = tensor("a", "U8", "[2,2]", 1200, 1204);
    let b = tensor("z", "BF16", "[600]", 0, 1200);
    let empties = [tensor("e", "F32", "[0]", 0, 0), tensor("d", "I8", "[3,0]", 0, 0)].join(",");
    let late = tensor("late", "F64", "[0,9]", 1204, 1204);
    let meta = r#""__metadata__":{"format":"pt","sp ace":"\u00e9\n{}"}"#;
    for header in [
        format!("{{{a},{b}}}"), // neither sorted by name nor by offset
        format!("{{{b},{a}}}                             "), // trailing spaces
        format!("{{{a},{meta},{b}}}"), // metadata in the middle
        format!("{{ {b} ,\n\t{a}\r\n}}"), // white space
        format!("{{{late},{empties},{a},{b}}} "), // empty tensors at any offset
        format!("{{{},{a}}}", b.replace("z", "\\u007a\\n/")), // escapes in names
        format!(
            "{{{},{a}}}",
            b.replace(r#""dtype":"BF16","shape":[600]"#, r#""shape":[600],"dtype":"BF16""#)
        ),
        format!("{{{},{a}}}", b.replace(r#""z""#, r#""""#)), // an empty name
    ] {
        assert_round_trip(&safetensors_with_header(&header, &data));
    }
}

#[test]
fn other_formats_are_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let good = safetensors(&varied_samples());
    let mut longer = good.clone();
    longer.push(0);
    let cases: [&[u8]; 5] = [b"", b"GGUF....", &good[..good.len() - 1], &longer, &good[..30]];
    for (position, case) in cases.iter().enumerate() {
        let path = folder.path().join(position.to_string());
        fs::write(&path, case).unwrap();
        let error = compressed(&path).unwrap_err();
        let is_expected = match position {
            0 | 1 => matches!(error, Error::NotSafetensors { .. }),
            3 => matches!(error, Error::Corrupt { .. }),
            _ => matches!(error, Error::Truncated { .. }),
        };
        assert!(is_expected, "{error}");
    }
    assert!(matches!(
        compressed(&folder.path().join("none")),
        Err(Error::Io { path: Some(_), .. })
    ));
}

/// Makes a folder with two shards, their index and an unrelated file.
fn sharded(folder: &Path) -> Vec<String> {
    let samples = varied_samples();
    let (first, second) = samples.split_at(5);
    fs::write(folder.join("model-00001-of-00002.safetensors"), safetensors(first)).unwrap();
    fs::write(folder.join("model-00002-of-00002.safetensors"), safetensors(second)).unwrap();
    fs::write(folder.join("config.json"), "{}").unwrap();
    let map = |samples: &[Sample], shard: u8| -> Vec<String> {
        let entry = |sample: &Sample| {
            let name = serde_json::Value::from(sample.name.as_str());
            format!("{name}: \"model-0000{shard}-of-00002.safetensors\"")
        };
        samples.iter().map(entry).collect()
    };
    let entries = [map(second, 2), map(first, 1)].concat().join(",\n    ");
    let index = format!("{{\"metadata\": {{}},\n  \"weight_map\": {{\n    {entries}\n}}}}\n");
    fs::write(folder.join("model.safetensors.index.json"), index).unwrap();
    [
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
    ]
    .map(String::from)
    .into()
}

#[test]
fn sharded_checkpoint_is_restored() {
    let root = tempfile::tempdir().unwrap();
    let original = root.path().join("model");
    fs::create_dir(&original).unwrap();
    let names = sharded(&original);
    let file = compressed(&original).unwrap();
    assert!(convert::is_sharded(&Reader::new(&file).unwrap()).unwrap());
    let back = root.path().join("back");
    let done = convert::decompress_stream(file.as_slice(), target(back.clone()), None).unwrap();
    assert_eq!(done.files, 3);
    let mut found: Vec<_> = fs::read_dir(&back)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    assert_eq!(found, names);
    for name in &names {
        assert!(fs::read(back.join(name)).unwrap() == fs::read(original.join(name)).unwrap());
    }
    // Existing files are replaced only on request.
    let again = convert::decompress_stream(file.as_slice(), target(back.clone()), None);
    assert!(
        matches!(again, Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::AlreadyExists)
    );
    let target = Target::Path { path: back, overwrite: true };
    convert::decompress_stream(file.as_slice(), target, None).unwrap();
    let stream = Target::Stream(&mut std::io::sink());
    assert!(convert::decompress_stream(file.as_slice(), stream, None).is_err());
}

#[test]
fn folder_with_a_single_file_equals_that_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    fs::write(&path, safetensors(&varied_samples())).unwrap();
    assert!(compressed(folder.path()).unwrap() == compressed(&path).unwrap());
    assert!(matches!(
        compressed(&std::env::temp_dir().join("no such folder")),
        Err(Error::Io { .. })
    ));
}

#[test]
fn tensor_in_two_shards_is_rejected() {
    let folder = tempfile::tempdir().unwrap();
    sharded(folder.path());
    let first = folder.path().join("model-00001-of-00002.safetensors");
    fs::copy(first, folder.path().join("model-00002-of-00002.safetensors")).unwrap();
    assert!(matches!(compressed(folder.path()), Err(Error::Corrupt { .. })));
}

#[test]
fn header_is_written_for_a_file_without_one() {
    let samples = varied_samples();
    let file = crate::common::written(&samples, WriteOptions::default());
    let folder = tempfile::tempdir().unwrap();
    let (coded, back) = (folder.path().join("a.occ"), folder.path().join("a.safetensors"));
    fs::write(&coded, &file).unwrap();
    convert::decompress(&coded, target(back.clone()), None).unwrap();
    let bytes = fs::read(&back).unwrap();
    let parsed = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(parsed.len(), samples.len());
    for sample in &samples {
        let view = parsed.tensor(&sample.name).unwrap();
        assert_eq!((view.shape(), view.data()), (&sample.shape[..], &sample.bytes[..]));
        assert_eq!(view.dtype().to_string(), sample.dtype.name());
    }
    let stream = convert::decompress_stream(file.as_slice(), target(back), None);
    assert!(matches!(stream, Err(Error::Unsupported { .. })));
}

#[test]
fn cancelled_conversion_leaves_no_files() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("in.safetensors");
    fs::write(&input, safetensors(&varied_samples())).unwrap();
    let coded = compressed(&input).unwrap();
    let mut calls = 0;
    let mut stop = |_: u64| {
        calls += 1;
        if calls == 4 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let interrupted = |result: Result<()>| matches!(result, Err(Error::Cancelled));
    let mut writer = Writer::create(folder.path().join("a.occ"), small_chunks(500)).unwrap();
    assert!(interrupted(Checkpoint::open(&input).unwrap().write_to(&mut writer, Some(&mut stop))));
    assert!(writer.finish().is_err(), "a cancelled file cannot be finished");
    let mut calls = 0;
    let mut stop = |_: u64| {
        calls += 1;
        if calls == 4 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let back = target(folder.path().join("back"));
    assert!(interrupted(
        convert::decompress_stream(coded.as_slice(), back, Some(&mut stop)).map(drop)
    ));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// Attachments and tensors in another order, or with some missing.
#[test]
fn tensors_that_differ_from_the_header_are_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("in.safetensors");
    let a = Sample::new("a", Dtype::F32, &[500], f32_weights(1, 500));
    let b = Sample::new("b", Dtype::F32, &[500], f32_weights(2, 500));
    fs::write(&input, safetensors(&[a.clone(), b])).unwrap();
    let mut written = Vec::new();
    let mut writer = Writer::new(&mut written, WriteOptions::default()).unwrap();
    let checkpoint = Checkpoint::open(&input).unwrap();
    checkpoint.write_to(&mut writer, None).unwrap();
    writer.add("c", Dtype::F32, &[500], &a.bytes).unwrap();
    writer.finish().unwrap();
    assert_eq!(StreamReader::new(written.as_slice()).unwrap().tensors().count(), 3);
    let back = folder.path().join("back");
    let error = convert::decompress_stream(written.as_slice(), target(back.clone()), None);
    assert!(matches!(error, Err(Error::Corrupt { .. })));
    assert!(!back.exists());
}
