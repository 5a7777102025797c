//! Runs with AVX2: eight lanes in a vector, four vectors in a group of each stream.
//!
//! Closures are called directly: those that are passed to functions of arrays may be compiled as calls.
#![allow(unsafe_code)]

use super::{GroupRun, RunStream};
use crate::arch::Avx2;
use crate::codec::entropy::rans::avx2::{WIDTH, advance, keep_in_registers, load, narrow, store};
use crate::codec::entropy::rans::{LANES, PRECISION};
use crate::codec::entropy::{CENTRE, ESCAPE};
use std::arch::x86_64::*;
use zerocopy::little_endian::U16;

/// Decodes as [`portable`](super::portable) does.
pub(super) fn decode_runs<const N: usize>(
    _: Avx2,
    tables: &[u32],
    run: &GroupRun<'_>,
    streams: &mut [RunStream<'_, '_>; N],
) -> usize {
    // SAFETY: the token is proof of AVX2 and POPCNT.
    unsafe { run_of_groups(tables, run, streams) }
}

/// The states of 32 lanes, and the states of their state machines in bytes.
#[derive(Clone, Copy)]
struct Lanes {
    states: [__m256i; 4],
    machines: __m256i,
}

impl Lanes {
    #[target_feature(enable = "avx2,popcnt")]
    fn load(stream: &RunStream<'_, '_>) -> Self {
        // SAFETY: a vector is read from 32 bytes, at any alignment.
        let machines = unsafe { _mm256_loadu_si256(stream.trellis_states.as_ptr().cast()) };
        Self { states: load(&stream.stream.states), machines }
    }

    #[target_feature(enable = "avx2,popcnt")]
    fn store(self, stream: &mut RunStream<'_, '_>) {
        store(self.states, &mut stream.stream.states);
        // SAFETY: a vector is written over 32 bytes, at any alignment.
        unsafe { _mm256_storeu_si256(stream.trellis_states.as_mut_ptr().cast(), self.machines) };
    }

    /// The lowest bits of the state machines, which select tables.
    #[inline]
    #[target_feature(enable = "avx2,popcnt")]
    fn bits(self) -> __m256i {
        _mm256_and_si256(self.machines, _mm256_set1_epi8(1))
    }

    /// The indices of the table entries of all lanes, whose first tables start at `starts`.
    #[inline]
    #[target_feature(enable = "avx2,popcnt")]
    fn indices(self, starts: &[u32; LANES]) -> [__m256i; 4] {
        let mut indices = self.states;
        for ((x, start), bits) in indices.iter_mut().zip(load(starts)).zip(widen(self.bits())) {
            let table = _mm256_slli_epi32::<{ PRECISION as i32 }>(bits);
            let slot = _mm256_and_si256(*x, _mm256_set1_epi32((1 << PRECISION) - 1));
            *x = _mm256_add_epi32(_mm256_add_epi32(start, table), slot);
        }
        indices
    }

    /// Consumes the symbols of a group. `flips` are the generators of the state machine.
    ///
    /// # Safety
    /// At least 32 words must be left.
    #[inline]
    #[target_feature(enable = "avx2,popcnt")]
    unsafe fn update(
        &mut self,
        entries: [__m256i; 4],
        symbols: __m256i,
        [by_state, by_symbol]: [__m256i; 2],
        words: &mut &[U16],
        out: &mut [i16; LANES],
    ) {
        // SAFETY: the caller ensures that 32 words are left.
        let used = unsafe { advance(&mut self.states, entries, words, 0) };
        keep_in_registers(&mut self.states);
        *words = &words[used..];
        let (bits, one) = (self.bits(), _mm256_set1_epi8(1));
        put_points(symbols, bits, out);
        // There is no shift of bytes: clear the lowest bit and shift words.
        let shifted = _mm256_srli_epi16::<1>(_mm256_andnot_si256(one, self.machines));
        let flips_by_state = _mm256_and_si256(_mm256_cmpeq_epi8(bits, one), by_state);
        let odd = _mm256_cmpeq_epi8(_mm256_and_si256(symbols, one), one);
        let flips = _mm256_xor_si256(flips_by_state, _mm256_and_si256(odd, by_symbol));
        self.machines = _mm256_xor_si256(shifted, flips);
    }
}

#[target_feature(enable = "avx2,popcnt")]
fn run_of_groups<const N: usize>(
    tables: &[u32],
    run: &GroupRun<'_>,
    streams: &mut [RunStream<'_, '_>; N],
) -> usize {
    const { assert!(N == 1 || N == 2) };
    let starts = streams.iter().flat_map(|stream| stream.tables.starts.as_flattened());
    let last = starts.max().map_or(0, |&start| start as usize);
    assert!(last + (2 << PRECISION) <= tables.len(), "every start has two tables");
    // SAFETY: an index is the sum of a start, 0 or 2^12, and a slot below 2^12. It is in bounds by
    // the assertion.
    let entry = |index: u32| unsafe { *tables.get_unchecked(index as usize) };
    let flips = run.machine.generators.map(|generators| _mm256_set1_epi8(generators as i8));
    let mut lanes: [_; N] = std::array::from_fn(|i| Lanes::load(&streams[i]));
    let mut words: [_; N] = std::array::from_fn(|i| streams[i].stream.words);
    let mut done = 0;
    for &class in run.classes {
        if words.iter().any(|words| words.len() < LANES) {
            break;
        }
        // First all look-ups, then all updates: a group with an escape changes nothing. Not loops over
        // the streams: vectors would be kept in memory, in halves.
        let class = usize::from(class);
        let mut first = lanes[0].indices(&streams[0].tables.starts[class]);
        for x in &mut first {
            *x = look_up(*x, entry);
        }
        let first_symbols = narrow(first);
        let (mut last, mut last_symbols) = (first, first_symbols);
        if N == 2 {
            last = lanes[N - 1].indices(&streams[N - 1].tables.starts[class]);
            for x in &mut last {
                *x = look_up(*x, entry);
            }
            last_symbols = narrow(last);
        }
        // The escape is the smallest symbol.
        let least = _mm256_min_epu8(first_symbols, last_symbols);
        let escapes = _mm256_cmpeq_epi8(least, _mm256_set1_epi8(ESCAPE as i8));
        if _mm256_movemask_epi8(escapes) != 0 {
            break;
        }
        let out = &mut streams[0].out[done];
        // SAFETY: all streams have 32 words left.
        unsafe { lanes[0].update(first, first_symbols, flips, &mut words[0], out) };
        if N == 2 {
            let (words, out) = (&mut words[N - 1], &mut streams[N - 1].out[done]);
            // SAFETY: all streams have 32 words left.
            unsafe { lanes[N - 1].update(last, last_symbols, flips, words, out) };
        }
        done += 1;
    }
    for (i, stream) in streams.iter_mut().enumerate() {
        stream.stream.words = words[i];
        lanes[i].store(stream);
    }
    done
}

/// The bytes of 32 lanes, extended to 32 bits.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn widen(bytes: __m256i) -> [__m256i; 4] {
    let (low, high) = (_mm256_castsi256_si128(bytes), _mm256_extracti128_si256::<1>(bytes));
    [low, _mm_srli_si128::<8>(low), high, _mm_srli_si128::<8>(high)]
        .map(|bytes| _mm256_cvtepu8_epi32(bytes))
}

/// Writes `2 (symbol − 128) + bit` of each lane.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn put_points(symbols: __m256i, bits: __m256i, out: &mut [i16; LANES]) {
    // 2 · symbol + 1 · bit of interleaved bytes.
    let weights = _mm256_set1_epi16(0x0102);
    let centre = _mm256_set1_epi16(2 * CENTRE as i16);
    let low = _mm256_maddubs_epi16(_mm256_unpacklo_epi8(symbols, bits), weights);
    let high = _mm256_maddubs_epi16(_mm256_unpackhi_epi8(symbols, bits), weights);
    // Unpacking works within 128-bit halves.
    let first = _mm256_permute2x128_si256::<0x20>(low, high);
    let second = _mm256_permute2x128_si256::<0x31>(low, high);
    for (points, out) in [first, second].into_iter().zip(out.as_chunks_mut::<16>().0) {
        let points = _mm256_sub_epi16(points, centre);
        // SAFETY: a vector is written over sixteen integers, at any alignment.
        unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), points) }
    }
}

/// Table entries of eight lanes. Entries are joined before they become a vector: two streams, whose
/// latencies overlap, are decoded 1.15 times as fast as with the usual look-ups.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn look_up(indices: __m256i, entry: impl Fn(u32) -> u32) -> __m256i {
    let mut pairs = [0u64; WIDTH / 2];
    // SAFETY: a vector is written over four integers of eight bytes, at any alignment.
    unsafe { _mm256_storeu_si256(pairs.as_mut_ptr().cast(), indices) };
    let at = |lane: usize| u64::from(entry((pairs[lane / 2] >> (lane % 2 * 32)) as u32));
    let two = |lane: usize| (at(lane) | at(lane + 1) << 32) as i64;
    _mm256_setr_epi64x(two(0), two(2), two(4), two(6))
}
