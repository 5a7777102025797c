//! Lossy coding: all ways of decoding agree, error bounds hold, and special values do not affect
//! other elements.

use crate::common::lossy::coded;
use crate::common::{FLOATS, Random, Sample, assert_valid, float8, small_chunks};
use half::{bf16, f16};
use occ::{
    BlockTransform, Codec, Coordinates, Dtype, Encoding, Reader, StreamReader, WriteOptions,
};
use proptest::prelude::*;

fn to_bytes(dtype: Dtype, values: &[f64]) -> Vec<u8> {
    let bytes = |value: &f64| -> Vec<u8> {
        match dtype {
            Dtype::F8_E4M3 | Dtype::F8_E5M2 => vec![float8::from_f64(dtype, *value)],
            // Through F32: `half` drops the last bits of an F64 before it rounds.
            Dtype::F16 => f16::from_f32(*value as f32).to_le_bytes().into(),
            Dtype::Bf16 => bf16::from_f32(*value as f32).to_le_bytes().into(),
            Dtype::F32 => (*value as f32).to_le_bytes().into(),
            _ => value.to_le_bytes().into(),
        }
    };
    values.iter().flat_map(bytes).collect()
}

fn to_values(dtype: Dtype, bytes: &[u8]) -> Vec<f64> {
    let size = dtype.bits() as usize / 8;
    let value = |bytes: &[u8]| match dtype {
        Dtype::F8_E4M3 | Dtype::F8_E5M2 => float8::to_f64(dtype, bytes[0]),
        Dtype::F16 => f16::from_le_bytes(bytes.try_into().unwrap()).to_f64(),
        Dtype::Bf16 => bf16::from_le_bytes(bytes.try_into().unwrap()).to_f64(),
        Dtype::F32 => f32::from_le_bytes(bytes.try_into().unwrap()).into(),
        _ => f64::from_le_bytes(bytes.try_into().unwrap()),
    };
    bytes.chunks(size).map(value).collect()
}

/// Rows with a common mean and two common directions, columns with large RMS, and noise.
fn weights(seed: u64, rows: usize, columns: usize) -> Vec<f64> {
    let mut random = Random(seed);
    let directions: Vec<f64> = (0..3 * columns).map(|_| f64::from(random.weight())).collect();
    let mut out = Vec::with_capacity(rows * columns);
    for _ in 0..rows {
        let coefficients =
            [1.0, f64::from(random.weight()) * 60.0, f64::from(random.weight()) * 40.0];
        for column in 0..columns {
            let common: f64 =
                (0..3).map(|k| coefficients[k] * directions[k * columns + column]).sum();
            let scale = if column % 37 == 5 { 8.0 } else { 1.0 };
            out.push(common + scale * f64::from(random.weight()));
        }
    }
    out
}

fn sample(dtype: Dtype, shape: &[usize], seed: u64) -> Sample {
    let columns = shape.last().copied().unwrap_or(1);
    let rows = shape.iter().product::<usize>() / columns.max(1);
    Sample::new("w", dtype, shape, to_bytes(dtype, &weights(seed, rows, columns)))
}

/// Sums of squares over finite elements: of the original values, and of the errors.
fn signal_and_noise(dtype: Dtype, original: &[u8], decoded: &[u8]) -> (f64, f64) {
    let pairs = to_values(dtype, original).into_iter().zip(to_values(dtype, decoded));
    let finite = pairs.filter(|(original, _)| original.is_finite());
    finite.fold((0.0, 0.0), |(signal, noise), (a, b)| (signal + a * a, noise + (a - b) * (a - b)))
}

/// Whether a coding is the expected one.
type Expected = fn(&occ::Coding) -> bool;

/// Names of tensors and encodings that together use all features of the lossy codec.
fn cases() -> Vec<(&'static str, Encoding, Expected)> {
    let plain = |coordinates| Encoding::snr(18.0).max_rank(0).coordinates(coordinates);
    let cases: Vec<(Encoding, Expected)> = vec![
        (plain(Coordinates::Identity), |c| {
            c.transform == BlockTransform::IDENTITY && c.classes > 1
        }),
        (plain(Coordinates::Hadamard), |c| c.transform.coordinates == Coordinates::Hadamard),
        (plain(Coordinates::Klt), |c| c.transform.coordinates == Coordinates::Klt),
        (Encoding::snr(18.0).coordinates(Coordinates::Identity), |c| c.rank > 0 && c.mean),
        (plain(Coordinates::Hadamard).row_scales(true), |c| c.row_scales),
        (plain(Coordinates::Identity).effort(1), |c| c.states == 1),
        (plain(Coordinates::Identity).effort(9), |c| c.states == 256),
        (Encoding::snr(66.0), |c| c.snr_db().is_some_and(|snr| snr > 66.0)),
        (Encoding::snr(3.0), |c| c.snr_db().is_some_and(|snr| snr > 3.0)),
    ];
    let three_bits = || Encoding::lossless().bits_for("*", 3.0);
    let named: [(_, _, Expected); 2] = [
        ("wte", three_bits(), |c| c.row_scales && !c.column_scales),
        ("v_proj", three_bits(), |c| c.column_scales && !c.row_scales),
    ];
    cases.into_iter().map(|(encoding, expected)| ("w", encoding, expected)).chain(named).collect()
}

#[test]
#[allow(unsafe_code)] // `Reader::map`
fn all_ways_of_decoding_agree() {
    for (number, (name, encoding, expected)) in cases().into_iter().enumerate() {
        let sample = Sample { name: name.into(), ..sample(Dtype::F32, &[1111, 100], 3) };
        let file = coded(&sample, &encoding, small_chunks(9000));
        assert_valid(&file);
        let reader = Reader::new(&file).unwrap();
        let tensor = reader.tensor(name).unwrap();
        let coding = tensor.coding().unwrap().expect("a lossy tensor");
        assert!(expected(&coding), "{number}: {coding:?}");
        assert!(tensor.chunks() > 2);
        let whole = tensor.decode().unwrap();
        for threads in [1, 2, 8] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                assert!(coded(&sample, &encoding, small_chunks(9000)) == file, "{number}");
                assert!(tensor.decode().unwrap() == whole);
                let streamed = StreamReader::new(file.as_slice()).unwrap().tensors().next();
                assert!(streamed.unwrap().unwrap().bytes == whole);
            });
        }
        for fill in [0x00, 0xff] {
            let mut out = vec![fill; whole.len()];
            tensor.decode_into(&mut out).unwrap();
            assert!(out == whole);
        }
        for (start, end) in [(0, 1), (31, 33), (95, 97), (0, 1111), (500, 500), (1000, 1111)] {
            let rows = tensor.decode_rows(start..end).unwrap();
            assert!(rows == whole[start * 400..end * 400]);
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.occ");
        std::fs::write(&path, &file).unwrap();
        let opened = Reader::open(&path).unwrap();
        assert!(opened.tensor(name).unwrap().decode().unwrap() == whole);
        // SAFETY: nothing else opens the file.
        let mapped = unsafe { Reader::map(&path) }.unwrap();
        assert!(mapped.tensor(name).unwrap().decode().unwrap() == whole);
    }
}

#[test]
fn other_dtypes_are_rounded_once() {
    for dtype in FLOATS {
        let sample = sample(dtype, &[64, 96], 5);
        let file = coded(&sample, &Encoding::snr(20.0), WriteOptions::default());
        let reader = Reader::new(&file).unwrap();
        let tensor = reader.tensor("w").unwrap();
        assert_eq!(tensor.stored(), Some(Codec::Trellis));
        let own = tensor.decode().unwrap();
        assert!(tensor.decode_as(dtype).unwrap() == own);
        let wide = tensor.decode_as(Dtype::F32).unwrap();
        let values = to_values(Dtype::F32, &wide);
        // Conversion of F32 to one dtype and then to another would round twice.
        for other in FLOATS {
            let expected = to_bytes(other, &values);
            assert!(tensor.decode_as(other).unwrap() == expected, "{other}");
            let mut stream = StreamReader::new(file.as_slice()).unwrap();
            let streamed = stream.next_tensor().unwrap().unwrap().decode_as(other).unwrap();
            assert!(streamed == if other == dtype { own.clone() } else { expected }, "{other}");
        }
        assert!(tensor.decode_as(Dtype::I32).is_err());
    }
}

/// Elements that are not finite are restored bit for bit. Errors of
/// other elements stay small in spite of them and of outliers.
#[test]
fn non_finite_values_and_outliers_do_not_affect_others() {
    let specials = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 1e-40, 5e-324, 60000.0];
    for dtype in FLOATS {
        for (name, encoding, _) in cases() {
            let plain = Sample { name: name.into(), ..sample(dtype, &[190, 90], 7) };
            let mut values = to_values(dtype, &plain.bytes);
            for (i, special) in specials.iter().cycle().take(40).enumerate() {
                values[(i * 577 + 13) % 17_100] = *special;
            }
            let original = Sample { bytes: to_bytes(dtype, &values), ..plain };
            let file = coded(&original, &encoding, WriteOptions::default());
            assert_valid(&file);
            let reader = Reader::new(&file).unwrap();
            let bytes = reader.tensor(name).unwrap().decode().unwrap();
            let size = dtype.bits() as usize / 8;
            for (a, b) in original.bytes.chunks(size).zip(bytes.chunks(size)) {
                let (x, y) = (to_values(dtype, a)[0], to_values(dtype, b)[0]);
                if x.is_finite() {
                    assert!(y.is_finite(), "{x} became {y}");
                    // The standard deviation is about 0.1; outliers do not relax the bound.
                    assert!(
                        (x - y).abs() < 2.0 || (x - y).abs() < 0.01 * x.abs(),
                        "{dtype} {encoding:?}: {x} {y}"
                    );
                } else {
                    assert_eq!(a, b);
                }
            }
        }
    }
}

/// Tensors that are difficult to encode: name, shape and values.
fn unusual_tensors(dtype: Dtype) -> Vec<(&'static str, Vec<usize>, Vec<f64>)> {
    let noise = weights(11, 64, 64);
    let mut random = Random(13);
    let scale = |magnitude: f64| noise.iter().map(|x| x * magnitude).collect::<Vec<f64>>();
    // Factors for huge and tiny weights, and the largest weight.
    let (huge, tiny, largest) = match dtype {
        Dtype::F8_E4M3 => (1e3, 0.1, 448.0),
        Dtype::F8_E5M2 => (1e5, 1e-3, 57344.0),
        Dtype::F16 => (1e4, 1e-5, 6e4),
        _ => (1e37, 1e-38, f64::INFINITY),
    };
    let range: Vec<f64> = (0..4096)
        .map(|_| {
            (f64::from(random.next() as u32) / 4e9 - 0.5)
                * 10f64.powi((random.next() % 76) as i32 - 38)
        })
        .map(|x| x.clamp(-largest, largest))
        .collect();
    let mut outlier = scale(1e-3);
    outlier[777] = f64::min(largest, 1e30);
    let mut sparse = vec![0.0; 4096];
    sparse[5] = 1.0;
    vec![
        ("zero", vec![64, 64], vec![0.0; 4096]),
        ("minus zero", vec![64, 64], vec![-0.0; 4096]),
        ("constant", vec![64, 64], vec![0.1; 4096]),
        ("all NaN", vec![64, 64], vec![f64::NAN; 4096]),
        ("huge", vec![64, 64], scale(huge)),
        ("tiny", vec![64, 64], scale(tiny)),
        ("any range", vec![64, 64], range),
        ("one outlier", vec![64, 64], outlier),
        ("one weight", vec![64, 64], sparse),
        ("single row", vec![1, 4096], noise.clone()),
        ("single column", vec![4096, 1], noise.clone()),
        ("convolution", vec![16, 64, 4], noise.clone()),
        ("experts", vec![4, 16, 64], noise.clone()),
        ("vector", vec![4096], noise),
    ]
}

#[test]
fn unusual_tensors_keep_the_error_bound() {
    for dtype in FLOATS {
        for (name, shape, values) in unusual_tensors(dtype) {
            let original = Sample::new("w", dtype, &shape, to_bytes(dtype, &values));
            for (snr, encoding) in [
                (20.0, Encoding::snr(20.0)),
                (10.0, Encoding::snr(10.0).coordinates(Coordinates::Klt).row_scales(true)),
                (40.0, Encoding::rel_error(0.01).coordinates(Coordinates::Hadamard).effort(2)),
            ] {
                let file = coded(&original, &encoding, WriteOptions::default());
                assert_valid(&file);
                let reader = Reader::new(&file).unwrap();
                let decoded = reader.tensor("w").unwrap().decode().unwrap();
                let (signal, noise) = signal_and_noise(dtype, &original.bytes, &decoded);
                let allowed = signal * 10f64.powf(-snr / 10.0) * (1.0 + 1e-9);
                assert!(noise <= allowed, "{name} {dtype}: {noise} of {signal}");
            }
        }
    }
}

fn encoding() -> impl Strategy<Value = (Encoding, Option<f64>)> {
    let target = prop_oneof![
        (2.0f64..50.0).prop_map(|snr| (Encoding::snr(snr), Some(10f64.powf(-snr / 10.0)))),
        (0.01f64..0.8).prop_map(|error| (Encoding::rel_error(error), Some(error * error))),
        (1.0f64..9.0).prop_map(|bits| (Encoding::lossless().bits_for("*", bits), None)),
    ];
    let coordinates = prop::sample::select(vec![
        None,
        Some(Coordinates::Identity),
        Some(Coordinates::Hadamard),
        Some(Coordinates::Klt),
    ]);
    (target, 1u8..=9, coordinates, prop::sample::select(vec![0, 1, 32]), any::<bool>()).prop_map(
        |((encoding, error_bound), effort, coordinates, rank, row_scales)| {
            let encoding = encoding.effort(effort).coordinates(coordinates).max_rank(rank);
            (encoding.row_scales(row_scales), error_bound)
        },
    )
}

fn shape() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![
        prop::collection::vec(0usize..24, 0..=3),
        (8usize..130, 32usize..130).prop_map(|(rows, columns)| vec![rows, columns]),
        (1usize..5, 5usize..50, 20usize..60).prop_map(|(a, b, c)| vec![a, b, c]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_tensor_with_any_encoding_keeps_the_error_bound(
        dtype in prop_oneof![
            3 => prop::sample::select(FLOATS.to_vec()),
            1 => prop::sample::select(Dtype::ALL.to_vec()),
        ],
        shape in shape(),
        seed in any::<u64>(),
        (encoding, error_bound) in encoding(),
        chunk_elements in prop_oneof![1u64..4000, Just(1 << 18)],
    ) {
        let mut shape = shape;
        let count = |shape: &[usize]| shape.iter().product::<usize>() as u64;
        if dtype.byte_len(count(&shape)).is_none() {
            shape.push(8);
        }
        let original = if FLOATS.contains(&dtype) {
            sample(dtype, &shape, seed)
        } else {
            let bytes = Random(seed).bytes(dtype.byte_len(count(&shape)).unwrap() as usize);
            Sample::new("w", dtype, &shape, bytes)
        };
        let file = coded(&original, &encoding, small_chunks(chunk_elements));
        assert_valid(&file);
        let reader = Reader::new(&file).unwrap();
        let tensor = reader.tensor("w").unwrap();
        let decoded = tensor.decode().unwrap();
        if let Some(&rows @ 1..) = shape.first().filter(|_| dtype.bits() >= 8) {
            // One row, and some of them: bands and lanes that are not needed are left out.
            let row = decoded.len() / rows;
            let (one, start) = (seed as usize % rows, (seed >> 32) as usize % rows);
            for rows in [one..one + 1, start..rows, 0..start] {
                let expected = &decoded[rows.start * row..rows.end * row];
                prop_assert!(tensor.decode_rows(rows).unwrap() == expected);
            }
        }
        let Some(coding) = tensor.coding().unwrap() else {
            prop_assert!(decoded == original.bytes);
            return Ok(());
        };
        prop_assert!(FLOATS.contains(&dtype));
        let (signal, noise) = signal_and_noise(dtype, &original.bytes, &decoded);
        if let Some(error_bound) = error_bound {
            prop_assert!(noise <= error_bound * signal * (1.0 + 1e-9), "{noise} of {signal}");
        }
        // Signal and noise in the file, which are computed from F32 values also for F64.
        let near = |a: f64, b: f64| (a - b).abs() <= 1e-5 * b.abs() + 1e-12 * signal;
        prop_assert!(near(coding.signal, signal) && near(coding.noise, noise));
        let wide = to_values(Dtype::F32, &tensor.decode_as(Dtype::F32).unwrap());
        prop_assert!(to_bytes(dtype, &wide) == decoded);
    }
}
