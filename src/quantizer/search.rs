//! The encoder's choice of lattice points: least distortion plus λ times bits along whole rows,
//! by dynamic programming over states (Viterbi, 1967).

use super::trellis::{State, Trellis};

/// Rows that are searched side by side.
pub(crate) const ROWS: usize = 16;

/// Columns whose decisions share a byte.
const STRIP: usize = 8;

/// A distance no path has.
const FAR: f32 = 1e30;

/// Columns after which path metrics are brought back towards zero.
const REBASE: usize = 256;

/// What lattice points cost by their magnitude, λ times their bits; all beyond cost the last.
#[derive(Clone, Debug)]
pub(crate) struct Costs(Vec<f32>);

impl Costs {
    /// From bits by magnitude, of which there is at least one, and λ in squared lattice steps.
    pub(crate) fn new(bits: impl IntoIterator<Item = f32>, lambda: f32) -> Self {
        Self(bits.into_iter().map(|bits| bits * lambda).collect())
    }

    #[inline]
    pub(crate) fn of(&self, point: i32) -> f32 {
        self.0[(point.unsigned_abs() as usize).min(self.0.len() - 1)]
    }
}

/// A search over rows of one width, its memory kept from one to the next.
pub(crate) struct Search {
    trellis: Trellis,
    /// For each state, the two that lead to it.
    previous: Vec<[u16; 2]>,
    metrics: Vec<[f32; ROWS]>,
    next_metrics: Vec<[f32; ROWS]>,
    /// By strip and state, for each row a bit a column: whether the way there was by an odd `k`.
    decisions: Vec<[u8; ROWS]>,
    /// By column: the best point of each coset.
    points: Vec<[[i16; ROWS]; 4]>,
}

impl Search {
    pub(crate) fn new(trellis: Trellis) -> Self {
        let states = if trellis.is_scalar() { 0 } else { trellis.states() };
        let previous = |state| trellis.previous(state as State).map(|state| state as u16);
        Self {
            trellis,
            previous: (0..states).map(previous).collect(),
            metrics: vec![[0.0; ROWS]; states],
            next_metrics: vec![[0.0; ROWS]; states],
            decisions: Vec::new(),
            points: Vec::new(),
        }
    }

    /// Chooses points for 16 rows at once.
    ///
    /// `values` and `out` are by column, in lattice steps; magnitudes must stay below 2^15 − 4.
    /// `costs` tells what points cost in a column of a row. O(states) for each value.
    pub(crate) fn run<'c>(
        &mut self,
        values: &[[f32; ROWS]],
        costs: impl Fn(usize, usize) -> &'c Costs,
        out: &mut [[i16; ROWS]],
    ) {
        if self.trellis.is_scalar() {
            return scalar(values, costs, out);
        }
        let states = self.trellis.states();
        self.points.resize(values.len(), [[0; ROWS]; 4]);
        self.decisions.clear();
        self.decisions.resize(values.len().div_ceil(STRIP) * states, [0; ROWS]);
        self.metrics.fill([FAR; ROWS]);
        self.metrics[0] = [0.0; ROWS];
        for (column, values) in values.iter().enumerate() {
            let mut distances = [[0.0; ROWS]; 4];
            for (row, &value) in values.iter().enumerate() {
                let nearest = nearest(value, costs(column, row));
                for (coset, (distance, point)) in nearest.into_iter().enumerate() {
                    distances[coset][row] = distance;
                    self.points[column][coset][row] = point;
                }
            }
            self.step(column, &distances);
            if column % REBASE == REBASE - 1 {
                self.rebase();
            }
        }
        self.trace_back(out);
    }

    /// Adds, compares and selects: the better way to each state.
    fn step(&mut self, column: usize, distances: &[[f32; ROWS]; 4]) {
        let states = self.previous.len();
        let strip = &mut self.decisions[column / STRIP * states..][..states];
        let bit = column % STRIP;
        let halves = self.previous.len() / 2;
        let ways = self.previous.iter().zip(&mut self.next_metrics).zip(strip).enumerate();
        for (state, ((&[even, odd], next), decisions)) in ways {
            let z0 = usize::from(state >= halves);
            let (even, odd) = (&self.metrics[usize::from(even)], &self.metrics[usize::from(odd)]);
            let (d_even, d_odd) = (&distances[z0], &distances[z0 + 2]);
            for row in 0..ROWS {
                let a = even[row] + d_even[row];
                let b = odd[row] + d_odd[row];
                next[row] = if b < a { b } else { a };
                decisions[row] |= u8::from(b < a) << bit;
            }
        }
        std::mem::swap(&mut self.metrics, &mut self.next_metrics);
    }

    /// Subtracts from each row's metrics that of state 0, so that they keep their digits.
    fn rebase(&mut self) {
        let base = self.metrics[0];
        for metrics in &mut self.metrics {
            metrics.iter_mut().zip(&base).for_each(|(metric, base)| *metric -= base);
        }
    }

    /// Follows the decisions from each row's best last state.
    fn trace_back(&self, out: &mut [[i16; ROWS]]) {
        let states = self.metrics.len();
        for row in 0..ROWS {
            let best =
                |a: &usize, b: &usize| self.metrics[*a][row].total_cmp(&self.metrics[*b][row]);
            let mut state = (0..states).min_by(best).unwrap_or(0);
            for column in (0..out.len()).rev() {
                let decisions = self.decisions[column / STRIP * states + state][row];
                let odd = usize::from(decisions >> (column % STRIP) & 1);
                let z0 = usize::from(state >= states / 2);
                out[column][row] = self.points[column][z0 + 2 * odd][row];
                state = self.previous[state][odd].into();
            }
        }
    }
}

/// For each of the four cosets of 4ℤ its best point, and what that costs.
///
/// Of a coset's points only the two on either side of the value can be best, and the one away
/// from zero only when it is nearer by half.
#[inline]
fn nearest(value: f32, costs: &Costs) -> [(f32, i16); 4] {
    let magnitude = value.abs();
    let floor = magnitude as i32;
    let cost = |point: i32| {
        let error = magnitude - point as f32;
        error * error + costs.of(point)
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
fn scalar<'c>(
    values: &[[f32; ROWS]],
    costs: impl Fn(usize, usize) -> &'c Costs,
    out: &mut [[i16; ROWS]],
) {
    for (column, (values, out)) in values.iter().zip(out).enumerate() {
        for (row, (&value, out)) in values.iter().zip(out).enumerate() {
            let nearest = nearest(value, costs(column, row));
            let best = nearest.into_iter().min_by(|a, b| a.0.total_cmp(&b.0));
            *out = best.map_or(0, |(_, point)| point);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn costs() -> Costs {
        Costs::new((0..20).map(|n| 1.0 + n as f32 * 0.7), 0.4)
    }

    /// What a row of points costs, if the trellis allows it.
    fn price(trellis: Trellis, values: &[f32], points: &[i16], costs: &Costs) -> Option<f32> {
        let (mut state, mut sum) = (0, 0.0);
        for (&value, &point) in values.iter().zip(points) {
            let k = trellis.index(point.into());
            if trellis.point(state, k) != i32::from(point) {
                return None;
            }
            sum += (value - f32::from(point)).powi(2) + costs.of(point.into());
            state = trellis.next(state, k);
        }
        Some(sum)
    }

    /// The least price of all allowed rows whose points are within 6 of the values.
    fn exhaustive(trellis: Trellis, state: State, values: &[f32], costs: &Costs) -> f32 {
        let Some((&value, rest)) = values.split_first() else { return 0.0 };
        let near = value.round() as i32;
        let allowed = (near - 6..=near + 6)
            .map(|point| (point, trellis.index(point)))
            .filter(|&(point, k)| trellis.point(state, k) == point);
        allowed
            .map(|(point, k)| {
                let here = (value - point as f32).powi(2) + costs.of(point);
                here + exhaustive(trellis, trellis.next(state, k), rest, costs)
            })
            .fold(f32::INFINITY, f32::min)
    }

    fn search(trellis: Trellis, rows: &[Vec<f32>], costs: &Costs) -> Vec<Vec<i16>> {
        let columns = rows[0].len();
        let value = |column: usize| std::array::from_fn(|row| rows[row % rows.len()][column]);
        let values: Vec<[f32; ROWS]> = (0..columns).map(value).collect();
        let mut out = vec![[0; ROWS]; columns];
        Search::new(trellis).run(&values, |_, _| costs, &mut out);
        (0..rows.len()).map(|row| out.iter().map(|points| points[row]).collect()).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn no_allowed_row_is_better(
            row in prop::collection::vec(-5.0f32..5.0, 5),
            states_log2 in prop::sample::select(vec![0u32, 2, 3, 8]),
        ) {
            let (trellis, costs) = (Trellis::new(states_log2).unwrap(), costs());
            let points = search(trellis, std::slice::from_ref(&row), &costs);
            let found = price(trellis, &row, &points[0], &costs).expect("an allowed row");
            let best = exhaustive(trellis, 0, &row, &costs);
            prop_assert!(found <= best + 1e-4, "{found} {best}");
        }

        #[test]
        fn long_rows_are_allowed_and_near(
            seed in any::<u32>(),
            states_log2 in prop::sample::select(vec![2u32, 3, 4, 5, 6, 7, 8]),
        ) {
            let noise = |i: u32| (i.wrapping_mul(2654435761) ^ seed) as f32 / 2e8 - 10.0;
            let rows: Vec<Vec<f32>> =
                (0..3).map(|row| (0..600).map(|c| noise(row * 1000 + c)).collect()).collect();
            let (trellis, costs) = (Trellis::new(states_log2).unwrap(), costs());
            for (row, points) in rows.iter().zip(search(trellis, &rows, &costs)) {
                prop_assert!(price(trellis, row, &points, &costs).is_some());
                let near = |(x, &n): (&f32, &i16)| (x - f32::from(n)).abs() < 4.0;
                prop_assert!(row.iter().zip(&points).all(near));
            }
        }
    }

    #[test]
    fn extremes_stay_in_range() {
        let rows = vec![vec![32760.0, -32760.0, 0.0, -0.0, 1e-30, 0.5]];
        let trellis = Trellis::new(3).unwrap();
        let points = search(trellis, &rows, &costs());
        assert!((i32::from(points[0][0]) - 32760).abs() <= 4);
        assert!((i32::from(points[0][1]) + 32760).abs() <= 4);
    }
}
