//! Damage to what was coded with loss: it is noticed, the error tells where, nothing panics.

use crate::common::lossy::{Anatomy, Exhibit, learned_exhibits, simple_exhibits, written};
use crate::common::{Random, Sample, small_chunks};
use crate::fuzz_corpus::targets::checksums::fix_checksums;
use occ::{BlockTransform, Dtype, Error, Limits, Reader, StreamReader, Tensor, VerifyOptions};

fn exhibits() -> Vec<Exhibit> {
    simple_exhibits().into_iter().chain(learned_exhibits()).collect()
}

/// Each part of the codec in a file of its own, with what that decodes to.
fn files() -> Vec<(Vec<u8>, Sample)> {
    let file = |exhibit: Exhibit| {
        let file = written(std::slice::from_ref(&exhibit), small_chunks(1 << 18));
        let bytes = decoded(&file, &exhibit.sample.name).unwrap();
        (file, Sample { bytes, ..exhibit.sample })
    };
    exhibits().into_iter().map(file).collect()
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

/// Whether an error is one that damage may lead to, and names the tensor.
fn names(error: &Error, name: &str) -> bool {
    let damage = matches!(
        error,
        Error::Corrupt { .. }
            | Error::ChecksumMismatch { .. }
            | Error::Truncated { .. }
            | Error::LimitExceeded { .. }
            | Error::Unsupported { .. }
    );
    damage && error.location().is_some_and(|at| at.tensor.as_deref() == Some(name))
}

#[test]
fn exhibits_show_what_their_names_say() {
    let mut seen = Vec::new();
    for (file, sample) in files() {
        let reader = Reader::new(&file).unwrap();
        let coding = reader.tensor(&sample.name).unwrap().coding().unwrap().expect("lossy");
        let anatomy = Anatomy::of(&file);
        let ([escapes, exceptions], bypass) = (anatomy.counts(&file), anatomy.bypass(&file));
        let holds = match sample.name.as_str() {
            "classes" => coding.classes > 1,
            "hadamard" => coding.transform == BlockTransform::hadamard(64, false),
            "signed hadamard" => {
                coding.transform == BlockTransform::hadamard(16, true) && coding.states == 256
            }
            "escapes" => escapes >= 2 && exceptions == 0,
            "exceptions" => exceptions >= 4,
            "row scales" => coding.row_scales && coding.states == 1,
            "column scales" => coding.column_scales && !coding.row_scales,
            "bypass" => bypass > 0,
            "aligned" => coding.transform == BlockTransform::klt(24),
            "low rank" => coding.mean && coding.rank == 2,
            other => panic!("{other}"),
        };
        assert!(holds, "{}: {coding:?}, {escapes}, {exceptions}, {bypass}", sample.name);
        assert!(problems(&file, true).is_empty());
        seen.push(sample.name);
    }
    assert_eq!(seen.len(), 10);
}

#[test]
fn any_single_byte_changed() {
    for (file, sample) in files() {
        let anatomy = Anatomy::of(&file);
        let name = &sample.name;
        for at in 0..file.len() {
            let mut damaged = file.clone();
            damaged[at] ^= [0x01, 0x80, 0xff][at % 3];
            let found = problems(&damaged, false);
            assert!(!found.is_empty(), "{name}, byte {at} went unnoticed");
            let told = found.iter().any(|error| names(error, name));
            assert!(told || !(anatomy.chunk.start..anatomy.end).contains(&at), "{at}: {found:?}");
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
fn any_truncation() {
    for (file, sample) in files() {
        for length in 0..file.len() {
            let cut = &file[..length];
            assert!(Reader::new(cut).is_err(), "{}: opened at {length}", sample.name);
            assert!(streamed(cut).is_err() && !problems(cut, false).is_empty());
        }
    }
}

/// A chunk that is shorter or longer than it was, with checksums that match: the stream of
/// symbols, low bits and escapes leave no room for either.
#[test]
fn chunks_of_another_length_never_decode() {
    for (file, Sample { name, .. }) in files() {
        let chunk = Anatomy::of(&file).chunk;
        let length = chunk.len() - 8;
        let changes = (0..length).map(Ok).chain([1, 2, 4, 31].map(Err));
        for change in changes {
            let body = &file[chunk.start + 8..chunk.end];
            let body = match change {
                Ok(kept) => body[..kept].to_vec(),
                Err(more) => [body, &vec![0; more]].concat(),
            };
            let head = (body.len() as u32).to_le_bytes();
            let mut changed =
                [&file[..chunk.start], &head, &[0; 4], &body, &file[chunk.end..]].concat();
            fix_checksums(&mut changed);
            let error = streamed(&changed).unwrap_err();
            assert!(names(&error, &name), "{change:?}: {error:?}");
            let wrong = matches!(error, Error::Corrupt { .. } | Error::Truncated { .. });
            assert!(wrong, "found by a checksum, not by the rules: {error:?}");
        }
    }
}

/// Checks that all results of a reader for a tensor are consistent. Returns the decoded tensor.
fn look(tensor: &Tensor<'_>) -> Option<Vec<u8>> {
    let (decoded, coding) = (tensor.decode(), tensor.coding());
    // The checksum of all decoded bytes, which `fix_checksums` leaves as it is, is compared only
    // when the whole tensor is decoded in its own dtype.
    let rows = tensor.shape()[0];
    let whole = match &decoded {
        Err(Error::ChecksumMismatch { at, .. }) if at.chunk.is_none() => {
            let halves = [0..rows / 2, rows / 2..rows].map(|rows| tensor.decode_rows(rows));
            halves.into_iter().collect::<Result<Vec<_>, _>>().map(|halves| halves.concat())
        }
        Err(_) => tensor.decode(),
        Ok(whole) => Ok(whole.clone()),
    };
    for error in [whole.as_ref().err(), coding.as_ref().err()].into_iter().flatten() {
        assert!(names(error, tensor.name()), "{error:?}");
    }
    // Of an F32 tensor this is the decoding in its own dtype.
    let single = tensor.decode_as(Dtype::F32);
    let reference = if tensor.dtype() == Dtype::F32 { &decoded } else { &whole };
    assert_eq!(reference.is_ok(), single.is_ok(), "the lattice does not depend on the dtype");
    let some = tensor.decode_rows(rows / 3..rows / 2);
    if let (Ok(whole), Ok(some)) = (&whole, some) {
        let row = whole.len() / rows;
        assert!(some == whole[rows / 3 * row..rows / 2 * row]);
    }
    decoded.ok()
}

/// Damages, mends all checksums, and looks. Whether the file is sound then.
fn damaged_and_mended(file: &[u8], damage: impl Fn(&mut [u8])) -> bool {
    let mut damaged = file.to_vec();
    damage(&mut damaged);
    fix_checksums(&mut damaged);
    let sound = problems(&damaged, true).is_empty();
    if let Ok(reader) = Reader::new_with(&damaged, Limits::tight()) {
        for tensor in reader.tensors().flatten() {
            let bytes = look(&tensor);
            assert!(!sound || bytes == streamed(&damaged).ok());
        }
    }
    sound
}

/// What lies behind the checksums: parameters and chunks that say something else.
#[test]
fn damage_behind_mended_checksums_is_an_error_or_other_numbers() {
    let before = peak_megabytes();
    let mut random = Random(1);
    for (file, sample) in files() {
        let Anatomy { parameters, chunk, end } = Anatomy::of(&file);
        for at in 64..end {
            // All of the head of the parameters, where one bit changes everything.
            let dense = parameters.contains(&at) && at < parameters.start + 40;
            let flips: &[u8] = if dense {
                &[1, 2, 4, 8, 16, 32, 64, 128, 255]
            } else {
                &[[1, 0x10, 0x80][at % 3]]
            };
            for flip in flips {
                let sound = damaged_and_mended(&file, |file| file[at] ^= flip);
                // Of the parameters some are for people, or for classes that do not occur.
                let coded = chunk.start + 8..chunk.end;
                assert!(!sound || !coded.contains(&at), "{}, byte {at}", sample.name);
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
            damaged_and_mended(&file, |file| {
                for (at, run) in &runs {
                    file[*at..at + run.len()].copy_from_slice(run);
                }
            });
        }
    }
    let grown = peak_megabytes() - before;
    assert!(grown < 200, "{grown} MB for files of a few kilobytes");
}

/// The largest resident set so far; 0 where nobody tells.
fn peak_megabytes() -> i64 {
    #[cfg(target_os = "linux")]
    {
        use nix::sys::resource::{UsageWho, getrusage};
        getrusage(UsageWho::RUSAGE_SELF).unwrap().max_rss() / 1000
    }
    #[cfg(not(target_os = "linux"))]
    0
}

/// Several tensors in several chunks: errors name the one that is damaged, the others still read.
#[test]
fn damage_stays_where_it_is() {
    let exhibits = exhibits();
    let file = written(&exhibits, small_chunks(1));
    let reader = Reader::new(&file).unwrap();
    let sound: Vec<Vec<u8>> =
        reader.tensors().map(|tensor| tensor.unwrap().decode().unwrap()).collect();
    let chunks: u64 = reader.tensors().map(|tensor| tensor.unwrap().chunks()).sum();
    assert!(chunks >= 2 * exhibits.len() as u64);
    let mut hit = vec![0; exhibits.len()];
    for at in (64..reader.file_bytes() as usize).step_by(41) {
        let mut damaged = file.clone();
        damaged[at] ^= 0x55;
        let Ok(reader) = Reader::new(&damaged) else { continue };
        let mut failed = Vec::new();
        for (number, exhibit) in exhibits.iter().enumerate() {
            match reader.tensor(&exhibit.sample.name).and_then(|tensor| tensor.decode()) {
                Ok(bytes) => assert!(bytes == sound[number], "byte {at}"),
                Err(error) => {
                    assert!(names(&error, &exhibit.sample.name), "byte {at}: {error:?}");
                    failed.push(number);
                }
            }
        }
        assert!(failed.len() <= 1, "byte {at}: {failed:?}");
        failed.iter().for_each(|&number| hit[number] += 1);
    }
    assert!(hit.iter().all(|&count| count > 0), "{hit:?}");
}
