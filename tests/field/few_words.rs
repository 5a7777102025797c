//! Tensors with few distinct words: quantised weights that are stored as floats, and masks. Their
//! size must be that of their information, not of their dtype.

use crate::common::{Random, Sample, assert_valid, written};
use half::{bf16, f16};
use occ::{Codec, Dtype, Reader, WriteOptions};

const ROWS: usize = 256;
const COLUMNS: usize = 512;

/// Weights of unequal rows.
fn weights() -> Vec<f32> {
    let mut random = Random(31);
    (0..ROWS * COLUMNS).map(|i| random.weight() * (1.0 + (i / COLUMNS) as f32 * 0.01)).collect()
}

/// Applies `quantise` to a group, given the largest magnitude in it.
fn in_groups(group: usize, quantise: impl Fn(f32, f32) -> f32) -> Vec<f32> {
    let weights = weights();
    let groups = weights.chunks(group).flat_map(|group| {
        let largest = group.iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
        group.iter().map(|&x| quantise(x, largest)).collect::<Vec<_>>()
    });
    groups.collect()
}

/// Symmetric integers; the scale is the largest magnitude divided by the largest integer, rounded by
/// `round`.
fn integers(group: usize, largest: f32, round: impl Fn(f32) -> f32) -> Vec<f32> {
    in_groups(group, |x, magnitude| {
        let scale = round(magnitude / largest);
        (x / scale).round() * scale
    })
}

fn stored(dtype: Dtype, values: &[f32]) -> Vec<u8> {
    let bytes = |&x: &f32| match dtype {
        Dtype::Bf16 => bf16::from_f32(x).to_le_bytes().to_vec(),
        Dtype::F16 => f16::from_f32(x).to_le_bytes().to_vec(),
        _ => x.to_le_bytes().to_vec(),
    };
    values.iter().flat_map(bytes).collect()
}

/// Writes a tensor, checks that it comes back, and returns its codec and the bits per element.
fn compressed(dtype: Dtype, shape: &[usize], bytes: Vec<u8>) -> (Codec, f64) {
    let elements: usize = shape.iter().product();
    let sample = Sample::new("w", dtype, shape, bytes);
    let file = written(std::slice::from_ref(&sample), WriteOptions::default());
    assert_valid(&file);
    let tensor = Reader::new(&file).unwrap().tensor("w").unwrap();
    assert!(tensor.decode().unwrap() == sample.bytes);
    let rows = shape[0].min(9);
    let row = sample.bytes.len() / shape[0];
    assert!(tensor.decode_rows(2..rows).unwrap() == sample.bytes[2 * row..rows * row]);
    (tensor.stored().unwrap(), 8.0 * file.len() as f64 / elements as f64)
}

fn check(dtype: Dtype, values: &[f32], most: f64) {
    let (codec, bits) = compressed(dtype, &[ROWS, COLUMNS], stored(dtype, values));
    assert!(codec == Codec::Dictionary && bits < most, "{dtype}: {bits} bits");
}

#[test]
fn weights_quantised_to_integers() {
    let half = |x: f32| f16::from_f32(x).to_f32();
    for dtype in [Dtype::Bf16, Dtype::F16, Dtype::F32] {
        // The entropies are 3.2 to 3.7 bits, as zero has two signs; a scale has 32 bits.
        check(dtype, &integers(32, 7.0, half), 4.9);
        check(dtype, &integers(128, 7.0, |x| bf16::from_f32(x).to_f32()), 3.9);
        check(dtype, &integers(COLUMNS, 7.0, |x| x), 3.5);
    }
    check(Dtype::F32, &integers(COLUMNS, 127.0, |x| x), 7.8);
    check(
        Dtype::F32,
        &in_groups(ROWS * COLUMNS, |x, all| (x / all * 127.0).round() * (all / 127.0)),
        6.6,
    );
}

#[test]
fn ternary_weights_and_signs() {
    let ternary =
        |x: f32, largest: f32| (3.0 * x / largest).round().clamp(-1.0, 1.0) * 0.3 * largest;
    for dtype in [Dtype::Bf16, Dtype::F32] {
        for group in [COLUMNS, ROWS * COLUMNS] {
            check(dtype, &in_groups(group, ternary), 2.2);
        }
        check(dtype, &in_groups(COLUMNS, |x, largest| largest.copysign(x)), 1.3);
    }
}

#[test]
fn weights_quantised_to_eight_bit_floats() {
    // Rounds to four significant bits, within the range of E4M3.
    let e4m3 = |x: f32, largest: f32| {
        let scale = largest / 448.0;
        let y = x / scale;
        let unit = (y.abs().log2().floor().max(-6.0) - 3.0).exp2();
        (y / unit).round_ties_even() * unit * scale
    };
    check(Dtype::Bf16, &in_groups(COLUMNS, e4m3), 7.0);
    check(Dtype::F32, &in_groups(128, e4m3), 7.2);
}

#[test]
fn masks() {
    let triangle = |i: usize| i % COLUMNS > i / COLUMNS;
    let count = COLUMNS * COLUMNS;
    let shape = [1, 1, COLUMNS, COLUMNS].map(|n: usize| n);
    let kinds: [(Dtype, Vec<u8>); 3] = [
        (Dtype::Bool, (0..count).map(|i| u8::from(triangle(i))).collect()),
        (
            Dtype::F32,
            (0..count).flat_map(|i| f32::from(u8::from(triangle(i))).to_le_bytes()).collect(),
        ),
        (
            Dtype::Bf16,
            (0..count)
                .flat_map(|i| {
                    if triangle(i) { bf16::NEG_INFINITY } else { bf16::ZERO }.to_le_bytes()
                })
                .collect(),
        ),
    ];
    for (dtype, bytes) in kinds {
        let file =
            written(&[Sample::new("mask", dtype, &shape, bytes.clone())], WriteOptions::default());
        assert!(file.len() < 4 * COLUMNS, "{dtype}: {}", file.len());
        assert!(Reader::new(&file).unwrap().tensor("mask").unwrap().decode().unwrap() == bytes);
    }
}

#[test]
fn ordinary_weights_keep_their_codec() {
    for dtype in [Dtype::Bf16, Dtype::F16, Dtype::F32] {
        let (codec, _) = compressed(dtype, &[ROWS, COLUMNS], stored(dtype, &weights()));
        assert_eq!(codec, Codec::Planes, "{dtype}");
    }
}

/// The matrix with its rows and columns exchanged.
fn transposed(values: &[f32]) -> Vec<f32> {
    (0..values.len()).map(|i| values[i % ROWS * COLUMNS + i / ROWS]).collect()
}

/// Checks a matrix and its transpose, whose groups are parts of columns.
fn check_both(dtype: Dtype, values: &[f32], most: f64) {
    check(dtype, values, most);
    let (codec, bits) = compressed(dtype, &[COLUMNS, ROWS], stored(dtype, &transposed(values)));
    assert!(codec == Codec::Dictionary && bits < most, "{dtype}, transposed: {bits} bits");
}

#[test]
fn weights_quantised_by_columns() {
    for dtype in [Dtype::Bf16, Dtype::F16, Dtype::F32] {
        check_both(dtype, &integers(128, 7.0, |x| bf16::from_f32(x).to_f32()), 3.9);
        check_both(dtype, &integers(COLUMNS, 7.0, |x| x), 3.6);
    }
    check_both(Dtype::F32, &integers(COLUMNS, 127.0, |x| x), 7.9);
}

/// The smallest and the largest weight of a group are levels, as in Q4_1.
#[test]
fn weights_quantised_with_a_minimum() {
    let minima = |group: usize, largest: f32, round: fn(f32) -> f32| -> Vec<f32> {
        let weights = weights();
        let groups = weights.chunks(group).flat_map(|group| {
            let minimum = round(group.iter().copied().fold(f32::INFINITY, f32::min));
            let maximum = group.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let scale = round((maximum - minimum) / largest);
            let level = |x: &f32| ((x - minimum) / scale).round().clamp(0.0, largest);
            group.iter().map(|x| level(x) * scale + minimum).collect::<Vec<_>>()
        });
        groups.collect()
    };
    let half = |x: f32| f16::from_f32(x).to_f32();
    for dtype in [Dtype::Bf16, Dtype::F16, Dtype::F32] {
        check_both(dtype, &minima(32, 15.0, half), 6.1);
        check_both(dtype, &minima(128, 3.0, half), 2.6);
    }
    // A few groups are not found: their sums are rounded twice.
    check(Dtype::F32, &minima(COLUMNS, 255.0, |x| x), 9.2);
}

#[test]
fn products_that_were_rounded_before_they_became_f32() {
    let values = integers(128, 7.0, |x| f16::from_f32(x).to_f32());
    check(Dtype::F32, &values.iter().map(|&x| f16::from_f32(x).to_f32()).collect::<Vec<_>>(), 3.9);
    check(Dtype::F32, &values.iter().map(|&x| bf16::from_f32(x).to_f32()).collect::<Vec<_>>(), 3.9);
}

/// Each row, or each channel, has words of its own.
#[test]
fn weights_with_a_codebook_for_each_row() {
    let mut random = Random(32);
    let rows = (0..ROWS).flat_map(|_| {
        let words: Vec<f32> = (0..16).map(|_| random.weight()).collect();
        (0..COLUMNS).map(|_| words[(random.next() % 16) as usize]).collect::<Vec<_>>()
    });
    let values: Vec<f32> = rows.collect();
    check_both(Dtype::Bf16, &values, 4.7);
    check_both(Dtype::F32, &values, 5.2);
}

/// Blocks, columns, heads, and single weights are zero; the zeros of a mask that was multiplied have
/// signs.
#[test]
fn pruned_weights() {
    let weights = weights();
    let whole = compressed(Dtype::Bf16, &[ROWS, COLUMNS], stored(Dtype::Bf16, &weights)).1;
    type IsKept = fn(usize, usize, u64) -> bool;
    let kept: [(IsKept, f64); 5] = [
        (|row, column, _| (row / 32 + column / 32) % 2 == 0, 0.1),
        (|row, column, _| (row + column / 16) % 2 == 0, 0.4),
        (|_, column, _| column % 4 < 2, 0.1),
        (|row, _, _| row / 64 % 2 == 0, 0.1),
        (|_, _, random| random % 2 == 0, 1.05),
    ];
    for (number, (is_kept, mask)) in kept.into_iter().enumerate() {
        let mut random = Random(33);
        let mut value = |i: usize| is_kept(i / COLUMNS, i % COLUMNS, random.next());
        let factors: Vec<f32> = (0..weights.len()).map(|i| f32::from(u8::from(value(i)))).collect();
        let zeros = weights.iter().zip(&factors).map(|(x, &f)| if f == 0.0 { 0.0 } else { *x });
        let signed = weights.iter().zip(&factors).map(|(x, f)| x * f);
        for (values, signs) in [(zeros.collect::<Vec<f32>>(), 0.0), (signed.collect(), 0.5)] {
            let bytes = stored(Dtype::Bf16, &values);
            let (_, bits) = compressed(Dtype::Bf16, &[ROWS, COLUMNS], bytes);
            let signed_mask = if signs > 0.0 { 1.0 } else { mask };
            let most = 0.5 * whole + signed_mask + signs + 0.15;
            assert!(bits < most, "{number}: {bits} bits, at most {most}");
        }
    }
}
