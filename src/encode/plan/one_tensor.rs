//! Planning of one tensor.

use super::budget::change_step;
use super::effort::{planning_effort, step_for_bits, step_for_noise};
use super::planned_tensor::{LossWeight, PlannedTensor, lossless_bytes, overhead_bits};
use super::quantized_weights::NamedSources;
use super::relative_plan::Features;
use super::representatives::{Kind, Representatives};
use super::scaling::scaling;
use super::shared_step::{StepGuess, shared_step};
use super::tensor_plan::{Learned, LossyPlan, TensorPlan};
use super::transform_choice::{Guess, MeasuredPlan, measured_plan, outlier_bits};
use crate::codec::trellis::{QuantizationScales, Scaling, TransformSearch};
use crate::encode::calibration::{Calibrated, LossUnit};
use crate::encode::encoding::{Encoding, TensorTarget};
use crate::encode::few_values::has_few_values;
use crate::encode::lossless_reason::LosslessReason;
use crate::encode::matrix::Matrix;
use crate::encode::rate_control::step_factor;
use crate::encode::source::TensorSource;
use crate::error::{Error, Result};
use crate::role::TensorRole;
use std::sync::Arc;

/// The least rate of a tensor with a budget of its own, in bits per weight above its minimum.
const MIN_OWN_BITS: f64 = 0.1;

/// What is known of a tensor before its values are read.
pub(super) struct TensorFacts<'p, 's> {
    pub(super) source: &'p TensorSource<'s>,
    /// Whether it is a reference to another tensor.
    pub(super) is_reference: bool,
    /// Why it is stored losslessly, if that does not depend on its values.
    pub(super) reason: Option<LosslessReason>,
    /// Bytes of its frame without chunks and parameters.
    pub(super) frame: u64,
    /// What it has in common with tensors that may have the same representative.
    pub(super) kind: Option<Kind<'s>>,
}

/// Plans one tensor, whose scales may be among others; a step that shares a budget is provisional.
pub(super) fn plan_tensor<'s>(
    facts: &TensorFacts<'_, 's>,
    named: &NamedSources<'_, '_>,
    encoding: &Encoding,
    guess: StepGuess,
    representatives: &Representatives<'s>,
) -> Result<PlannedTensor> {
    let &TensorFacts { source, reason, frame, ref kind, .. } = facts;
    let (weights, overhead_bits) = (source.elements(), overhead_bits(source, frame));
    let lossless = |reason| -> Result<PlannedTensor> {
        let bytes = lossless_bytes(source, frame)?;
        let (lossless, learned) = (Some(reason), Learned::default());
        let plan = TensorPlan { weights, bytes, lossy: None, lossless, learned };
        Ok(PlannedTensor::new(plan, bytes, overhead_bits))
    };
    if let Some(reason) = reason {
        return lossless(reason);
    }
    let target = encoding.target_for(source.name);
    let (mut factor, mut unit) = (0.0, 0.0);
    let relative_step = match target {
        TensorTarget::Lossless => return lossless(LosslessReason::Requested),
        TensorTarget::SharedBits(bits) => {
            factor = guess.factor;
            let shared = shared_step(encoding.weighting, source) / guess.mean;
            unit = step_for_bits(encoding.effort, bits) / guess.mean;
            step_for_bits(encoding.effort, bits) * shared * factor.exp2()
        }
        TensorTarget::OwnBits(bits) => step_for_bits(encoding.effort, bits),
        TensorTarget::Noise(share) | TensorTarget::OutputNoise(share) => {
            step_for_noise(encoding.effort, share)
        }
    };
    if !matches!(target, TensorTarget::OwnBits(_)) && has_few_values(source)? {
        return lossless(LosslessReason::FewValues);
    }
    let guess = Guess::RelativeStep(relative_step.clamp(1e-4, 4.0));
    let Some(matrix) = source.matrix() else { return lossless(LosslessReason::Shape) };
    let sampled =
        SampledTensor::new(source, &matrix, named.quantization_scales(source)?, encoding)?;
    let mut features = None;
    if let Some(kind) = kind {
        features = sampled.features(encoding)?;
        let similar =
            |features| representatives.similar_plan(kind, features, weights, overhead_bits);
        if let Some(planned) = features.as_ref().and_then(similar) {
            return Ok(planned);
        }
    }
    let Some(found) = sampled.plan(encoding, guess, overhead_bits)? else {
        return lossless(LosslessReason::Range);
    };
    let LossyTensorPlan { plan, learned, loss } = found;
    let lossless_bytes = lossless_bytes(source, frame)?;
    let (bytes, lossy) = (lossless_bytes, Some(plan));
    let mut plan = TensorPlan { weights, bytes, lossy, lossless: None, learned };
    change_step(&mut plan, lossless_bytes, 0.0);
    let mut unit_step = 0.0;
    if let Some(lossy) = plan.lossy.as_mut().filter(|lossy| lossy.shares_budget) {
        // Provisional steps have the same ratios whatever the guess.
        lossy.step = (f64::from(lossy.step).log2() - factor).exp2() as f32;
        unit_step = f64::from(lossy.step) / unit;
    }
    let planned = PlannedTensor::new(plan, lossless_bytes, overhead_bits);
    Ok(PlannedTensor { loss, unit_step, features, ..planned })
}

/// The plan of a lossy tensor, and what is not part of it.
pub(super) struct LossyTensorPlan {
    pub(super) plan: LossyPlan,
    pub(super) learned: Learned,
    loss: Option<LossWeight>,
}

/// A tensor that may be coded lossily, with its statistics, its scales, and a sample of it.
pub(super) struct SampledTensor<'s> {
    source: &'s TensorSource<'s>,
    target: TensorTarget,
    calibrated: Option<Calibrated>,
    scaling: Scaling,
    search: TransformSearch<'s>,
}

impl<'s> SampledTensor<'s> {
    /// Reads the sample. `quantization` are the scales beside quantised weights.
    pub(super) fn new(
        source: &'s TensorSource<'s>,
        matrix: &'s Matrix<'s>,
        quantization: Option<QuantizationScales>,
        encoding: &Encoding,
    ) -> Result<Self> {
        let target = encoding.target_for(source.name);
        let calibration = encoding.calibration.0.as_ref();
        let calibrated = calibration.map_or(Ok(None), |all| all.resolve(source, matrix))?;
        let mut scaling = scaling(encoding, target, source, matrix, calibrated.as_ref());
        // A bound is on the error of the elements, and statistics are weights of their own.
        let is_bounded = matches!(target, TensorTarget::Noise(_) | TensorTarget::OutputNoise(_));
        scaling.quantization = quantization.filter(|_| !is_bounded && calibrated.is_none());
        let sensitivity = calibrated.as_ref().map(|calibrated| Arc::clone(&calibrated.sensitivity));
        let sample = planning_effort(encoding.effort).sample;
        let search = TransformSearch::new(matrix, &scaling, sensitivity, sample)?;
        Ok(Self { source, target, calibrated, scaling, search })
    }

    /// The statistics that decide whether the tensor is similar to others; `None` if it is to none.
    fn features(&self, encoding: &Encoding) -> Result<Option<Features>> {
        let Scaling { rows, columns, ref quantization } = self.scaling;
        match quantization {
            Some(_) => Ok(None),
            None => Features::of(&self.search, (rows, columns), encoding),
        }
    }

    /// The plan near a guess of the step. `None` for a tensor that the lattice does not suit.
    pub(super) fn plan(
        self,
        encoding: &Encoding,
        guess: Guess,
        overhead_bits: f64,
    ) -> Result<Option<LossyTensorPlan>> {
        let Self { source, target, calibrated, scaling, search } = self;
        let calibration = encoding.calibration.0.as_ref();
        let outlier_bits = outlier_bits(&search, source.dtype);
        let measured =
            measured_plan(&search, encoding, scaling, guess, overhead_bits + outlier_bits)?;
        let Some(MeasuredPlan { mut plan, learned, sensitivity, outputs, rms, noise }) = measured
        else {
            return Ok(None);
        };
        plan.statistics = calibrated.as_ref().map_or_else(Vec::new, |found| found.kinds.clone());
        let learned = Learned {
            transform: learned,
            calibration: calibrated.as_ref().and(calibration).map(Arc::clone),
        };
        let unit = calibrated.as_ref().map(|calibrated| calibrated.unit);
        let weight = relative_loss(TensorRole::of(source.name, 2));
        let loss = sensitivity.zip(unit).map(|(sensitivity, unit)| match unit {
            LossUnit::Model => LossWeight { sensitivity, unit },
            _ => LossWeight { sensitivity: sensitivity * weight, unit },
        });
        match target {
            TensorTarget::Lossless => return Ok(None),
            TensorTarget::SharedBits(_) => {
                plan.shares_budget = true;
            }
            TensorTarget::OwnBits(bits) => {
                // A small tensor may need more for its headers alone.
                let bits = bits.max(plan.rate.min_bits + MIN_OWN_BITS);
                let factor = step_factor(&std::iter::once((&plan, 1)), bits).unwrap_or(0.0);
                plan.step = (f64::from(plan.step).log2() + factor).exp2() as f32;
            }
            TensorTarget::OutputNoise(share) if outputs.is_some() => {
                let (energy, weight) = outputs.unwrap_or_default();
                if calibrated.is_some_and(|calibrated| calibrated.is_transposed) {
                    return Err(Error::unsupported(
                        "a bound on the error of outputs of a matrix that is stored as inputs × outputs",
                    ));
                }
                plan.max_output_noise = Some(share);
                plan.step = step_for(noise, (share * energy / weight).log2()).exp2() as f32;
            }
            TensorTarget::Noise(share) | TensorTarget::OutputNoise(share) => {
                plan.max_noise = Some(share);
                plan.step = step_for(noise, (share * 0.995 * rms * rms).log2()).exp2() as f32;
            }
        }
        Ok(Some(LossyTensorPlan { plan, learned, loss }))
    }
}

/// The effect of errors relative to the energy of outputs on the loss of a model, by role.
fn relative_loss(role: TensorRole) -> f64 {
    match role {
        TensorRole::Query | TensorRole::Key => 0.25,
        TensorRole::AttentionOutput => 0.5,
        _ => 1.0,
    }
}

/// The binary logarithm of the step at a noise, interpolated between the measured points.
fn step_for([(x0, y0), (x1, y1), (x2, y2)]: [(f64, f64); 3], noise: f64) -> f64 {
    let (x, y, slope) = match noise < y1 {
        true => (x0, y0, (y1 - y0) / (x1 - x0)),
        false => (x1, y1, (y2 - y1) / (x2 - x1)),
    };
    // The slope is 2 where the error is proportional to the square of the step, and less where most
    // of the residual is zero.
    x + (noise - y) / slope.clamp(0.5, 2.5)
}
