//! Search of a panel with AVX2: eight rows in a vector.
#![allow(unsafe_code)]

use super::RowGroup;
use super::factor::{BLOCK, PANEL, Panel};
use super::survivors::{ColumnInput, Lanes, MAX_TARGET, ROUND, Survivors};
use crate::arch::Avx2;
use crate::codec::quantizer::viterbi::{CostTables, ROWS};
use std::arch::x86_64::*;

/// Rows of a vector and number of vectors.
const WIDTH: usize = 8;
const VECTORS: usize = ROWS / WIDTH;

/// States that are extended together; a divisor of their number.
const PART: usize = 4;

/// The values of all rows.
type Vectors = [__m256; VECTORS];

/// The values of all rows in a cache line.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line(Lanes<f32>);

/// The columns of [`PanelSearch::pending`]; more than needed, so that the same column of all slots
/// does not compete for the same part of the cache.
const STRIDE: usize = PANEL + 8;

/// The better points of both cosets of a state, and the metrics after them.
#[derive(Clone, Copy)]
struct Branches {
    metrics: [Line; 2],
    points: [Line; 2],
}

/// The nearest points of eight rows from a state.
#[derive(Clone, Copy)]
struct Candidates {
    target: __m256,
    cosets: [Coset; 2],
    /// By row: where the costs of the points are.
    window: [u32; WIDTH],
}

/// Two states with the same two predecessors.
#[derive(Clone, Copy)]
struct Butterfly {
    states: [usize; 2],
    /// The predecessors of the first state by an even and an odd `k`; those of the second state are
    /// the same by an odd and an even `k`.
    predecessors: [usize; 2],
}

/// Working memory.
pub(super) struct PanelSearch {
    butterflies: Vec<Butterfly>,
    windows: CostWindows,
    /// By state and vector, for a part of the states.
    candidates: [[Candidates; VECTORS]; PART],
    branches: Vec<Branches>,
    /// By slot and column: the feedback into a column that is still to come.
    pending: Vec<[Line; STRIDE]>,
    /// By state: its slot. Successors take the slots of their predecessors.
    slots: Vec<usize>,
    next_slots: Vec<usize>,
}

impl PanelSearch {
    /// `predecessors` are those of a trellis with at least four states.
    pub(super) fn new(predecessors: &[[usize; 2]]) -> Self {
        let states = predecessors.len();
        let partner = |[even, odd]: [usize; 2]| predecessors.iter().position(|&p| p == [odd, even]);
        let butterflies = predecessors.iter().enumerate().filter_map(|(state, &predecessors)| {
            let other = partner(predecessors).filter(|&other| other > state)?;
            Some(Butterfly { states: [state, other], predecessors })
        });
        let butterflies: Vec<Butterfly> = butterflies.collect();
        assert_eq!(2 * butterflies.len(), states, "states have partners");
        let line = Line([0.0; ROWS]);
        Self {
            butterflies,
            windows: CostWindows::default(),
            // SAFETY: zero is valid for numbers and vectors of them.
            candidates: unsafe { std::mem::zeroed() },
            branches: vec![Branches { metrics: [line; 2], points: [line; 2] }; states],
            pending: vec![[line; STRIDE]; states],
            slots: (0..states).collect(),
            next_slots: vec![0; states],
        }
    }

    /// Prepares for a panel.
    pub(super) fn start(&mut self, panel: &Panel) {
        self.pending.iter_mut().for_each(|slot| slot[..panel.width].fill(Line([0.0; ROWS])));
    }

    /// Sets the costs of points in a run.
    pub(super) fn set_costs(&mut self, costs: &CostTables, groups: &[RowGroup]) {
        self.windows = CostWindows::new(costs, groups);
    }

    /// Computes [`Survivors::search_column`].
    pub(super) fn search_column(
        &mut self,
        _: Avx2,
        survivors: &mut Survivors,
        input: &ColumnInput<'_>,
    ) {
        // SAFETY: the token is proof of AVX2.
        unsafe {
            self.extend(&survivors.metrics, input);
            self.select(survivors, input);
        }
    }

    /// Computes the transitions from all states: [`Survivors::extend`].
    #[target_feature(enable = "avx2")]
    fn extend(&mut self, metrics: &[Lanes<f32>], input: &ColumnInput<'_>) {
        let starts = &self.windows.starts[input.group][input.class];
        let (targets, fixed) = (load(input.targets), load(input.fixed));
        let weight = _mm256_set1_ps(input.weight);
        let weights = fixed.map(|fixed| _mm256_mul_ps(fixed, weight));
        let (lowest, highest) = (_mm256_set1_ps(-MAX_TARGET), _mm256_set1_ps(MAX_TARGET));
        let windows = &self.windows;
        let (branches, _) = self.branches.as_chunks_mut::<PART>();
        let (slots, _) = self.slots.as_chunks::<PART>();
        let (metrics, _) = metrics.as_chunks::<PART>();
        let candidates = &mut self.candidates;
        // Two loops, so that the processor overlaps the work of several states.
        for ((slots, metrics), branches) in slots.iter().zip(metrics).zip(branches) {
            for (state, (candidates, &slot)) in candidates.iter_mut().zip(slots).enumerate() {
                let (pending, parity) = (load(&self.pending[slot][input.column].0), state & 1);
                for (vector, candidates) in candidates.iter_mut().enumerate() {
                    let sum = _mm256_add_ps(targets[vector], pending[vector]);
                    let target = _mm256_mul_ps(sum, fixed[vector]);
                    let target = _mm256_min_ps(highest, _mm256_max_ps(lowest, target));
                    let cosets = [0.0, 2.0].map(|twice| Coset::new(target, parity as f32 + twice));
                    let low = [cosets[0].low, cosets[1].low];
                    candidates.target = target;
                    candidates.cosets = cosets;
                    candidates.window = windows.find(starts, vector * WIDTH, parity, low);
                }
            }
            for ((candidates, metrics), branches) in candidates.iter().zip(metrics).zip(branches) {
                let metrics = load(metrics);
                for (vector, candidates) in candidates.iter().enumerate() {
                    let Candidates { target, cosets, ref window } = *candidates;
                    // SAFETY: the window was found by `find`, from starts of the windows.
                    let costs = unsafe { windows.costs(window, [cosets[0].low, cosets[1].low]) };
                    for (odd, (coset, costs)) in cosets.iter().zip(costs).enumerate() {
                        let (metric, point) = coset.better(target, weights[vector], costs);
                        let metric = _mm256_add_ps(metric, metrics[vector]);
                        store(&mut branches.metrics[odd].0, vector, metric);
                        store(&mut branches.points[odd].0, vector, point);
                    }
                }
            }
        }
    }

    /// Selects the better transition to each state and feeds its errors back:
    /// [`Survivors::select`] and [`Survivors::feed_back`].
    #[target_feature(enable = "avx2")]
    fn select(&mut self, survivors: &mut Survivors, input: &ColumnInput<'_>) {
        let ColumnInput { column, values, fixed, factors, .. } = *input;
        let states = self.slots.len();
        let (values, zero) = (load(values), _mm256_setzero_ps());
        let fixed = load(fixed).map(|fixed| _mm256_cmp_ps::<_CMP_GT_OQ>(fixed, zero));
        let Survivors { metrics, decisions, points, .. } = survivors;
        let decisions = &mut decisions[column * states..][..states];
        let points = &mut points[column * states..][..states];
        for butterfly in &self.butterflies {
            let [p, q] = butterfly.predecessors;
            let (mut masks, mut errors) = ([[zero; VECTORS]; 2], [[zero; VECTORS]; 2]);
            let ways = [(p, q), (q, p)].into_iter().zip(butterfly.states);
            for (i, ((even, odd), state)) in ways.enumerate() {
                let (even, odd) = (&self.branches[even], &self.branches[odd]);
                let (a, b) = (load(&even.metrics[0].0), load(&odd.metrics[1].0));
                let (x, y) = (load(&even.points[0].0), load(&odd.points[1].0));
                let (mut taken, mut chosen) = (0, [zero; VECTORS]);
                for vector in 0..VECTORS {
                    let less = _mm256_cmp_ps::<_CMP_LT_OQ>(b[vector], a[vector]);
                    taken |= (_mm256_movemask_ps(less) as u16) << (vector * WIDTH);
                    // The second operand where neither is less.
                    let best = _mm256_min_ps(b[vector], a[vector]);
                    store(&mut metrics[state], vector, best);
                    let point = _mm256_blendv_ps(x[vector], y[vector], less);
                    let error = _mm256_sub_ps(values[vector], point);
                    errors[i][vector] = _mm256_and_ps(error, fixed[vector]);
                    (masks[i][vector], chosen[vector]) = (less, point);
                }
                decisions[state] = taken;
                store_short(&mut points[state], chosen);
            }
            let slots = butterfly.predecessors.map(|state| self.slots[state]);
            let Ok([a, b]) = self.pending.get_disjoint_mut(slots) else { continue };
            let later = a[column + 1..].iter_mut().zip(&mut b[column + 1..]);
            for ((a, b), factor) in later.zip(factors) {
                let (x, y, factor) = (load(&a.0), load(&b.0), _mm256_broadcast_ss(factor));
                for vector in 0..VECTORS {
                    let (x, y) = (x[vector], y[vector]);
                    let first = _mm256_blendv_ps(x, y, masks[0][vector]);
                    let second = _mm256_blendv_ps(y, x, masks[1][vector]);
                    let [e, f] = [0, 1].map(|i| _mm256_mul_ps(errors[i][vector], factor));
                    store(&mut a.0, vector, _mm256_add_ps(first, e));
                    store(&mut b.0, vector, _mm256_add_ps(second, f));
                }
            }
            for (state, slot) in butterfly.states.into_iter().zip(slots) {
                self.next_slots[state] = slot;
            }
        }
        std::mem::swap(&mut self.slots, &mut self.next_slots);
    }
}

/// The two points of a coset of 4ℤ next to a target: the largest below it and the next.
#[derive(Clone, Copy)]
struct Coset {
    low: __m256,
    /// All ones where the lower point is the first choice: the higher one must be better.
    low_first: __m256,
}

impl Coset {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn new(target: __m256, coset: f32) -> Self {
        let (coset, round) = (_mm256_set1_ps(coset), _mm256_set1_ps(ROUND));
        let scaled = _mm256_mul_ps(_mm256_sub_ps(target, coset), _mm256_set1_ps(0.25));
        let index = _mm256_sub_ps(_mm256_add_ps(scaled, round), round);
        let four = _mm256_set1_ps(4.0);
        // Exact, as points are small integers.
        let point = _mm256_add_ps(_mm256_mul_ps(index, four), coset);
        let low_first = _mm256_cmp_ps::<_CMP_GT_OQ>(target, point);
        let low = _mm256_sub_ps(point, _mm256_andnot_ps(low_first, four));
        Self { low, low_first }
    }

    /// The lesser of the weighted squared errors plus costs of both points, and its point.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn better(self, target: __m256, weights: __m256, costs: [__m256; 2]) -> (__m256, __m256) {
        let four = _mm256_set1_ps(4.0);
        let points = [self.low, _mm256_add_ps(self.low, four)];
        let [low, high] = [0, 1].map(|i| {
            let error = _mm256_sub_ps(target, points[i]);
            let square = _mm256_mul_ps(error, error);
            _mm256_add_ps(_mm256_mul_ps(square, weights), costs[i])
        });
        let less = _mm256_cmp_ps::<_CMP_LT_OQ>(high, low);
        let not_more = _mm256_cmp_ps::<_CMP_LE_OQ>(high, low);
        let take_high = _mm256_blendv_ps(not_more, less, self.low_first);
        let point = _mm256_add_ps(self.low, _mm256_and_ps(take_high, four));
        (_mm256_min_ps(high, low), point)
    }
}

/// Cost tables by signed point, separately for even and odd points, so that the costs of four
/// neighbouring points of a half of the lattice are next to each other.
#[derive(Default)]
struct CostWindows {
    /// The points of a half have indices up to this one; other points have the same costs.
    last: usize,
    /// By table and half: a cost for each index up to `last`, and three more.
    costs: Vec<f32>,
    /// By group, class of column and row: the start of the tables of both halves.
    starts: Vec<Vec<Lanes<u32>>>,
}

impl CostWindows {
    fn new(costs: &CostTables, groups: &[RowGroup]) -> Self {
        let middle = costs.length as i32 / 2 + 4;
        let (last, half) = (2 * middle as usize, 2 * middle + 4);
        let point = |index: i32, parity: i32| 2 * (index - middle) + parity;
        let tables = (0..costs.all.len() / costs.length).map(|table| costs.start(table));
        let halves = tables.flat_map(|start| [(start, 0), (start, 1)]);
        let cost = |(start, parity)| (0..half).map(move |i| costs.of(start, point(i, parity)));
        let all: Vec<f32> = halves.flat_map(cost).collect();
        let size = 2 * half as u32;
        let move_start = |start: u32| {
            let table = start / costs.length as u32;
            assert_eq!(costs.start(table as usize), start, "the start of a table");
            assert!(((table + 1) * size) as usize <= all.len(), "every start has a cost table");
            table * size
        };
        let of_classes = |rows: &Lanes<u32>| rows.map(move_start);
        let starts = |group: &RowGroup| group.starts.iter().map(of_classes).collect();
        let starts = groups.iter().map(starts).collect();
        Self { last, costs: all, starts }
    }

    /// Where the costs of the points of two cosets are, for eight rows from `first` on. `low` are
    /// the lower points of both cosets.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn find(
        &self,
        starts: &Lanes<u32>,
        first: usize,
        parity: usize,
        low: [__m256; 2],
    ) -> [u32; WIDTH] {
        let lowest = _mm256_min_ps(low[0], low[1]);
        let half = _mm256_set1_ps(0.5);
        let offset = _mm256_set1_ps((self.last / 2) as f32 - 0.5 * parity as f32);
        let index = _mm256_add_ps(_mm256_mul_ps(lowest, half), offset);
        // The second operand where the first is NaN.
        let index = _mm256_max_ps(index, _mm256_setzero_ps());
        let index = _mm256_min_ps(index, _mm256_set1_ps(self.last as f32));
        let half = _mm256_set1_epi32((parity * (self.last + 4)) as i32);
        let index = _mm256_add_epi32(_mm256_cvtps_epi32(index), half);
        let mut window = [0; WIDTH];
        // SAFETY: eight numbers are read and written, at any alignment.
        unsafe {
            let starts = _mm256_loadu_si256(starts[first..][..WIDTH].as_ptr().cast());
            let index = _mm256_add_epi32(starts, index);
            _mm256_storeu_si256(window.as_mut_ptr().cast(), index);
        }
        window
    }

    /// The costs of the points of two cosets: of the lower and the higher point of each.
    ///
    /// # Safety
    /// The window must be from [`find`](Self::find), with starts from `self.starts`.
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn costs(&self, window: &[u32; WIDTH], low: [__m256; 2]) -> [[__m256; 2]; 2] {
        let costs = self.costs.as_ptr();
        // SAFETY: `new` ensures that both halves of the table at a start have `last` + 4 entries.
        let four = |i: usize| unsafe { _mm_loadu_ps(costs.add(window[i] as usize)) };
        let pair = |i: usize| {
            _mm256_insertf128_ps::<1>(_mm256_castps128_ps256(four(i)), four(i + WIDTH / 2))
        };
        let [a, b, c, d] = [pair(0), pair(1), pair(2), pair(3)];
        let (ab, cd) = (_mm256_unpacklo_ps(a, b), _mm256_unpacklo_ps(c, d));
        let zeroth = _mm256_shuffle_ps::<0b01_00_01_00>(ab, cd);
        let first = _mm256_shuffle_ps::<0b11_10_11_10>(ab, cd);
        let (ab, cd) = (_mm256_unpackhi_ps(a, b), _mm256_unpackhi_ps(c, d));
        let second = _mm256_shuffle_ps::<0b01_00_01_00>(ab, cd);
        let third = _mm256_shuffle_ps::<0b11_10_11_10>(ab, cd);
        // The low points are two apart.
        let order = _mm256_cmp_ps::<_CMP_LT_OQ>(low[0], low[1]);
        let pick = |a, b| [_mm256_blendv_ps(b, a, order), _mm256_blendv_ps(a, b, order)];
        let ([a, b], [c, d]) = (pick(zeroth, first), pick(second, third));
        [[a, c], [b, d]]
    }
}

/// Computes [`add_feedback`](super::factor::add_feedback).
pub(super) fn add_feedback(
    _: Avx2,
    errors: &[Lanes<f32>],
    factors: &[[f32; 4]],
    targets: &mut [Lanes<f32>; PANEL],
) {
    // SAFETY: the token is proof of AVX2.
    unsafe { add_block(errors, factors, targets) }
}

#[target_feature(enable = "avx2")]
fn add_block(errors: &[Lanes<f32>], factors: &[[f32; 4]], targets: &mut [Lanes<f32>; PANEL]) {
    // A copy in whole cache lines.
    let mut lines = [Line([0.0; ROWS]); BLOCK];
    lines.iter_mut().zip(errors).for_each(|(line, errors)| line.0 = *errors);
    let (quads, _) = targets.as_chunks_mut::<4>();
    for (quad, factors) in quads.iter_mut().zip(factors.chunks_exact(errors.len())) {
        let mut sums = [load(&quad[0]), load(&quad[1]), load(&quad[2]), load(&quad[3])];
        for (line, factors) in lines.iter().zip(factors) {
            let errors = load(&line.0);
            for (sums, factor) in sums.iter_mut().zip(factors) {
                let factor = _mm256_broadcast_ss(factor);
                for (sum, error) in sums.iter_mut().zip(errors) {
                    *sum = _mm256_add_ps(*sum, _mm256_mul_ps(error, factor));
                }
            }
        }
        for (target, sums) in quad.iter_mut().zip(sums) {
            (0..VECTORS).for_each(|vector| store(target, vector, sums[vector]));
        }
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(rows: &Lanes<f32>) -> Vectors {
    let (vectors, _) = rows.as_chunks::<WIDTH>();
    // SAFETY: a vector is read from eight numbers, at any alignment.
    std::array::from_fn(|i| unsafe { _mm256_loadu_ps(vectors[i].as_ptr()) })
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(rows: &mut Lanes<f32>, vector: usize, values: __m256) {
    // SAFETY: eight numbers are written, at any alignment.
    unsafe { _mm256_storeu_ps(rows[vector * WIDTH..][..WIDTH].as_mut_ptr(), values) }
}

/// Stores integers of 16 bits.
#[inline]
#[target_feature(enable = "avx2")]
fn store_short(rows: &mut Lanes<i16>, values: Vectors) {
    let [low, high] = values.map(|values| _mm256_cvtps_epi32(values));
    let short = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packs_epi32(low, high));
    // SAFETY: 16 numbers are written, at any alignment.
    unsafe { _mm256_storeu_si256(rows.as_mut_ptr().cast(), short) }
}
