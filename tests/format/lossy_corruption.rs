//! Corruption of lossy tensors: it is detected, the error names the tensor, and nothing panics.

use crate::common::lossy::{
    FrameLayout, LossySample, learned_basis_samples, portable_samples, written,
};
use crate::common::{Random, Sample, small_chunks};
use crate::fuzz_corpus::checksums::fix_checksums;
use occ::{BlockTransform, Dtype, Error, Limits, Reader, StreamReader, Tensor, VerifyOptions};

fn samples() -> Vec<LossySample> {
    portable_samples().into_iter().chain(learned_basis_samples()).collect()
}

/// A file for each part of the codec, and the decoded tensor.
fn files() -> Vec<(Vec<u8>, Sample)> {
    let file = |lossy: LossySample| {
        let file = written(std::slice::from_ref(&lossy), small_chunks(1 << 18));
        let bytes = decoded(&file, &lossy.sample.name).unwrap();
        (file, Sample { bytes, ..lossy.sample })
    };
    samples().into_iter().map(file).collect()
}

fn decoded(file: &[u8], name: &str) -> Result<Vec<u8>, Error> {
    Reader::new(file)?.tensor(name)?.decode()
}

fn problems(file: &[u8], deep: bool) -> Vec<Error> {
    let options = VerifyOptions::default().deep(deep).limits(Limits::tight());
    occ::verify(file, options).unwrap().problems
}

fn streamed(file: &[u8]) -> Result<Vec<u8>, Error> {
    let mut tensors = StreamReader::new(file)?.tensors();
    let tensor = tensors.next().ok_or_else(|| Error::from(std::io::Error::other("none")))??;
    tensors.next().map_or(Ok(tensor.bytes), |more| Err(more.expect_err("one tensor")))
}

/// Whether corruption may cause this error, and the error names the tensor.
fn names(error: &Error, name: &str) -> bool {
    let is_format_error = matches!(
        error,
        Error::Corrupt { .. }
            | Error::ChecksumMismatch { .. }
            | Error::Truncated { .. }
            | Error::LimitExceeded { .. }
            | Error::Unsupported { .. }
    );
    is_format_error && error.location().is_some_and(|at| at.tensor.as_deref() == Some(name))
}

#[test]
fn samples_exercise_the_parts_in_their_names() {
    let mut seen = Vec::new();
    for (file, sample) in files() {
        let reader = Reader::new(&file).unwrap();
        let coding = reader.tensor(&sample.name).unwrap().coding().unwrap().expect("lossy");
        let layout = FrameLayout::of(&file);
        let [escapes, outliers] = layout.counts(&file, sample.dtype.bits() as usize / 8);
        let bypass = layout.bypass(&file);
        let holds = match sample.name.as_str() {
            "classes" => coding.classes > 1,
            "hadamard" => coding.transform == BlockTransform::hadamard(64, false),
            "signed hadamard" => {
                coding.transform == BlockTransform::hadamard(16, true) && coding.states == 256
            }
            "escapes" => escapes >= 2 && outliers == 0,
            "exceptions" => outliers >= 4,
            "row scales" => coding.row_scales && coding.states == 1,
            "column scales" => coding.column_scales && !coding.row_scales,
            "bypass" => bypass > 0,
            "aligned" => coding.transform == BlockTransform::klt(24),
            "low rank" => coding.mean && coding.rank == 2,
            other => panic!("{other}"),
        };
        assert!(holds, "{}: {coding:?}, {escapes}, {outliers}, {bypass}", sample.name);
        assert!(problems(&file, true).is_empty());
        seen.push(sample.name);
    }
    assert_eq!(seen.len(), 10);
}

#[test]
fn a_change_of_any_byte_is_detected() {
    for (file, sample) in files() {
        let layout = FrameLayout::of(&file);
        let name = &sample.name;
        for at in 0..file.len() {
            let mut damaged = file.clone();
            damaged[at] ^= [0x01, 0x80, 0xff][at % 3];
            let found = problems(&damaged, false);
            assert!(!found.is_empty(), "{name}, byte {at} was not detected");
            let named = found.iter().any(|error| names(error, name));
            assert!(named || !(layout.chunk.start..layout.end).contains(&at), "{at}: {found:?}");
            if let Ok(reader) = Reader::new(&damaged)
                && let Ok(Some(tensor)) = reader.get(name)
            {
                match tensor.decode() {
                    Ok(bytes) => assert!(bytes == sample.bytes, "{name}, byte {at}"),
                    Err(error) => assert!(names(&error, name), "{name}, byte {at}: {error:?}"),
                }
                if let Err(error) = tensor.coding() {
                    assert!(names(&error, name), "{name}, byte {at}: {error:?}");
                }
            }
            assert!(streamed(&damaged).is_err(), "{name}, byte {at}");
        }
    }
}

#[test]
fn any_truncation_is_detected() {
    for (file, sample) in files() {
        for length in 0..file.len() {
            let cut = &file[..length];
            assert!(Reader::new(cut).is_err(), "{}: opened at {length}", sample.name);
            assert!(streamed(cut).is_err() && !problems(cut, false).is_empty());
        }
    }
}

/// A shorter or longer chunk with valid checksums: the symbols, bypass bits and escapes determine
/// the length of a chunk.
#[test]
fn chunks_of_another_length_are_rejected() {
    for (file, Sample { name, .. }) in files() {
        let chunk = FrameLayout::of(&file).chunk;
        let length = chunk.len() - 8;
        let changes = (0..length).map(Ok).chain([1, 2, 4, 31].map(Err));
        for change in changes {
            let body = &file[chunk.start + 8..chunk.end];
            let body = match change {
                Ok(shorter) => body[..shorter].to_vec(),
                Err(more) => [body, &vec![0; more]].concat(),
            };
            let head = (body.len() as u32).to_le_bytes();
            let mut changed =
                [&file[..chunk.start], &head, &[0; 4], &body, &file[chunk.end..]].concat();
            fix_checksums(&mut changed);
            let error = streamed(&changed).unwrap_err();
            assert!(names(&error, &name), "{change:?}: {error:?}");
            let is_structural = matches!(error, Error::Corrupt { .. } | Error::Truncated { .. });
            assert!(is_structural, "detected only by a checksum: {error:?}");
        }
    }
}

/// Checks that all results of a reader for a tensor are consistent. Returns the decoded tensor.
fn check_tensor(tensor: &Tensor<'_>) -> Option<Vec<u8>> {
    let (decoded, coding) = (tensor.decode(), tensor.coding());
    // The checksum of all decoded bytes, which `fix_checksums` leaves as it is, is compared only
    // when the whole tensor is decoded in its own dtype.
    let rows = tensor.shape()[0];
    let whole = match &decoded {
        Err(Error::ChecksumMismatch { at, .. }) if at.chunk.is_none() => {
            let parts = [0..rows / 2, rows / 2..rows].map(|rows| tensor.decode_rows(rows));
            parts.into_iter().collect::<Result<Vec<_>, _>>().map(|parts| parts.concat())
        }
        Err(_) => tensor.decode(),
        Ok(whole) => Ok(whole.clone()),
    };
    for error in [whole.as_ref().err(), coding.as_ref().err()].into_iter().flatten() {
        assert!(names(error, tensor.name()), "{error:?}");
    }
    // For an F32 tensor, F32 is its own dtype.
    let in_f32 = tensor.decode_as(Dtype::F32);
    let reference = if tensor.dtype() == Dtype::F32 { &decoded } else { &whole };
    assert_eq!(reference.is_ok(), in_f32.is_ok(), "validity does not depend on the dtype");
    let some = tensor.decode_rows(rows / 3..rows / 2);
    if let (Ok(whole), Ok(some)) = (&whole, some) {
        let row = whole.len() / rows;
        assert!(some == whole[rows / 3 * row..rows / 2 * row]);
    }
    decoded.ok()
}

/// Changes a file, fixes all checksums, and checks all tensors. Returns whether the file is valid.
fn check_changed(file: &[u8], change: impl Fn(&mut [u8])) -> bool {
    let mut damaged = file.to_vec();
    change(&mut damaged);
    fix_checksums(&mut damaged);
    let valid = problems(&damaged, true).is_empty();
    if let Ok(reader) = Reader::new_with(&damaged, Limits::tight()) {
        for tensor in reader.tensors().flatten() {
            let bytes = check_tensor(&tensor);
            assert!(!valid || bytes == streamed(&damaged).ok());
        }
    }
    valid
}

/// Different parameters and chunks with valid checksums.
#[test]
fn corruption_with_fixed_checksums_is_an_error_or_changes_values() {
    let before = peak_megabytes();
    let mut random = Random(1);
    for (file, sample) in files() {
        let FrameLayout { parameters, chunk, end } = FrameLayout::of(&file);
        for at in 64..end {
            // All bits of the first parameters, because each of them affects all values.
            let dense = parameters.contains(&at) && at < parameters.start + 40;
            let flips: &[u8] = if dense {
                &[1, 2, 4, 8, 16, 32, 64, 128, 255]
            } else {
                &[[1, 0x10, 0x80][at % 3]]
            };
            for flip in flips {
                let valid = check_changed(&file, |file| file[at] ^= flip);
                // Some parameters are only informative or belong to classes that do not occur.
                let coded = chunk.start + 8..chunk.end;
                assert!(!valid || !coded.contains(&at), "{}, byte {at}", sample.name);
            }
        }
        for _ in 0..150 {
            let runs: Vec<(usize, Vec<u8>)> = (0..1 + random.next() % 3)
                .map(|_| {
                    let area = if random.next().is_multiple_of(2) { &parameters } else { &chunk };
                    let at = area.start + random.next() as usize % area.len();
                    let count = 1 + random.next() as usize % 8;
                    (at, random.bytes(count.min(area.end - at)))
                })
                .collect();
            check_changed(&file, |file| {
                for (at, run) in &runs {
                    file[*at..at + run.len()].copy_from_slice(run);
                }
            });
        }
    }
    let grown = peak_megabytes() - before;
    assert!(grown < 200, "{grown} MB for files of a few kilobytes");
}

/// The largest resident set so far, in megabytes; 0 on other systems than Linux.
fn peak_megabytes() -> i64 {
    #[cfg(target_os = "linux")]
    {
        use nix::sys::resource::{UsageWho, getrusage};
        getrusage(UsageWho::RUSAGE_SELF).unwrap().max_rss() / 1000
    }
    #[cfg(not(target_os = "linux"))]
    0
}

/// Several tensors with several chunks: errors name the corrupt tensor; the others still decode.
#[test]
fn corruption_affects_only_one_tensor() {
    let samples = samples();
    let file = written(&samples, small_chunks(1));
    let reader = Reader::new(&file).unwrap();
    let expected: Vec<Vec<u8>> =
        reader.tensors().map(|tensor| tensor.unwrap().decode().unwrap()).collect();
    let chunks: u64 = reader.tensors().map(|tensor| tensor.unwrap().chunks()).sum();
    assert!(chunks >= 2 * samples.len() as u64);
    let mut hit = vec![0; samples.len()];
    for at in (64..reader.file_bytes() as usize).step_by(41) {
        let mut damaged = file.clone();
        damaged[at] ^= 0x55;
        let Ok(reader) = Reader::new(&damaged) else { continue };
        let mut failed = Vec::new();
        for (number, lossy) in samples.iter().enumerate() {
            match reader.tensor(&lossy.sample.name).and_then(|tensor| tensor.decode()) {
                Ok(bytes) => assert!(bytes == expected[number], "byte {at}"),
                Err(error) => {
                    assert!(names(&error, &lossy.sample.name), "byte {at}: {error:?}");
                    failed.push(number);
                }
            }
        }
        assert!(failed.len() <= 1, "byte {at}: {failed:?}");
        failed.iter().for_each(|&number| hit[number] += 1);
    }
    assert!(hit.iter().all(|&count| count > 0), "{hit:?}");
}
