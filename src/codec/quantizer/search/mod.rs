//! The encoder's choice of lattice points: least distortion plus λ times bits along whole rows,
//! by dynamic programming over states (Viterbi, 1967).

#[cfg(target_arch = "x86_64")]
mod avx2;
mod portable;

use super::trellis::{State, Trellis};
use crate::arch::Kernel;

/// Rows that are searched side by side.
pub(crate) const ROWS: usize = 16;

/// A distance no path has.
const FAR: f32 = 1e30;

/// Columns after which path metrics are brought back towards zero.
const REBASE: usize = 256;

/// What lattice points cost by their magnitude, λ times their bits: tables of one length, end to
/// end. All points beyond cost what the last one does.
#[derive(Clone, Debug)]
pub(crate) struct Costs {
    length: usize,
    all: Vec<f32>,
}

impl Costs {
    /// From bits by magnitude, of which each table has `length`, at least one, and λ in squared
    /// lattice steps.
    pub(crate) fn new(
        length: usize,
        tables: impl IntoIterator<Item = impl Fn(i32) -> f32>,
        lambda: f32,
    ) -> Self {
        let table = |bits| (0..length as i32).map(bits).map(|bits: f32| bits * lambda);
        Self { length, all: tables.into_iter().flat_map(table).collect() }
    }

    /// Where the table of a number starts.
    pub(crate) fn start(&self, table: usize) -> u32 {
        (table * self.length) as u32
    }

    /// What a point costs by the table that starts there.
    #[inline]
    pub(crate) fn of(&self, start: u32, point: i32) -> f32 {
        self.all[start as usize + (point.unsigned_abs() as usize).min(self.length - 1)]
    }
}

/// What is searched: rows side by side, by column, in lattice steps; magnitudes stay below
/// 2^15 − 4.
pub(crate) struct Task<'t> {
    pub(crate) values: &'t [[f32; ROWS]],
    pub(crate) costs: &'t Costs,
    /// By class of column: where the cost table of each row starts.
    pub(crate) starts: &'t [[u32; ROWS]],
    /// The class of each column; where there are none, it is 0.
    pub(crate) classes: &'t [u8],
}

impl Task<'_> {
    /// Where cost tables start in a column.
    #[inline]
    fn starts(&self, column: usize) -> &[u32; ROWS] {
        &self.starts[usize::from(self.classes.get(column).copied().unwrap_or(0))]
    }
}

/// For each of the four cosets of 4ℤ and each row, the best point, and what that costs.
#[derive(Clone, Copy, Default)]
struct Nearest {
    points: [[i16; ROWS]; 4],
    costs: [[f32; ROWS]; 4],
}

/// A search over rows of one width, its memory kept from one to the next.
pub(crate) struct Search {
    kernel: Kernel,
    trellis: Trellis,
    /// For each state, the two that lead to it.
    previous: Vec<[u16; 2]>,
    metrics: Vec<[f32; ROWS]>,
    next_metrics: Vec<[f32; ROWS]>,
    /// By column and state, for each row a bit: whether the way there was by an odd `k`.
    decisions: Vec<u16>,
    /// By column: the best point of each coset.
    points: Vec<[[i16; ROWS]; 4]>,
}

impl Search {
    pub(crate) fn new(trellis: Trellis, kernel: Kernel) -> Self {
        let states = if trellis.is_scalar() { 0 } else { trellis.states() };
        let previous = |state| trellis.previous(state as State).map(|state| state as u16);
        Self {
            kernel,
            trellis,
            previous: (0..states).map(previous).collect(),
            metrics: vec![[0.0; ROWS]; states],
            next_metrics: vec![[0.0; ROWS]; states],
            decisions: Vec::new(),
            points: Vec::new(),
        }
    }

    /// Chooses points for 16 rows at once, by column. O(states) for each value.
    pub(crate) fn run(&mut self, task: &Task<'_>, out: &mut [[i16; ROWS]]) {
        if self.trellis.is_scalar() {
            return portable::scalar(task, out);
        }
        let columns = task.values.len();
        self.points.resize(columns, [[0; ROWS]; 4]);
        self.decisions.resize(columns * self.trellis.states(), 0);
        self.metrics.fill([FAR; ROWS]);
        self.metrics[0] = [0.0; ROWS];
        for first in (0..columns).step_by(REBASE) {
            let columns = first..columns.min(first + REBASE);
            match self.kernel.avx2() {
                #[cfg(target_arch = "x86_64")]
                Some(token) => avx2::advance(token, self, task, columns),
                None => portable::advance(self, task, columns),
            }
            self.rebase();
        }
        self.trace_back(out);
    }

    /// Subtracts from each row's metrics that of state 0, so that they keep their digits.
    fn rebase(&mut self) {
        let base = self.metrics[0];
        for metrics in &mut self.metrics {
            metrics.iter_mut().zip(&base).for_each(|(metric, base)| *metric -= base);
        }
    }

    /// Follows the decisions from each row's best last state, all rows at a time.
    fn trace_back(&self, out: &mut [[i16; ROWS]]) {
        let count = self.metrics.len();
        let mut states: [usize; ROWS] = std::array::from_fn(|row| {
            let metric = |state: usize| self.metrics[state][row];
            let best = (0..count).min_by(|&a, &b| metric(a).total_cmp(&metric(b)));
            best.unwrap_or(0)
        });
        let columns = self.decisions.chunks_exact(count).zip(&self.points).zip(out).rev();
        for ((decisions, points), out) in columns {
            for (row, (state, out)) in states.iter_mut().zip(out).enumerate() {
                let odd = usize::from(decisions[*state] >> row & 1);
                let z0 = usize::from(*state >= count / 2);
                *out = points[z0 + 2 * odd][row];
                *state = self.previous[*state][odd].into();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn costs() -> Costs {
        // The second half of the rows has a table of its own.
        Costs::new(20, [0.7, 0.5].map(|slope| move |n: i32| 1.0 + n as f32 * slope), 0.4)
    }

    /// What a row of points costs, if the trellis allows it.
    fn price(trellis: Trellis, values: &[f32], points: &[i16], costs: &Costs) -> Option<f32> {
        let (mut state, mut sum) = (0, 0.0);
        for (column, (&value, &point)) in values.iter().zip(points).enumerate() {
            let k = trellis.index(point.into());
            if trellis.point(state, k) != i32::from(point) {
                return None;
            }
            sum += (value - f32::from(point)).powi(2) + cost(costs, column, point.into());
            state = trellis.next(state, k);
        }
        Some(sum)
    }

    /// What a point of the first row costs.
    fn cost(costs: &Costs, column: usize, point: i32) -> f32 {
        costs.of(costs.start(usize::from(table(0, column as u8 % 2))), point)
    }

    /// The least price of all allowed rows whose points are within 6 of the values.
    fn exhaustive(trellis: Trellis, state: State, values: &[f32], at: usize, costs: &Costs) -> f32 {
        let Some(&value) = values.get(at) else { return 0.0 };
        let near = value.round() as i32;
        let allowed = (near - 6..=near + 6)
            .map(|point| (point, trellis.index(point)))
            .filter(|&(point, k)| trellis.point(state, k) == point);
        allowed
            .map(|(point, k)| {
                let here = (value - point as f32).powi(2) + cost(costs, at, point);
                here + exhaustive(trellis, trellis.next(state, k), values, at + 1, costs)
            })
            .fold(f32::INFINITY, f32::min)
    }

    /// Rows searched by all kernels: always the same. Columns are of two classes in turn, by which
    /// rows take turns with the tables.
    fn search(trellis: Trellis, rows: &[Vec<f32>], costs: &Costs) -> Vec<Vec<i16>> {
        let columns = rows[0].len();
        let value = |column: usize| std::array::from_fn(|row| rows[row % rows.len()][column]);
        let values: Vec<[f32; ROWS]> = (0..columns).map(value).collect();
        let classes: Vec<u8> = (0..columns).map(|column| column as u8 % 2).collect();
        let starts = [0, 1]
            .map(|class| std::array::from_fn(|row| costs.start(usize::from(table(row, class)))));
        let task = Task { values: &values, costs, starts: &starts, classes: &classes };
        let mut all = Kernel::all().into_iter().map(|kernel| {
            let mut out = vec![[0; ROWS]; columns];
            Search::new(trellis, kernel).run(&task, &mut out);
            out
        });
        let out = all.next().unwrap();
        assert!(all.all(|other| other == out));
        (0..rows.len()).map(|row| out.iter().map(|points| points[row]).collect()).collect()
    }

    /// Which table a row uses in columns of a class.
    fn table(row: usize, class: u8) -> u8 {
        (row as u8 + class) % 2
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
            let best = exhaustive(trellis, 0, &row, 0, &costs);
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
