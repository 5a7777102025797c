//! Lossy coding against a decoder that was written only from `spec/format.md`: both must decode to
//! the same bits and, with valid checksums, accept the same files.

use crate::common::lossy::{self, FrameLayout};
use crate::common::{FLOATS, Random, Sample, assert_valid, float8, problems, small_chunks, to_f32};
use crate::spec_decoder::checksums::{checksums, fix_checksums, number};
use crate::spec_decoder::object_file::ObjectFile;
use crate::spec_decoder::random::{RandomSource, random_chunk, random_params};
use crate::spec_decoder::{crc32, decode_first, decode_indexed, decode_stream};
use half::{bf16, f16};
use occ::{BlockTransform, Calibration, Coding, Coordinates, Dtype, Encoding, Error, Reader};
use std::ops::Range;

/// The name of a sample. With a bit budget, the rows of an embedding are scaled by their rank, and
/// the columns of a value projection by their RMS.
fn name(rows: usize, columns: usize) -> &'static str {
    if rows >= 2 * columns { "wte.weight" } else { "v_proj.weight" }
}

/// Rows with a common mean and two common directions, rows and columns with large RMS, and noise.
fn sample(dtype: Dtype, rows: usize, columns: usize, specials: &[f64]) -> Sample {
    let mut random = Random(columns as u64);
    let mut weight = || f64::from(random.weight());
    let directions: Vec<f64> = (0..3 * columns).map(|_| weight()).collect();
    let mut values = Vec::new();
    for row in 0..rows {
        let coefficients = [1.0, weight() * 60.0, weight() * 40.0];
        for column in 0..columns {
            let common: f64 =
                (0..3).map(|k| coefficients[k] * directions[k * columns + column]).sum();
            let scale = if column % 37 == 5 || row % 29 == 3 { 8.0 } else { 1.0 };
            values.push(common + scale * weight());
        }
    }
    for (i, special) in specials.iter().enumerate() {
        values[(i * 577 + 13) % (rows * columns)] = *special;
    }
    let bytes = values.iter().flat_map(|value| -> Vec<u8> {
        match dtype {
            Dtype::F8_E4M3 | Dtype::F8_E5M2 => vec![float8::from_f64(dtype, *value)],
            Dtype::F16 => f16::from_f64(*value).to_le_bytes().into(),
            Dtype::Bf16 => bf16::from_f64(*value).to_le_bytes().into(),
            Dtype::F32 => (*value as f32).to_le_bytes().into(),
            _ => value.to_le_bytes().into(),
        }
    });
    Sample::new(name(rows, columns), dtype, &[rows, columns], bytes.collect())
}

/// A file with only this sample, in chunks of 64 rows.
fn coded(sample: &Sample, encoding: &Encoding) -> Vec<u8> {
    lossy::coded(sample, encoding, small_chunks(64 * sample.shape[1] as u64))
}

/// The codec parameters of the only object.
fn parameters(file: &[u8]) -> Range<usize> {
    FrameLayout::of(file).parameters
}

/// The coded bytes of the first chunk of the only object.
fn first_chunk(file: &[u8]) -> Range<usize> {
    let chunk = FrameLayout::of(file).chunk;
    chunk.start + 8..chunk.end
}

/// Properties of the coding of the only tensor of a file.
#[derive(Debug)]
struct CodingProperties {
    coding: Coding,
    bypass: u8,
    escapes: usize,
    outliers: usize,
}

impl CodingProperties {
    fn read(file: &[u8], name: &str) -> Self {
        let reader = Reader::new(file).unwrap();
        let tensor = reader.tensors().next().unwrap().unwrap();
        let width = tensor.dtype().bits() as usize / 8;
        let [escapes, outliers] = FrameLayout::of(file).counts(file, width);
        CodingProperties {
            coding: tensor.coding().unwrap().expect(name),
            bypass: file[parameters(file).start + 6] >> 4,
            escapes,
            outliers,
        }
    }
}

type Case = (&'static str, Encoding, usize, usize, fn(&CodingProperties) -> bool);

/// Encodings, each with numbers of rows and columns and a check that the file uses the encoding.
fn cases(dtype: Dtype) -> Vec<Case> {
    // The precision of BF16 does not allow more, and that of FP8 no low bits at all.
    let fine = if dtype == Dtype::Bf16 { 44.0 } else { 60.0 };
    let plain = |coordinates| Encoding::snr(18.0).max_rank(0).coordinates(coordinates);
    let three_bits = || Encoding::lossless().bits_for("*", 3.0);
    let (identity, hadamard, klt) =
        (Coordinates::Identity, Coordinates::Hadamard, Coordinates::Klt);
    let mut cases: Vec<Case> = vec![
        ("identity", plain(identity), 70, 90, |t| t.coding.transform == BlockTransform::IDENTITY),
        ("classes", plain(identity), 300, 90, |t| t.coding.classes > 1),
        ("hadamard", plain(hadamard), 100, 90, |t| is_hadamard(&t.coding)),
        // 511 columns are divided into blocks of every size.
        ("odd hadamard", plain(hadamard), 33, 511, |t| is_hadamard(&t.coding)),
        ("klt", plain(klt), 1111, 40, |t| is_klt(&t.coding)),
        ("low rank", plain(identity).max_rank(8), 300, 70, |t| t.coding.rank > 0 && t.coding.mean),
        ("low rank, mixed", plain(hadamard).max_rank(8), 300, 70, |t| t.coding.rank > 0),
        ("row scales", plain(identity).row_scales(true), 70, 90, |t| t.coding.row_scales),
        ("all", plain(hadamard).max_rank(8).row_scales(true), 300, 70, |t| {
            t.coding.row_scales && t.coding.rank > 0 && is_hadamard(&t.coding)
        }),
        ("rank scales", three_bits(), 300, 90, |t| t.coding.row_scales),
        ("column scales", three_bits(), 90, 90, |t| t.coding.column_scales),
        ("column scales, mixed", three_bits().coordinates(hadamard).max_rank(8), 130, 70, |t| {
            t.coding.column_scales && t.coding.rank > 0 && is_hadamard(&t.coding)
        }),
        // The first chunk, of 2^17 elements, has two segments.
        ("segments", plain(identity), 70, 2048, |t| t.coding.transform == BlockTransform::IDENTITY),
        ("effort 1", plain(identity).effort(1), 70, 90, |t| t.coding.states == 1),
        ("effort 2", plain(hadamard).effort(2), 70, 90, |t| t.coding.states == 4),
        ("effort 5", plain(identity).effort(5), 70, 90, |t| t.coding.states == 8),
        ("effort 9", plain(hadamard).effort(9), 70, 90, |t| t.coding.states == 256),
        ("fine", Encoding::snr(fine).coordinates(identity), 200, 70, |t| t.bypass > 0),
        ("fine, mixed", Encoding::snr(fine).coordinates(hadamard).effort(1), 70, 90, |t| {
            t.bypass > 0 && t.coding.states == 1
        }),
        ("feedback", three_bits().calibration(statistics(90, 90)), 90, 90, |t| {
            t.coding.column_scales && t.coding.row_scales
        }),
        (
            "feedback, klt",
            three_bits().calibration(statistics(420, 40)).coordinates(klt),
            420,
            40,
            |t| t.coding.column_scales && t.coding.row_scales && is_klt(&t.coding),
        ),
        ("coarse", Encoding::lossless().bits_for("*", 0.4), 300, 90, |t| {
            t.coding.snr_db().is_some_and(|snr| snr < 12.0)
        }),
    ];
    cases.retain(|(name, ..)| dtype.bits() > 8 || !name.starts_with("fine"));
    cases
}

/// Statistics with correlated inputs of different sizes and with weights of rows.
fn statistics(rows: usize, columns: usize) -> Calibration {
    let size = |column: usize| 1.0 + (column * 7 % 5) as f32;
    let moment = |i: usize, j: usize| 0.9f32.powi(i.abs_diff(j) as i32) * size(i) * size(j);
    let gram = (0..columns * columns).map(|at| moment(at / columns, at % columns));
    let weights = (0..rows).map(|row| 1e-3 * (1 + row * 11 % 7) as f32);
    let bytes =
        |numbers: Vec<f32>| numbers.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
    let (gram, weights) = (bytes(gram.collect()), bytes(weights.collect()));
    let mut all = Calibration::default();
    let name = name(rows, columns);
    all.add(&format!("{name}.gram"), Dtype::F32, &[columns, columns], gram).unwrap();
    all.add(&format!("{name}.rows"), Dtype::F32, &[rows], weights).unwrap();
    all
}

fn is_hadamard(coding: &Coding) -> bool {
    coding.transform.coordinates == Coordinates::Hadamard
}

fn is_klt(coding: &Coding) -> bool {
    coding.transform.coordinates == Coordinates::Klt
}

/// The sums in the footer, as the specification defines them.
fn signal_and_noise(dtype: Dtype, original: &[u8], decoded: &[u8]) -> [f64; 2] {
    let pairs = to_f32(dtype, original).into_iter().zip(to_f32(dtype, decoded));
    let finite = pairs.filter(|(original, _)| original.is_finite());
    finite
        .map(|(a, b)| (f64::from(a), f64::from(b)))
        .fold([0.0; 2], |[signal, noise], (a, b)| [signal + a * a, noise + (a - b) * (a - b)])
}

fn assert_same(file: &[u8], original: &Sample, name: &str) {
    let reader = Reader::new(file).unwrap();
    let decoded = reader.tensors().next().unwrap().unwrap().decode().unwrap();
    for objects in [decode_stream(file), decode_indexed(file)] {
        let [object] = <[_; 1]>::try_from(objects.unwrap()).ok().unwrap();
        assert_eq!((object.dtype, object.codec), (original.dtype.id(), 2));
        assert!(object.bytes == decoded, "{name} {}", original.dtype);
    }
    let sums = signal_and_noise(original.dtype, &original.bytes, &decoded);
    for (i, sum) in sums.into_iter().enumerate() {
        let place = FrameLayout::of(file).footer() + 4 + 8 * i;
        let stored = f64::from_le_bytes(file[place..place + 8].try_into().unwrap());
        assert!((stored - sum).abs() <= 1e-9 * sum, "{name} {}: {stored} {sum}", original.dtype);
    }
}

#[test]
fn decodes_to_the_same_bits() {
    for dtype in FLOATS {
        for (name, encoding, rows, columns, expected) in cases(dtype) {
            let original = sample(dtype, rows, columns, &[]);
            let file = coded(&original, &encoding);
            let properties = CodingProperties::read(&file, name);
            assert!(expected(&properties), "{name} {dtype}: {properties:?}");
            assert_same(&file, &original, name);
        }
    }
}

#[test]
fn decodes_escapes_and_outliers() {
    let specials = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 1e-40, 5e-324, 60.0, 1e300];
    for dtype in FLOATS {
        let (mut escapes, mut outliers) = (0, 0);
        for (name, encoding, rows, columns, _) in cases(dtype) {
            let original = sample(dtype, rows, columns, &specials);
            let file = coded(&original, &encoding);
            let properties = CodingProperties::read(&file, name);
            assert!(properties.outliers >= 4, "{name} {dtype}: {properties:?}");
            escapes += properties.escapes;
            outliers += properties.outliers - 4;
            assert_same(&file, &original, name);
        }
        assert!(escapes > 0 && outliers > 0, "{dtype}: {escapes} {outliers}");
    }
}

/// The bytes of hexadecimal digits; other characters are ignored.
fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u32> = digits.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}

/// The worked example of the specification, and its decoded bytes.
pub(crate) fn worked_example() -> (ObjectFile, Vec<u8>) {
    let chunk = "01000000 050000000000807f 01000000 0300
        00a05200f416d00300000100000001000000010000000100000001000000010000000100
        000001000000010000000100000001000000010000000100000001000000010000000100
        000001000000010000000100000001000000010000000100000001000000010000000100
        0000010000000100000001000000010000000100
        be1e";
    let object = ObjectFile {
        kinds: [1, Dtype::F32.id(), 2, 2],
        shape: [2, 6],
        chunk_elements: 0,
        params: hex("05000000803e020000490900014f881c09"),
        chunks: vec![hex(chunk)],
        footer: [1.0, 0.5],
    };
    #[rustfmt::skip]
    let decoded = [
        0.25, -0.25, 0.5, 2.0, -0.353_553_38, f32::INFINITY,
        0.25, 0.25, -0.25, 0.25, 0.530_330_06, -0.530_330_06,
    ];
    (object, decoded.iter().flat_map(|x| x.to_le_bytes()).collect())
}

#[test]
fn decodes_the_worked_example() {
    let (object, expected) = worked_example();
    let file = object.file(&expected);
    assert_valid(&file);
    let reader = Reader::new(&file).unwrap();
    assert_eq!(reader.tensor("w").unwrap().decode().unwrap(), expected);
    assert_eq!(decode_indexed(&file).unwrap()[0].bytes, expected);
    assert_eq!(decode_stream(&file).unwrap()[0].bytes, expected);
}

/// Changes of the worked example, each with whether the result is valid.
#[test]
fn agrees_on_the_rules() {
    let (example, _) = worked_example();
    let check = |what: &str, valid: bool, change: &dyn Fn(&mut ObjectFile)| {
        let mut object = example.clone();
        change(&mut object);
        let mut file = object.file(&[]);
        assert_eq!(assert_agreed(&mut file, what), valid, "{what}");
    };
    let empty = |object: &mut ObjectFile| (object.shape, object.chunks) = ([0, 6], Vec::new());

    check("unchanged", true, &|_| {});
    check("a size for one chunk", false, &|object| object.chunk_elements = 12);
    check("the largest chunk", false, &|object| object.chunk_elements = u64::MAX);
    check("another shape", true, &|object| object.shape = [4, 3]);
    check("half a row", false, &|object| object.shape = [1, 9]);
    check("no whole row", false, &|object| object.shape = [1, 3]);
    check("half of the rows", false, &|object| object.shape = [1, 6]);
    check("two chunks", true, &|object| {
        (object.shape, object.chunk_elements) = ([4, 6], 12);
        object.chunks.push(object.chunks[0].clone());
    });
    check("two chunks that divide a row", false, &|object| {
        (object.shape, object.chunk_elements) = ([3, 6], 9);
        object.chunks.push(object.chunks[0].clone());
    });

    check("no chunks", true, &empty);
    check("no chunks, of any size", false, &|object| {
        empty(object);
        object.chunk_elements = 7;
    });
    check("a byte after the parameters", false, &|object| {
        empty(object);
        object.params.push(0);
    });
    check("parameters without the last byte", false, &|object| {
        empty(object);
        object.params.pop();
    });
    check("no parameters", false, &|object| object.params.clear());
    check("contiguous", false, &|object| {
        empty(object);
        object.kinds[3] = 1;
    });
    check("a lossless layout", false, &|object| object.kinds[3] = 0);
    check("an unknown layout", false, &|object| object.kinds[3] = 3);
    check("an attachment", false, &|object| {
        empty(object);
        object.kinds[0] = 3;
    });
    for dtype in Dtype::ALL {
        check(&format!("as {dtype}"), FLOATS.contains(dtype), &|object| {
            empty(object);
            object.kinds[1] = dtype.id();
        });
    }

    let outliers = |positions: &'static [u8]| {
        move |object: &mut ObjectFile| {
            let chunk = &mut object.chunks[0];
            chunk[0] = positions.len() as u8;
            let all = positions.iter().flat_map(|at| [*at, 0, 0, 0, 1, 2, 3, 4]);
            chunk.splice(4..12, all);
        }
    };
    check("no outlier", true, &outliers(&[]));
    check("outliers at both ends", true, &outliers(&[0, 11]));
    check("outliers everywhere", true, &outliers(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]));
    check("an outlier outside the chunk", false, &outliers(&[12]));
    check("outliers in descending order", false, &outliers(&[4, 3]));
    check("an outlier twice", false, &outliers(&[3, 3]));

    check("an extra escape", false, &|object| {
        object.chunks[0][12] = 2;
        object.chunks[0].splice(18..18, [0, 0]);
    });
    check("an escape without its integer", false, &|object| {
        object.chunks[0][12] = 0;
        object.chunks[0].drain(16..18);
    });
    check("the largest point", true, &|object| {
        object.chunks[0].splice(16..18, 16_383i16.to_le_bytes());
    });
    check("a point too large", false, &|object| {
        object.chunks[0].splice(16..18, 16_384i16.to_le_bytes());
    });
    check("the smallest point", true, &|object| {
        object.chunks[0].splice(16..18, (-16_383i16).to_le_bytes());
    });
    check("a point too small", false, &|object| {
        object.chunks[0].splice(16..18, (-16_384i16).to_le_bytes());
    });
    for length in 0..example.chunks[0].len() {
        check("a truncated chunk", false, &|object| object.chunks[0].truncate(length));
    }
    for after in [&[0][..], &[0, 0]] {
        check("bytes after the chunk", false, &|object| object.chunks[0].extend(after));
    }
}

#[test]
fn agrees_on_the_footer() {
    let (mut object, decoded) = worked_example();
    let (least, infinity) = (f64::from_bits(1), f64::INFINITY);
    for (sum, valid) in [
        (0.0, true),
        (least, true),
        (f64::MAX, true),
        (-least, false),
        (-1.0, false),
        (infinity, false),
        (-infinity, false),
        (f64::NAN, false),
        (-f64::NAN, false),
    ] {
        for footer in [[sum, 1.0], [1.0, sum]] {
            object.footer = footer;
            let file = object.file(&decoded);
            assert_eq!(problems(&file, true).is_empty(), valid, "{footer:?}");
            assert_eq!(decode_stream(&file).is_ok(), valid, "{footer:?}");
            assert_eq!(decode_indexed(&file).is_ok(), valid, "{footer:?}");
        }
    }
}

/// Fixes all checksums of a file; the decoded CRC is computed by the reference decoder. Then both
/// must accept the file, or both must reject it for more than a checksum.
pub(crate) fn assert_agreed(damaged: &mut [u8], what: &str) -> bool {
    let all = checksums(damaged);
    fix_checksums(damaged, &all);
    let decoded = decode_first(damaged);
    if let Ok(decoded) = &decoded {
        let crc = crc32(decoded).to_le_bytes();
        for place in
            [FrameLayout::of(damaged).footer(), number(damaged, damaged.len() - 40, 8) + 24 + 12]
        {
            damaged[place..place + 4].copy_from_slice(&crc);
        }
        fix_checksums(damaged, &all);
    }
    let found = problems(damaged, true);
    let is_structural = |e: &Error| !matches!(e, Error::ChecksumMismatch { .. });
    let agreed = if decoded.is_ok() { found.is_empty() } else { found.iter().any(is_structural) };
    assert!(agreed, "{what}: {:?}, {found:?}", decoded.err());
    decoded.is_ok()
}

/// Changed bytes with fixed checksums, as in `spec.rs`.
#[test]
fn agrees_on_validity_with_fixed_checksums() {
    let all = Encoding::snr(9.0).coordinates(Coordinates::Hadamard).row_scales(true).max_rank(8);
    let klt = Encoding::snr(9.0).coordinates(Coordinates::Klt).max_rank(0);
    let fine = Encoding::snr(60.0).coordinates(Coordinates::Identity);
    // The parameters of a learned basis are long: every eleventh byte is tested.
    for (dtype, rows, columns, encoding, step) in [
        (Dtype::Bf16, 64, 64, all, 1),
        (Dtype::F16, 500, 32, klt, 11),
        (Dtype::F32, 64, 64, fine, 1),
    ] {
        let original = sample(dtype, rows, columns, &[f64::NAN, 60.0]);
        let file = coded(&original, &encoding);
        let chunk = first_chunk(&file);
        let some_of_chunk = chunk.clone().take(30).chain(chunk.clone().step_by(chunk.len() / 60));
        let (mut valid, mut all) = (0, 0);
        for at in parameters(&file).step_by(step).chain(some_of_chunk) {
            for flip in [0x01, 0x10, 0x80, 0xff] {
                let mut damaged = file.clone();
                damaged[at] ^= flip;
                valid += usize::from(assert_agreed(&mut damaged, &format!("{at} ^ {flip:#x}")));
                all += 1;
            }
        }
        assert!(valid > 20 && valid < all * 3 / 4, "{valid} of {all}");
    }
}

/// Random valid files, with fields that the writer of this crate never produces.
#[test]
fn agrees_on_random_files() {
    let mut random = Random(17);
    let mut generator = || random.next() >> 16;
    let mut random = RandomSource(&mut generator);
    for number in 0..120 {
        let dtype = FLOATS[number / 3 % FLOATS.len()].id();
        let (params, columns) = random_params(&mut random);
        let rows = random.below(100) as usize * usize::from(number % 9 > 0);
        let chunk_rows = 1 + random.below(70) as usize;
        let lengths = (0..rows).step_by(chunk_rows).map(|first| (rows - first).min(chunk_rows));
        let chunks = lengths.map(|rows| random_chunk(&params, dtype, rows, &mut random).unwrap());
        // The rows of the codec may differ from those of the tensor.
        let elements = (rows * columns) as u64;
        let object = ObjectFile {
            kinds: [1, dtype, 2, 2],
            shape: if number % 3 == 0 { [elements, 1] } else { [rows as u64, columns as u64] },
            chunk_elements: if chunk_rows < rows { (chunk_rows * columns) as u64 } else { 0 },
            chunks: chunks.collect(),
            params,
            footer: [0.0, f64::MAX],
        };
        let file = object.file(&[]);
        let mut valid = file.clone();
        assert!(assert_agreed(&mut valid, &format!("{number}")));
        let reader = Reader::new(&valid).unwrap();
        let tensor = reader.tensor("w").unwrap();
        let decoded = &decode_indexed(&valid).unwrap()[0].bytes;
        assert!(tensor.decode().unwrap() == *decoded);
        let last = object.shape[0] as usize;
        let row_len = decoded.len() / last.max(1);
        for (start, end) in [(0, last / 2), (last / 3, last), (last / 2, last / 2)] {
            let part = tensor.decode_rows(start..end).unwrap();
            assert!(part == decoded[start * row_len..end * row_len], "{number}");
        }
        let places = [parameters(&file), first_chunk(&file)];
        for places in places.into_iter().take(1 + object.chunks.len()) {
            for _ in 0..10 {
                let mut damaged = file.clone();
                let at = places.start + random.below(places.len().min(99) as u64) as usize;
                damaged[at] ^= 1 << random.below(8);
                assert_agreed(&mut damaged, &format!("{number}: byte {at}"));
            }
        }
    }
}
