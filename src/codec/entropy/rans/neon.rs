//! Decoding with NEON: four lanes in a vector, eight vectors in a group.
#![allow(unsafe_code)]

use super::stream::Stream;
use super::{GroupRun, LANES, PRECISION, STATE_MIN};
use crate::arch::Neon;
use crate::codec::entropy::{CENTRE, ESCAPE};
use std::arch::aarch64::*;
use zerocopy::little_endian::U16;

/// Lanes of a vector and vectors of a group.
const WIDTH: usize = 4;
const VECTORS: usize = LANES / WIDTH;

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

/// Decodes as [`decode_run`](super::state_machine::decode_run) does.
pub(super) fn decode_run(
    _: Neon,
    states: &mut [u32; LANES],
    words: &[U16],
    tables: &[u32],
    run: &GroupRun<'_>,
    trellis_states: &mut [u8; LANES],
    out: &mut [[i16; LANES]],
) -> (usize, usize) {
    // SAFETY: the token is proof of NEON.
    unsafe { run_of_groups(states, words, tables, run, trellis_states, out) }
}

#[target_feature(enable = "neon")]
fn windows<const S: usize>(
    streams: &mut [Stream<'_>; S],
    table: &[u32; 1 << PRECISION],
    groups: &mut [[u8; LANES]],
) -> usize {
    let mut vectors = [[vdupq_n_u32(0); VECTORS]; S];
    let mut words = [&[][..]; S];
    for (i, stream) in streams.iter().enumerate() {
        (vectors[i], words[i]) = (load(&stream.states), stream.words);
    }
    let slots = vdupq_n_u32((1 << PRECISION) - 1);
    let entry = |slot: u32| table[slot as usize % (1 << PRECISION)];
    let mut done = 0;
    for groups in groups.as_chunks_mut::<S>().0 {
        let Some(windows) = next_windows(&words) else { break };
        for (i, group) in groups.iter_mut().enumerate() {
            let entries = vectors[i].map(|x| look_up(vandq_u32(x, slots), entry));
            let used = advance(&mut vectors[i], entries, windows[i]);
            words[i] = &words[i][used..];
            store_bytes(narrow(entries), group);
        }
        done += S;
    }
    for (i, stream) in streams.iter_mut().enumerate() {
        store(vectors[i], &mut stream.states);
        stream.words = words[i];
    }
    done
}

#[target_feature(enable = "neon")]
fn run_of_groups(
    states: &mut [u32; LANES],
    words: &[U16],
    tables: &[u32],
    run: &GroupRun<'_>,
    trellis_states: &mut [u8; LANES],
    out: &mut [[i16; LANES]],
) -> (usize, usize) {
    let last = run.starts.iter().flatten().max().map_or(0, |&start| start as usize);
    assert!(last + (2 << PRECISION) <= tables.len(), "every start has two tables");
    // SAFETY: an index is the sum of a start, 0 or 2^12, and a slot below 2^12. It is in bounds by
    // the assertion.
    let entry = |index: u32| unsafe { *tables.get_unchecked(index as usize) };
    let [by_state, by_symbol] = run.machine.generators.map(|generators| vdupq_n_u8(generators));
    let one = vdupq_n_u8(1);
    let mut vectors = load(states);
    let mut machine = load_bytes(trellis_states);
    let (mut done, mut used) = (0, 0);
    for (&class, out) in run.classes.iter().zip(out) {
        let Some(window) = words[used..].first_chunk() else { break };
        let starts = load(&run.starts[usize::from(class)]);
        let bits = machine.map(|machine| vandq_u8(machine, one));
        let mut entries = vectors;
        for ((x, start), offset) in entries.iter_mut().zip(starts).zip(table_offsets(bits)) {
            let slot = vandq_u32(*x, vdupq_n_u32((1 << PRECISION) - 1));
            *x = look_up(vaddq_u32(vaddq_u32(start, offset), slot), entry);
        }
        let symbols = narrow(entries);
        let [first, second] = symbols.map(|symbols| vceqq_u8(symbols, vdupq_n_u8(ESCAPE)));
        if vmaxvq_u8(vorrq_u8(first, second)) != 0 {
            break;
        }
        used += advance(&mut vectors, entries, window);
        put_points(symbols, bits, out);
        for ((machine, bits), symbols) in machine.iter_mut().zip(bits).zip(symbols) {
            let flips_by_state = vandq_u8(vceqq_u8(bits, one), by_state);
            let flips = veorq_u8(flips_by_state, vandq_u8(vtstq_u8(symbols, one), by_symbol));
            *machine = veorq_u8(vshrq_n_u8::<1>(*machine), flips);
        }
        done += 1;
    }
    store(vectors, states);
    store_bytes(machine, trellis_states);
    (done, used)
}

/// The offset of the table that each lane's bit selects: 0 or 2^12.
#[inline]
#[target_feature(enable = "neon")]
fn table_offsets(bits: [uint8x16_t; 2]) -> [uint32x4_t; VECTORS] {
    const SHIFT: i32 = PRECISION as i32;
    let [a, b] = bits.map(|bits| [vmovl_u8(vget_low_u8(bits)), vmovl_high_u8(bits)]);
    let [a, b, c, d] = [a[0], a[1], b[0], b[1]]
        .map(|bits| [vshll_n_u16::<SHIFT>(vget_low_u16(bits)), vshll_high_n_u16::<SHIFT>(bits)]);
    [a[0], a[1], b[0], b[1], c[0], c[1], d[0], d[1]]
}

/// The lowest byte of each lane: the symbols of table entries.
#[inline]
#[target_feature(enable = "neon")]
fn narrow(entries: [uint32x4_t; VECTORS]) -> [uint8x16_t; 2] {
    let entries = entries.map(|entries| vreinterpretq_u16_u32(entries));
    let pair = |i: usize| vreinterpretq_u8_u16(vuzp1q_u16(entries[i], entries[i + 1]));
    [vuzp1q_u8(pair(0), pair(2)), vuzp1q_u8(pair(4), pair(6))]
}

/// Writes `2 (symbol − 128) + bit` of each lane.
#[inline]
#[target_feature(enable = "neon")]
fn put_points(symbols: [uint8x16_t; 2], bits: [uint8x16_t; 2], out: &mut [i16; LANES]) {
    let centre = vdupq_n_u16(2 * CENTRE as u16);
    let halves = symbols.into_iter().zip(bits);
    for ((symbols, bits), out) in halves.zip(out.as_chunks_mut::<16>().0) {
        let low = vaddw_u8(vshll_n_u8::<1>(vget_low_u8(symbols)), vget_low_u8(bits));
        let high = vaddw_high_u8(vshll_high_n_u8::<1>(symbols), bits);
        for (sums, out) in [low, high].into_iter().zip(out.as_chunks_mut::<8>().0) {
            let points = vreinterpretq_s16_u16(vsubq_u16(sums, centre));
            // SAFETY: a vector is written over eight integers.
            unsafe { vst1q_s16(out.as_mut_ptr(), points) }
        }
    }
}

#[inline]
#[target_feature(enable = "neon")]
fn load(states: &[u32; LANES]) -> [uint32x4_t; VECTORS] {
    let (vectors, _) = states.as_chunks::<WIDTH>();
    // SAFETY: a vector is read from four integers.
    std::array::from_fn(|i| unsafe { vld1q_u32(vectors[i].as_ptr()) })
}

#[inline]
#[target_feature(enable = "neon")]
fn store(vectors: [uint32x4_t; VECTORS], states: &mut [u32; LANES]) {
    for (vector, states) in vectors.into_iter().zip(states.as_chunks_mut::<WIDTH>().0) {
        // SAFETY: a vector is written over four integers.
        unsafe { vst1q_u32(states.as_mut_ptr(), vector) }
    }
}

#[inline]
#[target_feature(enable = "neon")]
fn load_bytes(bytes: &[u8; LANES]) -> [uint8x16_t; 2] {
    let (halves, _) = bytes.as_chunks::<16>();
    // SAFETY: a vector is read from 16 bytes.
    std::array::from_fn(|i| unsafe { vld1q_u8(halves[i].as_ptr()) })
}

#[inline]
#[target_feature(enable = "neon")]
fn store_bytes(vectors: [uint8x16_t; 2], bytes: &mut [u8; LANES]) {
    for (vector, bytes) in vectors.into_iter().zip(bytes.as_chunks_mut::<16>().0) {
        // SAFETY: a vector is written over 16 bytes.
        unsafe { vst1q_u8(bytes.as_mut_ptr(), vector) }
    }
}

/// Table entries of four lanes, one at a time.
#[inline]
#[target_feature(enable = "neon")]
fn look_up(indices: uint32x4_t, entry: impl Fn(u32) -> u32) -> uint32x4_t {
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
fn advance(
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
        let bias = vandq_u32(vshrq_n_u32::<8>(entries), vdupq_n_u32(0xfff));
        let next = vmlaq_u32(bias, frequency, vshrq_n_u32::<{ PRECISION as i32 }>(*x));
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
