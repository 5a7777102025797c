//! Decoding with AVX-512 mask instructions on vectors of eight lanes. Vectors of sixteen lanes are
//! slower because of the table look-ups.
//!
//! Some functions repeat those of AVX2 so that they are compiled for AVX-512. Sharing them costs 5 %
//! of the decoding speed.
#![allow(unsafe_code)]

use super::avx2::{has_words, join, join_pairs, keep_in_registers, shifted_base};
use super::stream::Stream;
use super::{LANES, PRECISION, PairedBytes, PairedWords, STATE_MIN};
use crate::arch::Avx512;
use std::arch::x86_64::*;
use zerocopy::little_endian::U16;

/// Lanes of a vector.
const WIDTH: usize = 8;

/// Decodes as [`decode_windows`](super::scalar::decode_windows) does.
pub(super) fn decode_windows<const S: usize>(
    _: Avx512,
    streams: &mut [Stream<'_>; S],
    table: &[u32; 1 << PRECISION],
    groups: &mut [[u8; LANES]],
) -> usize {
    // SAFETY: the token is proof of these instructions.
    unsafe { windows_of_symbols(streams, table, groups) }
}

/// Decodes as [`decode_words`](super::scalar::decode_words) does.
pub(super) fn decode_words<const S: usize>(
    _: Avx512,
    streams: &mut [Stream<'_>; S],
    table: &[u32; 1 << PRECISION],
    low: &[[u8; LANES]],
    rotated: bool,
    out: &mut [[u8; 2 * LANES]],
) -> usize {
    match rotated {
        // SAFETY: the token is proof of these instructions.
        true => unsafe { windows_of_words::<S, true>(streams, table, low, out) },
        // SAFETY: the token is proof of these instructions.
        false => unsafe { windows_of_words::<S, false>(streams, table, low, out) },
    }
}

/// Decodes as [`decode_pairs`](super::scalar::decode_pairs) does.
pub(super) fn decode_pairs<const S: usize, const N: usize, const LOW_BITS: usize>(
    _: Avx512,
    streams: &mut [Stream<'_>; S],
    table: &[u32; 1 << PRECISION],
    pairs: &PairedBytes<'_>,
    out: &mut [PairedWords<N>],
) -> usize {
    // SAFETY: the token is proof of these instructions.
    unsafe { windows_of_pairs::<S, N, LOW_BITS>(streams, table, pairs, out) }
}

/// Decodes at most `count` groups as [`decode_windows`](super::scalar::decode_windows) does and passes
/// the number of each and its symbols to `put`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,popcnt")]
fn windows<const S: usize>(
    streams: &mut [Stream<'_>; S],
    table: &[u32; 1 << PRECISION],
    count: usize,
    mut put: impl FnMut(usize, __m256i),
) -> usize {
    let mut vectors = [[_mm256_setzero_si256(); 4]; S];
    let mut words = [&[][..]; S];
    for (i, stream) in streams.iter().enumerate() {
        (vectors[i], words[i]) = (load(&stream.states), stream.words);
    }
    let (mut done, mut used, last) = (0, [0; S], S - 1);
    while done + S <= count && has_words(&words, used) {
        // Not a loop over the streams: their states stay in registers.
        let mut entries = look_up_all(&vectors[0], table);
        keep_in_registers(&mut entries);
        // SAFETY: every stream has 32 words left.
        used[0] = unsafe { advance(&mut vectors[0], entries, words[0], used[0]) };
        put(done, narrow(entries));
        if S == 2 {
            let mut entries = look_up_all(&vectors[last], table);
            keep_in_registers(&mut entries);
            // SAFETY: every stream has 32 words left.
            used[last] = unsafe { advance(&mut vectors[last], entries, words[last], used[last]) };
            put(done + 1, narrow(entries));
        }
        done += S;
    }
    for (i, stream) in streams.iter_mut().enumerate() {
        store(vectors[i], &mut stream.states);
        stream.words = &words[i][used[i]..];
    }
    done
}

/// The table entries of the slots of all lanes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,popcnt")]
fn look_up_all(states: &[__m256i; 4], table: &[u32; 1 << PRECISION]) -> [__m256i; 4] {
    let slots = _mm256_set1_epi32((1 << PRECISION) - 1);
    // Not `states.map`: its closure may be compiled as a call, which takes half as long again.
    let mut entries = *states;
    for x in &mut entries {
        // SAFETY: a slot is below 2^12, the length of the table.
        *x = unsafe { look_up(_mm256_and_si256(*x, slots), table) };
    }
    entries
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,popcnt")]
fn windows_of_symbols<const S: usize>(
    streams: &mut [Stream<'_>; S],
    table: &[u32; 1 << PRECISION],
    groups: &mut [[u8; LANES]],
) -> usize {
    windows(streams, table, groups.len(), |number, symbols| {
        // SAFETY: a vector is written over 32 bytes, at any alignment.
        unsafe { _mm256_storeu_si256(groups[number].as_mut_ptr().cast(), symbols) };
    })
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,popcnt")]
fn windows_of_words<const S: usize, const ROTATED: bool>(
    streams: &mut [Stream<'_>; S],
    table: &[u32; 1 << PRECISION],
    low: &[[u8; LANES]],
    out: &mut [[u8; 2 * LANES]],
) -> usize {
    let count = low.len().min(out.len());
    // Equal lengths remove bounds checks.
    let (low, out) = (&low[..count], &mut out[..count]);
    windows(streams, table, count, |number, high| {
        join::<ROTATED>(&low[number], high, &mut out[number]);
    })
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,popcnt")]
fn windows_of_pairs<const S: usize, const N: usize, const LOW_BITS: usize>(
    streams: &mut [Stream<'_>; S],
    table: &[u32; 1 << PRECISION],
    pairs: &PairedBytes<'_>,
    out: &mut [PairedWords<N>],
) -> usize {
    let base = shifted_base::<LOW_BITS>(pairs);
    let (parts, count) = pairs.parts::<LOW_BITS>(out.len());
    let out = &mut out[..count];
    windows(streams, table, count, |number, symbols| {
        join_pairs::<N, LOW_BITS>(&parts, number, symbols, base, &mut out[number]);
    })
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,popcnt")]
fn load(states: &[u32; LANES]) -> [__m256i; 4] {
    let (vectors, _) = states.as_chunks::<WIDTH>();
    // SAFETY: a vector is read from eight integers, at any alignment.
    std::array::from_fn(|i| unsafe { _mm256_loadu_si256(vectors[i].as_ptr().cast()) })
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,popcnt")]
fn store(vectors: [__m256i; 4], states: &mut [u32; LANES]) {
    for (vector, states) in vectors.into_iter().zip(states.as_chunks_mut::<WIDTH>().0) {
        // SAFETY: a vector is written over eight integers, at any alignment.
        unsafe { _mm256_storeu_si256(states.as_mut_ptr().cast(), vector) }
    }
}

/// Table entries of eight lanes, loaded one by one, which is faster than a gather.
///
/// # Safety
/// Every index must be within the table.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,popcnt")]
unsafe fn look_up(indices: __m256i, table: &[u32]) -> __m256i {
    // Two indices in a word: fewer loads.
    let mut pairs = [0u64; WIDTH / 2];
    // SAFETY: a vector is written over four integers of eight bytes, at any alignment.
    unsafe { _mm256_storeu_si256(pairs.as_mut_ptr().cast(), indices) };
    let index = |lane: usize| (pairs[lane / 2] >> (lane % 2 * 32)) as u32 as usize;
    // SAFETY: the caller ensures that all indices are within the table.
    let at = |lane: usize| unsafe { *table.get_unchecked(index(lane)) as i32 };
    _mm256_setr_epi32(at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7))
}

/// The lowest byte of each lane: the symbols of table entries.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,popcnt")]
fn narrow(entries: [__m256i; 4]) -> __m256i {
    let [a, b, c, d] = entries.map(|entries| _mm256_cvtepi32_epi8(entries));
    _mm256_set_m128i(_mm_unpacklo_epi64(c, d), _mm_unpacklo_epi64(a, b))
}

/// Updates and renormalises the states of all lanes. Returns the number of used words, which was `used`
/// before.
///
/// # Safety
/// At least 32 words must be left.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,popcnt")]
unsafe fn advance(
    states: &mut [__m256i; 4],
    entries: [__m256i; 4],
    words: &[U16],
    mut used: usize,
) -> usize {
    for (x, entries) in states.iter_mut().zip(entries) {
        let frequency = _mm256_srli_epi32::<20>(entries);
        let rank = _mm256_and_si256(_mm256_srli_epi32::<8>(entries), _mm256_set1_epi32(0xfff));
        let quotient = _mm256_srli_epi32::<{ PRECISION as i32 }>(*x);
        let next = _mm256_add_epi32(_mm256_mullo_epi32(frequency, quotient), rank);
        let takers = _mm256_cmplt_epu32_mask(next, _mm256_set1_epi32(STATE_MIN as i32));
        // SAFETY: at least eight words are left, because each of the vectors before used at most eight.
        let words = unsafe { _mm_loadu_si128(words.as_ptr().add(used).cast()) };
        // The next words go to the consuming lanes in order.
        let words = _mm256_maskz_expand_epi32(takers, _mm256_cvtepu16_epi32(words));
        *x = _mm256_mask_or_epi32(next, takers, _mm256_slli_epi32::<16>(next), words);
        used += takers.count_ones() as usize;
    }
    used
}
