//! Sources that are read in spans: several chunks at once. Their results are those of files in memory.

use crate::common::{
    Sample, bf16_weights, lossy, small_chunks, small_samples, tied_samples, varied_samples,
    written, written_together,
};
use occ::{Dtype, Encoding, ReadAt, Reader, WriteOptions};
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes that are read in spans of a size.
struct Spans {
    bytes: Vec<u8>,
    span: u64,
    /// The longest read.
    longest: AtomicU64,
}

impl Spans {
    fn new(bytes: &[u8], span: u64) -> Self {
        Self { bytes: bytes.to_vec(), span, longest: AtomicU64::new(0) }
    }
}

impl ReadAt for Spans {
    fn size(&self) -> u64 {
        self.bytes.size()
    }

    fn read_at<'b>(&'b self, range: Range<u64>, buffer: &'b mut Vec<u8>) -> io::Result<&'b [u8]> {
        self.longest.fetch_max(range.end - range.start, Ordering::SeqCst);
        let mut unused = Vec::new();
        *buffer = self.bytes.read_at(range, &mut unused)?.to_vec();
        Ok(buffer)
    }

    fn span_bytes(&self) -> u64 {
        self.span
    }
}

const SIZES: [u64; 5] = [1, 100, 3000, 20_000, 1 << 20];

fn check(bytes: &[u8], samples: &[Sample]) {
    for span in SIZES {
        let source = Spans::new(bytes, span);
        let file = Reader::from_source(&source).unwrap();
        let buffers = || samples.iter().map(|sample| vec![7; sample.bytes.len()]);
        let mut together: Vec<Vec<u8>> = buffers().collect();
        let names = samples.iter().map(|sample| sample.name.as_str());
        file.decode_all_into(names.zip(together.iter_mut().map(Vec::as_mut_slice))).unwrap();
        for (sample, out) in samples.iter().zip(together) {
            assert!(out == sample.bytes, "{} in spans of {span}", sample.name);
            let tensor = file.tensor(&sample.name).unwrap();
            let rows = sample.shape.first().copied().unwrap_or(0);
            if rows > 0 && !sample.bytes.is_empty() && sample.dtype.bits() % 8 == 0 {
                let (start, end) = (rows / 3, rows - rows / 4);
                let row = sample.bytes.len() / rows;
                let expected = &sample.bytes[start * row..end * row];
                assert!(tensor.decode_rows(start..end).unwrap() == expected);
            }
            assert!(tensor.decode().unwrap() == sample.bytes);
        }
    }
}

#[test]
fn all_tensors_are_decoded_from_spans() {
    let samples = varied_samples();
    check(&written(&samples, WriteOptions::default()), &samples);
    check(&written(&samples, small_chunks(256)), &samples);
    let samples = tied_samples();
    check(&written_together(&samples, small_chunks(640)), &samples);
}

#[test]
fn reads_are_no_longer_than_spans_or_chunks() {
    let samples = varied_samples();
    let bytes = written(&samples, small_chunks(256));
    for span in SIZES {
        let source = Spans::new(&bytes, span);
        let file = Reader::from_source(&source).unwrap();
        let largest = file.tensors().map(|tensor| tensor.unwrap().header_bytes()).max().unwrap();
        source.longest.store(0, Ordering::SeqCst);
        for tensor in file.tensors() {
            tensor.unwrap().decode().unwrap();
        }
        // Chunks have up to 256 elements of 8 bytes, unless a codec needs longer ones.
        let longest = source.longest.load(Ordering::SeqCst);
        assert!(longest <= span.max(largest).max(20_000), "{longest} for {span}");
    }
}

#[test]
fn elements_are_converted_from_spans() {
    let samples = varied_samples();
    let bytes = written(&samples, small_chunks(256));
    let memory = Reader::new(&bytes).unwrap();
    for span in SIZES {
        let file = Reader::from_source(Spans::new(&bytes, span)).unwrap();
        for name in ["bf16.coded", "f32.coded", "zeros"] {
            let expected = memory.tensor(name).unwrap().decode_counting(Dtype::F16).unwrap();
            let tensor = file.tensor(name).unwrap();
            assert_eq!(tensor.decode_counting(Dtype::F16).unwrap(), expected);
        }
    }
}

/// What reading all tensors gives: their bytes, or the tensor, chunk and offset of the error.
fn outcome(file: occ::Result<Reader<'_>>) -> Vec<Result<Vec<u8>, String>> {
    let Ok(file) = file else { return Vec::new() };
    let tensors = file.tensors().map(|tensor| match tensor.and_then(|tensor| tensor.decode()) {
        Ok(bytes) => Ok(bytes),
        Err(error) => Err(error.to_string()),
    });
    tensors.collect()
}

#[test]
fn damage_is_reported_from_spans_as_from_memory() {
    let samples = small_samples();
    let tied = written_together(&tied_samples()[..3], small_chunks(640));
    for bytes in [written(&samples, small_chunks(256)), tied] {
        let mut failures = 0;
        for at in (0..bytes.len()).step_by(7) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x20;
            let expected = outcome(Reader::new(&damaged));
            failures += expected.iter().filter(|one| one.is_err()).count();
            for span in [1, 600, 1 << 20] {
                let found = outcome(Reader::from_source(Spans::new(&damaged, span)));
                assert_eq!(found, expected, "byte {at}, spans of {span}");
            }
        }
        assert!(failures > 50, "{failures}");
    }
}

#[test]
fn lossy_tensors_and_their_codings_are_read_from_spans() {
    let sample = Sample::new("w", Dtype::Bf16, &[96, 128], bf16_weights(1, 96 * 128));
    let encoding = Encoding::bits(4.0).effort(1);
    let bytes = lossy::coded(&sample, &encoding, small_chunks(32 * 128));
    let memory = Reader::new(&bytes).unwrap().tensor("w").unwrap();
    for span in SIZES {
        let file = Reader::from_source(Spans::new(&bytes, span)).unwrap();
        let tensor = file.tensor("w").unwrap();
        let codings = file.codings(std::slice::from_ref(&tensor)).unwrap();
        assert!(codings[0].is_some() && codings[0] == memory.coding().unwrap());
        assert_eq!(tensor.decode().unwrap(), memory.decode().unwrap());
        let (rows, expected) = (tensor.decode_rows(40..90), memory.decode_rows(40..90));
        assert_eq!(rows.unwrap(), expected.unwrap());
        let floats = tensor.decode_as(Dtype::F32).unwrap();
        assert_eq!(floats, memory.decode_as(Dtype::F32).unwrap());
    }
}
