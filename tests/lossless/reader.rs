//! Random access and streams: sources, handles, typed access, names, and files that are damaged
//! or use what this crate does not implement.

use half::{bf16, f16};
use occ::{Dtype, Element, Error, Limits, ReadAt, Reader, StreamReader, Tensor, VerifyOptions};
use occ::{WriteOptions, Writer};
use std::io;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Values whose bytes a lossless codec encodes.
fn values(count: usize) -> Vec<f32> {
    (0..count).map(|i| (i as f32 * 0.37).sin()).collect()
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

const ROWS: usize = 64;
const COLUMNS: usize = 50;

/// Three tensors of the same content, in chunks of 500 elements. The second one has a shape of its own
/// and so its own description in the index.
fn file() -> Vec<u8> {
    let mut file = Vec::new();
    let options = WriteOptions::default().chunk_elements(500);
    let mut writer = Writer::new(&mut file, options).unwrap();
    let bytes = bytes(&values(ROWS * COLUMNS));
    writer.add("layers.0.weight", Dtype::F32, &[ROWS, COLUMNS], &bytes).unwrap();
    writer.add("layers.1.weight", Dtype::F32, &[ROWS, COLUMNS, 1], &bytes).unwrap();
    writer.add("norm", Dtype::F32, &[ROWS, COLUMNS], &bytes).unwrap();
    writer.finish().unwrap();
    file
}

/// Positioned reads of a file in memory, as from a network drive. Counts the bytes read.
struct Remote {
    bytes: Mutex<Vec<u8>>,
    size: u64,
    read: AtomicU64,
}

impl Remote {
    fn new(bytes: Vec<u8>) -> Self {
        Self { size: bytes.len() as u64, bytes: bytes.into(), read: 0.into() }
    }
}

impl ReadAt for Remote {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at<'b>(&'b self, range: Range<u64>, buffer: &'b mut Vec<u8>) -> io::Result<&'b [u8]> {
        let bytes = self.bytes.lock().unwrap();
        let part = bytes.get(range.start as usize..range.end as usize);
        let part = part.ok_or(io::ErrorKind::UnexpectedEof)?;
        self.read.fetch_add(part.len() as u64, Ordering::Relaxed);
        buffer.clear();
        buffer.extend_from_slice(part);
        Ok(buffer)
    }
}

fn check_contents(reader: &Reader<'_>) {
    let expected = bytes(&values(ROWS * COLUMNS));
    assert_eq!(reader.len(), 3);
    for tensor in reader.tensors() {
        let tensor = tensor.unwrap();
        assert_eq!(tensor.chunks(), 7);
        assert!(tensor.decode().unwrap() == expected, "{}", tensor.name());
        let row = 4 * COLUMNS;
        for rows in [0..1, 9..11, 10..20, 63..64, 0..64, 5..5] {
            let decoded = tensor.decode_rows(rows.clone()).unwrap();
            assert!(decoded == expected[rows.start * row..rows.end * row], "{rows:?}");
        }
    }
}

#[test]
#[allow(unsafe_code)]
fn all_sources_give_the_same_tensors() {
    let file = file();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.occ");
    std::fs::write(&path, &file).unwrap();
    check_contents(&Reader::new(&file).unwrap());
    check_contents(&Reader::open(&path).unwrap());
    // SAFETY: nothing else opens the file.
    check_contents(&unsafe { Reader::map(&path) }.unwrap());
    check_contents(&Reader::from_source(file.clone()).unwrap());
    check_contents(&Reader::from_source(Remote::new(file)).unwrap());
}

#[test]
fn rows_read_only_their_chunks_and_headers_once() {
    let remote = Remote::new(file());
    let reader = Reader::from_source(&remote).unwrap();
    let tensor = reader.tensor("norm").unwrap();
    tensor.decode_rows(0..1).unwrap();
    let before = remote.read.load(Ordering::Relaxed);
    for _ in 0..10 {
        tensor.clone().decode_rows(0..1).unwrap();
    }
    let read = remote.read.load(Ordering::Relaxed) - before;
    assert!(read / 10 < tensor.coded_bytes() / 6, "{read} of {}", tensor.coded_bytes());
}

#[test]
fn a_truncated_file_under_an_open_reader_is_an_error() {
    let file = file();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.occ");
    std::fs::write(&path, &file).unwrap();
    let reader = Reader::open(&path).unwrap();
    let first = reader.tensor("layers.0.weight").unwrap();
    let last = reader.tensor("norm").unwrap();
    let opened = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    opened.set_len(file.len() as u64 / 2).unwrap();
    first.decode().unwrap();
    for error in [
        last.decode().unwrap_err(),
        last.decode_rows(3..4).unwrap_err(),
        last.coding().unwrap_err(),
        reader.tensor("norm").unwrap().decode_vec::<f32>().unwrap_err(),
    ] {
        assert!(matches!(error, Error::Truncated { .. }), "{error}");
        let at = error.location().unwrap();
        assert_eq!((at.tensor.as_deref(), at.file.as_deref()), (Some("norm"), Some(&*path)));
    }
    assert!(matches!(Reader::open(&path), Err(Error::Truncated { .. })));
}

#[test]
fn truncated_sources_are_rejected() {
    let file = file();
    for length in (0..file.len()).step_by(37).chain([1, 63, 64, 103, 104]) {
        let cut = file[..length].to_vec();
        assert!(Reader::from_source(Remote::new(cut)).is_err(), "{length}");
    }
}

#[test]
fn the_index_limit_holds() {
    let file = file();
    let limits = Limits::default().index_bytes(100);
    for error in [
        Reader::new_with(&file, limits).unwrap_err(),
        Reader::from_source_with(Remote::new(file.clone()), limits).unwrap_err(),
        StreamReader::new_with(file.as_slice(), limits)
            .unwrap()
            .tensors()
            .last()
            .unwrap()
            .unwrap_err(),
    ] {
        assert!(matches!(error, Error::LimitExceeded { .. }), "{error}");
    }
}

fn handle() -> Tensor<'static> {
    Reader::from_source(file()).unwrap().tensor("norm").unwrap()
}

#[test]
fn tensor_handles_outlive_the_reader_and_can_be_sent_between_threads() {
    let tensor = handle();
    let expected = values(ROWS * COLUMNS);
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (tensor, expected) = (tensor.clone(), expected.clone());
            std::thread::spawn(move || assert!(tensor.decode_vec::<f32>().unwrap() == expected))
        })
        .collect();
    drop(tensor);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn names_and_counts_are_in_file_order() {
    let file = file();
    let reader = Reader::new(&file).unwrap();
    let names: Vec<&str> = reader.names().map(Result::unwrap).collect();
    assert_eq!(names, ["layers.0.weight", "layers.1.weight", "norm"]);
    assert!(reader.contains("norm").unwrap() && !reader.contains("nor").unwrap());
    assert!(!reader.is_empty());
    let matching = |pattern: &str| -> Vec<String> {
        let tensors = reader.tensors_matching(pattern).map(Result::unwrap);
        tensors.map(|tensor| tensor.name().to_owned()).collect()
    };
    assert_eq!(matching("layers.?.weight"), ["layers.0.weight", "layers.1.weight"]);
    assert_eq!(matching("*1*"), ["layers.1.weight"]);
    assert_eq!(matching("*").len(), 3);
    assert!(matching("layers").is_empty());

    let mut empty = Vec::new();
    Writer::new(&mut empty, WriteOptions::default()).unwrap().finish().unwrap();
    let reader = Reader::new(&empty).unwrap();
    assert!(reader.is_empty() && reader.names().next().is_none());
}

#[test]
fn a_missing_tensor_is_reported_with_similar_names() {
    let file = file();
    let error = Reader::new(&file).unwrap().tensor("layer.1.weight").unwrap_err();
    assert_eq!(
        error.to_string(),
        "no tensor `layer.1.weight`; similar: `layers.1.weight`, `layers.0.weight`"
    );
    let Error::TensorNotFound { name, similar, .. } = error else { panic!("{error}") };
    assert_eq!((name.as_str(), similar.len()), ("layer.1.weight", 2));
    let error = Reader::new(&file).unwrap().tensor("xyz").unwrap_err();
    assert_eq!(error.to_string(), "no tensor `xyz`");
}

fn check_typed<T: Element + PartialEq + std::fmt::Debug>(values: &[T], bytes: &[u8]) {
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file, WriteOptions::default()).unwrap();
    writer.add("w", T::DTYPE, &[values.len()], bytes).unwrap();
    writer.add("empty", T::DTYPE, &[0], &[]).unwrap();
    writer.finish().unwrap();
    let reader = Reader::new(&file).unwrap();
    let tensor = reader.tensor("w").unwrap();
    assert_eq!(tensor.decode_vec::<T>().unwrap(), values);
    let mut out = tensor.decode_vec::<T>().unwrap();
    out.rotate_left(1);
    tensor.decode_into_slice(&mut out).unwrap();
    assert_eq!(out, values);
    let error = tensor.decode_into_slice(&mut out[1..]).unwrap_err();
    assert!(matches!(error, Error::InvalidArgument { .. }), "{error}");
    assert!(reader.tensor("empty").unwrap().decode_vec::<T>().unwrap().is_empty());
}

macro_rules! check_typed {
    ($($element:ty: $values:expr;)*) => {$(
        let values: Vec<$element> = $values.into();
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        check_typed(&values, &bytes);
    )*};
}

#[test]
fn typed_access_gives_the_values_that_were_written() {
    check_typed! {
        u8: [1, 2, 255];
        i8: [1, -2, -128];
        u16: [1, 2, 0xfedc];
        i16: [1, -2, 0x1234];
        u32: [1, 2, 0xfedc_ba98];
        i32: [1, -2, 0x1234_5678];
        u64: [1, 2, 0xfedc_ba98_7654_3210];
        i64: [1, -2, 0x1234_5678_9abc_def0];
        f16: [1.0, -2.5, 65504.0].map(f16::from_f32);
        bf16: [1.0, -2.5, 3e38].map(bf16::from_f32);
        f32: [1.0, -2.5, f32::MIN_POSITIVE];
        f64: [1.0, -2.5, f64::MAX];
    }
}

#[test]
fn another_element_type_is_an_error() {
    let tensor = handle();
    for error in [
        tensor.decode_vec::<u32>().unwrap_err(),
        tensor.decode_vec::<f64>().unwrap_err(),
        tensor.decode_into_slice(&mut vec![bf16::ZERO; ROWS * COLUMNS]).unwrap_err(),
    ] {
        assert!(matches!(error, Error::InvalidArgument { .. }), "{error}");
        assert!(error.to_string().contains("tensor of F32"), "{error}");
    }
}

#[test]
fn typed_access_respects_the_limit_on_tensors() {
    let file = file();
    let limits = Limits::default().tensor_bytes(4 * (ROWS * COLUMNS) as u64 - 1);
    let reader = Reader::new_with(&file, limits).unwrap();
    let error = reader.tensor("norm").unwrap().decode_vec::<f32>().unwrap_err();
    assert!(matches!(error, Error::LimitExceeded { .. }), "{error}");
}

/// Offsets of the three frames, and of the index.
fn frames(file: &[u8]) -> ([usize; 3], usize) {
    let index = index_offset(file);
    let frame = |entry: usize| {
        let at = index + 24 + 20 * entry;
        u64::from_le_bytes(file[at..at + 8].try_into().unwrap()) as usize
    };
    ([frame(0), frame(1), frame(2)], index)
}

fn index_offset(file: &[u8]) -> usize {
    let trailer = file.len() - 40;
    u64::from_le_bytes(file[trailer..trailer + 8].try_into().unwrap()) as usize
}

fn put_crc(file: &mut [u8], covered: Range<usize>, at: usize) {
    let crc = crc32fast::hash(&file[covered]);
    file[at..at + 4].copy_from_slice(&crc.to_le_bytes());
}

/// Changes the index and corrects its checksums.
fn change_index(file: &mut [u8], change: impl FnOnce(&mut [u8])) {
    let (index, trailer) = (index_offset(file), file.len() - 40);
    change(&mut file[index..trailer]);
    put_crc(file, index..trailer, trailer + 24);
    put_crc(file, trailer..trailer + 28, trailer + 28);
}

/// The offsets of the kind in a frame header and of the end of the header.
fn header(file: &[u8], frame: usize) -> (usize, usize) {
    // The length takes one or two bytes.
    let (low, high) = (usize::from(file[frame + 1]), usize::from(file[frame + 2]));
    match low < 128 {
        true => (frame + 2, frame + 2 + low),
        false => (frame + 3, frame + 3 + (low & 127) + (high << 7)),
    }
}

/// Changes the codec of the second tensor, in frame and index, with correct checksums.
fn with_codec(codec: u8) -> Vec<u8> {
    let mut file = file();
    let (frames, _) = frames(&file);
    let (kind, end) = header(&file, frames[1]);
    file[kind + 2] = codec;
    put_crc(&mut file, frames[1]..end - 4, end - 4);
    // The second description follows three entries with their order.
    change_index(&mut file, |index| index[24 + 3 * 24 + 18 + 16] = codec);
    file
}

/// Whether an error is the expected one.
type Check = fn(&Error) -> bool;

/// Codec ids that the second tensor cannot be decoded by: an unknown one, and that of raw chunks,
/// which has no parameters.
fn undecodable() -> [(Vec<u8>, Check); 2] {
    [
        (with_codec(250), |error| matches!(error, Error::Unsupported { .. })),
        (with_codec(occ::Codec::Raw.id()), |error| matches!(error, Error::Corrupt { .. })),
    ]
}

#[test]
fn a_stream_continues_after_a_tensor_that_cannot_be_decoded() {
    let expected = bytes(&values(ROWS * COLUMNS));
    for (file, is_expected) in undecodable() {
        let tensors: Vec<_> = StreamReader::new(file.as_slice()).unwrap().tensors().collect();
        let [Ok(first), Err(error), Ok(last)] = tensors.as_slice() else { panic!("{tensors:?}") };
        assert_eq!((first.name.as_str(), last.name.as_str()), ("layers.0.weight", "norm"));
        assert!(first.bytes == expected && last.bytes == expected);
        assert!(is_expected(error), "{error}");
        assert_eq!(error.location().unwrap().tensor.as_deref(), Some("layers.1.weight"));

        let mut stream = StreamReader::new(file.as_slice()).unwrap();
        stream.next_tensor().unwrap().unwrap().decode().unwrap();
        let mut second = stream.next_tensor().unwrap().unwrap();
        assert_eq!((second.name(), second.shape()), ("layers.1.weight", &[ROWS, COLUMNS, 1][..]));
        assert!(is_expected(&second.next_chunk().unwrap_err()));
        assert!(is_expected(&second.next_chunk().unwrap_err()));
        assert!(is_expected(&second.copy_to(&mut io::sink()).unwrap_err()));
        assert!(stream.next_tensor().unwrap().unwrap().decode().unwrap() == expected);
        assert!(stream.next_tensor().unwrap().is_none());
    }
}

#[test]
fn verification_continues_after_a_tensor_that_cannot_be_decoded() {
    for (file, is_expected) in undecodable() {
        for deep in [false, true] {
            let options = VerifyOptions::default().deep(deep);
            let report = occ::verify(file.as_slice(), options).unwrap();
            assert_eq!((report.tensors, report.chunks, report.problems.len()), (3, 21, 1));
            assert!(is_expected(&report.problems[0]), "{:?}", report.problems);
            assert_eq!(report.file_bytes, file.len() as u64);
            let decoded = if deep { 2 * 4 * (ROWS * COLUMNS) as u64 } else { 0 };
            assert_eq!(report.decoded_bytes, decoded);
        }
        // Its chunks are checked nevertheless.
        let (frames, mut damaged) = (frames(&file).0, file);
        damaged[frames[2] - 200] ^= 1;
        let report = occ::verify(damaged.as_slice(), VerifyOptions::default().deep(true)).unwrap();
        let [_, Error::ChecksumMismatch { at, .. }] = report.problems.as_slice() else {
            panic!("{:?}", report.problems)
        };
        assert_eq!((at.tensor.as_deref(), at.chunk), (Some("layers.1.weight"), Some(6)));
    }
}

#[test]
fn random_access_to_a_tensor_that_cannot_be_decoded_is_an_error() {
    for (file, is_expected) in undecodable() {
        let reader = Reader::new(&file).unwrap();
        let tensor = reader.tensor("layers.1.weight").unwrap();
        for _ in 0..2 {
            assert!(is_expected(&tensor.decode().unwrap_err()));
            assert!(is_expected(&tensor.decode_rows(0..1).unwrap_err()));
            assert!(is_expected(&tensor.coding().unwrap_err()));
        }
        let codec = file[header(&file, frames(&file).0[1]).0 + 2];
        assert_eq!(tensor.stored().is_none(), codec == 250);
        reader.tensor("norm").unwrap().decode().unwrap();
    }
}

#[test]
fn a_stream_continues_after_a_damaged_chunk_but_not_after_damaged_structure() {
    let file = file();
    let (frames, _) = frames(&file);
    let mut damaged = file.clone();
    damaged[frames[2] - 200] ^= 1;
    let tensors: Vec<_> = StreamReader::new(damaged.as_slice()).unwrap().tensors().collect();
    let [Ok(_), Err(Error::ChecksumMismatch { .. }), Ok(_)] = tensors.as_slice() else {
        panic!("{tensors:?}")
    };
    let mut damaged = file;
    let codec = header(&damaged, frames[1]).0 + 2;
    damaged[codec] ^= 1;
    let tensors: Vec<_> = StreamReader::new(damaged.as_slice()).unwrap().tensors().collect();
    let [Ok(_), Err(Error::ChecksumMismatch { .. })] = tensors.as_slice() else {
        panic!("{tensors:?}")
    };
}

#[test]
fn a_wrong_checksum_of_the_whole_tensor_is_detected() {
    let mut file = file();
    let (frames, _) = frames(&file);
    // In the index, for random access.
    change_index(&mut file, |index| index[24 + 20 + 12] ^= 1);
    let reader = Reader::new(&file).unwrap();
    let tensor = reader.tensor("layers.1.weight").unwrap();
    let error = tensor.decode().unwrap_err();
    assert!(matches!(error, Error::ChecksumMismatch { .. }), "{error}");
    let mut out = vec![0; tensor.decoded_bytes() as usize];
    assert!(tensor.decode_into(&mut out).is_err() && tensor.decode_vec::<f32>().is_err());
    assert!(tensor.decode_rows(0..ROWS).is_err());
    tensor.decode_rows(0..ROWS - 1).unwrap();
    drop((reader, tensor));
    // In the frame's footer, for streams.
    file[frames[2] - 4] ^= 1;
    let tensors: Vec<_> = StreamReader::new(file.as_slice()).unwrap().tensors().collect();
    let [Ok(_), Err(Error::ChecksumMismatch { .. }), Ok(_)] = tensors.as_slice() else {
        panic!("{tensors:?}")
    };
}
