//! Round trips of byte planes, within their estimated cost.

use super::*;
use crate::codec::Scratch;
use crate::codec::entropy::rans::LANES;
use crate::codec::planes::split::Split;
use crate::codec::planes::{MODE_CONSTANT, MODE_PAIRED, MODE_RAW, Plane, PlaneDecoder};
use crate::dtype::Dtype;
use proptest::prelude::*;

fn coders(dtype: Dtype, chunks: &[&[u8]]) -> (PlaneStatistics, PlaneEncoder, PlaneDecoder) {
    let mut statistics = PlaneStatistics::of_sample(dtype, chunks[0], 0);
    for chunk in chunks {
        let mut part = PlaneStatistics::of_sample(dtype, chunks[0], 0);
        part.count(0, chunk);
        statistics.merge(&part);
    }
    let encoder = PlaneEncoder::new(&statistics);
    let decoder = PlaneDecoder::new(dtype, &encoder.parameters()).unwrap();
    (statistics, encoder, decoder)
}

/// Encodes chunks, asserts that they are restored, and returns the number of their coded bytes.
fn round_trip(dtype: Dtype, encoder: &PlaneEncoder, chunks: &[&[u8]]) -> u64 {
    let decoder = PlaneDecoder::new(dtype, &encoder.parameters()).unwrap();
    let mut total = 0;
    for (number, &chunk) in chunks.iter().enumerate() {
        let coded = encoder.encode(chunk, &mut Scratch::default()).unwrap();
        let mut out = vec![0x5a; chunk.len()];
        decoder.decode(&coded, &mut out).unwrap();
        assert!(out == chunk, "{dtype}, chunk {number}");
        total += coded.len() as u64;
    }
    total
}

fn dtype() -> impl Strategy<Value = Dtype> {
    prop::sample::select(Dtype::ALL)
}

proptest! {
    #[test]
    fn chunks_round_trip_within_the_estimated_cost(
        dtype in dtype(),
        words in prop::collection::vec(prop::array::uniform8(any::<u8>()), 1..3000),
        mask in prop::array::uniform8(any::<u8>()),
        cut in any::<prop::sample::Index>(),
    ) {
        let bytes: Vec<u8> = words.iter().flat_map(|word| {
            word.iter().zip(mask).map(|(byte, mask)| byte & mask).collect::<Vec<_>>()
        }).collect();
        let chunks = bytes.split_at(cut.index(words.len()) * 8);
        let chunks = [chunks.0, chunks.1];
        let (statistics, encoder, decoder) = coders(dtype, &chunks);
        let mut total = 0;
        for chunk in chunks {
            let coded = encoder.encode(chunk, &mut Scratch::default()).unwrap();
            let mut out = vec![0x5a; chunk.len()];
            decoder.decode(&coded, &mut out).unwrap();
            prop_assert_eq!(&out, chunk);
            total += coded.len() as u64;
            for cut in [0, coded.len() / 2, coded.len().saturating_sub(1)] {
                if cut < coded.len() {
                    prop_assert!(decoder.decode(&coded[..cut], &mut out).is_err());
                }
            }
        }
        // A stream may exceed its information by up to one word a lane.
        let slack = 2 * (statistics.split.width * 2 * LANES) as u64;
        prop_assert!(total <= encoder.cost_bytes(&statistics, 2) + slack);
    }

    #[test]
    fn arbitrary_parameters_and_chunks_never_panic(
        dtype in dtype(),
        parameters in prop::collection::vec(any::<u8>(), 0..200),
        coded in prop::collection::vec(any::<u8>(), 0..400),
        length in 0usize..500,
    ) {
        if let Ok(decoder) = PlaneDecoder::new(dtype, &parameters) {
            let _ = decoder.decode(&coded, &mut vec![0; length]);
        }
    }
}

#[test]
fn noise_stays_raw_and_constants_take_no_bytes() {
    let noise: Vec<u8> = (0..65536u32).map(|i| (i.wrapping_mul(2654435761) >> 13) as u8).collect();
    let bytes: Vec<u8> = noise.iter().flat_map(|&low| [low, 0x3f]).collect();
    let (statistics, encoder, _) = coders(Dtype::U16, &[&bytes]);
    assert_eq!(encoder.parameters(), [MODE_RAW, MODE_CONSTANT, 0x3f]);
    assert_eq!(encoder.cost_bytes(&statistics, 1), 65536);
    assert_eq!(encoder.encode(&bytes, &mut Scratch::default()).unwrap(), noise);
}

#[test]
fn values_outside_the_statistics_are_rejected() {
    let (_, encoder, _) = coders(Dtype::U8, &[&[1; 999], &[2; 999]]);
    assert!(encoder.encode(&[3], &mut Scratch::default()).is_err());
    let (_, encoder, _) = coders(Dtype::U8, &[&[1; 999]]);
    assert!(encoder.encode(&[3], &mut Scratch::default()).is_err());
}

/// Words whose exponents are concentrated below one, as those of Gaussian numbers are; each
/// `every`-th exponent is arbitrary.
fn exponents(dtype: Dtype, words: usize, every: usize) -> Vec<u8> {
    let bits = 8 * Split::of(dtype).width as u32;
    let exponent_bits = 8 - Split::bits_below_exponent(dtype);
    let mut bytes = Vec::new();
    let mut state = 1u64;
    for word in 0..words {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let typical = BASE - (state >> 32 | 1 << 15).trailing_zeros() as u64;
        let exponent = if word % every == every - 1 { state >> 55 } else { typical };
        let exponent = exponent & ((1 << exponent_bits) - 1);
        let noise = state >> 16 & ((1 << (bits - exponent_bits)) - 1);
        let number = noise | exponent << (bits - exponent_bits);
        // Rotated back: the lowest bit becomes the sign.
        let number = number >> 1 | number << (bits - 1);
        bytes.extend(&number.to_le_bytes()[..bits as usize / 8]);
    }
    bytes
}

/// The largest typical exponent.
const BASE: u64 = 22;

#[test]
fn exponents_with_outliers_are_paired() {
    for dtype in [Dtype::Bf16, Dtype::F16, Dtype::F32, Dtype::F64] {
        for (words, every) in [(1 << 17, usize::MAX), (100_000 + 37, 997), (70_001, 500)] {
            let bytes = exponents(dtype, words, every);
            let width = bytes.len() / words;
            let chunks = bytes.chunks(40_001 * width).collect::<Vec<_>>();
            let (statistics, encoder, _) = coders(dtype, &chunks);
            let Plane::Paired(pairing, _) = encoder.planes[width - 1] else {
                panic!("{dtype} {words}: no pairs");
            };
            let low_bits = if dtype == Dtype::F16 { 3 } else { 0 };
            assert_eq!(pairing.low_bits, low_bits);
            // A base above all typical exponents may leave fewer outliers if exponents are few.
            let bases = if dtype == Dtype::F16 { BASE..=BASE + 1 } else { BASE..=BASE };
            assert!(bases.contains(&pairing.base.into()), "{dtype} {words}: {}", pairing.base);
            let total = round_trip(dtype, &encoder, &chunks);
            let slack = chunks.len() as u64 * 2 * LANES as u64;
            let cost = encoder.cost_bytes(&statistics, chunks.len() as u64);
            assert!(total <= cost + slack && total + slack >= cost, "{total} for {cost}");
        }
    }
}

#[test]
fn long_planes_have_two_streams() {
    let two = |bytes: &[u8]| bytes[3] >> 7 == 1;
    for dtype in [Dtype::Bf16, Dtype::F16, Dtype::F32] {
        let bytes = exponents(dtype, (1 << 18) + 37, 997);
        let (_, encoder, _) = coders(dtype, &[&bytes]);
        round_trip(dtype, &encoder, &[&bytes]);
        let plane = bytes.len() / Split::of(dtype).width;
        let raw = bytes.len() - plane;
        for (chunk, streams) in [(&bytes[..], true), (&bytes[..bytes.len() / 4], false)] {
            let coded = encoder.encode(chunk, &mut Scratch::default()).unwrap();
            let raw = raw * chunk.len() / bytes.len();
            // After the number of outliers.
            assert_eq!(two(&coded[raw + 4..]), streams, "{dtype}");
        }
    }
    // Single bytes of 6 bits and of one bit.
    let noise = |mask: u8| -> Vec<u8> {
        exponents(Dtype::F32, 1 << 18, usize::MAX).chunks(4).map(|word| word[1] & mask).collect()
    };
    for (bytes, streams) in [(noise(63), true), (noise(1)[..1 << 17].to_vec(), false)] {
        let (_, encoder, _) = coders(Dtype::I8, &[&bytes]);
        round_trip(Dtype::I8, &encoder, &[&bytes]);
        let coded = encoder.encode(&bytes, &mut Scratch::default()).unwrap();
        assert_eq!(two(&coded), streams);
    }
}

#[test]
fn many_outliers_or_few_bytes_are_not_paired() {
    for dtype in [Dtype::Bf16, Dtype::F16] {
        let planes = |words, every| {
            let bytes = exponents(dtype, words, every);
            let (statistics, encoder, _) = coders(dtype, &[&bytes]);
            // The histogram of bytes is the same with and without pairs.
            let mut plain = PlaneStatistics::of_all(dtype);
            plain.count(0, &bytes);
            assert_eq!(statistics.plane(1), plain.plane(1));
            assert_eq!(statistics.bytes(), bytes.len() as u64);
            matches!(encoder.planes[1], Plane::Coded(_))
        };
        assert!(!planes(1 << 16, 2000));
        assert!(planes(1 << 16, 100));
        // The table of pairs is larger than that of exponents.
        assert!(dtype == Dtype::F16 || planes(1 << 10, 2000));
    }
}

/// Bits of the mantissa that depend on the exponent make bytes cheaper than pairs.
#[test]
fn dependent_low_bits_are_not_paired() {
    let mut bytes = exponents(Dtype::F16, 1 << 16, usize::MAX);
    for word in bytes.as_chunks_mut::<2>().0 {
        word[1] |= u8::from(word[1] >> 2 & 1 == 1) * 3;
    }
    let (_, encoder, _) = coders(Dtype::F16, &[&bytes]);
    assert!(matches!(encoder.planes[1], Plane::Coded(_)));
}

#[test]
fn small_savings_are_left() {
    let saving = |more: usize| {
        // Values below `more` occur three times as often as the others.
        let mut bytes: Vec<u8> = (0..=255).collect::<Vec<u8>>().repeat(512);
        bytes.extend((0..more).flat_map(|byte| vec![byte as u8; 1024]));
        let (_, encoder, _) = coders(Dtype::U8, &[&bytes]);
        matches!(encoder.planes[0], Plane::Coded(_))
    };
    assert!(!saving(0) && !saving(8));
    assert!(saving(64));
}

#[test]
fn too_many_low_bits_are_rejected() {
    let bytes = exponents(Dtype::F16, 1 << 16, usize::MAX);
    let (_, encoder, _) = coders(Dtype::F16, &[&bytes]);
    let mut parameters = encoder.parameters();
    assert_eq!(parameters[..4], [MODE_RAW, MODE_PAIRED, BASE as u8, 3]);
    parameters[3] = 7;
    assert!(PlaneDecoder::new(Dtype::F16, &parameters).is_ok());
    parameters[3] = 8;
    assert!(PlaneDecoder::new(Dtype::F16, &parameters).is_err());
}

#[test]
fn invalid_outlier_positions_are_rejected() {
    let bytes = exponents(Dtype::Bf16, 1 << 16, 1000);
    let (_, encoder, decoder) = coders(Dtype::Bf16, &[&bytes]);
    let coded = encoder.encode(&bytes, &mut Scratch::default()).unwrap();
    let mut out = vec![0; bytes.len()];
    let outliers = u32::from_le_bytes(coded[1 << 16..][..4].try_into().unwrap()) as usize;
    assert!(outliers > 50);
    let positions = coded.len() - 5 * outliers;
    let second = coded[positions + 4..][..4].to_vec();
    for bad in [second, (1u32 << 16).to_le_bytes().to_vec(), vec![0xff; 4]] {
        let mut coded = coded.clone();
        coded[positions..][..4].copy_from_slice(&bad);
        assert!(decoder.decode(&coded, &mut out).is_err());
    }
    for cut in [positions, positions + 3, coded.len() - 1, coded.len() - outliers] {
        assert!(decoder.decode(&coded[..cut], &mut out).is_err());
    }
}

/// All planes of a tensor of so many words are sampled, the last one at one word in eight.
const LARGE: u64 = 1 << 21;

/// Statistics of chunks of a large tensor, with a sample from the first.
fn sampled(dtype: Dtype, chunks: &[&[u8]]) -> PlaneStatistics {
    let bytes = LARGE * Split::of(dtype).width as u64;
    counted(PlaneStatistics::of_sample(dtype, &chunks[0][..1 << 16], bytes), chunks)
}

/// Adds all chunks.
fn counted(mut statistics: PlaneStatistics, chunks: &[&[u8]]) -> PlaneStatistics {
    (0..).zip(chunks).for_each(|(number, chunk)| statistics.count(number, chunk));
    statistics
}

#[test]
fn sampled_planes_take_nearly_the_same_bytes() {
    for dtype in [Dtype::Bf16, Dtype::F16, Dtype::F32, Dtype::F64] {
        let bytes = exponents(dtype, 1 << 20, 997);
        let width = Split::of(dtype).width;
        let chunks: Vec<&[u8]> = bytes.chunks(width << 18).collect();
        let sampled = sampled(dtype, &chunks);
        let all = counted(PlaneStatistics::of_sample(dtype, &bytes[..1 << 16], 0), &chunks);
        for plane in [0, width - 1] {
            assert!(sampled.is_sampled(plane) && !all.is_sampled(plane), "{dtype} {plane}");
        }
        assert_eq!(sampled.bytes(), bytes.len() as u64);
        let [sampled, all] = [sampled, all].map(|statistics| {
            let encoder = PlaneEncoder::new(&statistics);
            let total = round_trip(dtype, &encoder, &chunks);
            let cost = encoder.cost_bytes(&statistics, chunks.len() as u64);
            assert!(total.abs_diff(cost) * 500 < total, "{dtype}: {total} for {cost}");
            total
        });
        assert!(sampled.abs_diff(all) * 1000 < all, "{dtype}: {sampled} for {all}");
    }
}

/// The first rows of heads may be smaller than others, and chunks may start at heads.
#[test]
fn parts_that_differ_in_every_chunk_are_counted_as_often_as_others() {
    let mut bytes = exponents(Dtype::Bf16, 1 << 21, usize::MAX);
    for chunk in bytes.chunks_mut(2 << 18) {
        for word in chunk[..2 << 13].as_chunks_mut().0 {
            *word = (u16::from_le_bytes(*word) - (6 << 7)).to_le_bytes();
        }
    }
    let chunks: Vec<&[u8]> = bytes.chunks(2 << 18).collect();
    let all = counted(PlaneStatistics::of_sample(Dtype::Bf16, &bytes[..1 << 16], 0), &chunks);
    let [sampled, all] = [sampled(Dtype::Bf16, &chunks), all]
        .map(|statistics| round_trip(Dtype::Bf16, &PlaneEncoder::new(&statistics), &chunks));
    assert!(sampled.abs_diff(all) * 1000 < all, "{sampled} for {all}");
}

#[test]
fn sampled_planes_restore_bytes_that_were_not_counted() {
    for dtype in [Dtype::Bf16, Dtype::F16, Dtype::F32] {
        let width = Split::of(dtype).width;
        let mut bytes = exponents(dtype, 1 << 20, usize::MAX);
        // Words of all kinds where nothing is counted.
        let mut state = 7u64;
        for word in bytes.chunks_exact_mut(width).skip(9 << 13).take(1 << 12) {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(99);
            word.copy_from_slice(&state.to_be_bytes()[..width]);
        }
        let chunks: Vec<&[u8]> = bytes.chunks(width << 18).collect();
        let statistics = sampled(dtype, &chunks);
        assert!(statistics.is_sampled(width - 1));
        let encoder = PlaneEncoder::new(&statistics);
        let Plane::Paired(pairing, table) = &encoder.planes[width - 1] else {
            panic!("{dtype}: no pairs");
        };
        assert!(table.frequencies.get().contains(&0), "{dtype}: {pairing:?}");
        round_trip(dtype, &encoder, &chunks);
    }
}

/// The sample shows noise, but the planes are nearly constant elsewhere.
#[test]
fn sampled_noise_with_few_values_is_coded() {
    let mut bytes = exponents(Dtype::F32, 1 << 20, usize::MAX);
    for word in bytes.as_chunks_mut::<4>().0.iter_mut().skip(1 << 15) {
        (word[0], word[1]) = (0, word[1] & 3);
    }
    let chunks: Vec<&[u8]> = bytes.chunks(4 << 18).collect();
    let statistics = sampled(Dtype::F32, &chunks);
    assert!(statistics.is_sampled(0) && statistics.is_sampled(1));
    let encoder = PlaneEncoder::new(&statistics);
    assert!(matches!(encoder.planes[0], Plane::Coded(_)));
    round_trip(Dtype::F32, &encoder, &chunks);
}
