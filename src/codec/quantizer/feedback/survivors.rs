//! The survivors of a search: their metrics, points and pending feedback.
//!
//! Loops over rows are plain and short, so that the compiler vectorises them.

use super::factor::PANEL;
use crate::arch::Kernel;
use crate::codec::quantizer::viterbi::{CostTables, ROW_BITS, ROWS};

/// The values of one column, by row.
pub(super) type Lanes<T> = [T; ROWS];

/// The largest magnitude of a target, in lattice steps.
pub(super) const MAX_TARGET: f32 = 32_000.0;

/// A column to be quantised.
pub(super) struct ColumnInput<'c> {
    /// The number in its panel.
    pub(super) column: usize,
    /// The weights. NaN marks one without an error.
    pub(super) values: &'c Lanes<f32>,
    /// The weights plus the errors of all columns before the panel.
    pub(super) targets: &'c Lanes<f32>,
    /// 0 for weights without an error, 1 for others.
    pub(super) fixed: &'c Lanes<f32>,
    /// The weight of squared errors.
    pub(super) weight: f32,
    /// The factors of its errors in the later columns of the panel.
    pub(super) factors: &'c [f32],
    pub(super) costs: &'c CostTables,
    /// The starts of the cost tables.
    pub(super) starts: &'c Lanes<u32>,
    /// The number of the group of rows.
    #[cfg(target_arch = "x86_64")]
    pub(super) group: usize,
    /// The class of the column.
    #[cfg(target_arch = "x86_64")]
    pub(super) class: usize,
    /// Whether all points are allowed, with one state.
    pub(super) scalar: bool,
}

/// The best point of a coset for each row, and the metric after it.
#[derive(Clone, Copy)]
struct Branch {
    metrics: Lanes<f32>,
    points: Lanes<f32>,
}

/// The survivors of each state in a panel.
pub(super) struct Survivors {
    pub(super) metrics: Vec<Lanes<f32>>,
    /// By state: the transitions by an even and an odd `k`.
    branches: Vec<[Branch; 2]>,
    /// By column and state: the feedback into a column that is still to come.
    pub(super) pending: Vec<Lanes<f32>>,
    /// The pending feedback of one column before a transition.
    scratch: Vec<Lanes<f32>>,
    /// By state: all ones if the transition had an odd `k`, and the error of its point.
    odd: Vec<Lanes<u32>>,
    errors: Vec<Lanes<f32>>,
    /// By column and state: a bit for each row, whether the transition had an odd `k`.
    pub(super) decisions: Vec<u16>,
    /// By column and state: the point of the transition.
    pub(super) points: Vec<Lanes<i16>>,
}

impl Survivors {
    pub(super) fn new(states: usize) -> Self {
        let branch = Branch { metrics: [0.0; ROWS], points: [0.0; ROWS] };
        Self {
            metrics: vec![[0.0; ROWS]; states],
            branches: vec![[branch; 2]; states],
            pending: vec![[0.0; ROWS]; states * PANEL],
            scratch: vec![[0.0; ROWS]; states],
            odd: vec![[0; ROWS]; states],
            errors: vec![[0.0; ROWS]; states],
            decisions: vec![0; states * PANEL],
            points: vec![[0; ROWS]; states * PANEL],
        }
    }

    /// Extends all survivors by a column.
    pub(super) fn search_column(
        &mut self,
        kernel: Kernel,
        predecessors: &[[usize; 2]],
        input: &ColumnInput<'_>,
    ) {
        // Small closures, which the compiler vectorises.
        kernel.run(
            #[inline(always)]
            || self.extend(input),
        );
        kernel.run(
            #[inline(always)]
            || self.select(predecessors, input),
        );
        kernel.run(
            #[inline(always)]
            || self.feed_back(predecessors, input),
        );
    }

    /// Computes the transitions from all states.
    #[inline(always)]
    fn extend(&mut self, input: &ColumnInput<'_>) {
        let states = self.metrics.len();
        let (targets, fixed) = (*input.targets, *input.fixed);
        let weights = fixed.map(|fixed| fixed * input.weight);
        let spacing = if input.scalar { 2 } else { 4 };
        let pending = &self.pending[input.column * states..][..states];
        let ways = self.branches.iter_mut().zip(pending).zip(&self.metrics);
        for (state, ((branches, pending), metrics)) in ways.enumerate() {
            let (pending, metrics) = (*pending, *metrics);
            let mut target = [0.0f32; ROWS];
            for row in 0..ROWS {
                let sum = (targets[row] + pending[row]) * fixed[row];
                target[row] = sum.clamp(-MAX_TARGET, MAX_TARGET);
            }
            for (odd, branch) in branches.iter_mut().enumerate() {
                let coset = match input.scalar {
                    true => odd as i32,
                    false => (state & 1) as i32 + 2 * odd as i32,
                };
                let mut best = nearest(&target, &weights, spacing, coset, input);
                best.metrics.iter_mut().zip(&metrics).for_each(|(sum, metric)| *sum += metric);
                *branch = best;
            }
        }
    }

    /// Selects the better transition to each state.
    #[inline(always)]
    fn select(&mut self, predecessors: &[[usize; 2]], input: &ColumnInput<'_>) {
        let ColumnInput { column, values, fixed, .. } = *input;
        let states = self.metrics.len();
        for (state, &[even, odd]) in predecessors.iter().enumerate() {
            let (a, b) = (self.branches[even][0], self.branches[odd][1]);
            let (mut mask, mut bits) = ([0u32; ROWS], [0u32; ROWS]);
            for row in 0..ROWS {
                let less = b.metrics[row] < a.metrics[row];
                mask[row] = if less { u32::MAX } else { 0 };
                bits[row] = if less { ROW_BITS[row] } else { 0 };
            }
            self.metrics[state] = choose(&mask, &b.metrics, &a.metrics);
            let points = choose(&mask, &b.points, &a.points);
            let (mut stored, mut errors) = ([0i16; ROWS], [0.0; ROWS]);
            for row in 0..ROWS {
                stored[row] = (points[row] + ROUND).to_bits().wrapping_sub(ROUND.to_bits()) as i16;
            }
            for row in 0..ROWS {
                // NaN times zero is NaN: values without an error are replaced first.
                let value = if fixed[row] > 0.0 { values[row] } else { points[row] };
                errors[row] = value - points[row];
            }
            self.points[column * states + state] = stored;
            self.errors[state] = errors;
            self.odd[state] = mask;
            let bits = bits.into_iter().fold(0, |all, bit| all | bit);
            self.decisions[column * states + state] = bits as u16;
        }
    }

    /// Feeds the errors of a column back into the later columns of its panel.
    #[inline(always)]
    fn feed_back(&mut self, predecessors: &[[usize; 2]], input: &ColumnInput<'_>) {
        let states = self.metrics.len();
        let later = self.pending[(input.column + 1) * states..].chunks_exact_mut(states);
        for (pending, &factor) in later.zip(input.factors) {
            self.scratch.copy_from_slice(pending);
            let selected = predecessors.iter().zip(&self.odd).zip(&self.errors);
            for (pending, ((&[even, odd], mask), errors)) in pending.iter_mut().zip(selected) {
                let (a, b, mask, errors) = (self.scratch[odd], self.scratch[even], *mask, *errors);
                let mut sums = choose(&mask, &a, &b);
                for row in 0..ROWS {
                    sums[row] += errors[row] * factor;
                }
                *pending = sums;
            }
        }
    }
}

/// `a` where the mask is set, else `b`.
#[inline(always)]
fn choose(mask: &Lanes<u32>, a: &Lanes<f32>, b: &Lanes<f32>) -> Lanes<f32> {
    let mut chosen = [0.0; ROWS];
    for row in 0..ROWS {
        let bits = (a[row].to_bits() & mask[row]) | (b[row].to_bits() & !mask[row]);
        chosen[row] = f32::from_bits(bits);
    }
    chosen
}

/// Adding this number to one of magnitude below 2^22 rounds it to an integer, which the low bits
/// then hold. Unlike `as`, it needs no checks.
pub(super) const ROUND: f32 = 12_582_912.0;

/// For each row, the better of the two points of a coset next to its target, and its cost. Points of
/// a coset are `spacing` apart.
#[inline(always)]
fn nearest(
    target: &Lanes<f32>,
    weights: &Lanes<f32>,
    spacing: i32,
    coset: i32,
    input: &ColumnInput<'_>,
) -> Branch {
    let (inverse, offset) = (1.0 / spacing as f32, coset as f32);
    let (mut first, mut second) = ([0i32; ROWS], [0i32; ROWS]);
    for row in 0..ROWS {
        let index = ((target[row] - offset) * inverse + ROUND).to_bits();
        let index = index.wrapping_sub(ROUND.to_bits()) as i32;
        let point = index.wrapping_mul(spacing).wrapping_add(coset);
        let other = if target[row] > point as f32 { spacing } else { -spacing };
        first[row] = point;
        second[row] = point.wrapping_add(other);
    }
    let (a, b) =
        (input.costs.of_rows(input.starts, &first), input.costs.of_rows(input.starts, &second));
    let mut best = Branch { metrics: [0.0; ROWS], points: [0.0; ROWS] };
    for row in 0..ROWS {
        let (p, q) = (first[row] as f32, second[row] as f32);
        let (x, y) = (target[row] - p, target[row] - q);
        let (a, b) = (x * x * weights[row] + a[row], y * y * weights[row] + b[row]);
        best.metrics[row] = if b < a { b } else { a };
        best.points[row] = if b < a { q } else { p };
    }
    best
}
