//! Trellis search with feedback of errors: minimises squared error of the outputs plus λ times bits.
//!
//! The columns of a row are quantised in order. Each survivor of the Viterbi search (Viterbi, 1967)
//! feeds its own errors back into its targets. The columns before the current block and the one
//! before it are decided: their errors are those of all survivors, and one matrix product feeds them
//! back. Each of 16 rows has a lane. All kernels compute the same results: sums have a fixed order and
//! no operation is fused.

mod costs;
mod factor;
mod row_group;
mod rows;
mod survivors;
mod transitions;

use super::trellis_code::Trellis;
use super::viterbi::CostTables;
use crate::arch::Kernel;
use costs::CostWindows;
use factor::{MAX_BLOCK, Panel};
#[cfg(target_arch = "x86_64")]
use rows::{Avx2Rows, Avx512Rows};
use rows::{PortableRows, RowVector};
use survivors::{Search, Survivors};
use transitions::Transitions;

pub(crate) use factor::{Feedback, unit_upper_factor};
pub(crate) use row_group::RowGroup;

/// Groups whose survivors are in memory at a time.
const GROUPS: usize = 8;

/// A search for the lattice points of rows.
pub(crate) struct FeedbackSearch<'f> {
    feedback: &'f Feedback,
    transitions: Transitions,
    kernel: Kernel,
}

impl<'f> FeedbackSearch<'f> {
    pub(crate) fn new(feedback: &'f Feedback, trellis: Trellis, kernel: Kernel) -> Self {
        Self { feedback, transitions: Transitions::new(trellis), kernel }
    }

    /// Finds the lattice points of all groups, which have the columns of the feedback. `classes` are
    /// those of the columns; missing classes are 0.
    ///
    /// O(columns + states) for each value. Groups are searched panel by panel, so that the factors of
    /// a panel are read from memory once for several groups.
    pub(crate) fn run(&self, groups: &mut [RowGroup], costs: &CostTables, classes: &[u8]) {
        let (feedback, transitions) = (self.feedback, &self.transitions);
        let costs = CostWindows::new(costs, groups, transitions.is_scalar());
        let search = Search { feedback, transitions, costs, classes };
        for (number, groups) in groups.chunks_mut(GROUPS).enumerate() {
            let first = number * GROUPS;
            match self.kernel {
                #[cfg(target_arch = "x86_64")]
                Kernel::Avx512(token) => run_groups::<Avx512Rows>(token, &search, first, groups),
                #[cfg(target_arch = "x86_64")]
                Kernel::Avx2(token) => run_groups::<Avx2Rows>(token, &search, first, groups),
                kernel => run_groups::<PortableRows>(kernel, &search, first, groups),
            }
        }
    }
}

/// Searches groups in blocks of columns. `first` is the number of the first group. Survivors agree on columns before the last block: of few
/// states, earlier. Shorter blocks take less time, but with blocks of 16 columns the loss of 32 states
/// is larger by 0.02 bits per weight, that of 8 states by 0.01 bits.
fn run_groups<V: RowVector>(
    token: V::Token,
    search: &Search<'_>,
    first: usize,
    groups: &mut [RowGroup],
) {
    match search.transitions.states() {
        ..=8 => run_blocks::<V, 16>(token, search, first, groups),
        _ => run_blocks::<V, MAX_BLOCK>(token, search, first, groups),
    }
}

/// Searches groups, panel by panel, in blocks of columns.
fn run_blocks<V: RowVector, const BLOCK: usize>(
    token: V::Token,
    search: &Search<'_>,
    first: usize,
    groups: &mut [RowGroup],
) {
    let columns = search.feedback.weights.len();
    let new = |number| Survivors::<BLOCK>::new(number, columns, search.transitions);
    let mut all: Vec<Survivors<BLOCK>> = (first..first + groups.len()).map(new).collect();
    for panel in &search.feedback.panels {
        let columns = panel.columns();
        for (survivors, group) in all.iter_mut().zip(groups.iter()) {
            survivors.start_panel(panel, group);
        }
        for decided in Panel::sources(columns.start.saturating_sub(BLOCK)) {
            for survivors in &mut all {
                V::run(
                    token,
                    #[inline(always)]
                    || survivors.add_errors::<V>(token, panel, decided.clone(), 0),
                );
            }
        }
        for (survivors, group) in all.iter_mut().zip(groups.iter_mut()) {
            for start in columns.clone().step_by(BLOCK) {
                let columns = start..columns.end.min(start + BLOCK);
                V::run(
                    token,
                    #[inline(always)]
                    || survivors.search_block::<V>(token, search, panel, columns, group),
                );
            }
        }
    }
    for (survivors, group) in all.iter_mut().zip(groups) {
        survivors.finish(search.transitions, group);
    }
}

#[cfg(test)]
mod tests;
