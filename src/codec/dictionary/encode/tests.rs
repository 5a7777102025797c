//! Round trips of dictionaries, within their estimated cost.

use super::*;
use crate::codec::Scratch;
use crate::codec::dictionary::DictionaryDecoder;
use crate::dtype::{Dtype, number};
use proptest::prelude::*;

type Coders = (DictionaryEncoder, DictionaryDecoder, u64);

/// The coders of a tensor with rows of `row` bytes, whose sample are its first 64 KiB.
fn coders(dtype: Dtype, row: usize, chunks: &[&[u8]]) -> Option<Coders> {
    let bytes = chunks.concat();
    let sample = &bytes[..bytes.len().min(1 << 16)];
    let limit = || sample.len() as u64;
    let mut statistics =
        DictionaryStatistics::of_sample(dtype, row, (sample, sample.len()), limit)?;
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
    let (encoder, decoder, cost) = coders(dtype, row, chunks)?;
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
        let sample = (&bytes[..1 << 16], 1 << 13);
        // As many bytes as planes need.
        let limit = || (1 << 16) * 7 / 10;
        assert!(DictionaryStatistics::of_sample(dtype, 2048, sample, limit).is_none(), "{dtype}");
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
    parameters.drain(10..18);
    let fewer = DictionaryDecoder::new(Dtype::Bf16, &parameters).unwrap();
    assert!(fewer.decode(&coded, &mut vec![0; bytes.len()]).is_err());
    for (at, value) in [(0, 2), (1, 0), (6, 0)] {
        let mut parameters = encoder.parameters();
        parameters[at..at + if at == 6 { 4 } else { 1 }].fill(value);
        assert!(DictionaryDecoder::new(Dtype::Bf16, &parameters).is_err(), "{at}");
    }
    assert!(DictionaryDecoder::new(Dtype::U16, &encoder.parameters()).is_err());
}

proptest! {
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
        kind in 0..3u8,
        entries in 0..6u8,
        distance in 0..9u8,
        rest in prop::collection::vec(any::<u8>(), 0..200),
        coded in prop::collection::vec(any::<u8>(), 0..400),
        length in 0usize..500,
    ) {
        // A valid table of two symbols at the end.
        let head = [kind, entries, distance, 0, 0, 0];
        let table = [0, 1, 0b0000_1100, 0b1100_0000, 0b0000_0000, 0, 0];
        for parameters in [[&head[..], &rest].concat(), [&head[..], &rest, &table].concat()] {
            if let Ok(decoder) = DictionaryDecoder::new(dtype, &parameters) {
                let _ = decoder.decode(&coded, &mut vec![0; length]);
            }
        }
    }
}
