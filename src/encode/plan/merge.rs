//! One budget for several files that are planned and encoded apart.

use super::Plan;
use super::budget::share_budget;
use super::file_budget::FileBudget;
use super::planned_tensor::PlannedTensor;
use super::tensor_plan::{LossyPlan, TensorPlan};
use crate::encode::encoding::Encoding;
use crate::encode::rate_control;
use crate::error::{Error, Result};
use crate::format::{MAX_DEFAULT_PADDING, MIN_ALIGNED_BYTES};
#[cfg(feature = "convert")]
use std::borrow::Cow;
use std::collections::BTreeMap;
#[cfg(feature = "convert")]
use std::collections::BTreeSet;
use std::path::Path;

impl Plan {
    /// Merges the plans of several files, such as the shards of a checkpoint, into one with a common
    /// budget of `bits` bits per weight. O(tensors), without their data.
    ///
    /// Each plan is that of one file, of [`Checkpoint::plan_part`](crate::convert::Checkpoint::plan_part);
    /// its path is for errors. All steps are multiplied by the factors that give them, in all files, the ratios that
    /// they have within one, and that meet the budget by the rate curves of the plans. Curves are
    /// measured around the steps of the budget that a file was planned with, so `bits` should be near it.
    /// Each file then has a budget of its own: [`Writer`](crate::Writer) keeps it when it writes this
    /// file from the merged plan. So the bytes of a file depend on the plan and on this file, not on
    /// the machine that writes the others; [`convert::merge`](crate::convert::merge) joins them.
    /// `other_bytes` are bytes of the merged file that are in none of the others: its index of shards.
    ///
    /// Tensors that are equal to one in another file are planned as if they were not.
    ///
    /// ```no_run
    /// use occ::Plan;
    /// let mut plans = Vec::new();
    /// for path in ["a.json", "b.json"] {
    ///     plans.push((path, Plan::from_json(&std::fs::read_to_string(path)?)?));
    /// }
    /// let plan = Plan::merge(&plans, 3.0, 0)?;
    /// std::fs::write("plan.json", plan.to_json())?;
    /// # Ok::<(), occ::Error>(())
    /// ```
    ///
    /// # Errors
    /// `InvalidArgument` for other plans, for two plans with the same tensor, and for a budget that is
    /// too small.
    pub fn merge(plans: &[(impl AsRef<Path>, Self)], bits: f64, other_bytes: u64) -> Result<Self> {
        Encoding::bits(bits).check()?;
        let mut facts = Vec::new();
        let mut owners: BTreeMap<&String, &Path> = BTreeMap::new();
        for (path, plan) in plans {
            let path = path.as_ref();
            let found = plan.facts.as_ref().ok_or_else(|| {
                let what = "not a plan of one of several files, as occ plan --part makes it";
                Error::invalid(what).in_file(path)
            });
            facts.push(found?);
            for name in plan.tensors.keys() {
                if let Some(other) = owners.insert(name, path) {
                    let what = format!("{} has a plan for this tensor, too", other.display());
                    return Err(Error::invalid(what).in_tensor(name).in_file(path));
                }
            }
        }
        // Their mean, so that the factor of the budget is small.
        let mean = facts.iter().map(|facts| facts.common_step.log2()).sum::<f64>();
        let mean = mean / f64::max(facts.len() as f64, 1.0);
        let mut planned = Vec::new();
        for ((_, plan), facts) in plans.iter().zip(&facts) {
            for (name, tensor) in &plan.tensors {
                let mut tensor = tensor.clone();
                if let Some(lossy) = tensor.lossy.as_mut().filter(|lossy| lossy.shares_budget) {
                    let factor = mean - facts.common_step.log2();
                    lossy.step = (f64::from(lossy.step).log2() + factor).exp2() as f32;
                }
                let lossless_bytes = facts.lossless_bytes.get(name).copied();
                let lossless_bytes = lossless_bytes.unwrap_or(tensor.bytes);
                planned.push(PlannedTensor::new(tensor, lossless_bytes, 0.0));
            }
        }
        let fixed = facts.iter().map(|facts| facts.other_bytes).sum::<u64>();
        let padding = padding(planned.iter().map(|tensor| &tensor.plan));
        share_budget(&mut planned, bits, fixed + other_bytes + padding)?;

        let mut merged = Self { bits: Some(bits), ..Self::default() };
        let mut planned = planned.into_iter().map(|tensor| tensor.plan);
        for ((path, plan), facts) in plans.iter().zip(&facts) {
            let mut tensors: BTreeMap<String, TensorPlan> =
                plan.tensors.keys().cloned().zip(planned.by_ref()).collect();
            for (name, target) in &facts.references {
                tie(&mut tensors, name, target).map_err(|error| error.in_file(path))?;
            }
            let bytes = tensors.values().map(|tensor| tensor.bytes).sum::<u64>();
            let bytes = rate_control::budget_of((bytes + facts.other_bytes) as f64) as u64;
            let names = tensors.keys().cloned().collect();
            merged.files.push(FileBudget { bytes, tensors: names });
            merged.tensors.append(&mut tensors);
        }
        merged.check()?;
        Ok(merged)
    }

    /// The plan of the file with just these tensors: of a merged plan the part that is for it, with
    /// its budget; another plan as it is.
    ///
    /// # Errors
    /// `InvalidArgument` if the plan is a merged one and none of its files has just these tensors, or if
    /// it is to be merged.
    #[cfg(feature = "convert")]
    pub(crate) fn of_file<'n>(
        &self,
        names: impl Iterator<Item = &'n str>,
    ) -> Result<Cow<'_, Self>> {
        if self.facts.is_some() {
            return Err(Error::invalid(
                "the plan is one of several files: occ plan --merge gives them a budget",
            ));
        }
        if self.files.is_empty() {
            return Ok(Cow::Borrowed(self));
        }
        let names: BTreeSet<String> = names.map(str::to_owned).collect();
        let file = self.files.iter().find(|file| file.tensors == names).ok_or_else(|| {
            Error::invalid(
                "the plan is one of several files, and none of them has just the tensors of the \
                 input: each is compressed by itself, and the results are merged",
            )
        })?;
        let planned = |name: &String| Some((name.clone(), self.tensors.get(name)?.clone()));
        let tensors: BTreeMap<String, TensorPlan> = names.iter().filter_map(planned).collect();
        let weights: u64 = tensors.values().map(|tensor| tensor.weights).sum();
        let bits = (weights > 0).then(|| file.bytes as f64 * 8.0 / weights as f64);
        Ok(Cow::Owned(Self { bits, tensors, ..Self::default() }))
    }
}

/// Bytes by which padding may be longer in the merged file than in its parts.
fn padding<'t>(tensors: impl Iterator<Item = &'t TensorPlan>) -> u64 {
    let raw = |tensor: &&TensorPlan| tensor.lossy.is_none() && tensor.bytes >= MIN_ALIGNED_BYTES;
    MAX_DEFAULT_PADDING * tensors.filter(raw).count() as u64
}

/// Gives a reference the coding of its target.
fn tie(tensors: &mut BTreeMap<String, TensorPlan>, name: &str, target: &str) -> Result<()> {
    let unknown = || Error::invalid(format!("plan: a reference to {target}")).in_tensor(name);
    let lossy = tensors.get(target).ok_or_else(unknown)?.lossy.clone();
    let tensor = tensors.get_mut(name).ok_or_else(unknown)?;
    tensor.lossy = lossy.map(|lossy| LossyPlan { shares_budget: false, ..lossy });
    Ok(())
}
