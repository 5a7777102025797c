//! Portable search. All kernels must produce the same results.

use super::{CosetMinima, ROW_BITS, ROWS, SearchInput, ViterbiSearch};
use std::ops::Range;

/// Extends all paths by a range of columns.
pub(super) fn advance(search: &mut ViterbiSearch, input: &SearchInput<'_>, columns: Range<usize>) {
    for column in columns {
        let nearest = nearest(input, column);
        search.points[column] = nearest.points;
        step(search, column, &nearest.costs);
    }
}

/// Add, compare, select: the better transition to each state.
fn step(search: &mut ViterbiSearch, column: usize, costs: &[[f32; ROWS]; 4]) {
    let ViterbiSearch { predecessors, metrics, next_metrics, decisions, .. } = search;
    let states = predecessors.len();
    let decisions = &mut decisions[column * states..][..states];
    let ways = predecessors.iter().zip(&mut *next_metrics).zip(decisions).enumerate();
    for (state, ((&[even, odd], next), decisions)) in ways {
        let z0 = usize::from(state >= states / 2);
        let (even, odd) = (&metrics[usize::from(even)], &metrics[usize::from(odd)]);
        // Bits are combined in a second loop; a single loop is not vectorised.
        let mut bits = [0u32; ROWS];
        for row in 0..ROWS {
            let a = even[row] + costs[z0][row];
            let b = odd[row] + costs[z0 + 2][row];
            next[row] = if b < a { b } else { a };
            bits[row] = if b < a { ROW_BITS[row] } else { 0 };
        }
        *decisions = bits.into_iter().fold(0, |all, bit| all | bit) as u16;
    }
    std::mem::swap(metrics, next_metrics);
}

/// For each coset of 4ℤ and each row, the point with the least cost, and that cost.
fn nearest(input: &SearchInput<'_>, column: usize) -> CosetMinima {
    let mut nearest = CosetMinima::default();
    let rows = input.values[column].iter().zip(input.starts(column)).enumerate();
    for (row, (&value, &start)) in rows {
        let best = nearest_of(input, value, start);
        for (coset, (cost, point)) in best.into_iter().enumerate() {
            nearest.points[coset][row] = point;
            nearest.costs[coset][row] = cost;
        }
    }
    nearest
}

/// The points of least cost for one value. In a coset only the two points next to the value are
/// candidates; the outer one can be best only if it is at most half as far as the inner one.
#[inline]
fn nearest_of(input: &SearchInput<'_>, value: f32, start: u32) -> [(f32, i16); 4] {
    let magnitude = value.abs();
    let floor = magnitude as i32;
    let cost = |point: i32| {
        let error = magnitude - point as f32;
        error * error + input.costs.of(start, point)
    };
    let mut best = [(0.0, 0i16); 4];
    let mut place = |point: i32, cost: f32| {
        let point = if value < 0.0 { -point } else { point };
        best[(point & 3) as usize] = (cost, point as i16);
    };
    for point in floor - 1..=floor + 1 {
        place(point, cost(point));
    }
    let (inner, outer) = (cost(floor - 2), cost(floor + 2));
    match outer < inner {
        true => place(floor + 2, outer),
        false => place(floor - 2, inner),
    }
    best
}

/// Quantises each value independently: one state.
pub(super) fn scalar(input: &SearchInput<'_>, out: &mut [[i16; ROWS]]) {
    for (column, (values, out)) in input.values.iter().zip(out).enumerate() {
        for ((&value, &start), out) in values.iter().zip(input.starts(column)).zip(out) {
            let nearest = nearest_of(input, value, start);
            let best = nearest.into_iter().min_by(|a, b| a.0.total_cmp(&b.0));
            *out = best.map_or(0, |(_, point)| point);
        }
    }
}
