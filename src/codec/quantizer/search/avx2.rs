//! The search with AVX2: eight rows a vector.
#![allow(unsafe_code)]

use super::{Nearest, ROWS, Search, Task};
use crate::arch::Avx2;
use std::arch::x86_64::*;
use std::ops::Range;

/// Rows of a vector, and how many vectors there are.
const WIDTH: usize = 8;
const VECTORS: usize = ROWS / WIDTH;

/// As [`advance`](super::portable::advance).
pub(super) fn advance(_: Avx2, search: &mut Search, task: &Task<'_>, columns: Range<usize>) {
    // SAFETY: the token is proof of AVX2.
    unsafe { advance_columns(search, task, columns) }
}

#[target_feature(enable = "avx2")]
fn advance_columns(search: &mut Search, task: &Task<'_>, columns: Range<usize>) {
    let last = task.starts.iter().flatten().max().map_or(0, |&start| start as usize);
    assert!(last + task.costs.length <= task.costs.all.len(), "a cost table from every start");
    let states = search.previous.len();
    let mut nearest = Nearest::default();
    for column in columns {
        let (values, starts) = (&task.values[column], task.starts(column));
        for vector in 0..VECTORS {
            // SAFETY: a table is as long as the costs say, and `advance_columns` asserted that
            // there is one from each start.
            unsafe { nearest_of(task, values, starts, vector * WIDTH, &mut nearest) };
        }
        search.points[column] = nearest.points;
        let Search { previous, metrics, next_metrics, decisions, .. } = search;
        let decisions = &mut decisions[column * states..][..states];
        let (even_half, odd_half) = previous.split_at(states / 2);
        let (next_even, next_odd) = next_metrics.split_at_mut(states / 2);
        let (even_decisions, odd_decisions) = decisions.split_at_mut(states / 2);
        let [a, b, c, d] = &nearest.costs;
        step(even_half, metrics, [a, c], next_even, even_decisions);
        step(odd_half, metrics, [b, d], next_odd, odd_decisions);
        std::mem::swap(metrics, next_metrics);
    }
}

/// Adds, compares and selects: the better way to each state of a half.
#[target_feature(enable = "avx2")]
fn step(
    previous: &[[u16; 2]],
    metrics: &[[f32; ROWS]],
    costs: [&[f32; ROWS]; 2],
    next: &mut [[f32; ROWS]],
    decisions: &mut [u16],
) {
    let costs = costs.map(|costs| load(costs));
    for ((&[even, odd], next), decisions) in previous.iter().zip(next).zip(decisions) {
        let [even, odd] = [even, odd].map(|state| load(&metrics[usize::from(state)]));
        let mut taken = 0;
        for vector in 0..VECTORS {
            let a = _mm256_add_ps(even[vector], costs[0][vector]);
            let b = _mm256_add_ps(odd[vector], costs[1][vector]);
            let less = _mm256_cmp_ps::<_CMP_LT_OQ>(b, a);
            taken |= (_mm256_movemask_ps(less) as u16) << (vector * WIDTH);
            // The second where neither is less.
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

/// The best points of eight rows from `first` on, and what they cost.
///
/// # Safety
/// From each start there is a whole cost table.
#[target_feature(enable = "avx2")]
unsafe fn nearest_of(
    task: &Task<'_>,
    values: &[f32; ROWS],
    starts: &[u32; ROWS],
    first: usize,
    out: &mut Nearest,
) {
    // SAFETY: eight numbers are read each, at any alignment.
    let (values, starts) = unsafe {
        let starts = starts[first..][..WIDTH].as_ptr();
        (_mm256_loadu_ps(values[first..][..WIDTH].as_ptr()), _mm256_loadu_si256(starts.cast()))
    };
    let sign = _mm256_set1_ps(-0.0);
    let magnitude = _mm256_andnot_ps(sign, values);
    let floor = _mm256_cvttps_epi32(magnitude);
    let last = _mm256_set1_epi32(task.costs.length as i32 - 1);
    let costs = task.costs.all.as_ptr();
    let cost = |point: __m256i| {
        let error = _mm256_sub_ps(magnitude, _mm256_cvtepi32_ps(point));
        // Without sign: what is too large for an integer, or no number, is beyond, too.
        let place = _mm256_add_epi32(starts, _mm256_min_epu32(_mm256_abs_epi32(point), last));
        // SAFETY: a place is a start and less than a table's length: within the costs.
        let bits = unsafe { _mm256_i32gather_ps::<4>(costs, place) };
        _mm256_add_ps(_mm256_mul_ps(error, error), bits)
    };
    let [below, above] = [-1, 1].map(|by| _mm256_add_epi32(floor, _mm256_set1_epi32(by)));
    let [inner, outer] = [-2, 2].map(|by| _mm256_add_epi32(floor, _mm256_set1_epi32(by)));
    let (inner_cost, outer_cost) = (cost(inner), cost(outer));
    let further = _mm256_cmp_ps::<_CMP_LT_OQ>(outer_cost, inner_cost);
    let far = _mm256_blendv_epi8(inner, outer, _mm256_castps_si256(further));
    let far_cost = _mm256_blendv_ps(inner_cost, outer_cost, further);
    // By the distance of their cosets from that of the point below: in turn, as cosets are, once
    // they begin with coset 0.
    let mut points = [below, floor, above, far];
    let mut costs = [cost(below), cost(floor), cost(above), far_cost];
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
    // Of what is negative, cosets 1 and 3 change places.
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

/// All bits, in lanes where this bit of `points` is set.
#[inline]
#[target_feature(enable = "avx2")]
fn set_where(points: __m256i, bit: i32) -> __m256i {
    let bit = _mm256_set1_epi32(bit);
    _mm256_cmpeq_epi32(_mm256_and_si256(points, bit), bit)
}
