//! Decoding with AVX2: eight lanes in a vector, four vectors in a group.
#![allow(unsafe_code)]

use super::stream::Stream;
use super::{LANES, PRECISION, PairedBytes, PairedParts, PairedWords};
use crate::arch::Avx2;
use std::arch::asm;
use std::arch::x86_64::*;
use zerocopy::little_endian::U16;

/// Lanes of a vector.
pub(super) const WIDTH: usize = 8;

/// Byte shuffles that distribute the next words to a set of lanes. Indexed by the set of lanes that
/// consume a word.
static EXPANDED: [[u8; 16]; 256] = expanded();

const fn expanded() -> [[u8; 16]; 256] {
    // An index with the high bit set selects zero.
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

/// Decodes as [`decode_windows`](super::scalar::decode_windows) does.
pub(super) fn decode_windows<const S: usize>(
    _: Avx2,
    streams: &mut [Stream<'_>; S],
    table: &[u32; 1 << PRECISION],
    groups: &mut [[u8; LANES]],
) -> usize {
    // SAFETY: the token is proof of AVX2 and POPCNT.
    unsafe { windows_of_symbols(streams, table, groups) }
}

/// Decodes as [`decode_words`](super::scalar::decode_words) does.
pub(super) fn decode_words<const S: usize>(
    _: Avx2,
    streams: &mut [Stream<'_>; S],
    table: &[u32; 1 << PRECISION],
    low: &[[u8; LANES]],
    rotated: bool,
    out: &mut [[u8; 2 * LANES]],
) -> usize {
    match rotated {
        // SAFETY: the token is proof of AVX2 and POPCNT.
        true => unsafe { windows_of_words::<S, true>(streams, table, low, out) },
        // SAFETY: the token is proof of AVX2 and POPCNT.
        false => unsafe { windows_of_words::<S, false>(streams, table, low, out) },
    }
}

/// Decodes as [`decode_pairs`](super::scalar::decode_pairs) does.
pub(super) fn decode_pairs<const S: usize, const N: usize, const LOW_BITS: usize>(
    _: Avx2,
    streams: &mut [Stream<'_>; S],
    table: &[u32; 1 << PRECISION],
    pairs: &PairedBytes<'_>,
    out: &mut [PairedWords<N>],
) -> usize {
    // SAFETY: the token is proof of AVX2 and POPCNT.
    unsafe { windows_of_pairs::<S, N, LOW_BITS>(streams, table, pairs, out) }
}

/// Whether every stream has 32 words besides the used ones.
#[inline(always)]
pub(super) fn has_words<const S: usize>(words: &[&[U16]; S], used: [usize; S]) -> bool {
    words.iter().zip(used).all(|(words, used)| words.len() - used >= LANES)
}

/// Decodes at most `count` groups as [`decode_windows`](super::scalar::decode_windows) does and passes
/// the number of each and its symbols to `put`.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
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
        keep_in_registers(&mut vectors[0]);
        put(done, narrow(entries));
        if S == 2 {
            let mut entries = look_up_all(&vectors[last], table);
            keep_in_registers(&mut entries);
            // SAFETY: every stream has 32 words left.
            used[last] = unsafe { advance(&mut vectors[last], entries, words[last], used[last]) };
            keep_in_registers(&mut vectors[last]);
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

/// An optimisation barrier: the vectors are computed before it, in registers, and used after it. Without it
/// the compiler moves parts of one stream behind those of the other in some builds: the speed of the same
/// source varied by 20 %.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn keep_in_registers([a, b, c, d]: &mut [__m256i; 4]) {
    // SAFETY: there is no instruction, only the comment.
    unsafe {
        asm!(
            "/* {} {} {} {} */",
            inout(ymm_reg) * a,
            inout(ymm_reg) * b,
            inout(ymm_reg) * c,
            inout(ymm_reg) * d,
            options(nomem, nostack, preserves_flags),
        );
    }
}

/// The table entries of the slots of all lanes.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn look_up_all(states: &[__m256i; 4], table: &[u32; 1 << PRECISION]) -> [__m256i; 4] {
    let slots = _mm256_set1_epi32((1 << PRECISION) - 1);
    // Not `states.map`: its closure may be compiled as a call, which takes half as long again.
    let mut entries = *states;
    for x in &mut entries {
        *x = look_up(_mm256_and_si256(*x, slots), |slot| table[slot as usize % (1 << PRECISION)]);
    }
    entries
}

#[target_feature(enable = "avx2,popcnt")]
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

#[target_feature(enable = "avx2,popcnt")]
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

#[target_feature(enable = "avx2,popcnt")]
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

/// The base, shifted to the place of the paired bits.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn shifted_base<const LOW_BITS: usize>(pairs: &PairedBytes<'_>) -> __m256i {
    _mm256_set1_epi8((pairs.base << LOW_BITS) as i8)
}

/// Joins the lower bytes of words with the high bytes of pairs: first those of the low nibbles, then
/// those of the high nibbles. `base` is that of [`shifted_base`].
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn join_pairs<const N: usize, const LOW_BITS: usize>(
    parts: &PairedParts<'_, LOW_BITS>,
    number: usize,
    symbols: __m256i,
    base: __m256i,
    out: &mut PairedWords<N>,
) {
    let nibbles = [symbols, _mm256_srli_epi16::<4>(symbols)];
    let (first, second) = out.split_at_mut(N / 2);
    for (half, (nibbles, out)) in nibbles.into_iter().zip([first, second]).enumerate() {
        let nibbles = _mm256_and_si256(nibbles, _mm256_set1_epi8(0xf));
        // A nibble and up to four low bits do not exceed a byte.
        let shifted = _mm256_sll_epi16(nibbles, _mm_cvtsi32_si128(LOW_BITS as i32));
        let mut high = _mm256_sub_epi8(base, shifted);
        if LOW_BITS > 0 {
            high = _mm256_or_si256(high, low_bits(parts.low_bits(number), half));
        }
        let lower = |plane: usize| &parts.lower[plane][number].as_chunks().0[half];
        match N {
            4 => join::<true>(lower(0), high, &mut out.as_flattened_mut().as_chunks_mut().0[0]),
            _ => join_4([lower(0), lower(1), lower(2)], high, out),
        }
    }
}

/// The low bits of 32 bytes, half of a block.
#[inline]
#[target_feature(enable = "avx2")]
fn low_bits<const LOW_BITS: usize>(stored: &[[u8; 8]; LOW_BITS], half: usize) -> __m256i {
    let words = stored.map(u64::from_le_bytes);
    let lowest = _mm256_set1_epi8(1);
    let mut low = _mm256_setzero_si256();
    let counts = match half {
        0 => _mm256_setr_epi64x(0, 1, 2, 3),
        _ => _mm256_setr_epi64x(4, 5, 6, 7),
    };
    for (bit, word) in words.into_iter().enumerate() {
        let word = _mm256_set1_epi64x(word as i64);
        let of_bytes = _mm256_and_si256(_mm256_srlv_epi64(word, counts), lowest);
        low = _mm256_or_si256(low, _mm256_sll_epi16(of_bytes, _mm_cvtsi32_si128(bit as i32)));
    }
    low
}

/// Interleaves bytes to words of 32 bits, rotated right by one bit.
#[inline]
#[target_feature(enable = "avx2")]
fn join_4(lower: [&[u8; LANES]; 3], high: __m256i, out: &mut [[u8; LANES]]) {
    // SAFETY: a vector is read from 32 bytes, at any alignment.
    let load = |bytes: &[u8; LANES]| unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) };
    let [a, b, c] = [load(lower[0]), load(lower[1]), load(lower[2])];
    let rotate =
        |words| _mm256_or_si256(_mm256_srli_epi32::<1>(words), _mm256_slli_epi32::<31>(words));
    // Unpacking works within 128-bit halves.
    let (ab, cd) = (_mm256_unpacklo_epi8(a, b), _mm256_unpacklo_epi8(c, high));
    let first = [_mm256_unpacklo_epi16(ab, cd), _mm256_unpackhi_epi16(ab, cd)];
    let (ab, cd) = (_mm256_unpackhi_epi8(a, b), _mm256_unpackhi_epi8(c, high));
    let second = [_mm256_unpacklo_epi16(ab, cd), _mm256_unpackhi_epi16(ab, cd)];
    let [p, q, r, s] = [rotate(first[0]), rotate(first[1]), rotate(second[0]), rotate(second[1])];
    let words = [
        _mm256_permute2x128_si256::<0x20>(p, q),
        _mm256_permute2x128_si256::<0x20>(r, s),
        _mm256_permute2x128_si256::<0x31>(p, q),
        _mm256_permute2x128_si256::<0x31>(r, s),
    ];
    for (words, out) in words.into_iter().zip(out) {
        // SAFETY: a vector is written over 32 bytes, at any alignment.
        unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), words) }
    }
}

/// Interleaves low and high bytes to words.
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
    // Unpacking works within 128-bit halves.
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

/// The lowest byte of each lane: the symbols of table entries.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
pub(super) fn narrow(entries: [__m256i; 4]) -> __m256i {
    let symbols = entries.map(|entries| _mm256_and_si256(entries, _mm256_set1_epi32(0xff)));
    // Packing works within 128-bit halves; the permutation restores the order of lanes.
    let low = _mm256_packus_epi32(symbols[0], symbols[1]);
    let high = _mm256_packus_epi32(symbols[2], symbols[3]);
    let packed = _mm256_packus_epi16(low, high);
    let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    _mm256_permutevar8x32_epi32(packed, order)
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

/// Table entries of eight lanes, loaded one by one, which is faster than a gather.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
pub(super) fn look_up(indices: __m256i, entry: impl Fn(u32) -> u32) -> __m256i {
    // Two indices in a word: fewer loads.
    let mut pairs = [0u64; WIDTH / 2];
    // SAFETY: a vector is written over four integers of eight bytes, at any alignment.
    unsafe { _mm256_storeu_si256(pairs.as_mut_ptr().cast(), indices) };
    let at = |lane: usize| entry((pairs[lane / 2] >> (lane % 2 * 32)) as u32) as i32;
    _mm256_setr_epi32(at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7))
}

/// Updates and renormalises the states of all lanes. Returns the number of used words, which was `used`
/// before.
///
/// # Safety
/// At least 32 words must be left.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
pub(super) unsafe fn advance(
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
        let takes = _mm256_cmpeq_epi32(_mm256_srli_epi32::<16>(next), _mm256_setzero_si256());
        let takers = _mm256_movemask_ps(_mm256_castsi256_ps(takes)) as usize & 0xff;
        // SAFETY: eight words are read, of which at least as many are left, because each of the vectors
        // before used at most eight; and a row of the table.
        let (words, expanded) = unsafe {
            let words = _mm_loadu_si128(words.as_ptr().add(used).cast());
            (words, _mm_loadu_si128(EXPANDED[takers].as_ptr().cast()))
        };
        let words = _mm256_cvtepu16_epi32(_mm_shuffle_epi8(words, expanded));
        let shifted = _mm256_or_si256(_mm256_slli_epi32::<16>(next), words);
        *x = _mm256_blendv_epi8(next, shifted, takes);
        used += takers.count_ones() as usize;
    }
    used
}
