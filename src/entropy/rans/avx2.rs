//! Decoding with AVX2: eight lanes a vector, four vectors a group.
#![allow(unsafe_code)]

use super::{LANES, PRECISION};
use crate::kernel::Avx2;
use std::arch::x86_64::*;
use zerocopy::little_endian::U16;

/// Lanes of a vector.
const WIDTH: usize = 8;

/// For each set of lanes that take a word: which bytes of the next eight words go to which lane.
static PLACES: [[u8; 16]; 256] = places();

const fn places() -> [[u8; 16]; 256] {
    // A set high bit puts zero.
    let mut all = [[0x80; 16]; 256];
    let mut takers = 0;
    while takers < 256 {
        let (mut lane, mut word) = (0, 0);
        while lane < WIDTH {
            if takers >> lane & 1 == 1 {
                all[takers][2 * lane] = 2 * word;
                all[takers][2 * lane + 1] = 2 * word + 1;
                word += 1;
            }
            lane += 1;
        }
        takers += 1;
    }
    all
}

/// Decodes groups while there are words enough for any; returns how many, and the words taken.
pub(super) fn decode_windows(
    _: Avx2,
    states: &mut [u32; LANES],
    words: &[U16],
    table: &[u32; 1 << PRECISION],
    groups: &mut [[u8; LANES]],
) -> (usize, usize) {
    // SAFETY: the token is proof of AVX2 and POPCNT.
    unsafe { windows(states, words, table, groups) }
}

/// Decodes 32 symbols, each lane's from the table at its base; returns how many words were taken.
#[inline]
pub(super) fn decode_window(
    _: Avx2,
    states: &mut [u32; LANES],
    tables: &[u32],
    bases: &[u32; LANES],
    window: &[U16; LANES],
    group: &mut [u8; LANES],
) -> usize {
    // SAFETY: the token is proof of AVX2 and POPCNT.
    unsafe { window_of_tables(states, tables, bases, window, group) }
}

#[target_feature(enable = "avx2,popcnt")]
fn windows(
    states: &mut [u32; LANES],
    words: &[U16],
    table: &[u32; 1 << PRECISION],
    groups: &mut [[u8; LANES]],
) -> (usize, usize) {
    let mut vectors = load(states);
    let mut used = 0;
    let mut done = 0;
    for group in groups {
        let Some(window) = words[used..].first_chunk() else { break };
        let entries = vectors.map(|x| look_up(x, |_, slot| table[slot]));
        used += advance(&mut vectors, entries, window, group);
        done += 1;
    }
    store(vectors, states);
    (done, used)
}

#[target_feature(enable = "avx2,popcnt")]
fn window_of_tables(
    states: &mut [u32; LANES],
    tables: &[u32],
    bases: &[u32; LANES],
    window: &[U16; LANES],
    group: &mut [u8; LANES],
) -> usize {
    let mut vectors = load(states);
    let mut entries = vectors;
    for (number, entries) in entries.iter_mut().enumerate() {
        let entry = |lane, slot| tables[bases[WIDTH * number + lane] as usize + slot];
        *entries = look_up(*entries, entry);
    }
    let used = advance(&mut vectors, entries, window, group);
    store(vectors, states);
    used
}

#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn load(states: &[u32; LANES]) -> [__m256i; 4] {
    let (vectors, _) = states.as_chunks::<WIDTH>();
    // SAFETY: a vector is read from eight integers, at any alignment.
    std::array::from_fn(|i| unsafe { _mm256_loadu_si256(vectors[i].as_ptr().cast()) })
}

#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn store(vectors: [__m256i; 4], states: &mut [u32; LANES]) {
    for (vector, states) in vectors.into_iter().zip(states.as_chunks_mut::<WIDTH>().0) {
        // SAFETY: a vector is written over eight integers, at any alignment.
        unsafe { _mm256_storeu_si256(states.as_mut_ptr().cast(), vector) }
    }
}

/// Table entries of eight lanes, one at a time: faster than to gather them.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn look_up(states: __m256i, entry: impl Fn(usize, usize) -> u32) -> __m256i {
    let mut each = [0u32; WIDTH];
    // SAFETY: a vector is written over eight integers, at any alignment.
    unsafe { _mm256_storeu_si256(each.as_mut_ptr().cast(), states) };
    let at = |lane: usize| entry(lane, (each[lane] & ((1 << PRECISION) - 1)) as usize) as i32;
    _mm256_setr_epi32(at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7))
}

/// Updates and renormalises all lanes by their table entries; returns how many words were taken.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn advance(
    states: &mut [__m256i; 4],
    entries: [__m256i; 4],
    window: &[U16; LANES],
    group: &mut [u8; LANES],
) -> usize {
    let mut used = 0;
    for (x, entries) in states.iter_mut().zip(entries) {
        let frequency = _mm256_srli_epi32::<20>(entries);
        let bias = _mm256_and_si256(_mm256_srli_epi32::<8>(entries), _mm256_set1_epi32(0xfff));
        let quotient = _mm256_srli_epi32::<{ PRECISION as i32 }>(*x);
        let next = _mm256_add_epi32(_mm256_mullo_epi32(frequency, quotient), bias);
        let takes = _mm256_cmpeq_epi32(_mm256_srli_epi32::<16>(next), _mm256_setzero_si256());
        let takers = _mm256_movemask_ps(_mm256_castsi256_ps(takes)) as usize & 0xff;
        // Eight words from here on are in the window: each vector before took eight at most.
        let words: &[U16; WIDTH] = match window[used..].first_chunk() {
            Some(words) => words,
            None => unreachable!("32 words last for 32 lanes"),
        };
        // SAFETY: sixteen bytes are read from eight words, and from a row of the table.
        let (words, places) = unsafe {
            let words = _mm_loadu_si128(words.as_ptr().cast());
            (words, _mm_loadu_si128(PLACES[takers].as_ptr().cast()))
        };
        let words = _mm256_cvtepu16_epi32(_mm_shuffle_epi8(words, places));
        let shifted = _mm256_or_si256(_mm256_slli_epi32::<16>(next), words);
        *x = _mm256_blendv_epi8(next, shifted, takes);
        used += takers.count_ones() as usize;
    }
    let symbols = entries.map(|entries| _mm256_and_si256(entries, _mm256_set1_epi32(0xff)));
    // Packing works on the halves of vectors; the last step puts fours of lanes in their order.
    let low = _mm256_packus_epi32(symbols[0], symbols[1]);
    let high = _mm256_packus_epi32(symbols[2], symbols[3]);
    let packed = _mm256_packus_epi16(low, high);
    let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    let packed = _mm256_permutevar8x32_epi32(packed, order);
    // SAFETY: a vector is written over 32 bytes, at any alignment.
    unsafe { _mm256_storeu_si256(group.as_mut_ptr().cast(), packed) };
    used
}
