//! Planning: every tensor on its own, then the budget over all of them.

use super::budget::{factor_so_far, set_rate, share_budget};
use super::calibrated_steps;
use super::file_budget::FileFacts;
use super::frame_sizes::frame_bytes;
use super::one_tensor::{SampledTensor, TensorFacts, plan_tensor};
use super::planned_tensor::PlannedTensor;
use super::quantized_weights::NamedSources;
use super::relative_plan::RelativePlan;
use super::representatives::{Kind, Representatives};
use super::shared_step::{StepGuess, mean_shared_step};
use super::tensor_plan::{LossyPlan, TensorPlan};
use super::transform_choice::Guess;
use crate::codec::trellis::LearnedTransform;
use crate::encode::encoding::{Encoding, TensorTarget};
use crate::encode::equal_tensors;
use crate::encode::lossless_reason::LosslessReason;
use crate::encode::source::TensorSource;
use crate::error::Result;
use rayon::prelude::*;
use std::collections::BTreeMap;

/// Tensors that are planned at a time, at least, and their weights: progress is reported in between.
const GROUP: usize = 8;
const GROUP_WEIGHTS: u64 = 1 << 22;

/// The number of integers in learned bases that a plan keeps: 64 MB. The encoder learns further ones
/// again, so that memory does not grow with the size of the checkpoint.
const MAX_LEARNED_ENTRIES: usize = 1 << 24;

/// Plans all tensors, by name; of a file that `is_part` of several, also what the merged plan needs.
/// `observe` is called with the bytes of planned tensors. `other_bytes` are those of the file outside
/// of tensors: header, index head, trailer and attachments.
pub(super) fn plan_tensors(
    sources: &[TensorSource<'_>],
    encoding: &Encoding,
    other_bytes: u64,
    is_part: bool,
    observe: &mut dyn FnMut(u64) -> Result<()>,
) -> Result<(BTreeMap<String, TensorPlan>, Option<FileFacts>)> {
    encoding.check()?;
    let equal = equal_tensors::find(sources)?;
    let references: Vec<Option<usize>> = equal
        .iter()
        .zip(sources)
        .map(|(target, source)| {
            let wanted = |source: &TensorSource<'_>| encoding.target_for(source.name);
            target.filter(|&target| wanted(&sources[target]) == wanted(source))
        })
        .collect();
    let mut planned = plan_each(sources, &references, encoding, is_part, observe)?;
    if let Some(bits) = encoding.budget() {
        if calibrated_steps::is_needed(&planned) {
            let uncalibrated = match calibrated_steps::has_several_units(&planned) {
                true => {
                    Some(uncalibrated_bytes(sources, &references, encoding, bits, other_bytes)?)
                }
                false => None,
            };
            calibrated_steps::set(&mut planned, uncalibrated.as_deref());
            share_budget(&mut planned, bits, other_bytes)?;
            calibrated_steps::measure_again(&mut planned, sources, encoding)?;
            calibrated_steps::set(&mut planned, uncalibrated.as_deref());
        }
        let distribute = |planned: &mut [PlannedTensor]| match is_part {
            true => {
                set_rate(planned, bits);
                Ok(())
            }
            false => share_budget(planned, bits, other_bytes),
        };
        distribute(&mut planned)?;
        for _ in 0..MAX_ROUNDS {
            if !plan_again(&mut planned, sources, encoding)? {
                break;
            }
            distribute(&mut planned)?;
        }
    }
    let facts = is_part.then(|| FileFacts::of(sources, &planned, &references, other_bytes));
    // What is tied stays tied.
    for (number, target) in references.iter().enumerate() {
        if let Some(target) = *target {
            let lossy = planned[target].plan.lossy.clone();
            planned[number].plan.lossy =
                lossy.map(|plan| LossyPlan { shares_budget: false, ..plan });
        }
    }
    let tensors = sources.iter().zip(planned);
    let tensors = tensors.map(|(source, planned)| (source.name.to_owned(), planned.plan));
    Ok((tensors.collect(), facts))
}

/// The binary logarithm of the ratio of steps from which a tensor is planned again.
const FAR: f64 = 0.3;

/// The largest such logarithm by which a step is changed in a round: beyond, the rate is a guess.
const MAX_CHANGE: f64 = 3.0;

/// The binary logarithm of the ratio of the step of a tensor without statistics that shares the budget
/// and the one around which its rates were measured.
fn change_of(tensor: &PlannedTensor) -> Option<f64> {
    let (plan, _) = tensor.plan.flexible().filter(|_| tensor.loss.is_none())?;
    let [_, (measured, _), _] = plan.rate.points;
    Some(f64::from(plan.step).log2() - measured)
}

/// Rounds of planning again.
const MAX_ROUNDS: usize = 6;

/// Plans tensors without statistics again whose step is far from where rates were measured and
/// coordinates chosen. Returns whether there were any.
fn plan_again(
    planned: &mut [PlannedTensor],
    sources: &[TensorSource<'_>],
    encoding: &Encoding,
) -> Result<bool> {
    // The changes are limited by a common factor: steps keep their ratios.
    let changes = planned.iter().filter_map(change_of);
    let largest = changes.max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap_or(0.0);
    let excess = largest - largest.clamp(-MAX_CHANGE, MAX_CHANGE);
    if excess != 0.0 {
        let lossy = planned.iter_mut().filter_map(|tensor| tensor.plan.lossy.as_mut());
        for plan in lossy.filter(|plan| plan.shares_budget) {
            plan.step = (f64::from(plan.step).log2() - excess).exp2() as f32;
        }
    }
    let is_far = |tensor: &PlannedTensor| change_of(tensor).is_some_and(|log| log.abs() > FAR);
    // Plans that follow from those of representatives.
    let followed: Vec<Option<RelativePlan>> = planned
        .iter()
        .map(|tensor| {
            let relative = tensor.relative.filter(|_| is_far(tensor));
            relative.filter(|plan| planned[plan.representative].plan.flexible().is_some())
        })
        .collect();
    let again = |tensor: &mut PlannedTensor, source: &TensorSource<'_>| -> Result<bool> {
        let plan = tensor.plan.flexible().filter(|_| is_far(tensor));
        let (Some((plan, _)), Some(matrix)) = (plan, source.matrix()) else { return Ok(false) };
        let (guess, scales) = (Guess::Step(plan.step.into()), plan.quantization_scales.clone());
        let lossy = SampledTensor::new(source, &matrix, scales, encoding)?;
        if let Some(found) = lossy.plan(encoding, guess, tensor.overhead_bits)? {
            (tensor.plan.lossy, tensor.plan.learned) = (Some(found.plan), found.learned);
        }
        Ok(true)
    };
    let tensors = planned.par_iter_mut().zip(sources).zip(&followed);
    let changed: Vec<bool> = tensors
        .filter(|(_, followed)| followed.is_none())
        .map(|((tensor, source), _)| again(tensor, source).map_err(|error| source.locate(error)))
        .collect::<Result<_>>()?;
    for (number, relative) in followed.iter().enumerate() {
        let Some(relative) = relative else { continue };
        let plan = planned[relative.representative].plan.lossy.as_ref();
        planned[number].plan.lossy = plan.map(|plan| relative.plan(plan));
    }
    Ok(changed.contains(&true))
}

/// Plans each tensor on its own; none for references to others, which take the bytes of a frame.
fn plan_each<'s>(
    sources: &[TensorSource<'s>],
    references: &[Option<usize>],
    encoding: &Encoding,
    is_part: bool,
    observe: &mut dyn FnMut(u64) -> Result<()>,
) -> Result<Vec<PlannedTensor>> {
    let mut planned = Vec::with_capacity(sources.len());
    let mut learned_entries = 0;
    let mean = mean_shared_step(sources, encoding);
    let reasons = lossless_reasons(sources, encoding);
    let frames = frame_bytes(sources, references)?;
    let named = NamedSources::new(sources);
    let facts = references.iter().zip(reasons).zip(frames);
    let tensors: Vec<_> = sources
        .iter()
        .zip(facts)
        .map(|(source, ((target, reason), frame))| TensorFacts {
            source,
            is_reference: target.is_some(),
            reason,
            frame,
            kind: if target.is_some() { None } else { Kind::of(source, encoding) },
        })
        .collect();
    let mut representatives = Representatives::default();
    let mut guess = StepGuess { mean, factor: 0.0 };
    let (mut next, mut evaluated) = (0, 0);
    while next < tensors.len() {
        // Groups grow with the number of tensors that the guess is based on.
        let mut weights = 0;
        let fits = |tensor: &&TensorFacts<'_, '_>| {
            weights += tensor.source.elements();
            weights <= GROUP_WEIGHTS
        };
        let count = tensors[next..].iter().take(next).take_while(fits).count().max(GROUP);
        let start = next;
        next = tensors.len().min(start + count);
        let group = &tensors[start..next];
        let plan = |tensor: &TensorFacts<'_, 's>, representatives: &Representatives<'s>| {
            let plan = match tensor.is_reference {
                true => PlannedTensor::reference(tensor.source, tensor.frame),
                false => plan_tensor(tensor, &named, encoding, guess, representatives),
            };
            plan.map_err(|error| tensor.source.locate(error))
        };
        let kinds = group.iter().map(|tensor| tensor.kind.as_ref());
        let is_first = representatives.firsts(kinds);
        let mut plans: Vec<Option<PlannedTensor>> = group.iter().map(|_| None).collect();
        for firsts in [true, false] {
            let planned: Vec<(usize, PlannedTensor)> = (0..group.len())
                .into_par_iter()
                .filter(|&at| is_first[at] == firsts)
                .map(|at| Ok((at, plan(&group[at], &representatives)?)))
                .collect::<Result<_>>()?;
            for (at, plan) in planned {
                representatives.add(group[at].kind.as_ref(), start + at, &plan);
                plans[at] = Some(plan);
            }
        }
        for (mut plan, tensor) in plans.into_iter().flatten().zip(group) {
            let learned = &mut plan.plan.learned;
            learned_entries += learned.transform.as_ref().map_or(0, LearnedTransform::entries);
            if learned_entries > MAX_LEARNED_ENTRIES {
                learned.transform = None;
            }
            planned.push(plan);
            observe(tensor.source.data.size())?;
        }
        if let Some(bits) = encoding.budget().filter(|_| next >= 2 * evaluated) {
            let factor = factor_so_far(&planned, bits, is_part);
            (guess.factor, evaluated) = (factor.clamp(-MAX_CHANGE, MAX_CHANGE), next);
        }
    }
    Ok(planned)
}

/// The bytes that each tensor would take without statistics, at this budget.
fn uncalibrated_bytes(
    sources: &[TensorSource<'_>],
    references: &[Option<usize>],
    encoding: &Encoding,
    bits: f64,
    other_bytes: u64,
) -> Result<Vec<u64>> {
    let encoding = encoding.clone().without_calibration();
    let mut planned = plan_each(sources, references, &encoding, false, &mut |_| Ok(()))?;
    share_budget(&mut planned, bits, other_bytes)?;
    Ok(planned.iter().map(|tensor| tensor.plan.bytes).collect())
}

/// Why tensors are stored losslessly, as far as it does not depend on their values. Rules by name ask
/// for lossy coding of all tensors that the codec applies to.
fn lossless_reasons(
    sources: &[TensorSource<'_>],
    encoding: &Encoding,
) -> Vec<Option<LosslessReason>> {
    let tensors = sources.iter().map(|source| (source.name, source.dtype, source.shape));
    let reasons = LosslessReason::of_all(tensors);
    let reason = |(source, reason): (&TensorSource<'_>, Option<LosslessReason>)| match encoding
        .target_for(source.name)
    {
        TensorTarget::Lossless => Some(LosslessReason::Requested),
        TensorTarget::OwnBits(_) => reason.filter(|reason| reason.is_inevitable()),
        _ => reason,
    };
    sources.iter().zip(reasons).map(reason).collect()
}
