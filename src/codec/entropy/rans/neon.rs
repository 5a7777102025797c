//! Decoding with NEON: four lanes in a vector, eight vectors in a group.
#![allow(unsafe_code)]

use super::stream::Stream;
use super::{LANES, PRECISION, STATE_MIN};
use crate::arch::Neon;
use std::arch::aarch64::*;
use zerocopy::little_endian::U16;

/// Lanes of a vector and vectors of a group.
const WIDTH: usize = 4;
pub(super) const VECTORS: usize = LANES / WIDTH;

/// Byte shuffles that distribute the next words to a set of lanes. Indexed by the set of lanes that
/// consume a word.
static EXPANDED: [[u8; 16]; 16] = expanded();

const fn expanded() -> [[u8; 16]; 16] {
    // An index out of range selects zero.
    let mut all = [[0xff; 16]; 16];
    let mut takers = 0;
    while takers < 16 {
        let (mut lane, mut word) = (0, 0);
        while lane < WIDTH {
            if takers >> lane & 1 == 1 {
                all[takers][4 * lane] = 2 * word;
                all[takers][4 * lane + 1] = 2 * word + 1;
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
    _: Neon,
    streams: &mut [Stream<'_>; S],
    table: &[u32; 1 << PRECISION],
    groups: &mut [[u8; LANES]],
) -> usize {
    // SAFETY: the token is proof of NEON.
    unsafe { windows(streams, table, groups) }
}

#[target_feature(enable = "neon")]
fn windows<const S: usize>(
    streams: &mut [Stream<'_>; S],
    table: &[u32; 1 << PRECISION],
    groups: &mut [[u8; LANES]],
) -> usize {
    let mut vectors = [[vdupq_n_u32(0); VECTORS]; S];
    for (vectors, stream) in vectors.iter_mut().zip(&*streams) {
        *vectors = load(&stream.states);
    }
    let slots = vdupq_n_u32((1 << PRECISION) - 1);
    let entry = |slot: u32| table[slot as usize % (1 << PRECISION)];
    let mut done = 0;
    for groups in groups.as_chunks_mut::<S>().0 {
        if streams.iter().any(|stream| stream.words.len() < LANES) {
            break;
        }
        for ((group, vectors), stream) in groups.iter_mut().zip(&mut vectors).zip(&mut *streams) {
            let Some(window) = stream.words.first_chunk() else {
                unreachable!("every stream has 32 words")
            };
            let entries = vectors.map(|x| look_up(vandq_u32(x, slots), entry));
            let used = advance(vectors, entries, window);
            stream.words = &stream.words[used..];
            store_bytes(narrow(entries), group);
        }
        done += S;
    }
    for (vectors, stream) in vectors.into_iter().zip(streams) {
        store(vectors, &mut stream.states);
    }
    done
}

/// The lowest byte of each lane: the symbols of table entries.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn narrow(entries: [uint32x4_t; VECTORS]) -> [uint8x16_t; 2] {
    let entries = entries.map(|entries| vreinterpretq_u16_u32(entries));
    let pair = |i: usize| vreinterpretq_u8_u16(vuzp1q_u16(entries[i], entries[i + 1]));
    [vuzp1q_u8(pair(0), pair(2)), vuzp1q_u8(pair(4), pair(6))]
}

#[inline]
#[target_feature(enable = "neon")]
pub(super) fn load(states: &[u32; LANES]) -> [uint32x4_t; VECTORS] {
    let (vectors, _) = states.as_chunks::<WIDTH>();
    // SAFETY: a vector is read from four integers.
    std::array::from_fn(|i| unsafe { vld1q_u32(vectors[i].as_ptr()) })
}

#[inline]
#[target_feature(enable = "neon")]
pub(super) fn store(vectors: [uint32x4_t; VECTORS], states: &mut [u32; LANES]) {
    for (vector, states) in vectors.into_iter().zip(states.as_chunks_mut::<WIDTH>().0) {
        // SAFETY: a vector is written over four integers.
        unsafe { vst1q_u32(states.as_mut_ptr(), vector) }
    }
}

#[inline]
#[target_feature(enable = "neon")]
pub(super) fn store_bytes(vectors: [uint8x16_t; 2], bytes: &mut [u8; LANES]) {
    for (vector, bytes) in vectors.into_iter().zip(bytes.as_chunks_mut::<16>().0) {
        // SAFETY: a vector is written over 16 bytes.
        unsafe { vst1q_u8(bytes.as_mut_ptr(), vector) }
    }
}

/// Table entries of four lanes, one at a time.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn look_up(indices: uint32x4_t, entry: impl Fn(u32) -> u32) -> uint32x4_t {
    // Two indices in a word: fewer moves out of the vector.
    let pairs = vreinterpretq_u64_u32(indices);
    let [low, high] = [vgetq_lane_u64::<0>(pairs), vgetq_lane_u64::<1>(pairs)];
    let entries = [low, low >> 32, high, high >> 32].map(|index| entry(index as u32));
    // SAFETY: a vector is read from four integers.
    unsafe { vld1q_u32(entries.as_ptr()) }
}

/// Updates and renormalises the states of all lanes. Returns the number of consumed words.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn advance(
    states: &mut [uint32x4_t; VECTORS],
    entries: [uint32x4_t; VECTORS],
    window: &[U16; LANES],
) -> usize {
    // The sum over consuming lanes holds their set in the low nibble and their number above it.
    // SAFETY: a vector is read from four integers.
    let counted = unsafe { vld1q_u32([0x11, 0x12, 0x14, 0x18].as_ptr()) };
    let mut used = 0;
    for (x, entries) in states.iter_mut().zip(entries) {
        let frequency = vshrq_n_u32::<20>(entries);
        let rank = vandq_u32(vshrq_n_u32::<8>(entries), vdupq_n_u32(0xfff));
        let next = vmlaq_u32(rank, frequency, vshrq_n_u32::<{ PRECISION as i32 }>(*x));
        let takes = vcltq_u32(next, vdupq_n_u32(STATE_MIN));
        let takers = vaddvq_u32(vandq_u32(takes, counted)) as usize;
        // The window has four more words: each of the vectors before consumed at most four.
        let words: &[U16; WIDTH] = match window[used..].first_chunk() {
            Some(words) => words,
            None => unreachable!("a window has 32 words for 32 lanes"),
        };
        // SAFETY: eight bytes are read from four words, and sixteen from a row of the table.
        let (words, expanded) =
            unsafe { (vld1_u8(words.as_ptr().cast()), vld1q_u8(EXPANDED[takers & 0xf].as_ptr())) };
        let words = vqtbl1q_u8(vcombine_u8(words, words), expanded);
        let shifted = vorrq_u32(vshlq_n_u32::<16>(next), vreinterpretq_u32_u8(words));
        *x = vbslq_u32(takes, shifted, next);
        used += takers >> 4;
    }
    used
}
