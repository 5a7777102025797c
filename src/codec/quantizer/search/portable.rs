//! The search in portable code: the truth that every kernel must agree with.

use super::{Nearest, ROWS, Search, Task};
use std::ops::Range;

/// Takes the paths through columns.
pub(super) fn advance(search: &mut Search, task: &Task<'_>, columns: Range<usize>) {
    for column in columns {
        let nearest = nearest(task, column);
        search.points[column] = nearest.points;
        step(search, column, &nearest.costs);
    }
}

/// A bit for each row: shifts by different numbers are not compiled to vectors everywhere.
const BITS: [u32; ROWS] = {
    let mut bits = [0; ROWS];
    let mut row = 0;
    while row < ROWS {
        bits[row] = 1 << row;
        row += 1;
    }
    bits
};

/// Adds, compares and selects: the better way to each state.
fn step(search: &mut Search, column: usize, costs: &[[f32; ROWS]; 4]) {
    let Search { previous, metrics, next_metrics, decisions, .. } = search;
    let states = previous.len();
    let decisions = &mut decisions[column * states..][..states];
    let ways = previous.iter().zip(&mut *next_metrics).zip(decisions).enumerate();
    for (state, ((&[even, odd], next), decisions)) in ways {
        let z0 = usize::from(state >= states / 2);
        let (even, odd) = (&metrics[usize::from(even)], &metrics[usize::from(odd)]);
        // Bits are put together apart: one loop for both is not compiled to vectors.
        let mut bits = [0u32; ROWS];
        for row in 0..ROWS {
            let a = even[row] + costs[z0][row];
            let b = odd[row] + costs[z0 + 2][row];
            next[row] = if b < a { b } else { a };
            bits[row] = if b < a { BITS[row] } else { 0 };
        }
        *decisions = bits.into_iter().fold(0, |all, bit| all | bit) as u16;
    }
    std::mem::swap(metrics, next_metrics);
}

/// For each of the four cosets of 4ℤ its best point, and what that costs.
fn nearest(task: &Task<'_>, column: usize) -> Nearest {
    let mut nearest = Nearest::default();
    let rows = task.values[column].iter().zip(task.starts(column)).enumerate();
    for (row, (&value, &start)) in rows {
        let best = nearest_of(task, value, start);
        for (coset, (cost, point)) in best.into_iter().enumerate() {
            nearest.points[coset][row] = point;
            nearest.costs[coset][row] = cost;
        }
    }
    nearest
}

/// Of a coset's points only the two on either side of the value can be best, and the one away
/// from zero only when it is nearer by half.
#[inline]
fn nearest_of(task: &Task<'_>, value: f32, start: u32) -> [(f32, i16); 4] {
    let magnitude = value.abs();
    let floor = magnitude as i32;
    let cost = |point: i32| {
        let error = magnitude - point as f32;
        error * error + task.costs.of(start, point)
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

/// One state: every value on its own.
pub(super) fn scalar(task: &Task<'_>, out: &mut [[i16; ROWS]]) {
    for (column, (values, out)) in task.values.iter().zip(out).enumerate() {
        for ((&value, &start), out) in values.iter().zip(task.starts(column)).zip(out) {
            let nearest = nearest_of(task, value, start);
            let best = nearest.into_iter().min_by(|a, b| a.0.total_cmp(&b.0));
            *out = best.map_or(0, |(_, point)| point);
        }
    }
}
