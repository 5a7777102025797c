//! Runs with AVX-512: symbols are found by the alias method, and all look-ups are permutations of vectors
//! of 32 lanes. The states are vectors of their lower and upper 16 bits.
#![allow(unsafe_code)]

use super::{GroupRun, RunStream, avx2};
use crate::arch::Avx512;
use crate::codec::entropy::CENTRE;
use crate::codec::entropy::rans::alias_table::BUCKETS;
use crate::codec::entropy::rans::alias_vectors::AliasVectors;
use crate::codec::entropy::rans::decode_tables::DecodeTables;
use crate::codec::entropy::rans::{LANES, PRECISION};
use std::arch::x86_64::*;
use zerocopy::little_endian::U16;

/// Pairs of tables of one group up to which permutations take less time than tables in memory.
const MAX_SETS: usize = 3;

/// Decodes as [`portable`](super::portable) does.
pub(super) fn decode_runs<const N: usize>(
    token: Avx512,
    tables: &DecodeTables,
    run: &GroupRun<'_>,
    streams: &mut [RunStream<'_, '_>; N],
) -> usize {
    let aliased = streams.iter().all(|stream| !stream.tables.sets.is_empty());
    let sets = streams.iter().flat_map(|stream| &stream.tables.sets);
    match sets.map(|sets| sets.0.len()).max() {
        // SAFETY: the token is proof of these instructions.
        Some(1) if aliased => unsafe { run_by_aliases::<N, true>(&tables.aliases, run, streams) },
        // SAFETY: the token is proof of these instructions.
        Some(2..=MAX_SETS) if aliased => unsafe {
            run_by_aliases::<N, false>(&tables.aliases, run, streams)
        },
        _ => avx2::decode_runs(token.avx2(), &tables.entries, run, streams),
    }
}

/// The halves of the states of 32 lanes, and the states of their state machines, in 16 bits each.
#[derive(Clone, Copy)]
struct Lanes {
    high: __m512i,
    low: __m512i,
    machine: __m512i,
}

impl Lanes {
    #[target_feature(enable = "avx512f,avx512bw")]
    fn load(stream: &RunStream<'_, '_>) -> Self {
        let states = stream.stream.states;
        Self {
            high: load_16(&states.map(|state| (state >> 16) as u16)),
            low: load_16(&states.map(|state| state as u16)),
            machine: load_16(&stream.trellis_states.map(u16::from)),
        }
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    fn store(self, stream: &mut RunStream<'_, '_>) {
        let [high, low, machine] = [self.high, self.low, self.machine].map(|it| {
            let mut lanes = [0u16; LANES];
            // SAFETY: a vector is written over 32 integers of two bytes, at any alignment.
            unsafe { _mm512_storeu_si512(lanes.as_mut_ptr().cast(), it) };
            lanes
        });
        for (lane, state) in stream.stream.states.iter_mut().enumerate() {
            *state = u32::from(high[lane]) << 16 | u32::from(low[lane]);
        }
        *stream.trellis_states = machine.map(|state| state as u8);
    }
}

/// What the tables say about the slots of 32 lanes: see [`AliasVectors`].
#[derive(Clone, Copy)]
struct Found {
    bounds: __m512i,
    own_frequencies: __m512i,
    other_frequencies: __m512i,
    rank_offsets: __m512i,
    /// The point of the symbol of bucket 0.
    origin: __m512i,
}

impl Found {
    /// In the tables `first` and `first + 1`, by the state machine of each lane.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,popcnt")]
    fn new(tables: &[AliasVectors], first: usize, lanes: Lanes) -> Self {
        let Some([even, odd]) = tables[first..].first_chunk() else {
            unreachable!("every state machine has two tables")
        };
        let is_odd = _mm512_test_epi16_mask(lanes.machine, _mm512_set1_epi16(1));
        let mut found = Self::in_table(even, 0, buckets(lanes.low));
        found.replace(is_odd, Self::in_table(odd, 1, buckets(lanes.low)));
        found
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn in_table(table: &AliasVectors, odd: i16, buckets: __m512i) -> Self {
        let look_up = |entries: &[u16; BUCKETS]| {
            let [low, high] = entries.as_chunks().0 else {
                unreachable!("64 buckets are two vectors")
            };
            _mm512_permutex2var_epi16(load_16(low), buckets, load_16(high))
        };
        Self {
            bounds: look_up(&table.bounds),
            own_frequencies: look_up(&table.own_frequencies),
            other_frequencies: look_up(&table.other_frequencies),
            rank_offsets: look_up(&table.rank_offsets),
            origin: _mm512_set1_epi16(2 * (i16::from(table.first) - 1 - CENTRE as i16) + odd),
        }
    }

    /// Replaces those of some lanes.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn replace(&mut self, lanes: u32, by: Self) {
        self.bounds = _mm512_mask_mov_epi16(self.bounds, lanes, by.bounds);
        self.own_frequencies =
            _mm512_mask_mov_epi16(self.own_frequencies, lanes, by.own_frequencies);
        self.other_frequencies =
            _mm512_mask_mov_epi16(self.other_frequencies, lanes, by.other_frequencies);
        self.rank_offsets = _mm512_mask_mov_epi16(self.rank_offsets, lanes, by.rank_offsets);
        self.origin = _mm512_mask_mov_epi16(self.origin, lanes, by.origin);
    }
}

/// The slots of 32 lanes: frequencies of their symbols times 16, ranks, and points.
#[derive(Clone, Copy)]
struct Slots {
    frequency: __m512i,
    rank: __m512i,
    point: __m512i,
}

/// The slots of a group, and whether none of them is an escape.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,popcnt")]
fn slots(found: Found, low: __m512i) -> (Slots, bool) {
    // A slot from the bound on belongs to the other symbol of the bucket.
    let slots = _mm512_and_si512(low, _mm512_set1_epi16(63));
    let key = _mm512_or_si512(_mm512_slli_epi16::<8>(slots), _mm512_set1_epi16(0xff));
    let of_other = _mm512_cmpge_epu16_mask(key, found.bounds);
    let frequency = found.own_frequencies;
    let frequency = _mm512_mask_mov_epi16(frequency, of_other, found.other_frequencies);
    let rank = _mm512_mask_add_epi16(slots, of_other, slots, found.rank_offsets);
    let number = _mm512_mask_mov_epi16(buckets(low), of_other, found.bounds);
    let number = _mm512_and_si512(number, _mm512_set1_epi16(63));
    let point = _mm512_add_epi16(_mm512_add_epi16(number, number), found.origin);
    // Symbol number 0 is the escape.
    let escapes = _mm512_testn_epi16_mask(number, number);
    (Slots { frequency, rank, point }, escapes == 0)
}

/// The buckets of slots, in the lowest six bits, which permutations use: 64 buckets of 64 slots.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,popcnt")]
fn buckets(low: __m512i) -> __m512i {
    _mm512_srli_epi16::<6>(low)
}

/// Updates and renormalises the states of all lanes. `flips` are the generators of the state machine.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,popcnt")]
fn update(
    slots: Slots,
    [by_state, by_symbol]: [__m512i; 2],
    lanes: &mut Lanes,
    words: &mut &[U16],
) {
    let Slots { frequency, rank, point } = slots;
    let Lanes { high, low, machine } = *lanes;
    // frequency · (state >> 12) + rank in halves: the frequency has a factor of 16.
    let upper_bits = _mm512_srli_epi16::<{ PRECISION }>(low);
    let rest = _mm512_mullo_epi16(_mm512_srli_epi16::<4>(frequency), upper_bits);
    let rest = _mm512_add_epi16(rest, rank);
    let sum = _mm512_add_epi16(_mm512_mullo_epi16(frequency, high), rest);
    let product = _mm512_mulhi_epu16(frequency, high);
    let carry = _mm512_cmplt_epu16_mask(sum, rest);
    let upper = _mm512_mask_sub_epi16(product, carry, product, _mm512_set1_epi16(-1));
    // The lanes whose state is too small.
    let takers = _mm512_testn_epi16_mask(upper, upper);
    let window = match words.first_chunk() {
        Some(window) => load_words(window),
        None => unreachable!("every stream has 32 words"),
    };
    lanes.high = _mm512_mask_mov_epi16(upper, takers, sum);
    // The next words go to the consuming lanes in order.
    lanes.low = _mm512_mask_expand_epi16(sum, takers, window);
    *words = &words[takers.count_ones() as usize..];
    let odd = _mm512_test_epi16_mask(machine, _mm512_set1_epi16(1));
    let odd_symbols = _mm512_test_epi16_mask(point, _mm512_set1_epi16(2));
    let flips = _mm512_xor_si512(
        _mm512_maskz_mov_epi16(odd, by_state),
        _mm512_maskz_mov_epi16(odd_symbols, by_symbol),
    );
    lanes.machine = _mm512_xor_si512(_mm512_srli_epi16::<1>(machine), flips);
}

#[inline]
#[target_feature(enable = "avx512f")]
fn put_points(points: __m512i, out: &mut [i16; LANES]) {
    // SAFETY: a vector is written over 32 integers of two bytes, at any alignment.
    unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), points) };
}

/// Symbols by the alias method: all look-ups are permutations of vectors. With `UNIFORM`, all lanes of a
/// group have the same two tables.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,popcnt")]
fn run_by_aliases<const N: usize, const UNIFORM: bool>(
    tables: &[AliasVectors],
    run: &GroupRun<'_>,
    streams: &mut [RunStream<'_, '_>; N],
) -> usize {
    const { assert!(N == 1 || N == 2) };
    let flips = run.machine.generators.map(|it| _mm512_set1_epi16(it.into()));
    let mut lanes: [_; N] = std::array::from_fn(|i| Lanes::load(&streams[i]));
    let mut words: [_; N] = std::array::from_fn(|i| streams[i].stream.words);
    let mut done = 0;
    for &class in run.classes {
        if words.iter().any(|words| words.len() < LANES) {
            break;
        }
        // First all look-ups, then all updates: a group with an escape changes nothing. Neither loops over
        // the streams nor larger functions, which would not be inlined: vectors stay in registers.
        let class = usize::from(class);
        let Some(((table, _), others)) = streams[0].tables.sets[class].0.split_first() else {
            break;
        };
        let mut found = Found::new(tables, *table, lanes[0]);
        if !UNIFORM {
            for &(table, set) in others {
                found.replace(set, Found::new(tables, table, lanes[0]));
            }
        }
        let (first, is_first_decoded) = slots(found, lanes[0].low);
        let (mut last, mut is_last_decoded) = (first, true);
        if N == 2 {
            let Some(((table, _), others)) = streams[N - 1].tables.sets[class].0.split_first()
            else {
                break;
            };
            let mut found = Found::new(tables, *table, lanes[N - 1]);
            if !UNIFORM {
                for &(table, set) in others {
                    found.replace(set, Found::new(tables, table, lanes[N - 1]));
                }
            }
            (last, is_last_decoded) = slots(found, lanes[N - 1].low);
        }
        if !(is_first_decoded && is_last_decoded) {
            break;
        }
        update(first, flips, &mut lanes[0], &mut words[0]);
        put_points(first.point, &mut streams[0].out[done]);
        if N == 2 {
            update(last, flips, &mut lanes[N - 1], &mut words[N - 1]);
            put_points(last.point, &mut streams[N - 1].out[done]);
        }
        done += 1;
    }
    for (i, stream) in streams.iter_mut().enumerate() {
        stream.stream.words = words[i];
        lanes[i].store(stream);
    }
    done
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_16(lanes: &[u16; LANES]) -> __m512i {
    // SAFETY: a vector is read from 32 integers of two bytes, at any alignment.
    unsafe { _mm512_loadu_si512(lanes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_words(words: &[U16; LANES]) -> __m512i {
    // SAFETY: a vector is read from 32 integers of two bytes, at any alignment.
    unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
}
