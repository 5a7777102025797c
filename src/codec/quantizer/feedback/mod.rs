//! Trellis search with feedback of errors: minimises squared error of the outputs plus λ times bits.
//!
//! The columns of a row are quantised in order. Each survivor of the Viterbi search (Viterbi, 1967)
//! feeds its own errors back into its targets within a panel of columns; at the end of a panel the
//! best survivor remains. Each of 16 rows has a lane. All kernels compute the same results: sums
//! have a fixed order and no operation is fused.

#[cfg(target_arch = "x86_64")]
mod avx2;
mod factor;
mod survivors;

use super::trellis_code::{State, Trellis};
use super::viterbi::{CostTables, ROWS, UNREACHED};
#[cfg(target_arch = "x86_64")]
use crate::arch::Avx2;
use crate::arch::Kernel;
use factor::{PANEL, Panel};

use survivors::{ColumnInput, Lanes, MAX_TARGET, Survivors};

pub(crate) use factor::{Feedback, unit_upper_factor};

/// Up to 16 rows to quantise.
pub(crate) struct RowGroup {
    /// By column, in lattice steps. NaN marks a weight that is stored separately: its point is free
    /// and has no error. [`FeedbackSearch::run`] replaces the values by the errors.
    pub(crate) values: Vec<Lanes<f32>>,
    /// By class of column and row: the start of the cost table.
    pub(crate) starts: Vec<Lanes<u32>>,
    /// The lattice points, by column.
    pub(crate) points: Vec<Lanes<i16>>,
    /// Weights that became too large for the lattice by feedback and have to be stored separately:
    /// column and row.
    pub(crate) outliers: Vec<(usize, usize)>,
    /// The sum of weighted squared errors and λ times bits, over all rows.
    pub(crate) cost: f64,
    /// The number of rows; further lanes do not count.
    rows: usize,
    states: Lanes<State>,
}

impl RowGroup {
    /// A group of up to 16 rows.
    pub(crate) fn new(values: Vec<Lanes<f32>>, starts: Vec<Lanes<u32>>, rows: usize) -> Self {
        let points = vec![[0; ROWS]; values.len()];
        let (outliers, states) = (Vec::new(), [0; ROWS]);
        Self { values, starts, points, outliers, cost: 0.0, rows, states }
    }
}

/// A search with reusable working memory.
pub(crate) struct FeedbackSearch<'f> {
    feedback: &'f Feedback,
    trellis: Trellis,
    kernel: Kernel,
    /// The predecessors of each state by an even and an odd `k`.
    predecessors: Vec<[usize; 2]>,
    /// By group: the targets of a panel, without the feedback of its own errors.
    targets: Vec<[Lanes<f32>; PANEL]>,
    /// 0 for weights without an error, 1 for others.
    fixed: [Lanes<f32>; PANEL],
    survivors: Survivors,
    /// Present if the kernel is used.
    #[cfg(target_arch = "x86_64")]
    vectors: Option<(Avx2, avx2::PanelSearch)>,
}

impl<'f> FeedbackSearch<'f> {
    pub(crate) fn new(feedback: &'f Feedback, trellis: Trellis, kernel: Kernel) -> Self {
        let states = trellis.states();
        let predecessors = |state: usize| match trellis.is_scalar() {
            true => [0, 0],
            false => trellis.predecessors(state as State).map(|state| state as usize),
        };
        let predecessors: Vec<[usize; 2]> = (0..states).map(predecessors).collect();
        Self {
            feedback,
            trellis,
            kernel,
            #[cfg(target_arch = "x86_64")]
            vectors: (kernel.avx2().filter(|_| !trellis.is_scalar()))
                .map(|token| (token, avx2::PanelSearch::new(&predecessors))),
            predecessors,
            targets: Vec::new(),
            fixed: [[0.0; ROWS]; PANEL],
            survivors: Survivors::new(states),
        }
    }

    /// Finds the lattice points of all groups, which have the columns of the feedback. `classes` are
    /// those of the columns; missing classes are 0.
    ///
    /// O(columns + states · [`PANEL`]) for each value. Groups are searched panel by panel, so that
    /// the factors of a panel are read from memory once.
    pub(crate) fn run(&mut self, groups: &mut [RowGroup], costs: &CostTables, classes: &[u8]) {
        let feedback = self.feedback;
        #[cfg(target_arch = "x86_64")]
        if let Some((_, vectors)) = &mut self.vectors {
            vectors.set_costs(costs, groups);
        }
        for panel in &feedback.panels {
            self.add_feedback(panel, groups);
            for (number, group) in groups.iter_mut().enumerate() {
                self.start_panel(panel, group, number);
                for column in 0..panel.width {
                    let at = panel.first + column;
                    let class = usize::from(classes.get(at).copied().unwrap_or(0));
                    let input = ColumnInput {
                        column,
                        values: &group.values[at],
                        targets: &self.targets[number][column],
                        fixed: &self.fixed[column],
                        weight: feedback.weights[at],
                        factors: &panel.inner[column * panel.width..][column + 1..panel.width],
                        costs,
                        starts: &group.starts[class],
                        #[cfg(target_arch = "x86_64")]
                        group: number,
                        #[cfg(target_arch = "x86_64")]
                        class,
                        scalar: self.trellis.is_scalar(),
                    };
                    #[cfg(target_arch = "x86_64")]
                    if let Some((token, vectors)) = &mut self.vectors {
                        vectors.search_column(*token, &mut self.survivors, &input);
                        continue;
                    }
                    self.survivors.search_column(self.kernel, &self.predecessors, &input);
                }
                self.trace_back(panel, group);
            }
        }
    }

    /// Computes the targets of a panel for all groups.
    fn add_feedback(&mut self, panel: &Panel, groups: &[RowGroup]) {
        self.targets.resize(groups.len(), [[0.0; ROWS]; PANEL]);
        for (group, targets) in groups.iter().zip(&mut self.targets) {
            let values = &group.values[panel.first..][..panel.width];
            for (values, targets) in values.iter().zip(targets) {
                *targets = values.map(|value| if value.is_nan() { 0.0 } else { value });
            }
        }
        for (columns, factors) in panel.blocks() {
            for (group, targets) in groups.iter().zip(&mut self.targets) {
                let errors = &group.values[columns.clone()];
                match self.kernel.avx2() {
                    #[cfg(target_arch = "x86_64")]
                    Some(token) => avx2::add_feedback(token, errors, factors, targets),
                    _ => factor::add_feedback(errors, factors, targets),
                }
            }
        }
    }

    /// Finds the weights of a group that have no error in a panel, and resets the survivors.
    fn start_panel(&mut self, panel: &Panel, group: &mut RowGroup, number: usize) {
        let columns = panel.first..panel.first + panel.width;
        let targets = &mut self.targets[number];
        for (values, fixed) in group.values[columns.clone()].iter().zip(&mut self.fixed) {
            *fixed = values.map(|value| if value.is_nan() { 0.0 } else { 1.0 });
        }
        for (column, (targets, fixed)) in columns.zip(targets.iter_mut().zip(&mut self.fixed)) {
            // Rare, and without a branch for each row.
            if !targets.iter().fold(false, |any, target| any | (target.abs() > MAX_TARGET)) {
                continue;
            }
            for row in 0..ROWS {
                if targets[row].abs() > MAX_TARGET && fixed[row] > 0.0 {
                    (targets[row], fixed[row]) = (0.0, 0.0);
                    group.outliers.push((column, row));
                }
            }
        }
        let survivors = &mut self.survivors;
        survivors.metrics.fill([UNREACHED; ROWS]);
        for (row, &state) in group.states.iter().enumerate() {
            survivors.metrics[state as usize][row] = 0.0;
        }
        #[cfg(target_arch = "x86_64")]
        if let Some((_, vectors)) = &mut self.vectors {
            return vectors.start(panel);
        }
        survivors.pending.fill([0.0; ROWS]);
    }

    /// Takes the best survivor of a panel: points, errors, the state after it and its cost.
    fn trace_back(&mut self, panel: &Panel, group: &mut RowGroup) {
        let (states, survivors) = (self.predecessors.len(), &self.survivors);
        let mut ways = [0; ROWS];
        for (row, way) in ways.iter_mut().enumerate() {
            let metric = |state: usize| survivors.metrics[state][row];
            let best = (0..states).min_by(|&a, &b| metric(a).total_cmp(&metric(b))).unwrap_or(0);
            group.cost += if row < group.rows { f64::from(metric(best)) } else { 0.0 };
            group.states[row] = best as State;
            *way = best;
        }
        for column in (0..panel.width).rev() {
            let points = &survivors.points[column * states..][..states];
            let decisions = &survivors.decisions[column * states..][..states];
            let fixed = &self.fixed[column];
            let errors = &mut group.values[panel.first + column];
            let found = &mut group.points[panel.first + column];
            for (row, state) in ways.iter_mut().enumerate() {
                found[row] = points[*state][row];
                *state = self.predecessors[*state][usize::from(decisions[*state] >> row & 1)];
            }
            for row in 0..ROWS {
                let error = errors[row] - f32::from(found[row]);
                errors[row] = if fixed[row] > 0.0 { error } else { 0.0 };
            }
        }
    }
}

#[cfg(test)]
mod tests;
