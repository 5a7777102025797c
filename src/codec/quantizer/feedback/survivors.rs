//! The survivors of the search of a group of rows: their metrics, points and pending feedback.

use super::costs::CostWindows;
use super::factor::{Feedback, PANEL, Panel, TARGETS, add_errors};
use super::row_group::RowGroup;
use super::rows::{Indices, Lanes, Line, ROUND, RowVector};
use super::transitions::Transitions;
use crate::codec::quantizer::viterbi::{ROWS, UNREACHED};
use std::ops::Range;

/// The largest magnitude of a target, in lattice steps.
const MAX_TARGET: f32 = 32_000.0;

/// States that are extended together, so that the processor overlaps their work.
const PART: usize = 4;

/// What groups of rows have in common.
pub(super) struct Search<'s> {
    pub(super) feedback: &'s Feedback,
    pub(super) transitions: &'s Transitions,
    pub(super) costs: CostWindows,
    /// The classes of columns; missing classes are 0.
    pub(super) classes: &'s [u8],
}

/// The better points of both cosets of a state, by the parity of `k`, and the metrics after them.
#[derive(Clone, Copy)]
struct Branches {
    metrics: [Line; 2],
    points: [Line; 2],
}

/// What a survivor carries.
#[derive(Clone)]
struct Slot<const BLOCK: usize> {
    /// The feedback into the columns of two blocks, which take turns as the current and the next one.
    pending: [[Line; BLOCK]; 2],
    /// The state before the current block.
    origin: Line,
}

/// The transitions to a column.
#[derive(Clone)]
struct Steps {
    /// By state: a bit for each row, whether the transition had an odd `k`.
    odd: Vec<u16>,
    /// By state: the point of the transition.
    points: Vec<Lanes<i16>>,
    /// 0 for weights without an error, 1 for others.
    fixed: Line,
}

/// The survivors of each state in a group of rows.
///
/// Columns are searched in blocks. Points of a block are decided when the next one has been searched:
/// by then nearly all survivors agree on them, and those that do not agree with the best one are
/// dropped. Each survivor feeds its own errors of undecided columns back.
pub(super) struct Survivors<const BLOCK: usize> {
    /// The number of the group.
    group: usize,
    metrics: Vec<Line>,
    branches: Vec<Branches>,
    slots: Vec<Slot<BLOCK>>,
    /// By state: its slot. Successors take the slots of their predecessors.
    slot_of: Vec<usize>,
    next_slot_of: Vec<usize>,
    /// By column of two blocks, which take turns.
    steps: Vec<Steps>,
    /// The best state after the current block, and the state before it on the way there.
    best: Line,
    origin: Line,
    /// The weights of a panel plus the feedback of decided columns.
    targets: [Line; PANEL],
    /// The errors of all decided columns.
    errors: Vec<Line>,
}

impl<const BLOCK: usize> Survivors<BLOCK> {
    pub(super) fn new(group: usize, columns: usize, transitions: &Transitions) -> Self {
        let states = transitions.states();
        let mut metrics = vec![Line([UNREACHED; ROWS]); states];
        metrics[0] = Line::ZERO;
        let branches = Branches { metrics: [Line::ZERO; 2], points: [Line::ZERO; 2] };
        let slot = Slot { pending: [[Line::ZERO; BLOCK]; 2], origin: Line::ZERO };
        let steps =
            Steps { odd: vec![0; states], points: vec![[0; ROWS]; states], fixed: Line::ZERO };
        Self {
            group,
            metrics,
            branches: vec![branches; states],
            slots: vec![slot; states],
            slot_of: (0..states).collect(),
            next_slot_of: vec![0; states],
            steps: vec![steps; 2 * BLOCK],
            best: Line::ZERO,
            origin: Line::ZERO,
            targets: [Line::ZERO; PANEL],
            errors: vec![Line::ZERO; columns],
        }
    }

    /// Sets the targets of a panel to its weights.
    pub(super) fn start_panel(&mut self, panel: &Panel, group: &RowGroup) {
        let values = &group.values[panel.columns()];
        for (target, values) in self.targets.iter_mut().zip(values) {
            target.0 = values.map(|value| if value.is_nan() { 0.0 } else { value });
        }
    }

    /// Adds the errors of decided columns, all of the same sources, to the targets of a panel from
    /// `start` on.
    #[inline(always)]
    pub(super) fn add_errors<V: RowVector>(
        &mut self,
        token: V::Token,
        panel: &Panel,
        columns: Range<usize>,
        start: usize,
    ) {
        let errors = &self.errors[columns.clone()];
        let (targets, _) = self.targets.as_chunks_mut::<TARGETS>();
        let count = panel.columns().len().div_ceil(TARGETS);
        let targets = targets.iter_mut().enumerate().take(count).skip(start / TARGETS);
        for (number, targets) in targets {
            let factors = panel.factors(columns.clone(), number);
            add_errors::<V>(token, errors, factors, targets);
        }
    }

    /// Searches a block of columns of a panel, and decides on the block before it.
    #[inline(always)]
    pub(super) fn search_block<V: RowVector>(
        &mut self,
        token: V::Token,
        search: &Search<'_>,
        panel: &Panel,
        columns: Range<usize>,
        group: &mut RowGroup,
    ) {
        let first = columns.start - panel.columns().start;
        for column in columns.clone() {
            self.find_fixed(column, first + column - columns.start, group);
        }
        for column in columns.clone() {
            let input = Column {
                number: column,
                values: &group.values[column],
                factors: &search.feedback.near[column],
            };
            self.extend::<V>(token, search, &input, first + column - columns.start);
            match search.transitions.is_scalar() {
                false => self.select::<V>(token, search.transitions, &input),
                true => self.select_only::<V>(token, &input),
            }
        }
        self.end_block::<V>(token, half_of::<BLOCK>(columns.start), group);
        if let Some(before) = columns.start.checked_sub(BLOCK) {
            let decided = before..columns.start;
            self.decide(search.transitions, decided.clone(), self.origin, group);
            let start = first + BLOCK;
            if start < panel.columns().len() {
                self.add_errors::<V>(token, panel, decided, start);
            }
        }
    }

    /// Decides on the last block.
    pub(super) fn finish(&mut self, transitions: &Transitions, group: &mut RowGroup) {
        let Some(last) = group.values.len().checked_sub(1) else { return };
        let columns = last / BLOCK * BLOCK..last + 1;
        self.decide(transitions, columns, self.best, group);
    }

    /// Finds the weights of a column that have no error. `target` is its number in the panel.
    #[inline(always)]
    fn find_fixed(&mut self, column: usize, target: usize, group: &mut RowGroup) {
        let (target, fixed) =
            (&mut self.targets[target].0, &mut self.steps[place_of::<BLOCK>(column)].fixed.0);
        *fixed = group.values[column].map(|value| if value.is_nan() { 0.0 } else { 1.0 });
        // Rare, and without a branch for each row.
        if !target.iter().fold(false, |any, target| any | (target.abs() > MAX_TARGET)) {
            return;
        }
        for row in 0..ROWS {
            if target[row].abs() > MAX_TARGET && fixed[row] > 0.0 {
                (target[row], fixed[row]) = (0.0, 0.0);
                group.outliers.push((column, row));
            }
        }
    }

    /// Computes the transitions from all states. `target` is the number of the column in the panel.
    #[inline(always)]
    fn extend<V: RowVector>(
        &mut self,
        token: V::Token,
        search: &Search<'_>,
        input: &Column<'_, BLOCK>,
        target: usize,
    ) {
        let splat = |number| V::splat(token, number);
        let (states, costs) = (search.transitions.states(), &search.costs);
        let class = search.classes.get(input.number).copied().unwrap_or(0);
        let starts = costs.starts(self.group, class.into());
        let common = V::load(token, &self.targets[target]);
        let fixed = V::load(token, &self.steps[place_of::<BLOCK>(input.number)].fixed);
        let weights = fixed * splat(search.feedback.weights[input.number]);
        let spacing = if search.transitions.is_scalar() { 1.0 } else { 2.0 };
        let (offset, last) = costs.range();
        let (round, unit, inverse) = (splat(ROUND), splat(spacing), splat(1.0 / spacing));
        let zero = splat(0.0);
        // By state: the target, and the second of four neighbouring points by their spacing.
        let mut targets = [(zero, zero); PART];
        let mut indices = [Indices::ZERO; PART];
        for first in (0..states).step_by(PART) {
            let part = first..states.min(first + PART);
            for (state, (target, indices)) in part.clone().zip(targets.iter_mut().zip(&mut indices))
            {
                let parity = state & 1;
                let pending =
                    &self.slots[self.slot_of[state]].pending[half_of::<BLOCK>(input.number)];
                let sum = common + V::load(token, &pending[input.number % BLOCK]);
                let sum = (sum * fixed).max(splat(-MAX_TARGET)).min(splat(MAX_TARGET));
                let middle = splat(-0.5 - parity as f32 / spacing);
                let rounded = sum * inverse + middle + round;
                let index = rounded - round + splat(offset);
                // Not a number becomes zero.
                let index = index.max(zero).min(splat(last));
                *indices = (index + round).indices(&starts[parity], &costs.table);
                *target = (sum, rounded);
            }
            for (state, (&(target, rounded), indices)) in part.zip(targets.iter().zip(&indices)) {
                let second = (rounded - round) * unit + splat((state & 1) as f32);
                let points = [second - unit, second, second + unit, second + unit + unit];
                let mut metrics = V::windows(token, &costs.table, indices);
                for (metric, &point) in metrics.iter_mut().zip(&points) {
                    let error = target - point;
                    *metric = error * error * weights + *metric;
                }
                let [a, b, c, d] = metrics;
                // The first point and the third are in one coset, the others in the other.
                let p = V::select(c.less(a), points[2], points[0]);
                let q = V::select(d.less(b), points[3], points[1]);
                let before = V::load(token, &self.metrics[state]);
                let (a, b) = (c.min(a) + before, d.min(b) + before);
                let is_odd = rounded.is_odd();
                let Branches { metrics, points } = &mut self.branches[state];
                V::select(is_odd, a, b).store(&mut metrics[0]);
                V::select(is_odd, b, a).store(&mut metrics[1]);
                V::select(is_odd, p, q).store(&mut points[0]);
                V::select(is_odd, q, p).store(&mut points[1]);
            }
        }
    }

    /// Selects the better transition to each state and feeds its error back.
    #[inline(always)]
    fn select<V: RowVector>(
        &mut self,
        token: V::Token,
        transitions: &Transitions,
        input: &Column<'_, BLOCK>,
    ) {
        let zero = V::splat(token, 0.0);
        let values = V::load_unaligned(token, input.values);
        let steps = &mut self.steps[place_of::<BLOCK>(input.number)];
        let has_error = zero.less(V::load(token, &steps.fixed));
        for butterfly in &transitions.butterflies {
            let [p, q] = butterfly.predecessors;
            let (mut masks, mut errors) = ([zero.less(zero); 2], [zero; 2]);
            for (i, (even, odd)) in [(p, q), (q, p)].into_iter().enumerate() {
                let (even, odd) = (&self.branches[even], &self.branches[odd]);
                let a = V::load(token, &even.metrics[0]);
                let b = V::load(token, &odd.metrics[1]);
                let less = b.less(a);
                let state = butterfly.states[i];
                b.min(a).store(&mut self.metrics[state]);
                steps.odd[state] = V::bits(less);
                let (even, odd) = (V::load(token, &even.points[0]), V::load(token, &odd.points[1]));
                let point = V::select(less, odd, even);
                point.store_integers(&mut steps.points[state]);
                (masks[i], errors[i]) = (less, V::select(has_error, values - point, zero));
            }
            let ([x, y], [e, f]) = (masks, errors);
            let slots = butterfly.predecessors.map(|state| self.slot_of[state]);
            let Ok([a, b]) = self.slots.get_disjoint_mut(slots) else { continue };
            for (half, columns, factors) in input.later() {
                let (a, b) = (&mut a.pending[half][columns.clone()], &mut b.pending[half][columns]);
                for ((a, b), &factor) in a.iter_mut().zip(b).zip(factors) {
                    let (v, w) = (V::load(token, a), V::load(token, b));
                    let factor = V::splat(token, factor);
                    (V::select(x, w, v) + e * factor).store(a);
                    (V::select(y, v, w) + f * factor).store(b);
                }
            }
            let (v, w) = (V::load(token, &a.origin), V::load(token, &b.origin));
            V::select(x, w, v).store(&mut a.origin);
            V::select(y, v, w).store(&mut b.origin);
            for (state, slot) in butterfly.states.into_iter().zip(slots) {
                self.next_slot_of[state] = slot;
            }
        }
        std::mem::swap(&mut self.slot_of, &mut self.next_slot_of);
    }

    /// [`select`](Self::select) with one state.
    #[inline(always)]
    fn select_only<V: RowVector>(&mut self, token: V::Token, input: &Column<'_, BLOCK>) {
        let zero = V::splat(token, 0.0);
        let values = V::load_unaligned(token, input.values);
        let steps = &mut self.steps[place_of::<BLOCK>(input.number)];
        let has_error = zero.less(V::load(token, &steps.fixed));
        let branches = &self.branches[0];
        let (a, p) = (V::load(token, &branches.metrics[0]), V::load(token, &branches.points[0]));
        let (b, q) = (V::load(token, &branches.metrics[1]), V::load(token, &branches.points[1]));
        b.min(a).store(&mut self.metrics[0]);
        let point = V::select(b.less(a), q, p);
        point.store_integers(&mut steps.points[0]);
        let error = V::select(has_error, values - point, zero);
        for (half, columns, factors) in input.later() {
            let pending = &mut self.slots[0].pending[half][columns];
            for (line, &factor) in pending.iter_mut().zip(factors) {
                (V::load(token, line) + error * V::splat(token, factor)).store(line);
            }
        }
    }

    /// Finds the best survivor, drops those that disagree with it on the columns before the block,
    /// and prepares the slots for the block after the next one, which has the same half.
    #[inline(always)]
    fn end_block<V: RowVector>(&mut self, token: V::Token, half: usize, group: &mut RowGroup) {
        let mut least = V::load(token, &self.metrics[0]);
        let mut best = V::splat(token, 0.0);
        let mut origin = V::load(token, &self.slots[self.slot_of[0]].origin);
        for (state, metrics) in self.metrics.iter().enumerate().skip(1) {
            let metrics = V::load(token, metrics);
            let less = metrics.less(least);
            least = metrics.min(least);
            best = V::select(less, V::splat(token, state as f32), best);
            let other = V::load(token, &self.slots[self.slot_of[state]].origin);
            origin = V::select(less, other, origin);
        }
        best.store(&mut self.best);
        origin.store(&mut self.origin);
        let mut costs = Line::ZERO;
        least.store(&mut costs);
        group.cost += costs.0.iter().take(group.rows).map(|&cost| f64::from(cost)).sum::<f64>();
        let unreached = V::splat(token, UNREACHED);
        for (state, metrics) in self.metrics.iter_mut().enumerate() {
            let slot = &mut self.slots[self.slot_of[state]];
            let own = V::load(token, &slot.origin);
            let left = V::load(token, metrics) - least;
            let left = V::select(own.less(origin), unreached, left);
            V::select(origin.less(own), unreached, left).store(metrics);
            V::splat(token, state as f32).store(&mut slot.origin);
            slot.pending[half] = [Line::ZERO; BLOCK];
        }
    }

    /// Takes the points of a block on the way to the state after it, for each row, and computes their
    /// errors.
    fn decide(
        &mut self,
        transitions: &Transitions,
        columns: Range<usize>,
        states_after: Line,
        group: &mut RowGroup,
    ) {
        let mut ways = states_after.0.map(|state| state as usize);
        for column in columns.rev() {
            let steps = &self.steps[place_of::<BLOCK>(column)];
            let (found, errors) = (&mut group.points[column], &mut self.errors[column].0);
            for (row, state) in ways.iter_mut().enumerate() {
                found[row] = steps.points[*state][row];
                let odd = usize::from(steps.odd[*state] >> row & 1);
                *state = transitions.predecessors[*state][odd];
            }
            let values = &group.values[column];
            for row in 0..ROWS {
                let error = values[row] - f32::from(found[row]);
                errors[row] = if steps.fixed.0[row] > 0.0 { error } else { 0.0 };
            }
        }
    }
}

/// Which of the two blocks in memory has a column.
#[inline(always)]
fn half_of<const BLOCK: usize>(column: usize) -> usize {
    column / BLOCK % 2
}

/// The number of a column in the two blocks in memory.
#[inline(always)]
fn place_of<const BLOCK: usize>(column: usize) -> usize {
    column % (2 * BLOCK)
}

/// A column to be searched.
struct Column<'c, const BLOCK: usize> {
    number: usize,
    values: &'c Lanes<f32>,
    /// The factors of its errors in the next columns.
    factors: &'c [f32],
}

impl<const BLOCK: usize> Column<'_, BLOCK> {
    /// The later columns of its block and those of the next block: which half, their numbers there,
    /// and the factors of its errors in them.
    #[inline(always)]
    fn later(&self) -> [(usize, Range<usize>, &[f32]); 2] {
        let (half, next) = (half_of::<BLOCK>(self.number), self.number % BLOCK + 1);
        let (current, factors) = self.factors.split_at(BLOCK - next);
        [(half, next..BLOCK, current), (1 - half, 0..BLOCK, factors)]
    }
}
