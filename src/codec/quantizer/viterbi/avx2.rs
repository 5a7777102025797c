//! Search with AVX2: eight rows in a vector.
#![allow(unsafe_code)]

use super::{AFTER, BEFORE, CosetMinima, ROW_BITS, ROWS, SearchInput, ViterbiSearch};
use crate::arch::Avx2;
use std::arch::x86_64::*;
use std::ops::Range;

/// Rows of a vector and number of vectors.
const WIDTH: usize = 8;
const VECTORS: usize = ROWS / WIDTH;

/// Computes [`advance`](super::portable::advance).
pub(super) fn advance(
    _: Avx2,
    search: &mut ViterbiSearch,
    input: &SearchInput<'_>,
    columns: Range<usize>,
) {
    // SAFETY: the token is proof of AVX2.
    unsafe { advance_columns(search, input, columns) }
}

#[target_feature(enable = "avx2")]
fn advance_columns(search: &mut ViterbiSearch, input: &SearchInput<'_>, columns: Range<usize>) {
    let starts = || input.starts.iter().flatten().map(|&start| start as usize);
    let end = starts().max().map_or(0, |last| last + input.costs.length + AFTER);
    let first = starts().min().unwrap_or(BEFORE);
    assert!(first >= BEFORE && end <= input.costs.all.len(), "every start has a cost table");
    let states = search.predecessors.len();
    let mut nearest = CosetMinima::default();
    for column in columns {
        let (values, starts) = (&input.values[column], input.starts(column));
        for vector in 0..VECTORS {
            // SAFETY: the assertion above ensures that each start has a whole cost table.
            unsafe { nearest_of(input, values, starts, vector * WIDTH, &mut nearest) };
        }
        search.points[column] = nearest.points;
        let ViterbiSearch { predecessors, metrics, next_metrics, decisions, .. } = search;
        let decisions = &mut decisions[column * states..][..states];
        let (even_half, odd_half) = predecessors.split_at(states / 2);
        let (next_even, next_odd) = next_metrics.split_at_mut(states / 2);
        let (even_decisions, odd_decisions) = decisions.split_at_mut(states / 2);
        let [a, b, c, d] = &nearest.costs;
        step(even_half, metrics, [a, c], next_even, even_decisions);
        step(odd_half, metrics, [b, d], next_odd, odd_decisions);
        std::mem::swap(metrics, next_metrics);
    }
}

/// Add, compare, select: the better transition to each state of a half.
#[target_feature(enable = "avx2")]
fn step(
    predecessors: &[[u16; 2]],
    metrics: &[[f32; ROWS]],
    costs: [&[f32; ROWS]; 2],
    next: &mut [[f32; ROWS]],
    decisions: &mut [u16],
) {
    let costs = costs.map(|costs| load(costs));
    for ((&[even, odd], next), decisions) in predecessors.iter().zip(next).zip(decisions) {
        let [even, odd] = [even, odd].map(|state| load(&metrics[usize::from(state)]));
        let mut taken = 0;
        for vector in 0..VECTORS {
            let a = _mm256_add_ps(even[vector], costs[0][vector]);
            let b = _mm256_add_ps(odd[vector], costs[1][vector]);
            let less = _mm256_cmp_ps::<_CMP_LT_OQ>(b, a);
            taken |= (_mm256_movemask_ps(less) as u16) << (vector * WIDTH);
            // The second operand where neither is less.
            let best = _mm256_min_ps(b, a);
            // SAFETY: eight numbers are written, at any alignment.
            unsafe { _mm256_storeu_ps(next[vector * WIDTH..][..WIDTH].as_mut_ptr(), best) };
        }
        *decisions = taken;
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(rows: &[f32; ROWS]) -> [__m256; VECTORS] {
    let (vectors, _) = rows.as_chunks::<WIDTH>();
    // SAFETY: a vector is read from eight numbers, at any alignment.
    std::array::from_fn(|i| unsafe { _mm256_loadu_ps(vectors[i].as_ptr()) })
}

/// The points of least cost in eight rows from `first` on, and their costs.
///
/// # Safety
/// Each start must have a whole cost table.
#[target_feature(enable = "avx2")]
unsafe fn nearest_of(
    input: &SearchInput<'_>,
    values: &[f32; ROWS],
    starts: &[u32; ROWS],
    first: usize,
    out: &mut CosetMinima,
) {
    // SAFETY: eight numbers are read each, at any alignment.
    let (values, starts) = unsafe {
        let starts = starts[first..][..WIDTH].as_ptr();
        (_mm256_loadu_ps(values[first..][..WIDTH].as_ptr()), _mm256_loadu_si256(starts.cast()))
    };
    let sign = _mm256_set1_ps(-0.0);
    let magnitude = _mm256_andnot_ps(sign, values);
    let floor = _mm256_cvttps_epi32(magnitude);
    // Points beyond the tables have the same costs. Unsigned minimum: overflow and NaN convert to the
    // largest index, too.
    let last = _mm256_set1_epi32(input.costs.length as i32 + 1);
    let index = _mm256_add_epi32(starts, _mm256_min_epu32(floor, last));
    // SAFETY: an index is at most a start plus the length of a table and one; eight costs are read from
    // the second before it on.
    let bits = unsafe { windows(input.costs.all.as_ptr(), index) };
    let cost = |point: __m256i, bits: __m256| {
        let error = _mm256_sub_ps(magnitude, _mm256_cvtepi32_ps(point));
        _mm256_add_ps(_mm256_mul_ps(error, error), bits)
    };
    let [below, above] = [-1, 1].map(|by| _mm256_add_epi32(floor, _mm256_set1_epi32(by)));
    let [inner, outer] = [-2, 2].map(|by| _mm256_add_epi32(floor, _mm256_set1_epi32(by)));
    let (inner_cost, outer_cost) = (cost(inner, bits[0]), cost(outer, bits[4]));
    let outer_is_better = _mm256_cmp_ps::<_CMP_LT_OQ>(outer_cost, inner_cost);
    let second = _mm256_blendv_epi8(inner, outer, _mm256_castps_si256(outer_is_better));
    let second_cost = _mm256_blendv_ps(inner_cost, outer_cost, outer_is_better);
    // In the order of cosets from that of the point below; rotations make coset 0 the first.
    let mut points = [below, floor, above, second];
    let mut costs = [cost(below, bits[1]), cost(floor, bits[2]), cost(above, bits[3]), second_cost];
    let mut rotate = |by: usize, when: __m256i| {
        let (old_points, old_costs) = (points, costs);
        for i in 0..4 {
            let from = (i + 4 - by) % 4;
            points[i] = _mm256_blendv_epi8(old_points[i], old_points[from], when);
            let when = _mm256_castsi256_ps(when);
            costs[i] = _mm256_blendv_ps(old_costs[i], old_costs[from], when);
        }
    };
    rotate(1, set_where(below, 1));
    rotate(2, set_where(below, 2));
    // Negation exchanges cosets 1 and 3.
    let negative = _mm256_cmp_ps::<_CMP_LT_OQ>(values, _mm256_setzero_ps());
    let signs = _mm256_castps_si256(negative);
    for (coset, mirrored) in [0, 3, 2, 1].into_iter().enumerate() {
        let point = _mm256_blendv_epi8(points[coset], points[mirrored], signs);
        let point = _mm256_sub_epi32(_mm256_xor_si256(point, signs), signs);
        let cost = _mm256_blendv_ps(costs[coset], costs[mirrored], negative);
        let short = _mm256_permute4x64_epi64::<0b10_00>(_mm256_packs_epi32(point, point));
        // SAFETY: eight numbers are written each, at any alignment.
        unsafe {
            let points = out.points[coset][first..][..WIDTH].as_mut_ptr();
            _mm_storeu_si128(points.cast(), _mm256_castsi256_si128(short));
            _mm256_storeu_ps(out.costs[coset][first..][..WIDTH].as_mut_ptr(), cost);
        }
    }
}

/// For each lane, five neighbouring costs from [`BEFORE`] before its index on. Loads and shuffles take
/// less time than gathering each of them.
///
/// # Safety
/// Eight costs must be readable from [`BEFORE`] before each index on.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn windows(costs: *const f32, index: __m256i) -> [__m256; 5] {
    let mut at = [0u32; WIDTH];
    // SAFETY: eight numbers are written, at any alignment.
    unsafe { _mm256_storeu_si256(at.as_mut_ptr().cast(), index) };
    // Four costs of a lane, and of the fourth lane after it.
    let load = |lane: usize, skip: usize| {
        let [low, high] = [at[lane], at[lane + 4]].map(|at| {
            // SAFETY: four of the eight costs, at any alignment.
            unsafe { _mm_loadu_ps(costs.add(at as usize - BEFORE + skip)) }
        });
        _mm256_insertf128_ps::<1>(_mm256_castps128_ps256(low), high)
    };
    let [a, b, c, d] = [0, 1, 2, 3].map(|lane| load(lane, 0));
    let (ab, cd) = (_mm256_unpacklo_ps(a, b), _mm256_unpacklo_ps(c, d));
    let (ab_high, cd_high) = (_mm256_unpackhi_ps(a, b), _mm256_unpackhi_ps(c, d));
    let [e, f, g, h] = [0, 1, 2, 3].map(|lane| load(lane, 4));
    let (ef, gh) = (_mm256_unpacklo_ps(e, f), _mm256_unpacklo_ps(g, h));
    [
        _mm256_shuffle_ps::<0x44>(ab, cd),
        _mm256_shuffle_ps::<0xee>(ab, cd),
        _mm256_shuffle_ps::<0x44>(ab_high, cd_high),
        _mm256_shuffle_ps::<0xee>(ab_high, cd_high),
        _mm256_shuffle_ps::<0x44>(ef, gh),
    ]
}

/// The largest number of states whose tables fit into a vector.
pub(super) const TRACED_STATES: usize = 8;

/// Follows the decisions backwards from the states of rows, for at most [`TRACED_STATES`] states.
pub(super) fn trace_back(
    _: Avx2,
    search: &ViterbiSearch,
    states: [u16; ROWS],
    out: &mut [[i16; ROWS]],
) {
    // SAFETY: the token is proof of AVX2.
    unsafe { trace_back_rows(search, states, out) }
}

#[target_feature(enable = "avx2")]
fn trace_back_rows(search: &ViterbiSearch, states: [u16; ROWS], out: &mut [[i16; ROWS]]) {
    let count = search.predecessors.len();
    assert!((1..=TRACED_STATES).contains(&count), "tables of states fit into a vector");
    let of_states = |number: usize| {
        let entry = |state: usize| search.predecessors.get(state).map_or(0, |both| both[number]);
        table(&std::array::from_fn(entry))
    };
    let [even, odd] = [of_states(0), of_states(1)];
    let row_bits = load_rows(&ROW_BITS.map(|bit| bit as i16));
    let last_even = _mm256_set1_epi16(count as i16 / 2 - 1);
    let mut states = load_rows(&states.map(|state| state as i16));
    let columns = search.decisions.chunks_exact(count).zip(&search.points).zip(out).rev();
    for ((decisions, points), out) in columns {
        // The two bytes of an entry.
        let entries = _mm256_mullo_epi16(states, _mm256_set1_epi16(0x0202));
        let entries = _mm256_add_epi16(entries, _mm256_set1_epi16(0x0100));
        let decisions =
            table(&std::array::from_fn(|state| decisions.get(state).copied().unwrap_or(0)));
        let decided = _mm256_and_si256(_mm256_shuffle_epi8(decisions, entries), row_bits);
        let is_odd = _mm256_cmpeq_epi16(decided, row_bits);
        let z0 = _mm256_cmpgt_epi16(states, last_even);
        let [a, b, c, d] = points.each_ref().map(|points| load_rows(points));
        let point =
            _mm256_blendv_epi8(_mm256_blendv_epi8(a, b, z0), _mm256_blendv_epi8(c, d, z0), is_odd);
        // SAFETY: sixteen numbers are written, at any alignment.
        unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), point) };
        let [even, odd] = [even, odd].map(|table| _mm256_shuffle_epi8(table, entries));
        states = _mm256_blendv_epi8(even, odd, is_odd);
    }
}

/// A table of eight entries in each half of a vector.
#[inline]
#[target_feature(enable = "avx2")]
fn table(entries: &[u16; TRACED_STATES]) -> __m256i {
    // SAFETY: eight numbers are read, at any alignment.
    _mm256_broadcastsi128_si256(unsafe { _mm_loadu_si128(entries.as_ptr().cast()) })
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_rows(rows: &[i16; ROWS]) -> __m256i {
    // SAFETY: sixteen numbers are read, at any alignment.
    unsafe { _mm256_loadu_si256(rows.as_ptr().cast()) }
}

/// All ones in lanes where `bit` is set in `points`.
#[inline]
#[target_feature(enable = "avx2")]
fn set_where(points: __m256i, bit: i32) -> __m256i {
    let bit = _mm256_set1_epi32(bit);
    _mm256_cmpeq_epi32(_mm256_and_si256(points, bit), bit)
}
