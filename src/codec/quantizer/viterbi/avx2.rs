//! Search with AVX2: eight rows in a vector.
#![allow(unsafe_code)]

use super::{CosetMinima, ROWS, SearchInput, ViterbiSearch};
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
    let last = input.starts.iter().flatten().max().map_or(0, |&start| start as usize);
    assert!(last + input.costs.length <= input.costs.all.len(), "every start has a cost table");
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
    let last = _mm256_set1_epi32(input.costs.length as i32 - 1);
    let costs = input.costs.all.as_ptr();
    let cost = |point: __m256i| {
        let error = _mm256_sub_ps(magnitude, _mm256_cvtepi32_ps(point));
        // Unsigned minimum: overflow and NaN convert to the largest index, too.
        let index = _mm256_add_epi32(starts, _mm256_min_epu32(_mm256_abs_epi32(point), last));
        // SAFETY: an index is a start plus an offset below the length of a table.
        let bits = unsafe { _mm256_i32gather_ps::<4>(costs, index) };
        _mm256_add_ps(_mm256_mul_ps(error, error), bits)
    };
    let [below, above] = [-1, 1].map(|by| _mm256_add_epi32(floor, _mm256_set1_epi32(by)));
    let [inner, outer] = [-2, 2].map(|by| _mm256_add_epi32(floor, _mm256_set1_epi32(by)));
    let (inner_cost, outer_cost) = (cost(inner), cost(outer));
    let outer_is_better = _mm256_cmp_ps::<_CMP_LT_OQ>(outer_cost, inner_cost);
    let second = _mm256_blendv_epi8(inner, outer, _mm256_castps_si256(outer_is_better));
    let second_cost = _mm256_blendv_ps(inner_cost, outer_cost, outer_is_better);
    // In the order of cosets from that of the point below; rotations make coset 0 the first.
    let mut points = [below, floor, above, second];
    let mut costs = [cost(below), cost(floor), cost(above), second_cost];
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

/// All ones in lanes where `bit` is set in `points`.
#[inline]
#[target_feature(enable = "avx2")]
fn set_where(points: __m256i, bit: i32) -> __m256i {
    let bit = _mm256_set1_epi32(bit);
    _mm256_cmpeq_epi32(_mm256_and_si256(points, bit), bit)
}
