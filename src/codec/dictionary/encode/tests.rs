//! Round trips of dictionaries, within their estimated cost.

use super::*;
use crate::codec::Scratch;
use crate::codec::dictionary::DictionaryDecoder;
use crate::codec::dictionary::groups::{Groups, Segment};
use crate::codec::planes::split::Split;
use crate::dtype::{Dtype, number};
use proptest::prelude::*;

type Coders = (DictionaryEncoder, DictionaryDecoder, u64);

/// No second part of a sample.
const NO_COLUMNS: Part<'static> = Part { bytes: &[], piece: 0, row: 0 };

/// The coders of a tensor with rows of `row` bytes, whose sample are its first 64 KiB.
fn coders(dtype: Dtype, row: usize, chunks: &[&[u8]]) -> Option<Coders> {
    coders_with_columns(dtype, row, NO_COLUMNS, chunks)
}

fn coders_with_columns(
    dtype: Dtype,
    row: usize,
    columns: Part<'_>,
    chunks: &[&[u8]],
) -> Option<Coders> {
    let bytes = chunks.concat();
    let sample = &bytes[..bytes.len().min(1 << 16)];
    let limit = || sample.len() as u64;
    let part = Part { bytes: sample, piece: sample.len(), row };
    let mut statistics = DictionaryStatistics::of_sample(dtype, part, columns, limit)?;
    let empty = statistics.clone();
    for chunk in chunks {
        let mut part = empty.clone();
        part.count(chunk);
        statistics.merge(&part);
    }
    let (encoder, bytes) = statistics.encoder(chunks.len() as u64)?;
    let decoder = DictionaryDecoder::new(dtype, &encoder.parameters()).unwrap();
    Some((encoder, decoder, bytes))
}

/// Encodes and decodes, and returns the bits per word.
fn round_trip(dtype: Dtype, row: usize, chunks: &[&[u8]]) -> Option<f64> {
    check(dtype, coders(dtype, row, chunks)?, chunks)
}

fn check(dtype: Dtype, (encoder, decoder, cost): Coders, chunks: &[&[u8]]) -> Option<f64> {
    let mut total = encoder.parameters().len() as u64;
    let mut words = 0;
    for &chunk in chunks {
        let coded = encoder.encode(chunk, &mut Scratch::default()).unwrap();
        for fill in [0, 0xa5] {
            let mut out = vec![fill; chunk.len()];
            decoder.decode(&coded, &mut out).unwrap();
            assert!(out == chunk, "{dtype}");
        }
        for cut in [0, 3, coded.len() / 2, coded.len() - 1] {
            assert!(decoder.decode(&coded[..cut], &mut vec![0; chunk.len()]).is_err());
        }
        let longer = [&coded[..], &[0]].concat();
        assert!(decoder.decode(&longer, &mut vec![0; chunk.len()]).is_err());
        total += coded.len() as u64;
        words += chunk.len() * 8 / dtype.bits() as usize;
    }
    assert!(total <= cost + 64 * chunks.len() as u64, "{total} bytes for {cost}");
    Some(8.0 * total as f64 / words as f64)
}

/// A generator of integers from 0 to `below` − 1, small ones being frequent.
fn numbers(seed: u64, below: u64) -> impl Iterator<Item = u64> {
    let mut state = seed;
    std::iter::repeat_with(move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (a, b) = (state >> 33, state >> 13 & 0xf_ffff);
        (a % below).min(b % below)
    })
}

/// Weights of groups with scales of their own, from integers around zero.
fn quantised(dtype: Dtype, groups: usize, group: usize, largest: u64) -> Vec<u8> {
    let mut integers = numbers(5, 2 * largest + 1);
    let mut scales = numbers(6, 1 << 20);
    let mut values = Vec::new();
    for _ in 0..groups {
        let scale = (1.0 + scales.next().unwrap() as f32 / 1e6) * 1e-3;
        for i in 0..group {
            let integer = integers.next().unwrap() as f32 - largest as f32;
            // The largest integer occurs in every group, as in scaling by the maximum.
            values.push(scale * if i == 3 { largest as f32 } else { integer });
        }
    }
    let mut out = vec![0; values.len() * dtype.bits() as usize / 8];
    number::from_f32(crate::arch::Kernel::best(), dtype, &values, &mut out);
    out
}

#[test]
fn quantised_weights_take_the_bits_of_their_integers() {
    for dtype in [Dtype::Bf16, Dtype::F16, Dtype::F32] {
        for (group, largest, most) in [(32, 7, 5.1), (128, 7, 4.3), (1024, 7, 4.05), (64, 1, 2.2)] {
            let bytes = quantised(dtype, (1 << 16) / group, group, largest);
            let row = 1024 * dtype.bits() as usize / 8;
            let chunks: Vec<&[u8]> = bytes.chunks(row * 32).collect();
            let bits = round_trip(dtype, row, &chunks).unwrap();
            assert!(bits < most, "{dtype} {group} {largest}: {bits}");
        }
    }
    let bytes = quantised(Dtype::F32, 64, 1024, 127);
    assert!(round_trip(Dtype::F32, 4096, &[&bytes]).unwrap() < 8.2);
}

/// The words of numbers.
fn words(dtype: Dtype, values: &[f32]) -> Vec<u8> {
    let mut out = vec![0; values.len() * dtype.bits() as usize / 8];
    number::from_f32(crate::arch::Kernel::best(), dtype, values, &mut out);
    out
}

/// Values of a matrix with its rows and columns exchanged.
fn transposed(columns: usize, values: &[f32]) -> Vec<f32> {
    let rows = values.len() / columns;
    (0..values.len()).map(|i| values[i % rows * columns + i / rows]).collect()
}

/// Bits per word of a matrix with `columns` columns, and of its transpose.
fn both_ways(dtype: Dtype, columns: usize, values: &[f32]) -> [f64; 2] {
    let width = dtype.bits() as usize / 8;
    let bytes = words(dtype, values);
    let chunks: Vec<&[u8]> = bytes.chunks(columns * width * 256).collect();
    let along_rows = round_trip(dtype, columns * width, &chunks).unwrap();
    let rows = values.len() / columns;
    let bytes = words(dtype, &transposed(columns, values));
    let block: Vec<u8> =
        bytes.chunks(rows * width).flat_map(|row| &row[..16 * width]).copied().collect();
    let part = Part { bytes: &block[..256 * 16 * width], piece: 256 * 16 * width, row: 16 * width };
    let chunks: Vec<&[u8]> = bytes.chunks(rows * width * 256).collect();
    let coders = coders_with_columns(dtype, rows * width, part, &chunks).unwrap();
    [along_rows, check(dtype, coders, &chunks).unwrap()]
}

#[test]
fn groups_with_a_minimum_take_the_bits_of_their_integers() {
    let (mut integers, mut scales) = (numbers(7, 16), numbers(8, 1 << 10));
    for group in [32, 64, 512] {
        let values: Vec<f32> = (0..512 * 256 / group)
            .flat_map(|_| {
                let scale = (1 + scales.next().unwrap()) as f32 / 65536.0;
                let minimum = -7.3 * scale + scales.next().unwrap() as f32 / 4096.0 / 1024.0;
                let minimum = half::f16::from_f32(minimum).to_f32();
                let mut integer = |i| [0, 15].get(i).copied().unwrap_or(integers.next().unwrap());
                (0..group).map(|i| integer(i) as f32 * scale + minimum).collect::<Vec<_>>()
            })
            .collect();
        for dtype in [Dtype::Bf16, Dtype::F16, Dtype::F32] {
            for bits in both_ways(dtype, 512, &values) {
                assert!(bits < 4.3 + 64.0 / group.min(256) as f64, "{dtype} {group}: {bits}");
            }
        }
    }
}

#[test]
fn codebooks_of_rows_and_columns_take_the_bits_of_their_indices() {
    let mut indices = numbers(9, 16);
    let mut noise = numbers(10, 1 << 20);
    let values: Vec<f32> = (0..256)
        .flat_map(|_| {
            let word = |_| noise.next().unwrap() as f32 * 1e-6 - 0.3;
            let words: Vec<f32> = (0..16).map(word).collect();
            (0..512).map(|_| words[indices.next().unwrap() as usize]).collect::<Vec<_>>()
        })
        .collect();
    for (dtype, most) in [(Dtype::Bf16, 5.0), (Dtype::F16, 5.0), (Dtype::F32, 6.0)] {
        for bits in both_ways(dtype, 512, &values) {
            assert!(bits < most, "{dtype}: {bits}");
        }
    }
}

#[test]
fn products_may_be_rounded_to_a_narrower_dtype() {
    for dtype in [Dtype::Bf16, Dtype::F16] {
        let mut values = Vec::new();
        number::to_f32(dtype, &quantised(dtype, 512, 128, 7), &mut values);
        let bits = round_trip(Dtype::F32, 4096, &[&words(Dtype::F32, &values)]).unwrap();
        assert!(bits < 4.3, "{dtype}: {bits}");
    }
}

/// Half of the words are zero, at random or in blocks; the others take the bytes of planes.
#[test]
fn pruned_weights_take_their_mask_and_the_planes_of_the_rest() {
    let mut noise = numbers(11, 1 << 16).zip(numbers(12, 1 << 16)).zip(numbers(13, 1 << 20));
    let mut weights = |is_kept: fn(usize, u64) -> bool| -> Vec<u8> {
        let weight = |i| {
            let ((a, b), c) = noise.next().unwrap();
            if is_kept(i, c) { (a as f32 - b as f32) * 1e-6 + 1e-9 } else { 0.0 }
        };
        words(Dtype::Bf16, &(0..1 << 17).map(weight).collect::<Vec<_>>())
    };
    let scattered = weights(|_, random| random % 2 == 0);
    let blocks = weights(|i, _| (i % 512 / 32 + i / 512 / 32).is_multiple_of(2));
    let scattered = round_trip(Dtype::Bf16, 1024, &[&scattered]).unwrap();
    let blocks = round_trip(Dtype::Bf16, 1024, &[&blocks]).unwrap();
    // 10.5 bits of half of the weights.
    assert!(scattered < 1.0 + 5.4, "{scattered}");
    assert!(blocks < 0.2 + 5.4, "{blocks}");
}

#[test]
fn masks_take_a_few_bits_a_row() {
    let triangle: Vec<u8> = (0..512 * 512).map(|i| u8::from(i % 512 <= i / 512)).collect();
    let floats: Vec<u8> = triangle.iter().flat_map(|&one| f32::from(one).to_le_bytes()).collect();
    for (dtype, bytes) in [(Dtype::Bool, triangle), (Dtype::F32, floats)] {
        let row = bytes.len() / 512;
        let bits = round_trip(dtype, row, &[&bytes]).unwrap();
        // Ten bits a row, the states and the table.
        assert!(bits * 512.0 < 15.0, "{bits}");
    }
}

#[test]
fn rare_words_escape() {
    // One word in fifty is arbitrary.
    let words = numbers(1, 1 << 31).zip(numbers(2, 20)).enumerate();
    let words = words.map(|(i, (any, few))| if i % 50 == 7 { any as u32 } else { few as u32 });
    let bytes: Vec<u8> = words.take(60_000).flat_map(u32::to_le_bytes).collect();
    let bits = round_trip(Dtype::I32, 400, &[&bytes[..100_000], &bytes[100_000..]]).unwrap();
    assert!(bits < 5.5, "{bits}");
}

#[test]
fn ordinary_weights_and_constants_have_no_dictionary() {
    let mut sums = numbers(3, 1 << 16).zip(numbers(4, 1 << 16));
    let values: Vec<f32> = std::iter::repeat_with(|| {
        let (a, b) = sums.next().unwrap();
        (a as f32 - b as f32) * 1e-6 + 1e-9
    })
    .take(1 << 15)
    .collect();
    for dtype in [Dtype::Bf16, Dtype::F16, Dtype::F32] {
        let mut bytes = vec![0; values.len() * dtype.bits() as usize / 8];
        number::from_f32(crate::arch::Kernel::best(), dtype, &values, &mut bytes);
        let sample = Part { bytes: &bytes[..1 << 16], piece: 1 << 13, row: 2048 };
        // As many bytes as planes need.
        let limit = || (1 << 16) * 7 / 10;
        let found = DictionaryStatistics::of_sample(dtype, sample, NO_COLUMNS, limit);
        assert!(found.is_none(), "{dtype}");
    }
    assert!(coders(Dtype::F32, 400, &[&[7; 40_000]]).is_none());
}

#[test]
fn indices_without_an_entry_and_bad_scales_are_rejected() {
    let bytes = quantised(Dtype::Bf16, 256, 64, 7);
    let (encoder, decoder, _) = coders(Dtype::Bf16, 128, &[&bytes]).unwrap();
    let coded = encoder.encode(&bytes, &mut Scratch::default()).unwrap();
    let scales = 4 + u32::from_le_bytes(coded[..4].try_into().unwrap()) as usize;
    assert!(coded.len() >= scales + 4 * 256);
    for bad in [-1.0f32, -0.0, f32::NAN, f32::INFINITY] {
        let mut coded = coded.clone();
        coded[scales + 8..][..4].copy_from_slice(&bad.to_le_bytes());
        assert!(decoder.decode(&coded, &mut vec![0; bytes.len()]).is_err(), "{bad}");
    }
    // Fewer entries: the largest indices have none.
    let mut parameters = encoder.parameters();
    let entries = parameters[1];
    parameters[1] = entries - 2;
    parameters.drain(20..28);
    let fewer = DictionaryDecoder::new(Dtype::Bf16, &parameters).unwrap();
    assert!(fewer.decode(&coded, &mut vec![0; bytes.len()]).is_err());
    // An unknown kind, no entries, empty groups, another dtype of products, unknown minima.
    for (at, length, value) in
        [(0, 1, 3), (1, 1, 0), (6, 4, 0), (10, 4, 0), (14, 4, 0), (18, 1, 18), (19, 1, 2)]
    {
        let mut parameters = encoder.parameters();
        parameters[at..at + length].fill(value);
        assert!(DictionaryDecoder::new(Dtype::Bf16, &parameters).is_err(), "{at}");
    }
    assert!(DictionaryDecoder::new(Dtype::U16, &encoder.parameters()).is_err());
}

proptest! {
    /// The decoder's order of words is that of the groups.
    #[test]
    fn groups_are_visited_in_order(
        words in prop::collection::vec(any::<u32>(), 1..300),
        row in 1usize..40,
        size in 1usize..9,
        in_columns: bool,
    ) {
        let (rows, columns) = if in_columns { (size, 1) } else { (1, size) };
        let groups = Groups { row, rows, columns };
        let (mut indices, mut found) = (vec![0xff; words.len()], Vec::new());
        grouped::each_group(&groups, &words, &mut indices, |words, indices| {
            indices.fill(found.len() as u8);
            found.push(words.to_vec());
        });
        prop_assert!(found.len() <= groups.count(words.len()));
        let mut expected = vec![Vec::new(); found.len()];
        let mut numbers = Vec::new();
        groups.segments(words.len(), |range, segment| {
            for (i, word) in words[range].iter().enumerate() {
                let group = match segment {
                    Segment::InGroup(group) => group,
                    Segment::FromGroup(first) => first + i,
                };
                expected[group].push(*word);
                numbers.push(group as u8);
            }
        });
        prop_assert_eq!(found, expected);
        prop_assert_eq!(indices, numbers);
    }

    #[test]
    fn short_numbers_are_in_their_interval(a in -1e3f64..1e3, length in 1e-3f64..10.0) {
        let short = f64::from(numbers::shortest(a, a + length).unwrap());
        prop_assert!(a <= short && short <= a + length);
    }

    #[test]
    fn any_words_round_trip(
        dtype in prop::sample::select(Dtype::ALL),
        words in prop::collection::vec((any::<u64>(), 0..4u8), 1100..3000),
        cut in any::<prop::sample::Index>(),
        row in 1usize..50,
    ) {
        let bytes: Vec<u8> = words.iter().flat_map(|&(any, few)| {
            if few == 0 { any } else { u64::from(few) << 40 | 0x3f80 }.to_le_bytes()
        }).collect();
        let chunks = bytes.split_at(cut.index(words.len() - 1) * 8 + 8);
        let chunks = if chunks.1.is_empty() { vec![chunks.0] } else { vec![chunks.0, chunks.1] };
        round_trip(dtype, row * 8, &chunks);
    }

    #[test]
    fn arbitrary_parameters_and_chunks_never_panic(
        dtype in prop::sample::select(Dtype::ALL),
        kind in 0..4u8,
        entries in 0..6u8,
        distance in 0..9u8,
        rest in prop::collection::vec(any::<u8>(), 0..200),
        coded in prop::collection::vec(any::<u8>(), 0..400),
        length in 0usize..500,
    ) {
        // A valid table of two symbols at the end.
        let head = [kind, entries, distance, 0, 0, 0];
        let table = [0, 1, 0b0000_1100, 0b1100_0000, 0b0000_0000, 0, 0];
        let planes = vec![0; Split::of(dtype).width];
        let groups = [3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, dtype.id(), entries & 1];
        let factors = [0x3f; 4].repeat(entries.into());
        let grouped = match kind {
            1 => [&groups[..], &factors].concat(),
            _ => groups[..12].to_vec(),
        };
        for parameters in [
            [&head[..], &rest].concat(),
            [&head[..], &rest, &table, &planes].concat(),
            [&head[..], &grouped, &table, &planes].concat(),
        ] {
            if let Ok(decoder) = DictionaryDecoder::new(dtype, &parameters) {
                let _ = decoder.decode(&coded, &mut vec![0; length]);
            }
        }
    }
}
