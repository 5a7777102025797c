//! Rate-distortion optimal choice of lattice points: minimises squared error plus λ times bits along
//! whole rows with the Viterbi algorithm (Viterbi, 1967).

#[cfg(target_arch = "x86_64")]
mod avx2;
mod portable;
mod transitions;

use super::trellis_code::{State, Trellis};
use crate::arch::Kernel;

/// Rows that are searched together.
pub(crate) const ROWS: usize = 16;

/// A bit for each row. Shifts by different amounts are not vectorised on all targets.
pub(super) const ROW_BITS: [u32; ROWS] = {
    let mut bits = [0; ROWS];
    let mut row = 0;
    while row < ROWS {
        bits[row] = 1 << row;
        row += 1;
    }
    bits
};

/// The metric of a state that no path has reached.
pub(super) const UNREACHED: f32 = 1e30;

/// Columns after which path metrics are reduced, to keep precision.
const REBASE: usize = 256;

/// Costs of lattice points by magnitude, λ times bits, in several tables of equal length. Larger
/// magnitudes have the cost of the last entry.
#[derive(Clone, Debug)]
pub(crate) struct CostTables {
    pub(super) length: usize,
    /// Each table has [`BEFORE`] costs of negative points before it, and [`AFTER`] of larger points
    /// after it, so that the costs of neighbouring points are next to each other.
    all: Vec<f32>,
}

const BEFORE: usize = 2;
const AFTER: usize = 8;

impl CostTables {
    /// Tables of `length` entries, at least 1, from the number of bits by magnitude and λ in squared
    /// lattice steps.
    pub(crate) fn new(
        length: usize,
        tables: impl IntoIterator<Item = impl Fn(i32) -> f32>,
        lambda: f32,
    ) -> Self {
        let mut all = Vec::new();
        for bits in tables {
            let first = all.len() + BEFORE;
            all.resize(first, 0.0);
            all.extend((0..length as i32).map(|point| bits(point) * lambda));
            let last = all[first + length - 1];
            all.resize(first + length + AFTER, last);
            for point in 1..=BEFORE {
                all[first - point] = all[first + point];
            }
        }
        Self { length, all }
    }

    /// The index of the first entry of a table.
    pub(crate) fn start(&self, table: usize) -> u32 {
        (table * self.spacing() + BEFORE) as u32
    }

    /// The number of the table that starts at `start`.
    pub(super) fn table(&self, start: u32) -> usize {
        start as usize / self.spacing()
    }

    /// The number of tables.
    pub(super) fn count(&self) -> usize {
        self.all.len() / self.spacing()
    }

    /// The distance between the starts of tables.
    fn spacing(&self) -> usize {
        BEFORE + self.length + AFTER
    }

    /// The cost of a point in the table that starts at `start`.
    #[inline]
    pub(crate) fn of(&self, start: u32, point: i32) -> f32 {
        self.all[start as usize + (point.unsigned_abs() as usize).min(self.length - 1)]
    }
}

/// Rows to quantise and the costs of points.
pub(crate) struct SearchInput<'t> {
    /// By column and row, in lattice steps. Magnitudes must be less than 2^15 − 4.
    pub(crate) values: &'t [[f32; ROWS]],
    pub(crate) costs: &'t CostTables,
    /// By class of column and row: the start of the cost table.
    pub(crate) starts: &'t [[u32; ROWS]],
    /// The class of each column; missing classes are 0.
    pub(crate) classes: &'t [u8],
}

impl SearchInput<'_> {
    /// The starts of the cost tables in a column.
    #[inline]
    fn starts(&self, column: usize) -> &[u32; ROWS] {
        &self.starts[usize::from(self.classes.get(column).copied().unwrap_or(0))]
    }
}

/// For each coset of 4ℤ and each row, the point with the least cost, and that cost.
#[derive(Clone, Copy, Default)]
struct CosetMinima {
    points: [[i16; ROWS]; 4],
    costs: [[f32; ROWS]; 4],
}

/// A Viterbi search with reusable working memory.
pub(crate) struct ViterbiSearch {
    kernel: Kernel,
    trellis: Trellis,
    /// The two predecessors of each state.
    predecessors: Vec<[u16; 2]>,
    metrics: Vec<[f32; ROWS]>,
    next_metrics: Vec<[f32; ROWS]>,
    /// By column and state, a bit for each row: whether the transition had an odd `k`.
    decisions: Vec<u16>,
    /// By column: the point of least cost in each coset.
    points: Vec<[[i16; ROWS]; 4]>,
}

impl ViterbiSearch {
    pub(crate) fn new(trellis: Trellis, kernel: Kernel) -> Self {
        let states = if trellis.is_scalar() { 0 } else { trellis.states() };
        let predecessors = |state| trellis.predecessors(state as State).map(|state| state as u16);
        Self {
            kernel,
            trellis,
            predecessors: (0..states).map(predecessors).collect(),
            metrics: vec![[0.0; ROWS]; states],
            next_metrics: vec![[0.0; ROWS]; states],
            decisions: Vec::new(),
            points: Vec::new(),
        }
    }

    /// Writes the lattice points of 16 rows to `out`, by column. O(states) for each value.
    pub(crate) fn run(&mut self, input: &SearchInput<'_>, out: &mut [[i16; ROWS]]) {
        if self.trellis.is_scalar() {
            return portable::scalar(input, out);
        }
        let columns = input.values.len();
        self.points.resize(columns, [[0; ROWS]; 4]);
        self.decisions.resize(columns * self.trellis.states(), 0);
        self.metrics.fill([UNREACHED; ROWS]);
        self.metrics[0] = [0.0; ROWS];
        for first in (0..columns).step_by(REBASE) {
            let columns = first..columns.min(first + REBASE);
            match self.kernel.avx2() {
                #[cfg(target_arch = "x86_64")]
                Some(token) => avx2::advance(token, self, input, columns),
                None => portable::advance(self, input, columns),
            }
            self.rebase();
        }
        self.trace_back(out);
    }

    /// Subtracts the metric of state 0 from the metrics of each row.
    fn rebase(&mut self) {
        let base = self.metrics[0];
        for metrics in &mut self.metrics {
            metrics.iter_mut().zip(&base).for_each(|(metric, base)| *metric -= base);
        }
    }

    /// Follows the decisions backwards from the last state with the least metric.
    fn trace_back(&self, out: &mut [[i16; ROWS]]) {
        let count = self.metrics.len();
        let mut states: [usize; ROWS] = std::array::from_fn(|row| {
            let metric = |state: usize| self.metrics[state][row];
            let best = (0..count).min_by(|&a, &b| metric(a).total_cmp(&metric(b)));
            best.unwrap_or(0)
        });
        #[cfg(target_arch = "x86_64")]
        if let Some(token) = self.kernel.avx2()
            && count <= avx2::TRACED_STATES
        {
            return avx2::trace_back(token, self, states.map(|state| state as u16), out);
        }
        let columns = self.decisions.chunks_exact(count).zip(&self.points).zip(out).rev();
        for ((decisions, points), out) in columns {
            for (row, (state, out)) in states.iter_mut().zip(out).enumerate() {
                let odd = usize::from(decisions[*state] >> row & 1);
                let z0 = usize::from(*state >= count / 2);
                *out = points[z0 + 2 * odd][row];
                *state = self.predecessors[*state][odd].into();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn costs() -> CostTables {
        // Two tables.
        CostTables::new(20, [0.7, 0.5].map(|slope| move |n: i32| 1.0 + n as f32 * slope), 0.4)
    }

    /// The cost of a row of points; `None` if the trellis does not allow it.
    fn row_cost(
        trellis: Trellis,
        values: &[f32],
        points: &[i16],
        costs: &CostTables,
    ) -> Option<f32> {
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

    /// The cost of a point of the first row.
    fn cost(costs: &CostTables, column: usize, point: i32) -> f32 {
        costs.of(costs.start(usize::from(table(0, column as u8 % 2))), point)
    }

    /// The least cost of all allowed rows whose points are within 6 of the values.
    fn exhaustive(
        trellis: Trellis,
        state: State,
        values: &[f32],
        at: usize,
        costs: &CostTables,
    ) -> f32 {
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

    /// Searches rows with all kernels and asserts that the results are equal. Classes of columns
    /// alternate, and so do the tables of rows.
    fn search(trellis: Trellis, rows: &[Vec<f32>], costs: &CostTables) -> Vec<Vec<i16>> {
        let columns = rows[0].len();
        let value = |column: usize| std::array::from_fn(|row| rows[row % rows.len()][column]);
        let values: Vec<[f32; ROWS]> = (0..columns).map(value).collect();
        let classes: Vec<u8> = (0..columns).map(|column| column as u8 % 2).collect();
        let starts = [0, 1]
            .map(|class| std::array::from_fn(|row| costs.start(usize::from(table(row, class)))));
        let input = SearchInput { values: &values, costs, starts: &starts, classes: &classes };
        let mut all = Kernel::all().into_iter().map(|kernel| {
            let mut out = vec![[0; ROWS]; columns];
            ViterbiSearch::new(trellis, kernel).run(&input, &mut out);
            out
        });
        let out = all.next().unwrap();
        assert!(all.all(|other| other == out));
        (0..rows.len()).map(|row| out.iter().map(|points| points[row]).collect()).collect()
    }

    /// The table of a row in columns of a class.
    fn table(row: usize, class: u8) -> u8 {
        (row as u8 + class) % 2
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn the_result_matches_an_exhaustive_search(
            row in prop::collection::vec(-5.0f32..5.0, 5),
            states_log2 in prop::sample::select(vec![0u32, 2, 3, 8]),
        ) {
            let (trellis, costs) = (Trellis::new(states_log2).unwrap(), costs());
            let points = search(trellis, std::slice::from_ref(&row), &costs);
            let found = row_cost(trellis, &row, &points[0], &costs).expect("an allowed row");
            let best = exhaustive(trellis, 0, &row, 0, &costs);
            prop_assert!(found <= best + 1e-4, "{found} {best}");
        }

        #[test]
        fn long_rows_are_allowed_and_close(
            seed in any::<u32>(),
            states_log2 in prop::sample::select(vec![2u32, 3, 4, 5, 6, 7, 8]),
        ) {
            let noise = |i: u32| (i.wrapping_mul(2654435761) ^ seed) as f32 / 2e8 - 10.0;
            let rows: Vec<Vec<f32>> =
                (0..3).map(|row| (0..600).map(|c| noise(row * 1000 + c)).collect()).collect();
            let (trellis, costs) = (Trellis::new(states_log2).unwrap(), costs());
            for (row, points) in rows.iter().zip(search(trellis, &rows, &costs)) {
                prop_assert!(row_cost(trellis, row, &points, &costs).is_some());
                let near = |(x, &n): (&f32, &i16)| (x - f32::from(n)).abs() < 4.0;
                prop_assert!(row.iter().zip(&points).all(near));
            }
        }
    }

    #[test]
    fn the_largest_values_stay_in_range() {
        let rows = vec![vec![32760.0, -32760.0, 0.0, -0.0, 1e-30, 0.5]];
        let trellis = Trellis::new(3).unwrap();
        let points = search(trellis, &rows, &costs());
        assert!((i32::from(points[0][0]) - 32760).abs() <= 4);
        assert!((i32::from(points[0][1]) + 32760).abs() <= 4);
    }
}
