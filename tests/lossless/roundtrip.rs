//! Decoded tensors equal the written ones: from memory, memory maps and streams, whole and by rows,
//! with any number of threads.

use crate::common::{Random, Sample, small_chunks, varied_samples, written};
use occ::{Codec, Dtype, Error, Reader, StreamReader, VerifyOptions, WriteOptions, Writer};
use proptest::prelude::*;
use std::io::{self, Read};

/// A reader that returns pieces of the given sizes, cyclically; size 0 is an interruption.
struct PieceReader<'a> {
    bytes: &'a [u8],
    sizes: Vec<usize>,
    next: usize,
}

impl Read for PieceReader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let size = self.sizes[self.next % self.sizes.len()];
        self.next += 1;
        if size == 0 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let size = size.min(out.len());
        self.bytes.read(&mut out[..size])
    }
}

fn streamed(input: impl Read) -> Vec<Sample> {
    let tensors = StreamReader::new(input).unwrap().tensors();
    tensors
        .map(|tensor| {
            let tensor = tensor.unwrap();
            Sample::new(&tensor.name, tensor.dtype, &tensor.shape, tensor.bytes)
        })
        .collect()
}

fn read(file: &[u8]) -> Vec<Sample> {
    let reader = Reader::new(file).unwrap();
    let tensors = reader.tensors().map(|tensor| {
        let tensor = tensor.unwrap();
        Sample::new(tensor.name(), tensor.dtype(), tensor.shape(), tensor.decode().unwrap())
    });
    tensors.collect()
}

fn assert_valid(file: &[u8]) {
    let options = VerifyOptions::default().deep(true);
    let report = occ::verify(file, options).unwrap();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    assert_eq!(report.file_bytes, file.len() as u64);
}

fn sample() -> impl Strategy<Value = Sample> {
    let shape = prop::collection::vec(0usize..24, 0..=3);
    let texture = (any::<u64>(), any::<u8>(), any::<u8>());
    (prop::sample::select(Dtype::ALL), shape, texture).prop_map(|(dtype, mut shape, texture)| {
        let (seed, keep, period) = texture;
        let elements = |shape: &[usize]| shape.iter().product::<usize>() as u64;
        if dtype.byte_len(elements(&shape)).is_none() {
            shape.push(8);
        }
        let count = dtype.byte_len(elements(&shape)).unwrap() as usize;
        let period = usize::from(period).max(1);
        let mut bytes = crate::common::Random(seed).bytes(count.min(period));
        bytes = bytes.into_iter().map(|byte| byte & keep).cycle().take(count).collect();
        Sample { name: String::new(), dtype, shape, bytes }
    })
}

fn samples() -> impl Strategy<Value = Vec<Sample>> {
    prop::collection::vec((sample(), ".{0,12}"), 0..6).prop_map(|samples| {
        let named = samples.into_iter().enumerate();
        named.map(|(i, (s, name))| Sample { name: format!("{name}{i}"), ..s }).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn any_tensors_are_restored_by_all_readers(
        samples in samples(),
        chunk_elements in 1u64..400,
        alignment in 0u32..=12,
        sizes in prop::collection::vec(0usize..40, 1..9),
    ) {
        let options = small_chunks(chunk_elements).alignment(1 << alignment);
        let file = written(&samples, options);
        prop_assert_eq!(&read(&file), &samples);
        prop_assert_eq!(&streamed(file.as_slice()), &samples);
        let mut sizes = sizes;
        sizes.push(1); // at least one size is not 0
        prop_assert_eq!(&streamed(PieceReader { bytes: &file, sizes, next: 0 }), &samples);
        assert_valid(&file);
    }

    #[test]
    fn rows_equal_slices_of_the_tensor(
        sample in sample(),
        chunk_elements in 1u64..200,
        rows in any::<(prop::sample::Index, prop::sample::Index)>(),
    ) {
        let file = written(std::slice::from_ref(&sample), small_chunks(chunk_elements));
        let reader = Reader::new(&file).unwrap();
        let tensor = reader.tensor("").unwrap();
        let Some(&count) = sample.shape.first() else {
            prop_assert!(tensor.decode_rows(0..1).is_err());
            return Ok(());
        };
        let (a, b) = (rows.0.index(count + 1), rows.1.index(count + 1));
        let (start, end) = (a.min(b), a.max(b));
        let row_bits = tensor.elements() as usize / count.max(1) * sample.dtype.bits() as usize;
        let decoded = tensor.decode_rows(start..end);
        if (start * row_bits).is_multiple_of(8) && (end * row_bits).is_multiple_of(8) {
            let expected = &sample.bytes[start * row_bits / 8..end * row_bits / 8];
            prop_assert_eq!(decoded.unwrap(), expected);
            for fill in [0x00, 0xff] {
                let mut out = vec![fill; expected.len()];
                tensor.decode_rows_into(start..end, &mut out).unwrap();
                prop_assert_eq!(&out, expected);
            }
        } else {
            let rejected = matches!(decoded, Err(Error::InvalidArgument { .. }));
            prop_assert!(rejected);
        }
        prop_assert!(tensor.decode_rows(start..count + 1).is_err());
    }
}

#[test]
fn one_byte_and_interrupted_reads_agree() {
    let samples = varied_samples();
    let file = written(&samples, small_chunks(50));
    for sizes in [vec![1], vec![0, 1], vec![3, 0, 1000, 0, 0, 7]] {
        assert_eq!(streamed(PieceReader { bytes: &file, sizes, next: 0 }), samples);
    }
}

#[test]
fn previous_contents_of_buffers_are_overwritten() {
    let samples = varied_samples();
    let file = written(&samples, small_chunks(50));
    let reader = Reader::new(&file).unwrap();
    for sample in &samples {
        let tensor = reader.tensor(&sample.name).unwrap();
        for fill in [0x00, 0xff] {
            let mut out = vec![fill; sample.bytes.len()];
            tensor.decode_into(&mut out).unwrap();
            assert_eq!(out, sample.bytes, "{}", sample.name);
        }
        let mut long = vec![0; sample.bytes.len() + 1];
        assert!(matches!(tensor.decode_into(&mut long), Err(Error::InvalidArgument { .. })));
    }
}

#[test]
fn decode_all_into_equals_decode_into() {
    let samples = varied_samples();
    let file = written(&samples, small_chunks(50));
    let reader = Reader::new(&file).unwrap();
    let mut outs: Vec<Vec<u8>> = samples.iter().map(|s| vec![0xff; s.bytes.len()]).collect();
    let names = samples.iter().map(|sample| sample.name.as_str());
    reader.decode_all_into(names.clone().zip(outs.iter_mut().map(Vec::as_mut_slice))).unwrap();
    assert!(outs.iter().zip(&samples).all(|(out, sample)| *out == sample.bytes));
    reader.decode_all_into([]).unwrap();
    // The first of several errors is reported.
    outs[2].push(0);
    outs[4].push(0);
    let outs = names.zip(outs.iter_mut().map(Vec::as_mut_slice));
    let error = reader.decode_all_into(outs.chain([("none", &mut [][..])])).unwrap_err();
    assert_eq!(error.location().unwrap().tensor.as_deref(), Some(samples[2].name.as_str()));
    let error = reader.decode_all_into([("none", &mut [][..])]).unwrap_err();
    assert!(error.to_string().contains("`none`"), "{error}");
}

#[test]
fn threads_do_not_change_results() {
    let samples = varied_samples();
    let files: Vec<Vec<u8>> = [1, 2, 8]
        .iter()
        .map(|&threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let file = written(&samples, small_chunks(50));
                assert_eq!(read(&file), samples);
                assert_eq!(streamed(file.as_slice()), samples);
                assert_valid(&file);
                file
            })
        })
        .collect();
    assert!(files.iter().all(|file| *file == files[0]));
}

#[test]
#[allow(unsafe_code)]
fn raw_tensors_of_a_mapped_file_are_slices() {
    let mut samples = varied_samples();
    for size in [4095, 4096, 5000] {
        let noise = Random(size as u64).bytes(size);
        samples.push(Sample::new(&format!("noise.{size}"), Dtype::U8, &[size], noise));
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.occ");
    let mut writer = Writer::create(&path, WriteOptions::default()).unwrap();
    for sample in &samples {
        writer.add(&sample.name, sample.dtype, &sample.shape, &sample.bytes).unwrap();
    }
    writer.finish().unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), written(&samples, WriteOptions::default()));
    // SAFETY: nothing else opens the file.
    let reader = unsafe { Reader::map(&path) }.unwrap();
    let opened = Reader::open(&path).unwrap();
    let (mut counts, mut aligned) = ([0, 0, 0], 0);
    for sample in &samples {
        let tensor = reader.tensor(&sample.name).unwrap();
        assert_eq!(tensor.decode().unwrap(), sample.bytes);
        let read = opened.tensor(&sample.name).unwrap();
        assert!(read.decode().unwrap() == sample.bytes && read.as_raw().is_none());
        match (tensor.stored().unwrap(), tensor.as_raw()) {
            (Codec::Raw, Some(raw)) => {
                counts[0] += 1;
                assert_eq!(raw, sample.bytes);
                assert!(raw.len() < 4096 || raw.as_ptr().addr() % 256 == 0);
                aligned += usize::from(raw.len() >= 4096);
            }
            (Codec::Planes, None) => counts[1] += 1,
            (Codec::Dictionary | Codec::Repetition, None) => counts[2] += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(counts[..2].iter().all(|&count| count > 5) && counts[2] >= 3, "{counts:?}");
    assert_eq!(aligned, 2);
    assert!(reader.get("no such tensor").unwrap().is_none());
    assert!(matches!(reader.tensor("no such tensor"), Err(Error::TensorNotFound { .. })));
}

#[test]
fn an_unfinished_writer_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(folder.path().join("a.occ"), WriteOptions::default()).unwrap();
    writer.add("w", Dtype::U8, &[4], &[1, 2, 3, 4]).unwrap();
    drop(writer);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn readers_and_writers_can_be_sent_between_threads() {
    fn shared<T: Send + Sync>() {}
    fn sent<T: Send>() {}
    shared::<Reader<'_>>();
    shared::<occ::Tensor<'_>>();
    sent::<Writer<'_>>();
    sent::<StreamReader<std::fs::File>>();
    shared::<Error>();
}

#[test]
fn a_file_without_tensors() {
    let file = written(&[], WriteOptions::default());
    assert_valid(&file);
    assert_eq!(read(&file), []);
    assert_eq!(file.len(), 64 + 24 + 40);
}

#[test]
fn many_tensors_are_found_by_name() {
    let samples: Vec<Sample> = (0..3000u32)
        .map(|i| {
            Sample::new(
                &format!("t{}", i.wrapping_mul(2_654_435_761)),
                Dtype::U32,
                &[1],
                i.to_le_bytes().into(),
            )
        })
        .collect();
    let file = written(&samples, WriteOptions::default().alignment(1));
    let reader = Reader::new(&file).unwrap();
    for sample in &samples {
        assert_eq!(reader.tensor(&sample.name).unwrap().decode().unwrap(), sample.bytes);
    }
}

#[test]
fn an_unfinished_stream_tensor_is_skipped() {
    let samples = varied_samples();
    let file = written(&samples, small_chunks(50));
    let mut stream = StreamReader::new(file.as_slice()).unwrap();
    let mut seen = 0;
    while let Some(mut tensor) = stream.next_tensor().unwrap() {
        let sample = &samples[seen];
        assert_eq!(
            (tensor.name(), tensor.dtype(), tensor.shape()),
            (sample.name.as_str(), sample.dtype, &sample.shape[..])
        );
        assert_eq!(tensor.decoded_bytes(), sample.bytes.len() as u64);
        if let Some(chunk) = tensor.next_chunk().unwrap() {
            assert!(sample.bytes.starts_with(&chunk));
        }
        seen += 1;
    }
    assert_eq!(seen, samples.len());
}
