//! Encoding with AVX2: eight lanes in a vector, four vectors in a group.
#![allow(unsafe_code)]

use super::stream::{BLOCK, Stream};
use super::tables::SymbolTables;
use crate::arch::Avx2;
use crate::codec::entropy::rans::avx2::{WIDTH, load, store};
use crate::codec::entropy::rans::{LANES, PRECISION};
use std::arch::x86_64::*;

/// Byte shuffles that compact the words of a set of lanes at the end of a vector of eight words, in
/// the order of lanes. Indexed by the set of lanes.
static COMPACTED: [[u8; 16]; 256] = compacted();

const fn compacted() -> [[u8; 16]; 256] {
    let mut all = [[0x80; 16]; 256];
    let mut emitters = 0;
    while emitters < 256 {
        let (mut lane, mut word) = (WIDTH, WIDTH);
        while lane > 0 {
            lane -= 1;
            if emitters >> lane & 1 == 1 {
                word -= 1;
                all[emitters][2 * word] = 2 * lane as u8;
                all[emitters][2 * word + 1] = 2 * lane as u8 + 1;
            }
        }
        emitters += 1;
    }
    all
}

/// Encodes blocks of two groups, which alternate between one or two streams, the last block first, until
/// one has a symbol of frequency 0. Returns how many are left. Every stream must have room for eight
/// words more than symbols.
pub(super) fn encode<const N: usize, T: SymbolTables>(
    _: Avx2,
    streams: &mut [Stream<'_>; N],
    blocks: &[[T::Symbol; BLOCK]],
    tables: T,
) -> usize {
    // SAFETY: the token is proof of AVX2 and POPCNT.
    unsafe { push_blocks(streams, blocks, tables) }
}

#[target_feature(enable = "avx2,popcnt")]
fn push_blocks<const N: usize, T: SymbolTables>(
    streams: &mut [Stream<'_>; N],
    blocks: &[[T::Symbol; BLOCK]],
    tables: T,
) -> usize {
    let mut vectors = [[_mm256_setzero_si256(); 4]; N];
    let mut cursors = [0; N];
    for (i, stream) in streams.iter().enumerate() {
        (vectors[i], cursors[i]) = (load(&stream.states), stream.cursor);
    }
    let mut left = blocks.len();
    while let Some(block) = blocks[..left].last() {
        let before = (vectors, cursors);
        let mut rarest = _mm256_set1_epi32(i32::MAX);
        let groups: &[[T::Symbol; LANES]] = block.as_chunks().0;
        for number in [1, 0] {
            let i = number % N;
            let group = groups[number].as_chunks::<WIDTH>().0;
            for (x, symbols) in vectors[i].iter_mut().zip(group).rev() {
                // The order that the shuffles below separate into low and high halves.
                let [a, b, e, f, c, d, g, h] = *symbols;
                let low = vector_of(
                    tables.entry(a).0,
                    tables.entry(b).0,
                    tables.entry(c).0,
                    tables.entry(d).0,
                );
                let high = vector_of(
                    tables.entry(e).0,
                    tables.entry(f).0,
                    tables.entry(g).0,
                    tables.entry(h).0,
                );
                let reciprocals =
                    _mm256_castps_si256(_mm256_shuffle_ps::<0b10_00_10_00>(low, high));
                let rest = _mm256_castps_si256(_mm256_shuffle_ps::<0b11_01_11_01>(low, high));
                let frequencies = _mm256_and_si256(rest, _mm256_set1_epi32(0xfff));
                rarest = _mm256_min_epi32(rarest, frequencies);
                let (next, emitted, count) = push(*x, reciprocals, frequencies, rest);
                *x = next;
                if T::HAS_SLOTS {
                    let mut states = [0u32; WIDTH];
                    // SAFETY: a vector is written over eight integers, at any alignment.
                    unsafe { _mm256_storeu_si256(states.as_mut_ptr().cast(), *x) };
                    for (state, symbol) in states.iter_mut().zip(symbols) {
                        *state = tables.place(*symbol, *state);
                    }
                    // SAFETY: a vector is read from eight integers, at any alignment.
                    *x = unsafe { _mm256_loadu_si256(states.as_ptr().cast()) };
                }
                let Some(out) = streams[i].words[..cursors[i]].last_chunk_mut::<WIDTH>() else {
                    unreachable!("there is room for eight words more than symbols")
                };
                // SAFETY: 16 bytes are written over eight words, at any alignment.
                unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), emitted) };
                cursors[i] -= count;
            }
        }
        let zeros = _mm256_cmpeq_epi32(rarest, _mm256_setzero_si256());
        if _mm256_movemask_epi8(zeros) != 0 {
            (vectors, cursors) = before;
            break;
        }
        left -= 1;
    }
    for (i, stream) in streams.iter_mut().enumerate() {
        store(vectors[i], &mut stream.states);
        stream.cursor = cursors[i];
    }
    left
}

#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn vector_of(a: u64, b: u64, c: u64, d: u64) -> __m256 {
    let low = _mm_set_epi64x(b as i64, a as i64);
    let high = _mm_set_epi64x(d as i64, c as i64);
    _mm256_castsi256_ps(_mm256_set_m128i(high, low))
}

/// Encodes one symbol in each of eight lanes. Returns the next states, the emitted words (at the end
/// of the vector) and their number.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn push(
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
    let emitters = !_mm256_movemask_ps(_mm256_castsi256_ps(keeps)) as usize & 0xff;
    // The low words of all lanes, then the emitted words among them.
    let low = _mm256_set1_epi64x(0x0d0c_0908_0504_0100);
    let low = _mm256_permute4x64_epi64::<0b10_00>(_mm256_shuffle_epi8(x, low));
    // SAFETY: sixteen bytes are read from a row of the table.
    let compacted = unsafe { _mm_loadu_si128(COMPACTED[emitters].as_ptr().cast()) };
    let emitted = _mm_shuffle_epi8(_mm256_castsi256_si128(low), compacted);
    let x = _mm256_blendv_epi8(_mm256_srli_epi32::<16>(x), x, keeps);
    // Products of 32 bits: even lanes, then odd lanes.
    let sum = _mm256_add_epi32(x, summand);
    let even = _mm256_mul_epu32(sum, reciprocals);
    let odd = _mm256_mul_epu32(_mm256_srli_epi64::<32>(sum), _mm256_srli_epi64::<32>(reciprocals));
    let product = _mm256_blend_epi32::<0b1010_1010>(_mm256_srli_epi64::<32>(even), odd);
    let quotient = _mm256_srlv_epi32(product, shift);
    // quotient << 12 plus the remainder and the symbol's first slot.
    let others = _mm256_sub_epi32(_mm256_set1_epi32(1 << PRECISION), frequency);
    let moved = _mm256_add_epi32(x, _mm256_mullo_epi32(quotient, others));
    (_mm256_add_epi32(moved, cumulative), emitted, emitters.count_ones() as usize)
}
