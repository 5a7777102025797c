//! Memory while reading files that claim or hold much: it is bounded by `Limits`, not by the file.

use crc32fast::hash;
use occ::{
    Dtype, Error, Limits, ReadAt, Reader, SequentialReader, StreamReader, VerifyOptions,
    WriteOptions, Writer, verify,
};
use peak_alloc::PeakAlloc;
use std::collections::VecDeque;
use std::io::{self, Chain, Read, Repeat, Take, repeat};
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const MIB: usize = 1 << 20;

/// The ids of codecs in `spec/format.md`, the last one unknown.
const RAW: u8 = 0;
const PLANES: u8 = 1;
const TRELLIS: u8 = 2;
const UNKNOWN: u8 = 99;

/// Waits until no other test runs, which would allocate too.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Calls `f` on a pool of one thread: as long as it reads, nothing that it has read is decoded, as if
/// decoding took long. Returns its result and the bytes that were allocated at
/// most, and afterwards, above those before.
fn measured<T: Send>(f: impl FnOnce() -> T + Send) -> (T, usize, usize) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    let result = pool.install(f);
    let (peak, after) = (ALLOCATOR.peak_usage(), ALLOCATOR.current_usage());
    (result, peak.saturating_sub(before), after.saturating_sub(before))
}

/// The header of a file.
fn file_header() -> Vec<u8> {
    let mut file = Vec::new();
    Writer::new(&mut file, WriteOptions::default()).unwrap().finish().unwrap();
    file.truncate(64);
    file
}

/// Appends an integer of variable length.
fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// The header of a frame with one dimension, of a codec with chunks of their own.
fn frame_header(codec: u8, dtype: u8, elements: u64, chunk: u64, parameters: &[u8]) -> Vec<u8> {
    let layout = if codec == TRELLIS { 2 } else { 0 };
    let mut body = vec![1, dtype, codec, layout, 1];
    put(&mut body, elements);
    put(&mut body, if chunk < elements { chunk } else { 0 });
    body.extend([0, 1, b'w']);
    put(&mut body, parameters.len() as u64);
    body.extend(parameters);
    let mut bytes = b"F".to_vec();
    put(&mut bytes, body.len() as u64 + 4);
    bytes.extend(body);
    let crc = hash(&bytes);
    bytes.extend(crc.to_le_bytes());
    bytes
}

/// The head of a chunk of zeros.
fn chunk_head(length: usize) -> Vec<u8> {
    let length = (length as u32).to_le_bytes();
    let zeros = vec![0; u32::from_le_bytes(length) as usize];
    let crc = hash(&[&length[..], &zeros].concat());
    [length, crc.to_le_bytes()].concat()
}

/// A stream of parts, each of them bytes and then zeros.
struct Parts<'p>(VecDeque<Chain<&'p [u8], Take<Repeat>>>);

impl<'p> Parts<'p> {
    fn new(parts: impl IntoIterator<Item = (&'p [u8], usize)>) -> Self {
        let parts = parts.into_iter();
        Self(parts.map(|(bytes, zeros)| bytes.chain(repeat(0).take(zeros as u64))).collect())
    }
}

impl Read for Parts<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        while let Some(part) = self.0.front_mut() {
            match part.read(out)? {
                0 => self.0.pop_front(),
                read => return Ok(read),
            };
        }
        Ok(0)
    }
}

fn deep(limits: Limits) -> VerifyOptions {
    VerifyOptions::default().deep(true).limits(limits)
}

/// Chunks of 8 MiB that decode to 16 KiB each, or would if they were not damaged.
#[test]
fn large_chunks_of_few_elements_do_not_queue_up() {
    let _alone = alone();
    let (size, elements) = (8 * MIB, 1 << 14);
    let frame = frame_header(PLANES, Dtype::U8 as u8, 100 * elements, elements, &[0]);
    let (start, head) = ([file_header(), frame].concat(), chunk_head(size));
    let file = || Parts::new([(&start[..], 0)].into_iter().chain([(&head[..], size); 100]));
    let limits = Limits::default().chunk_bytes(size as u64);
    let (error, peak, _) = measured(|| {
        let mut stream = StreamReader::new_with(file(), limits).unwrap();
        let tensor = stream.next_tensor().unwrap().unwrap();
        tensor.copy_to(&mut std::io::sink()).unwrap_err()
    });
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
    assert!(peak < 48 * MIB, "{} MiB", peak / MIB);
    let (report, peak, after) = measured(|| verify(file(), deep(limits)).unwrap());
    assert_eq!((report.chunks, report.problems.len()), (100, 101));
    assert!(peak < 48 * MIB, "{} MiB", peak / MIB);
    assert!(after < MIB, "{after}");
}

/// Frame headers of 4 MiB each behind a chunk that is being decoded.
#[test]
fn large_frame_headers_do_not_queue_up() {
    let _alone = alone();
    let large = frame_header(UNKNOWN, Dtype::U8 as u8, 0, 1, &vec![0; 4 * MIB - 100]);
    let footer = [0; 4];
    let first = frame_header(RAW, Dtype::U8 as u8, MIB as u64, MIB as u64, &[]);
    let first = [file_header(), first, chunk_head(MIB)].concat();
    let frames = [[(&large[..], 0), (&footer[..], 0)]; 60].concat();
    let file = Parts::new([(&first[..], MIB), (&footer[..], 0)].into_iter().chain(frames));
    let limits = Limits::default().frame_header_bytes(4 * MIB as u64);
    let (report, peak, _) = measured(|| verify(file, deep(limits)).unwrap());
    assert_eq!(report.tensors, 61);
    assert!(peak < 48 * MIB, "{} MiB", peak / MIB);
}

/// A basis of zeros takes a bit for each entry in the file and four bytes in memory.
#[test]
fn a_stored_basis_is_limited_by_its_size_in_memory() {
    let _alone = alone();
    // Fields of `spec/format.md`, section 7.3: value and bits.
    let fields = [
        (65_535, 16),         // columns - 1
        (1f32.to_bits(), 32), // step
        (0, 4),               // states
        (0, 4),               // bypass bits
        (0, 16),              // notes of the writer
        (2, 2),               // stored basis
        (2047, 16),           // block - 1
        (1f32.to_bits(), 32), // unit
    ];
    let mut parameters = vec![0; 20 * MIB];
    let mut at = 0;
    for (value, bits) in fields {
        for bit in 0..bits {
            parameters[at / 8] |= (value >> bit & 1) as u8 * (1 << (at % 8));
            at += 1;
        }
    }
    let frame = frame_header(TRELLIS, Dtype::F32 as u8, 65_536, 65_536, &parameters);
    let file = [file_header(), frame].concat();
    for limit in [1, 16, 256] {
        let limits = Limits::default().basis_bytes((limit * MIB) as u64);
        let (error, peak, _) = measured(|| {
            let mut stream = StreamReader::new_with(file.as_slice(), limits).unwrap();
            let tensor = stream.next_tensor().unwrap().unwrap();
            tensor.decode().unwrap_err()
        });
        let is_limited = matches!(error, Error::LimitExceeded { requested, .. }
            if requested == 32 * 2048 * 2048 * 4);
        assert!(is_limited, "{error}");
        // The frame header and its copies.
        assert!(peak < 100 * MIB, "{} MiB", peak / MIB);
    }
}

/// What was needed for a large chunk is not kept for the next one.
#[test]
fn large_buffers_are_not_kept() {
    let _alone = alone();
    let bytes: Vec<u8> = (0..32 * MIB).map(|i| (i % 251) as u8 >> (i % 3)).collect();
    let mut file = Vec::new();
    let options = WriteOptions::default().chunk_elements(32 * MIB as u64);
    let mut writer = Writer::new(&mut file, options).unwrap();
    writer.add("w", Dtype::U8, &[32, MIB], &bytes).unwrap();
    writer.finish().unwrap();
    drop(bytes);
    let reader = Reader::new(&file).unwrap();
    let tensor = reader.tensor("w").unwrap();
    assert_eq!((tensor.chunks(), tensor.stored()), (1, Some(occ::Codec::Planes)));
    let (rows, peak, after) = measured(|| tensor.decode_rows(3..4).unwrap());
    assert_eq!(rows.len(), MIB);
    assert!(peak > 32 * MIB && after < 4 * MIB, "{peak} {after}");
    let (_, _, after) = measured(|| {
        let mut stream = StreamReader::new(file.as_slice()).unwrap();
        stream.next_tensor().unwrap().unwrap().copy_to(&mut std::io::sink()).unwrap();
        stream
    });
    assert!(after < 8 * MIB, "{after}");
}

/// A file in memory as a source that is read in spans.
struct InSpans<'f>(&'f [u8]);

impl ReadAt for InSpans<'_> {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn read_at<'b>(&'b self, range: Range<u64>, buffer: &'b mut Vec<u8>) -> io::Result<&'b [u8]> {
        self.0.read_at(range, buffer)
    }

    fn span_bytes(&self) -> u64 {
        2 * MIB as u64
    }
}

/// Three spans are in memory at most, however long the tensor is; so are parts of sequential reads.
#[test]
fn few_spans_are_in_memory() {
    let _alone = alone();
    let mut state = 1u32;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    let bytes: Vec<u8> = noise.take(40 * MIB).collect();
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file, WriteOptions::default()).unwrap();
    writer.add("w", Dtype::U8, &[40, MIB], &bytes).unwrap();
    writer.finish().unwrap();
    let tensor = Reader::from_source(InSpans(&file)).unwrap().tensor("w").unwrap();
    let mut out = vec![0; bytes.len()];
    let (result, peak, _) = measured(|| tensor.decode_into(&mut out));
    result.unwrap();
    assert!(out == bytes);
    assert!(peak > 2 * MIB && peak < 7 * MIB, "{peak}");
    drop((out, bytes, tensor));
    let owned = std::sync::Arc::new(file);
    let (result, peak, _) =
        measured(|| io::copy(&mut SequentialReader::new(owned).unwrap(), &mut io::sink()));
    assert!(result.unwrap() > 40 * MIB as u64);
    assert!(peak < 6 * MIB, "{peak}");
}
