//! Steps of tensors with statistics: those at which all have the same slope of loss and rate.

use super::planned_tensor::PlannedTensor;
use super::transform_choice::rates_at_step;
use crate::encode::calibration::LossUnit;
use crate::encode::encoding::Encoding;
use crate::encode::rate_control::step_factor;
use crate::encode::source::TensorSource;
use crate::error::Result;
use crate::statistics_kind::StatisticsKind;
use rayon::prelude::*;

/// The unit of the loss of a tensor that shares the budget; `None` without statistics.
fn unit(tensor: &PlannedTensor) -> Option<LossUnit> {
    tensor.plan.flexible()?;
    tensor.loss.map(|loss| loss.unit)
}

/// Whether a tensor that shares the budget has statistics.
pub(super) fn is_needed(planned: &[PlannedTensor]) -> bool {
    planned.iter().any(|tensor| unit(tensor).is_some())
}

/// Whether tensors that share the budget have losses in different units.
pub(super) fn has_several_units(planned: &[PlannedTensor]) -> bool {
    let mut units = planned.iter().filter(|tensor| tensor.plan.flexible().is_some()).map(unit);
    units.next().is_some_and(|first| units.any(|unit| unit != first))
}

/// Sets the steps of tensors that share a budget, if some of them have statistics: to one common
/// step, divided by the root of their sensitivities.
///
/// Losses in different units have no common scale. The tensors of each unit take as many bytes
/// together as `uncalibrated`, the bytes of each tensor without statistics; `None` if there is only
/// one unit. Tensors without statistics keep the ratios of their steps. They get finer ones: what
/// statistics save in the others buys quality everywhere, at the same slope.
pub(super) fn set(planned: &mut [PlannedTensor], uncalibrated: Option<&[u64]>) {
    let saved = saved_bits(planned);
    for group in LossUnit::ALL.map(Some).into_iter().chain([None]) {
        let is_member =
            |tensor: &PlannedTensor| tensor.plan.flexible().is_some() && unit(tensor) == group;
        // The mean logarithms of both steps, so that the factor between them is small.
        let (mut before, mut after, mut weights) = (0.0, 0.0, 0.0);
        for tensor in planned.iter().filter(|tensor| is_member(tensor)) {
            if let (Some((plan, count)), Some(loss)) = (tensor.plan.flexible(), tensor.loss) {
                before += count as f64 * f64::from(plan.step).log2();
                after += count as f64 * -0.5 * loss.sensitivity.log2();
                weights += count as f64;
            }
        }
        let shift = (before - after) / f64::max(weights, 1.0);
        for tensor in planned.iter_mut().filter(|tensor| is_member(tensor)) {
            if let (Some(plan), Some(loss)) = (&mut tensor.plan.lossy, tensor.loss) {
                plan.step = (shift - 0.5 * loss.sensitivity.log2()).exp2() as f32;
            }
        }
        let Some(uncalibrated) = uncalibrated else { continue };
        let members = || planned.iter().zip(uncalibrated).filter(|(tensor, _)| is_member(tensor));
        let bytes: u64 = members().map(|(_, bytes)| bytes).sum();
        let plans = members().filter_map(|(tensor, _)| tensor.plan.flexible());
        let Some(factor) = step_factor(&plans.clone(), bytes as f64 * 8.0) else { continue };
        let factor = factor - if group.is_none() { saved } else { 0.0 };
        for tensor in planned.iter_mut().filter(|tensor| is_member(tensor)) {
            if let Some(plan) = &mut tensor.plan.lossy {
                plan.step = (f64::from(plan.step).log2() + factor).exp2() as f32;
            }
        }
    }
}

/// Bits per weight that statistics save at equal loss of the model, as measured on SmolLM2: by
/// second moments of inputs or by their diagonals, and by weights of outputs.
const SAVED_BY_MOMENTS: f64 = 0.75;
const SAVED_BY_DIAGONALS: f64 = 0.5;
const SAVED_BY_ROWS: f64 = 0.25;

/// The mean of the bits that statistics save, over the weights that share a budget and have some.
fn saved_bits(planned: &[PlannedTensor]) -> f64 {
    let (mut saved, mut weights) = (0.0, 0.0);
    for (plan, count) in planned.iter().filter_map(|tensor| tensor.plan.flexible()) {
        let kinds = &plan.statistics;
        let bits = |kind| match kind {
            &StatisticsKind::Gram | &StatisticsKind::Inputs => SAVED_BY_MOMENTS,
            &StatisticsKind::Diag | &StatisticsKind::ImportanceMatrix => SAVED_BY_DIAGONALS,
            &StatisticsKind::Rows | &StatisticsKind::Counts => SAVED_BY_ROWS,
        };
        if !kinds.is_empty() {
            saved += count as f64 * kinds.iter().map(bits).sum::<f64>();
            weights += count as f64;
        }
    }
    saved / f64::max(weights, 1.0)
}

/// The binary logarithm of the ratio of steps from which rates are measured again.
const FAR: f64 = 0.4;

/// Measures the rates of tensors with statistics again whose step has moved far from where they
/// were measured.
pub(super) fn measure_again(
    planned: &mut [PlannedTensor],
    sources: &[TensorSource<'_>],
    encoding: &Encoding,
) -> Result<()> {
    let Some(calibration) = &encoding.calibration.0 else { return Ok(()) };
    let measure = |(tensor, source): (&mut PlannedTensor, &TensorSource<'_>)| -> Result<()> {
        let learned = tensor.plan.learned.transform.as_ref();
        let (Some(plan), Some(matrix)) = (&mut tensor.plan.lossy, source.matrix()) else {
            return Ok(());
        };
        let [_, (middle, _), _] = plan.rate.points;
        let is_far = (f64::from(plan.step).log2() - middle).abs() > FAR;
        if !is_far || !plan.shares_budget || tensor.loss.is_none() {
            return Ok(());
        }
        let sensitivity = calibration.resolve(source, &matrix)?;
        let sensitivity = sensitivity.map(|calibrated| calibrated.sensitivity);
        let overhead = tensor.overhead_bits;
        if let Some(rate) = rates_at_step(&matrix, plan, learned, sensitivity, overhead)? {
            plan.rate = rate;
        }
        Ok(())
    };
    let tensors = planned.par_iter_mut().zip(sources);
    tensors
        .map(|(tensor, source)| measure((tensor, source)).map_err(|e| source.locate(e)))
        .collect()
}
