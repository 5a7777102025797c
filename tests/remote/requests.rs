//! The number of requests, and their bytes.
#![allow(clippy::single_range_in_vec_init)] // lists of ranges that were sent

use crate::common::{
    Random, Sample, assert_valid, f32_weights, safetensors, small_chunks, tied_samples,
    varied_samples, written, written_from_plan, written_together,
};
use crate::server::Server;
use occ::remote::{self, RemoteFile};
use occ::{
    Dtype, Encoding, Error, ReadAt, Reader, SequentialReader, VerifyOptions, WriteOptions, Writer,
};
use std::ops::Range;

/// Bytes that the first request asks for.
const TAIL: u64 = 256 << 10;

/// Where the frame of a tensor lies in a file: its header and its chunks.
fn extent(file: &[u8], name: &str) -> Range<u64> {
    let reader = Reader::new(file).unwrap();
    let tensor = reader.tensor(name).unwrap();
    let length = tensor.header_bytes() + tensor.coded_bytes();
    // The frame is the one that contains the name and decodes to the tensor: its header starts with `F`.
    let start = starts(file)[reader.names().position(|found| found.unwrap() == name).unwrap()];
    start..start + length
}

/// Where frames start: an entry of the index starts with it.
fn starts(file: &[u8]) -> Vec<u64> {
    let number = |at: usize| u64::from_le_bytes(file[at..at + 8].try_into().unwrap());
    let index = number(file.len() - 40) as usize;
    let count = u32::from_le_bytes(file[index + 4..index + 8].try_into().unwrap());
    (0..count as usize).map(|entry| number(index + 24 + 20 * entry)).collect()
}

/// Tensors of noise, which is stored raw, of about a mebibyte each.
fn noise(count: u64) -> Vec<Sample> {
    let sample = |i| {
        let bytes = Random(i).bytes(1 << 20);
        Sample::new(&format!("layers.{i}.weight"), Dtype::U8, &[1024, 1024], bytes)
    };
    (0..count).map(sample).collect()
}

#[test]
fn a_small_file_is_one_request() {
    let samples = varied_samples();
    let server = Server::new(written(&samples, WriteOptions::default()));
    let file = remote::open(&server.url()).unwrap();
    for sample in &samples {
        assert_eq!(file.tensor(&sample.name).unwrap().decode().unwrap(), sample.bytes);
    }
    assert_eq!(server.ranges(), [0..file.file_bytes()]);
}

#[test]
fn a_file_of_many_tensors_is_opened_with_three_requests() {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes, WriteOptions::default()).unwrap();
    for i in 0..100_000u32 {
        let name = format!("model.layers.{}.mlp.experts.{}.weight", i / 1000, i % 1000);
        writer.add(&name, Dtype::U32, &[1], &i.to_le_bytes()).unwrap();
    }
    writer.finish().unwrap();
    let (size, index) = (bytes.len() as u64, Reader::new(&bytes).unwrap().index_bytes());
    let wanted = ["model.layers.7.mlp.experts.9.weight", "model.layers.99.mlp.experts.0.weight"];
    let extents = wanted.map(|name| extent(&bytes, name));
    let server = Server::new(bytes);
    let file = remote::open(&server.url()).unwrap();
    assert_eq!(file.len(), 100_000);
    let ranges = server.ranges();
    assert_eq!(ranges[1..], [size - 40 - index..size - TAIL, size - TAIL..size]);
    assert!(ranges[0].start == 0 && ranges[0].end <= 512, "{ranges:?}");
    for (name, extent) in wanted.into_iter().zip(extents) {
        let value = file.tensor(name).unwrap().decode_vec::<u32>().unwrap()[0];
        assert!(value == 7009 || value == 99000);
        assert_eq!(server.ranges(), [extent]);
    }
}

#[test]
fn a_tensor_is_one_request_for_its_bytes() {
    let samples = noise(4);
    let bytes = written(&samples, WriteOptions::default());
    let server = Server::new(bytes.clone());
    let file = remote::open(&server.url()).unwrap();
    assert_eq!(server.ranges().len(), 2, "the end with the index, and the start");
    for sample in &samples[..3] {
        let tensor = file.tensor(&sample.name).unwrap();
        assert!(tensor.chunks() > 1);
        assert!(tensor.decode().unwrap() == sample.bytes);
        assert_eq!(server.ranges(), [extent(&bytes, &sample.name)]);
        // The header is known now.
        tensor.decode().unwrap();
        let expected = extent(&bytes, &sample.name);
        assert_eq!(server.ranges(), [expected.start + tensor.header_bytes()..expected.end]);
    }
    // The last one lies in the part that was read to open the file, as far as possible.
    assert!(file.tensor(&samples[3].name).unwrap().decode().unwrap() == samples[3].bytes);
    let start = extent(&bytes, &samples[3].name).start;
    assert_eq!(server.ranges(), [start..bytes.len() as u64 - TAIL]);
}

#[test]
fn rows_are_requests_for_the_header_and_their_chunks() {
    let samples = noise(2);
    let bytes = written(&samples, small_chunks(64 * 1024));
    let server = Server::new(bytes.clone());
    let file = remote::open(&server.url()).unwrap();
    let tensor = file.tensor(&samples[0].name).unwrap();
    server.requests();
    assert!(tensor.decode_rows(500..600).unwrap() == samples[0].bytes[500 << 10..600 << 10]);
    let extent = extent(&bytes, &samples[0].name);
    let payload = extent.start + tensor.header_bytes();
    // Chunks of 64 rows.
    let chunks = |first: u64, end: u64| payload + (first << 16)..payload + (end << 16);
    assert_eq!(server.ranges(), [extent.start..payload, chunks(7, 10)]);
    tensor.decode_rows(63..64).unwrap();
    assert_eq!(server.ranges(), [chunks(0, 1)]);
    tensor.decode_rows(9..9).unwrap();
    assert_eq!(server.ranges(), []);
    // Rows at the start are neighbours of the header.
    file.tensor(&samples[0].name).unwrap().decode_rows(0..64).unwrap();
    assert_eq!(server.ranges(), [extent.start..chunks(0, 1).end]);
}

#[test]
fn a_reference_takes_one_request_more() {
    let mut samples = tied_samples();
    samples.push(Sample::new("end", Dtype::U8, &[300_000], Random(1).bytes(300_000)));
    let bytes = written_together(&samples, WriteOptions::default());
    let server = Server::new(bytes.clone());
    let file = remote::open(&server.url()).unwrap();
    server.requests();
    for (name, target) in [("head", 0), ("noise again", 1)] {
        let tensor = file.tensor(name).unwrap();
        assert_eq!(tensor.stored(), Some(occ::Codec::Reference));
        assert!(tensor.decode().unwrap() == samples[target].bytes);
        let ranges = server.ranges();
        assert_eq!(ranges.len(), 2);
        assert_eq!(ranges[0], extent(&bytes, &samples[target].name));
    }
}

#[test]
fn tensors_that_are_neighbours_share_a_request() {
    let samples = noise(5);
    let bytes = written(&samples, WriteOptions::default());
    let server = Server::new(bytes.clone());
    let file = remote::open(&server.url()).unwrap();
    server.requests();
    let mut buffers = vec![vec![0; 1 << 20]; 3];
    let names = [2, 0, 1].map(|i| samples[i].name.as_str());
    file.decode_all_into(names.into_iter().zip(buffers.iter_mut().map(Vec::as_mut_slice))).unwrap();
    for (buffer, i) in buffers.iter().zip([2, 0, 1]) {
        assert!(*buffer == samples[i].bytes);
    }
    let extents = [0, 2].map(|i| extent(&bytes, &samples[i].name));
    assert_eq!(server.ranges(), [extents[0].start..extents[1].end]);
    // With a tensor between them they do not.
    let names = [0, 2].map(|i| samples[i].name.as_str());
    file.decode_all_into(names.into_iter().zip(buffers.iter_mut().map(Vec::as_mut_slice))).unwrap();
    assert_eq!(server.ranges(), extents);
}

#[test]
fn frame_headers_and_footers_of_many_tensors_share_requests() {
    let sample =
        |i| Sample::new(&format!("w{i}"), Dtype::F32, &[96, 128], f32_weights(i, 96 * 128));
    let mut samples: Vec<Sample> = (0..6).map(sample).collect();
    samples.push(Sample::new("end", Dtype::U8, &[300_000], Random(1).bytes(300_000)));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    std::fs::write(&path, safetensors(&samples)).unwrap();
    let checkpoint = occ::convert::Checkpoint::open(&path).unwrap();
    let plan = checkpoint.plan(&Encoding::bits(8.0).effort(1), None).unwrap();
    let bytes = written_from_plan(&checkpoint, &plan);
    let local = Reader::new(&bytes).unwrap();
    let tensors = local.tensors().collect::<occ::Result<Vec<_>>>().unwrap();
    let expected = local.codings(&tensors).unwrap();
    assert_eq!(expected.iter().filter(|coding| coding.is_some()).count(), 6);
    for (tensor, coding) in tensors.iter().zip(&expected) {
        assert_eq!(tensor.coding().unwrap(), *coding);
    }
    let server = Server::new(bytes.clone());
    let file = remote::open(&server.url()).unwrap();
    assert!(matches!(file.codings(&[]), Ok(none) if none.is_empty()));
    server.requests();
    let tensors = file.tensors().collect::<occ::Result<Vec<_>>>().unwrap();
    assert_eq!(file.codings(&tensors).unwrap(), expected);
    let ranges = server.ranges();
    assert!(ranges.len() <= 7, "{ranges:?}");
    file.codings(&tensors).unwrap();
    assert_eq!(server.ranges(), []);
    let error =
        local.codings(&Reader::new(&bytes).unwrap().tensors().flatten().collect::<Vec<_>>());
    assert!(matches!(error, Err(Error::InvalidArgument { .. })));
}

#[test]
fn a_file_is_read_from_front_to_back_in_large_parts() {
    let bytes = written(&noise(40), WriteOptions::default());
    assert_valid(&bytes);
    let server = Server::new(bytes.clone());
    let file = RemoteFile::open(&server.url()).unwrap();
    let stream = SequentialReader::new(file.clone()).unwrap();
    let report = occ::verify(stream, VerifyOptions::default().deep(true)).unwrap();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    assert_eq!(report.file_bytes, bytes.len() as u64);
    let ranges = server.ranges();
    assert_eq!(ranges.len(), 4, "{ranges:?}");
    let total: u64 = ranges.iter().map(|range| range.end - range.start).sum();
    assert_eq!(total, bytes.len() as u64, "each byte once");
    assert_eq!(file.size(), bytes.len() as u64);
}

#[test]
fn threads_and_runtimes_may_read() {
    let samples = noise(3);
    let server = Server::new(written(&samples, WriteOptions::default()));
    let check = |file: &Reader<'_>| {
        for sample in &samples {
            assert!(file.tensor(&sample.name).unwrap().decode().unwrap() == sample.bytes);
        }
    };
    let file = remote::open(&server.url()).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| check(&file));
        }
    });
    let runtimes = [
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
        tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap(),
    ];
    for runtime in runtimes {
        runtime.block_on(async {
            let file = remote::open(&server.url()).unwrap();
            check(&file);
            drop(file);
        });
    }
}
