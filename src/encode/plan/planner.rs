//! Planning: every tensor on its own, then the budget over all of them.

use super::budget::{change_step, factor_so_far, set_rate, share_budget};
use super::calibrated_steps;
use super::effort::{step_for_bits, step_for_noise};
use super::file_budget::FileFacts;
use super::frame_sizes::frame_bytes;
use super::planned_tensor::{LossWeight, PlannedTensor, lossless_bytes, overhead_bits};
use super::quantized_weights::NamedSources;
use super::tensor_plan::{Learned, LossyPlan, TensorPlan};
use super::transform_choice::{Guess, MeasuredPlan, measured_plan};
use crate::codec::trellis::{LearnedTransform, QuantizationScales, Scaling};
use crate::codec::{ColumnScales, RowScales};
use crate::encode::calibration::{Calibrated, LossUnit};
use crate::encode::encoding::{Encoding, TensorTarget, Weighting};
use crate::encode::equal_tensors;
use crate::encode::few_values::has_few_values;
use crate::encode::lossless_reason::LosslessReason;
use crate::encode::matrix::Matrix;
use crate::encode::rate_control::step_factor;
use crate::encode::source::TensorSource;
use crate::error::{Error, Result};
use crate::role::{TensorRole, has_normalised_columns};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Tensors that are planned at a time, at least, and their weights: progress is reported in between.
const GROUP: usize = 8;
const GROUP_WEIGHTS: u64 = 1 << 22;

/// The number of integers in learned bases that a plan keeps: 64 MB. The encoder learns further ones
/// again, so that memory does not grow with the size of the checkpoint.
const MAX_LEARNED_ENTRIES: usize = 1 << 24;

/// The least rate of a tensor with a budget of its own, in bits per weight above its minimum.
const MIN_OWN_BITS: f64 = 0.1;

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
    let again = |(tensor, source): (&mut PlannedTensor, &TensorSource<'_>)| -> Result<bool> {
        let far = change_of(tensor).is_some_and(|change| change.abs() > FAR);
        let (Some((plan, _)), Some(matrix)) =
            (tensor.plan.flexible().filter(|_| far), source.matrix())
        else {
            return Ok(false);
        };
        let guess = Guess::Step(plan.step.into());
        let (overhead, scales) = (tensor.overhead_bits, plan.quantization_scales.clone());
        if let Some(found) = lossy_plan(source, &matrix, scales, overhead, encoding, guess)? {
            (tensor.plan.lossy, tensor.plan.learned) = (Some(found.plan), found.learned);
        }
        Ok(true)
    };
    let tensors = planned.par_iter_mut().zip(sources);
    let changed: Vec<bool> = tensors
        .map(|(tensor, source)| again((tensor, source)).map_err(|error| source.locate(error)))
        .collect::<Result<_>>()?;
    Ok(changed.contains(&true))
}

/// Plans each tensor on its own; none for references to others, which take the bytes of a frame.
fn plan_each(
    sources: &[TensorSource<'_>],
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
        })
        .collect();
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
        let group = &tensors[next..tensors.len().min(next + count)];
        next += group.len();
        let plan = |tensor: &TensorFacts<'_, '_>| match tensor.is_reference {
            true => PlannedTensor::reference(tensor.source, tensor.frame),
            false => plan_tensor(tensor, &named, encoding, guess),
        };
        let plans: Vec<Result<PlannedTensor>> = group.par_iter().map(plan).collect();
        for (plan, TensorFacts { source, .. }) in plans.into_iter().zip(group) {
            let mut plan = plan.map_err(|error| source.locate(error))?;
            let learned = &mut plan.plan.learned;
            learned_entries += learned.transform.as_ref().map_or(0, LearnedTransform::entries);
            if learned_entries > MAX_LEARNED_ENTRIES {
                learned.transform = None;
            }
            planned.push(plan);
            observe(source.data.size())?;
        }
        if let Some(bits) = encoding.budget().filter(|_| next >= 2 * evaluated) {
            let factor = factor_so_far(&planned, bits, is_part);
            (guess.factor, evaluated) = (factor.clamp(-MAX_CHANGE, MAX_CHANGE), next);
        }
    }
    Ok(planned)
}

/// What the guess of the step of a tensor that shares a budget depends on.
#[derive(Clone, Copy)]
struct StepGuess {
    /// The mean of [`shared_step`] over all tensors.
    mean: f64,
    /// The binary logarithm of the ratio of the expected steps and the provisional ones.
    factor: f64,
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

/// What is known of a tensor before its values are read.
struct TensorFacts<'p, 's> {
    source: &'p TensorSource<'s>,
    /// Whether it is a reference to another tensor.
    is_reference: bool,
    /// Why it is stored losslessly, if that does not depend on its values.
    reason: Option<LosslessReason>,
    /// Bytes of its frame without chunks and parameters.
    frame: u64,
}

/// Plans one tensor, whose scales may be among others; a step that shares a budget is provisional.
fn plan_tensor(
    &TensorFacts { source, reason, frame, .. }: &TensorFacts<'_, '_>,
    named: &NamedSources<'_, '_>,
    encoding: &Encoding,
    guess: StepGuess,
) -> Result<PlannedTensor> {
    let lossless_bytes = lossless_bytes(source, frame)?;
    let overhead_bits = overhead_bits(source, frame);
    let (weights, bytes) = (source.elements(), lossless_bytes);
    let lossless = |reason| {
        let (lossless, learned) = (Some(reason), Learned::default());
        let plan = TensorPlan { weights, bytes, lossy: None, lossless, learned };
        PlannedTensor::new(plan, lossless_bytes, overhead_bits)
    };
    if let Some(reason) = reason {
        return Ok(lossless(reason));
    }
    let target = encoding.target_for(source.name);
    let (mut factor, mut unit) = (0.0, 0.0);
    let relative_step = match target {
        TensorTarget::Lossless => return Ok(lossless(LosslessReason::Requested)),
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
        return Ok(lossless(LosslessReason::FewValues));
    }
    let guess = Guess::RelativeStep(relative_step.clamp(1e-4, 4.0));
    let Some(matrix) = source.matrix() else { return Ok(lossless(LosslessReason::Shape)) };
    let scales = named.quantization_scales(source)?;
    let Some(found) = lossy_plan(source, &matrix, scales, overhead_bits, encoding, guess)? else {
        return Ok(lossless(LosslessReason::Range));
    };
    let LossyTensorPlan { plan, learned, loss } = found;
    let mut plan = TensorPlan { weights, bytes, lossy: Some(plan), lossless: None, learned };
    change_step(&mut plan, lossless_bytes, 0.0);
    let mut unit_step = 0.0;
    if let Some(lossy) = plan.lossy.as_mut().filter(|lossy| lossy.shares_budget) {
        // Provisional steps have the same ratios whatever the guess.
        lossy.step = (f64::from(lossy.step).log2() - factor).exp2() as f32;
        unit_step = f64::from(lossy.step) / unit;
    }
    Ok(PlannedTensor { plan, lossless_bytes, overhead_bits, loss, unit_step })
}

/// The plan of a lossy tensor, and what is not part of it.
struct LossyTensorPlan {
    plan: LossyPlan,
    learned: Learned,
    loss: Option<LossWeight>,
}

fn lossy_plan(
    source: &TensorSource<'_>,
    matrix: &Matrix<'_>,
    quantization: Option<QuantizationScales>,
    overhead: f64,
    encoding: &Encoding,
    guess: Guess,
) -> Result<Option<LossyTensorPlan>> {
    let target = encoding.target_for(source.name);
    let calibration = encoding.calibration.0.as_ref();
    let calibrated = calibration.map_or(Ok(None), |all| all.resolve(source, matrix))?;
    let mut scaling = scaling(encoding, target, source, matrix, calibrated.as_ref());
    // A bound is on the error of the elements, and statistics are weights of their own.
    let is_bounded = matches!(target, TensorTarget::Noise(_) | TensorTarget::OutputNoise(_));
    scaling.quantization = quantization.filter(|_| !is_bounded && calibrated.is_none());
    let sensitivity = calibrated.as_ref().map(|calibrated| Arc::clone(&calibrated.sensitivity));
    let measured = measured_plan(matrix, encoding, scaling, sensitivity, guess, overhead)?;
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

/// The scales of rows and columns. They move errors within a tensor, so they are not used with a
/// bound on its error.
fn scaling(
    encoding: &Encoding,
    target: TensorTarget,
    source: &TensorSource<'_>,
    matrix: &Matrix<'_>,
    calibrated: Option<&Calibrated>,
) -> Scaling {
    let (name, dimensions) = (source.name, source.shape.len());
    let (rows, columns) = (matrix.rows, matrix.columns);
    if let Some(calibrated) = calibrated {
        // The bound is on the sum over all outputs.
        let rows = match calibrated.unit {
            _ if matches!(target, TensorTarget::OutputNoise(_)) => RowScales::None,
            _ if calibrated.has_row_weights => RowScales::Statistics,
            LossUnit::VocabularyOutputs => RowScales::Vocabulary,
            LossUnit::Model | LossUnit::Outputs => RowScales::None,
        };
        return Scaling { rows, columns: ColumnScales::Statistics, quantization: None };
    }
    let weighted = encoding.weighting == Weighting::Operator;
    let is_bounded = matches!(target, TensorTarget::Noise(_) | TensorTarget::OutputNoise(_));
    let weighted = weighted && !is_bounded;
    let role = TensorRole::of(name, dimensions);
    let is_vocabulary = weighted && role.is_vocabulary(rows, columns);
    let has_normalised_columns = weighted && has_normalised_columns(role, name, rows, columns);
    Scaling {
        rows: match is_vocabulary {
            _ if encoding.row_scales => RowScales::Rms,
            true => RowScales::Vocabulary,
            // The RMS of their rows ranges over orders of magnitude, and quiet ones count as much.
            false if weighted && role == TensorRole::InputProjection => RowScales::Rms,
            false => RowScales::None,
        },
        columns: match has_normalised_columns && rows >= ROWS_FOR_COLUMN_SCALES {
            true => ColumnScales::Rms,
            false => ColumnScales::None,
        },
        quantization: None,
    }
}

/// With fewer rows, the scales of columns take more bits than they save.
const ROWS_FOR_COLUMN_SCALES: usize = 64;

/// The geometric mean over weights of [`shared_step`], of the tensors that may share a budget.
fn mean_shared_step(sources: &[TensorSource<'_>], encoding: &Encoding) -> f64 {
    let (mut sum, mut weights) = (0.0, 0.0);
    for source in sources {
        let shares = matches!(encoding.target_for(source.name), TensorTarget::SharedBits(_));
        if shares && source.matrix().is_some() {
            sum += source.elements() as f64 * shared_step(encoding.weighting, source).log2();
            weights += source.elements() as f64;
        }
    }
    (sum / f64::max(weights, 1.0)).exp2()
}

/// The step of a tensor relative to its RMS, compared to that of other tensors that share a budget.
fn shared_step(weighting: Weighting, source: &TensorSource<'_>) -> f64 {
    if weighting == Weighting::RelativeError {
        return 1.0;
    }
    let by_size = (source.elements() as f64 / MANY).min(1.0).powf(0.125);
    match TensorRole::of(source.name, source.shape.len()) {
        TensorRole::PositionEmbedding => by_size * POSITION_STEP,
        _ => by_size,
    }
}

/// The number of weights from which the step grows no further.
const MANY: f64 = (1 << 22) as f64;

/// The step of position embeddings: they have few weights, and their errors are part of the inputs of
/// all layers for all tokens.
const POSITION_STEP: f64 = 0.5;
