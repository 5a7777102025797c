//! What plans of single files, and of several files, have besides the plans of tensors.

use super::planned_tensor::PlannedTensor;
use crate::encode::source::TensorSource;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The most weights, and the most bytes, of a plan: their sums with lengths of files fit into 64 bits.
pub(super) const MAX_TOTAL: u64 = 1 << 60;

/// What the plan of one of several files has for the merged plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct FileFacts {
    /// Estimated bytes of the file outside of tensors.
    pub(super) other_bytes: u64,
    /// The common factor of the steps. Divided by it, steps have the same ratios in all files.
    pub(super) common_step: f64,
    /// Estimated bytes, with a lossless codec, of the tensors that share the budget.
    pub(super) lossless_bytes: BTreeMap<String, u64>,
    /// The tensors that are references, and what they refer to.
    pub(super) references: BTreeMap<String, String>,
}

/// One of the files of a merged plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct FileBudget {
    /// The budget of the file.
    pub(super) bytes: u64,
    /// The names of its tensors.
    pub(super) tensors: BTreeSet<String>,
}

impl FileFacts {
    /// The facts of planned tensors, without statistics.
    pub(super) fn of(
        sources: &[TensorSource<'_>],
        planned: &[PlannedTensor],
        references: &[Option<usize>],
        other_bytes: u64,
    ) -> Self {
        let name = |number: usize| sources[number].name.to_owned();
        let sharing = || (0..).zip(planned).filter(|(_, tensor)| tensor.plan.flexible().is_some());
        // Nearly all are equal: some tensors may have been planned again with another quantiser.
        let step = |tensor: &PlannedTensor| Some(f64::from(tensor.plan.flexible()?.0.step));
        let ratio = |(_, tensor): (usize, &PlannedTensor)| Some(step(tensor)? / tensor.unit_step);
        let mut ratios: Vec<f64> = sharing().filter_map(ratio).collect();
        ratios.sort_unstable_by(f64::total_cmp);
        let common_step = ratios.get(ratios.len() / 2).copied().unwrap_or(1.0);
        let lossless_bytes =
            sharing().map(|(number, tensor)| (name(number), tensor.lossless_bytes)).collect();
        let references = (0..).zip(references);
        let references =
            references.filter_map(|(number, &target)| Some((name(number), name(target?))));
        Self { other_bytes, common_step, lossless_bytes, references: references.collect() }
    }

    /// # Errors
    /// `InvalidArgument` for numbers out of range.
    pub(super) fn check(&self) -> Result<()> {
        let bytes = self.lossless_bytes.values().chain([&self.other_bytes]);
        let is_step = (1e-30..1e30).contains(&self.common_step);
        match is_step && sum(bytes.copied()).is_some() {
            true => Ok(()),
            false => Err(Error::invalid("plan: a common step or bytes out of range")),
        }
    }
}

/// # Errors
/// `InvalidArgument` for budgets out of range, and for files that do not have each of these tensors
/// once.
pub(super) fn check_files<'n>(
    files: &[FileBudget],
    tensors: impl Iterator<Item = &'n String>,
) -> Result<()> {
    if files.is_empty() {
        return Ok(());
    }
    let mut names: Vec<&String> = files.iter().flat_map(|file| &file.tensors).collect();
    names.sort_unstable();
    match names.into_iter().eq(tensors) && sum(files.iter().map(|file| file.bytes)).is_some() {
        true => Ok(()),
        false => {
            Err(Error::invalid("plan: files without the planned tensors, or budgets out of range"))
        }
    }
}

/// The sum; `None` if it is more than a plan may have.
fn sum(mut bytes: impl Iterator<Item = u64>) -> Option<u64> {
    bytes.try_fold(0u64, |sum, bytes| sum.checked_add(bytes).filter(|&sum| sum <= MAX_TOTAL))
}
