//! Corruption is an error or has no effect: no panic, and no different data.

use crate::common::{
    Sample, bf16_weights, problems, safetensors, small_chunks, small_samples, tied_samples,
    written, written_together,
};
use occ::convert::{self, Checkpoint, Target};
use occ::{Codec, Dtype, Error, Limits, Reader, StreamReader, Writer};

/// Every tensor that still decodes equals the one that was written.
fn assert_no_other_data(file: &[u8], samples: &[Sample], what: &str) {
    if let Ok(reader) = Reader::new(file) {
        for tensor in reader.tensors().flatten() {
            if let Ok(bytes) = tensor.decode() {
                let read = Sample::new(tensor.name(), tensor.dtype(), tensor.shape(), bytes);
                assert!(samples.contains(&read), "{what}: {} differs", tensor.name());
            }
        }
        for sample in samples {
            if let Ok(Some(tensor)) = reader.get(&sample.name) {
                assert_eq!(tensor.shape(), sample.shape, "{what}");
            }
        }
    }
    if let Ok(stream) = StreamReader::new(file) {
        for tensor in stream.tensors().map_while(Result::ok) {
            let read = Sample::new(&tensor.name, tensor.dtype, &tensor.shape, tensor.bytes);
            assert!(samples.contains(&read), "{what}: {} differs in the stream", tensor.name);
        }
    }
}

#[test]
fn a_change_of_any_byte_is_detected() {
    let samples = small_samples();
    let file = written(&samples, small_chunks(300));
    for at in 0..file.len() {
        let flip = [0x01, 0x80, 0xff][at % 3];
        let mut damaged = file.clone();
        damaged[at] ^= flip;
        assert_no_other_data(&damaged, &samples, &format!("byte {at} ^ {flip:#x}"));
        assert!(!problems(&damaged, false).is_empty(), "byte {at} ^ {flip:#x} was not detected");
    }
}

#[test]
fn a_change_of_any_byte_of_a_file_with_references_is_detected() {
    let samples = tied_samples();
    let file = written_together(&samples, small_chunks(3000));
    for at in 0..file.len() {
        let mut damaged = file.clone();
        damaged[at] ^= [0x01, 0x80, 0xff][at % 3];
        assert_no_other_data(&damaged, &samples, &format!("byte {at}"));
        assert!(!problems(&damaged, false).is_empty(), "byte {at} was not detected");
    }
}

#[test]
fn any_truncation_is_detected() {
    let samples = small_samples();
    let file = written(&samples, small_chunks(300));
    for length in 0..file.len() {
        let cut = &file[..length];
        assert!(Reader::new(cut).is_err(), "opened at {length}");
        assert_no_other_data(cut, &samples, &format!("cut at {length}"));
        assert!(!problems(cut, false).is_empty());
        let last = StreamReader::new(cut).map(|stream| stream.tensors().last());
        assert!(!matches!(last, Ok(None | Some(Ok(_)))), "no error from the stream at {length}");
    }
    let longer = [file.as_slice(), b"x"].concat();
    assert!(Reader::new(&longer).is_err());
    assert!(!problems(&longer, false).is_empty());
}

#[test]
fn a_failed_stream_keeps_failing() {
    let mut file = written(&small_samples(), small_chunks(300));
    file[70] ^= 1;
    let mut stream = StreamReader::new(file.as_slice()).unwrap();
    for _ in 0..3 {
        assert!(stream.next_tensor().is_err(), "corruption is not the end of the stream");
    }
}

#[test]
fn every_corrupt_chunk_is_reported() {
    let bytes = bf16_weights(3, 1000);
    let sample = Sample::new("w", Dtype::Bf16, &[1000], bytes);
    let mut file = written(&[sample], small_chunks(100));
    let chunks = Reader::new(&file).unwrap().tensor("w").unwrap().chunks();
    assert_eq!(chunks, 10);
    // The payload fills most of the file: bytes at this distance are in different chunks.
    let middle = file.len() / 2;
    file[middle - 500] ^= 1;
    file[middle] ^= 1;
    let problems = problems(&file, true);
    assert_eq!(problems.len(), 2, "{problems:?}");
    let places: Vec<_> = problems.iter().map(|problem| problem.location().unwrap()).collect();
    assert!(places.iter().all(|place| place.tensor.as_deref() == Some("w")));
    assert!(places[0].chunk < places[1].chunk && places[0].offset < places[1].offset);
    for problem in &problems {
        assert!(matches!(problem, Error::ChecksumMismatch { .. }), "{problem}");
    }
    let reader = Reader::new(&file).unwrap();
    let error = reader.tensor("w").unwrap().decode().unwrap_err();
    assert_eq!(error.location(), Some(places[0]), "the first in order is reported");
}

/// The decoded bytes have a checksum, too.
#[test]
fn a_damaged_checksum_of_a_chunk_does_no_harm_to_a_whole_tensor() {
    let bytes = bf16_weights(3, 10_000);
    let sample = Sample::new("w", Dtype::Bf16, &[10_000], bytes.clone());
    let mut file = written(&[sample], small_chunks(1000));
    let header = Reader::new(&file).unwrap().tensor("w").unwrap().header_bytes();
    // After the header of the file, that of the frame, and the length of the first chunk.
    file[64 + header as usize + 4] ^= 1;
    assert!(matches!(problems(&file, true)[..], [Error::ChecksumMismatch { .. }]));
    let reader = Reader::new(&file).unwrap();
    let tensor = reader.tensor("w").unwrap();
    assert_eq!(tensor.decode().unwrap(), bytes);
    assert_eq!(tensor.stored(), Some(Codec::Planes));
    assert_eq!(tensor.decode_rows(1000..2000).unwrap(), bytes[2000..4000]);
    for error in [tensor.decode_rows(0..1000).err(), tensor.decode_as(Dtype::F32).err()] {
        assert!(matches!(error, Some(Error::ChecksumMismatch { .. })), "{error:?}");
    }
}

#[test]
fn rows_depend_only_on_their_chunks() {
    let (rows, columns) = (64, 100);
    let sample = Sample::new("w", Dtype::Bf16, &[rows, columns], bf16_weights(5, rows * columns));
    let noise = crate::common::Random(1).bytes(rows * columns);
    let raw = Sample::new("raw", Dtype::U8, &[rows, columns], noise);
    for sample in [sample, raw] {
        let file = written(std::slice::from_ref(&sample), small_chunks(8 * columns as u64));
        let row = sample.bytes.len() / rows;
        // Decoding fails if it reads the chunk with the changed byte; the error names this chunk.
        for (rows_read, needed) in
            [(0..1, 0..1), (7..9, 0..2), (16..24, 2..3), (20..50, 2..7), (63..64, 7..8)]
        {
            let mut chunks_read = std::collections::BTreeSet::new();
            for at in (0..file.len()).step_by(7) {
                let mut damaged = file.clone();
                damaged[at] ^= 0x55;
                let Ok(reader) = Reader::new(&damaged) else { continue };
                let tensor = reader.tensor(&sample.name).unwrap();
                match tensor.decode_rows(rows_read.clone()) {
                    Ok(bytes) => {
                        assert_eq!(bytes, sample.bytes[rows_read.start * row..rows_read.end * row]);
                    }
                    Err(error) => chunks_read.extend(error.location().unwrap().chunk),
                }
            }
            assert!(chunks_read.iter().copied().eq(needed), "{rows_read:?} read {chunks_read:?}");
        }
    }
}

#[test]
fn decompression_detects_a_change_of_any_byte() {
    let original = safetensors(&small_samples());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    std::fs::write(&path, &original).unwrap();
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file, small_chunks(300)).unwrap();
    let checkpoint = Checkpoint::open(&path).unwrap();
    checkpoint.write_to(&mut writer, None).unwrap();
    writer.finish().unwrap();
    for at in 0..file.len() {
        let mut damaged = file.clone();
        damaged[at] ^= 0x24;
        let mut back = Vec::new();
        let target = Target::Stream(&mut back);
        let result = convert::decompress_stream(damaged.as_slice(), target, None);
        // Decompression does not need the index, but compares its checksum.
        assert!(result.is_err(), "byte {at}");
    }
}

#[test]
fn limits_hold() {
    let sample = Sample::new("w", Dtype::U8, &[1 << 16], vec![3; 1 << 16]);
    let file = written(&[sample], small_chunks(1 << 12));
    let open = |limits| Reader::new_with(&file, limits);
    let exceeds = |error: &Error| matches!(error, Error::LimitExceeded { .. });

    let small = Limits::default().tensor_bytes(1 << 15);
    let reader = open(small).unwrap();
    let tensor = reader.tensor("w").unwrap();
    assert!(exceeds(&tensor.decode().unwrap_err()));
    assert_eq!(tensor.decode_rows(0..100).unwrap(), [3; 100]);
    tensor.decode_into(&mut vec![0; 1 << 16]).unwrap();
    let error = StreamReader::new_with(file.as_slice(), small).unwrap().tensors().next().unwrap();
    assert!(exceeds(&error.unwrap_err()));

    let small = Limits::default().chunk_bytes(1 << 11);
    assert!(exceeds(&open(small).unwrap().tensor("w").err().unwrap()));
    for small in
        [small, Limits::default().frame_header_bytes(10), Limits::default().index_bytes(100)]
    {
        let last = StreamReader::new_with(file.as_slice(), small).unwrap().tensors().last();
        assert!(exceeds(&last.unwrap().unwrap_err()), "{small:?}");
    }
}
