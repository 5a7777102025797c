//! Coding and decoding with AVX2: eight lanes a vector, four vectors a group.
#![allow(unsafe_code)]

use super::{LANES, PRECISION, PairedBytes, Run};
use crate::arch::Avx2;
use crate::codec::entropy::{CENTRE, ESCAPE};
use std::arch::x86_64::*;
use zerocopy::little_endian::U16;

/// Lanes of a vector.
pub(super) const WIDTH: usize = 8;

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

/// For each set of lanes that shed a word: which of the eight words goes where, so that those shed
/// are the last ones, in order.
static GATHERED: [[u8; 16]; 256] = gathered();

const fn gathered() -> [[u8; 16]; 256] {
    let mut all = [[0x80; 16]; 256];
    let mut shedders = 0;
    while shedders < 256 {
        let (mut lane, mut word) = (WIDTH, WIDTH);
        while lane > 0 {
            lane -= 1;
            if shedders >> lane & 1 == 1 {
                word -= 1;
                all[shedders][2 * word] = 2 * lane as u8;
                all[shedders][2 * word + 1] = 2 * lane as u8 + 1;
            }
        }
        shedders += 1;
    }
    all
}

/// Puts groups, last first, before the end of `words`, where there are eight words more than
/// symbols; returns where words then start, and whether a symbol had no frequency. `entry` is what an
/// [`EncodeEntry`](super::tables::EncodeEntry) holds.
pub(super) fn encode<S: Copy>(
    _: Avx2,
    states: &mut [u32; LANES],
    groups: &[[S; LANES]],
    entry: impl Fn(S) -> u64,
    words: &mut [U16],
) -> (usize, bool) {
    // SAFETY: the token is proof of AVX2 and POPCNT.
    unsafe { put_groups(states, groups, entry, words) }
}

/// As [`decode_windows`](super::scalar::decode_windows).
pub(super) fn decode_windows(
    _: Avx2,
    states: &mut [u32; LANES],
    words: &[U16],
    table: &[u32; 1 << PRECISION],
    groups: &mut [[u8; LANES]],
) -> (usize, usize) {
    // SAFETY: the token is proof of AVX2 and POPCNT.
    unsafe { windows_of_symbols(states, words, table, groups) }
}

/// As [`decode_words`](super::scalar::decode_words).
pub(super) fn decode_words(
    _: Avx2,
    states: &mut [u32; LANES],
    words: &[U16],
    table: &[u32; 1 << PRECISION],
    low: &[[u8; LANES]],
    rotated: bool,
    out: &mut [[u8; 2 * LANES]],
) -> (usize, usize) {
    match rotated {
        // SAFETY: the token is proof of AVX2 and POPCNT.
        true => unsafe { windows_of_words::<true>(states, words, table, low, out) },
        // SAFETY: the token is proof of AVX2 and POPCNT.
        false => unsafe { windows_of_words::<false>(states, words, table, low, out) },
    }
}

/// As [`decode_pairs`](super::scalar::decode_pairs).
pub(super) fn decode_pairs(
    _: Avx2,
    states: &mut [u32; LANES],
    words: &[U16],
    table: &[u32; 1 << PRECISION],
    pairs: &PairedBytes<'_>,
    out: &mut [[u8; 4 * LANES]],
) -> (usize, usize) {
    match pairs.rotated {
        // SAFETY: the token is proof of AVX2 and POPCNT.
        true => unsafe { windows_of_pairs::<true>(states, words, table, pairs, out) },
        // SAFETY: the token is proof of AVX2 and POPCNT.
        false => unsafe { windows_of_pairs::<false>(states, words, table, pairs, out) },
    }
}

/// As [`decode_run`](super::state_machine::decode_run).
pub(super) fn decode_run(
    _: Avx2,
    states: &mut [u32; LANES],
    words: &[U16],
    tables: &[u32],
    run: &Run<'_>,
    trellis_states: &mut [u8; LANES],
    out: &mut [[i16; LANES]],
) -> (usize, usize) {
    // SAFETY: the token is proof of AVX2 and POPCNT.
    unsafe { run_of_groups(states, words, tables, run, trellis_states, out) }
}

#[target_feature(enable = "avx2,popcnt")]
fn put_groups<S: Copy>(
    states: &mut [u32; LANES],
    groups: &[[S; LANES]],
    entry: impl Fn(S) -> u64,
    words: &mut [U16],
) -> (usize, bool) {
    let mut vectors = load(states);
    let mut cursor = words.len();
    let mut rarest = _mm256_set1_epi32(i32::MAX);
    for group in groups.iter().rev() {
        for (x, symbols) in vectors.iter_mut().zip(group.as_chunks::<WIDTH>().0).rev() {
            // Halves of entries part below, each in the order of lanes.
            let [a, b, c, d] = [[0, 1], [4, 5], [2, 3], [6, 7]].map(|[first, second]| {
                _mm_set_epi64x(entry(symbols[second]) as i64, entry(symbols[first]) as i64)
            });
            let low = _mm256_castsi256_ps(_mm256_set_m128i(b, a));
            let high = _mm256_castsi256_ps(_mm256_set_m128i(d, c));
            let reciprocals = _mm256_castps_si256(_mm256_shuffle_ps::<0b10_00_10_00>(low, high));
            let rest = _mm256_castps_si256(_mm256_shuffle_ps::<0b11_01_11_01>(low, high));
            let frequencies = _mm256_and_si256(rest, _mm256_set1_epi32(0xfff));
            rarest = _mm256_min_epi32(rarest, frequencies);
            let (next, shed, count) = put(*x, reciprocals, frequencies, rest);
            *x = next;
            let out = words[..cursor].last_chunk_mut::<WIDTH>();
            let Some(out) = out else { unreachable!("eight words more than symbols") };
            // SAFETY: 16 bytes are written over eight words, at any alignment.
            unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), shed) };
            cursor -= count;
        }
    }
    store(vectors, states);
    let none = _mm256_cmpeq_epi32(rarest, _mm256_setzero_si256());
    (cursor, _mm256_movemask_epi8(none) != 0)
}

/// The next states of eight lanes; the words they shed, at the end; and how many.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn put(
    x: __m256i,
    reciprocals: __m256i,
    frequency: __m256i,
    rest: __m256i,
) -> (__m256i, __m128i, usize) {
    let cumulative = _mm256_and_si256(_mm256_srli_epi32::<12>(rest), _mm256_set1_epi32(0xfff));
    let shift = _mm256_and_si256(_mm256_srli_epi32::<24>(rest), _mm256_set1_epi32(0xf));
    let summand = _mm256_srli_epi32::<28>(rest);
    let top = _mm256_srli_epi32::<{ 32 - PRECISION as i32 }>(x);
    let keeps = _mm256_cmpgt_epi32(frequency, top);
    let shedders = !_mm256_movemask_ps(_mm256_castsi256_ps(keeps)) as usize & 0xff;
    // The low words of all lanes, next to each other, then those that are shed.
    let low = _mm256_set1_epi64x(0x0d0c_0908_0504_0100);
    let low = _mm256_permute4x64_epi64::<0b10_00>(_mm256_shuffle_epi8(x, low));
    // SAFETY: sixteen bytes are read from a row of the table.
    let gathered = unsafe { _mm_loadu_si128(GATHERED[shedders].as_ptr().cast()) };
    let shed = _mm_shuffle_epi8(_mm256_castsi256_si128(low), gathered);
    let x = _mm256_blendv_epi8(_mm256_srli_epi32::<16>(x), x, keeps);
    // Products of 32 bits each, of the even lanes and of the odd ones.
    let sum = _mm256_add_epi32(x, summand);
    let even = _mm256_mul_epu32(sum, reciprocals);
    let odd = _mm256_mul_epu32(_mm256_srli_epi64::<32>(sum), _mm256_srli_epi64::<32>(reciprocals));
    let product = _mm256_blend_epi32::<0b1010_1010>(_mm256_srli_epi64::<32>(even), odd);
    let quotient = _mm256_srlv_epi32(product, shift);
    // quotient << 12 | the remainder, and the symbol's first slot.
    let others = _mm256_sub_epi32(_mm256_set1_epi32(1 << PRECISION), frequency);
    let moved = _mm256_add_epi32(x, _mm256_mullo_epi32(quotient, others));
    (_mm256_add_epi32(moved, cumulative), shed, shedders.count_ones() as usize)
}

/// Decodes groups while there are words enough for any, and hands their symbols to `put`; returns how
/// many, and the words taken.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn windows<G>(
    states: &mut [u32; LANES],
    words: &[U16],
    table: &[u32; 1 << PRECISION],
    groups: impl Iterator<Item = G>,
    put: impl Fn(G, __m256i),
) -> (usize, usize) {
    let mut vectors = load(states);
    let (mut done, mut used) = (0, 0);
    let slots = _mm256_set1_epi32((1 << PRECISION) - 1);
    let entry = |slot: u32| table[slot as usize % (1 << PRECISION)];
    for group in groups {
        let Some(window) = words[used..].first_chunk() else { break };
        let entries = vectors.map(|x| look_up(_mm256_and_si256(x, slots), entry));
        used += advance(&mut vectors, entries, window);
        put(group, narrow(entries));
        done += 1;
    }
    store(vectors, states);
    (done, used)
}

#[target_feature(enable = "avx2,popcnt")]
fn windows_of_symbols(
    states: &mut [u32; LANES],
    words: &[U16],
    table: &[u32; 1 << PRECISION],
    groups: &mut [[u8; LANES]],
) -> (usize, usize) {
    windows(states, words, table, groups.iter_mut(), |group, symbols| {
        // SAFETY: a vector is written over 32 bytes, at any alignment.
        unsafe { _mm256_storeu_si256(group.as_mut_ptr().cast(), symbols) };
    })
}

#[target_feature(enable = "avx2,popcnt")]
fn windows_of_words<const ROTATED: bool>(
    states: &mut [u32; LANES],
    words: &[U16],
    table: &[u32; 1 << PRECISION],
    low: &[[u8; LANES]],
    out: &mut [[u8; 2 * LANES]],
) -> (usize, usize) {
    windows(states, words, table, low.iter().zip(out), |(low, out), high| {
        join::<ROTATED>(low, high, out);
    })
}

#[target_feature(enable = "avx2,popcnt")]
fn windows_of_pairs<const ROTATED: bool>(
    states: &mut [u32; LANES],
    words: &[U16],
    table: &[u32; 1 << PRECISION],
    pairs: &PairedBytes<'_>,
    out: &mut [[u8; 4 * LANES]],
) -> (usize, usize) {
    let base = _mm256_set1_epi8(pairs.base as i8);
    windows(states, words, table, pairs.low.iter().zip(out), |(low, out), symbols| {
        join_pairs::<ROTATED>(low, symbols, base, out);
    })
}

/// Puts words of low bytes and high ones: first those of low nibbles, then those of high ones.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn join_pairs<const ROTATED: bool>(
    low: &[u8; 2 * LANES],
    pairs: __m256i,
    base: __m256i,
    out: &mut [u8; 4 * LANES],
) {
    let nibbles = [pairs, _mm256_srli_epi16::<4>(pairs)];
    let low = low.as_chunks().0;
    for ((nibbles, low), out) in nibbles.into_iter().zip(low).zip(out.as_chunks_mut().0) {
        let nibbles = _mm256_and_si256(nibbles, _mm256_set1_epi8(0xf));
        join::<ROTATED>(low, _mm256_sub_epi8(base, nibbles), out);
    }
}

/// Puts words of low bytes and high ones.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn join<const ROTATED: bool>(
    low: &[u8; LANES],
    high: __m256i,
    out: &mut [u8; 2 * LANES],
) {
    // SAFETY: a vector is read from 32 bytes, at any alignment.
    let low = unsafe { _mm256_loadu_si256(low.as_ptr().cast()) };
    let rotate = |words: __m256i| match ROTATED {
        true => _mm256_or_si256(_mm256_srli_epi16::<1>(words), _mm256_slli_epi16::<15>(words)),
        false => words,
    };
    // Each holds words of either half of the bytes.
    let first = rotate(_mm256_unpacklo_epi8(low, high));
    let second = rotate(_mm256_unpackhi_epi8(low, high));
    let words = [
        _mm256_permute2x128_si256::<0x20>(first, second),
        _mm256_permute2x128_si256::<0x31>(first, second),
    ];
    for (words, out) in words.into_iter().zip(out.as_chunks_mut::<LANES>().0) {
        // SAFETY: a vector is written over 32 bytes, at any alignment.
        unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), words) }
    }
}

#[target_feature(enable = "avx2,popcnt")]
fn run_of_groups(
    states: &mut [u32; LANES],
    words: &[U16],
    tables: &[u32],
    run: &Run<'_>,
    trellis_states: &mut [u8; LANES],
    out: &mut [[i16; LANES]],
) -> (usize, usize) {
    let last = run.starts.iter().flatten().max().map_or(0, |&start| start as usize);
    assert!(last + (2 << PRECISION) <= tables.len(), "two tables from every start");
    // SAFETY: below, an index is a start, a half times 2^12, and a slot below 2^12.
    let entry = |index: u32| unsafe { *tables.get_unchecked(index as usize) };
    let [by_state, by_symbol] =
        run.machine.generators.map(|generators| _mm256_set1_epi8(generators as i8));
    let one = _mm256_set1_epi8(1);
    let mut vectors = load(states);
    // SAFETY: a vector is read from 32 bytes, at any alignment.
    let mut machine = unsafe { _mm256_loadu_si256(trellis_states.as_ptr().cast()) };
    let (mut done, mut used) = (0, 0);
    for (&class, out) in run.classes.iter().zip(out) {
        let Some(window) = words[used..].first_chunk() else { break };
        let starts = load(&run.starts[usize::from(class)]);
        let bits = _mm256_and_si256(machine, one);
        let tables = widen(bits).map(|bits| _mm256_slli_epi32::<{ PRECISION as i32 }>(bits));
        let mut entries = vectors;
        for ((x, start), table) in entries.iter_mut().zip(starts).zip(tables) {
            let slot = _mm256_and_si256(*x, _mm256_set1_epi32((1 << PRECISION) - 1));
            *x = look_up(_mm256_add_epi32(_mm256_add_epi32(start, table), slot), entry);
        }
        let symbols = narrow(entries);
        let escapes = _mm256_cmpeq_epi8(symbols, _mm256_set1_epi8(ESCAPE as i8));
        if _mm256_movemask_epi8(escapes) != 0 {
            break;
        }
        used += advance(&mut vectors, entries, window);
        put_points(symbols, bits, out);
        // Bytes have no shifts of their own.
        let shifted = _mm256_srli_epi16::<1>(_mm256_andnot_si256(one, machine));
        let flips_by_state = _mm256_and_si256(_mm256_cmpeq_epi8(bits, one), by_state);
        let odd = _mm256_cmpeq_epi8(_mm256_and_si256(symbols, one), one);
        let flips = _mm256_xor_si256(flips_by_state, _mm256_and_si256(odd, by_symbol));
        machine = _mm256_xor_si256(shifted, flips);
        done += 1;
    }
    store(vectors, states);
    // SAFETY: a vector is written over 32 bytes, at any alignment.
    unsafe { _mm256_storeu_si256(trellis_states.as_mut_ptr().cast(), machine) };
    (done, used)
}

/// Bytes of 32 lanes as integers of four bytes.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn widen(bytes: __m256i) -> [__m256i; 4] {
    let (low, high) = (_mm256_castsi256_si128(bytes), _mm256_extracti128_si256::<1>(bytes));
    [low, _mm_srli_si128::<8>(low), high, _mm_srli_si128::<8>(high)]
        .map(|bytes| _mm256_cvtepu8_epi32(bytes))
}

/// The lowest byte of each lane.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn narrow(entries: [__m256i; 4]) -> __m256i {
    let symbols = entries.map(|entries| _mm256_and_si256(entries, _mm256_set1_epi32(0xff)));
    // Packing works on the halves of vectors; the last step puts fours of lanes in their order.
    let low = _mm256_packus_epi32(symbols[0], symbols[1]);
    let high = _mm256_packus_epi32(symbols[2], symbols[3]);
    let packed = _mm256_packus_epi16(low, high);
    let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    _mm256_permutevar8x32_epi32(packed, order)
}

/// Puts `2 (symbol − 128) + bit` of each lane.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn put_points(symbols: __m256i, bits: __m256i, out: &mut [i16; LANES]) {
    // 2 s + 1 b: of bytes side by side, without sign by with sign.
    let weights = _mm256_set1_epi16(0x0102);
    let centre = _mm256_set1_epi16(2 * CENTRE as i16);
    let low = _mm256_maddubs_epi16(_mm256_unpacklo_epi8(symbols, bits), weights);
    let high = _mm256_maddubs_epi16(_mm256_unpackhi_epi8(symbols, bits), weights);
    // Each holds eight lanes of either half of the bytes.
    let first = _mm256_permute2x128_si256::<0x20>(low, high);
    let second = _mm256_permute2x128_si256::<0x31>(low, high);
    for (points, out) in [first, second].into_iter().zip(out.as_chunks_mut::<16>().0) {
        let points = _mm256_sub_epi16(points, centre);
        // SAFETY: a vector is written over sixteen integers, at any alignment.
        unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), points) }
    }
}

#[inline]
#[target_feature(enable = "avx2,popcnt")]
pub(super) fn load(states: &[u32; LANES]) -> [__m256i; 4] {
    let (vectors, _) = states.as_chunks::<WIDTH>();
    // SAFETY: a vector is read from eight integers, at any alignment.
    std::array::from_fn(|i| unsafe { _mm256_loadu_si256(vectors[i].as_ptr().cast()) })
}

#[inline]
#[target_feature(enable = "avx2,popcnt")]
pub(super) fn store(vectors: [__m256i; 4], states: &mut [u32; LANES]) {
    for (vector, states) in vectors.into_iter().zip(states.as_chunks_mut::<WIDTH>().0) {
        // SAFETY: a vector is written over eight integers, at any alignment.
        unsafe { _mm256_storeu_si256(states.as_mut_ptr().cast(), vector) }
    }
}

/// Table entries of eight lanes, one at a time: faster than to gather them.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
pub(super) fn look_up(indices: __m256i, entry: impl Fn(u32) -> u32) -> __m256i {
    // Two to a word: fewer reads, and processors have time to take them apart.
    let mut pairs = [0u64; WIDTH / 2];
    // SAFETY: a vector is written over four integers of eight bytes, at any alignment.
    unsafe { _mm256_storeu_si256(pairs.as_mut_ptr().cast(), indices) };
    let at = |lane: usize| entry((pairs[lane / 2] >> (lane % 2 * 32)) as u32) as i32;
    _mm256_setr_epi32(at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7))
}

/// Updates and renormalises all lanes by their table entries; returns how many words were taken.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn advance(states: &mut [__m256i; 4], entries: [__m256i; 4], window: &[U16; LANES]) -> usize {
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
    used
}
