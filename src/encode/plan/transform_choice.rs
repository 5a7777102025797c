//! The choice of the transform of a tensor, and its rates.

use super::effort::{is_valid_step, planning_effort, step_for_bits};
use super::tensor_plan::{LossyPlan, RateCurve};
use crate::codec::trellis::{
    Candidate, Effort, LearnedTransform, Rate, Scaling, Sensitivity, TransformChoice,
    TransformSearch, candidate_transforms,
};
use crate::coordinates::{BlockTransform, Coordinates};
use crate::dtype::Dtype;
use crate::encode::encoding::Encoding;
use crate::encode::matrix::Matrix;
use crate::error::Result;
use std::sync::Arc;

/// Binary logarithms of the steps at which rates are measured, relative to the expected one.
const OFFSETS: [f64; 3] = [-0.6, 0.0, 0.6];

/// Approximate number of weights whose rates are measured, at least, and weights of the tensor for each
/// of them. The error of a mean is below 0.01 bits per weight, and smaller in large tensors, on which
/// the budgets of others depend.
const RATE_SAMPLE: usize = 1 << 16;
const WEIGHTS_PER_SAMPLE: usize = 32;

/// Bits of the position of an outlier.
const OUTLIER_POSITION_BITS: u32 = 32;

/// The estimated bits of all outliers of a tensor.
pub(super) fn outlier_bits(search: &TransformSearch<'_>, dtype: Dtype) -> f64 {
    search.outliers() * f64::from(OUTLIER_POSITION_BITS + dtype.bits())
}

/// The rate of a lattice of zeros, in bits per weight.
pub(super) const MIN_BITS: f64 = 0.02;

/// Bits of the states of a stream without information, above those that estimates count: one byte
/// of each.
const STATE_BITS: f64 = 32.0 * 8.0;

/// The plan of a tensor at an approximate step, and its measured error.
pub(super) struct MeasuredPlan {
    pub(super) plan: LossyPlan,
    pub(super) learned: Option<LearnedTransform>,
    /// The loss of a unit error in lattice coordinates, if statistics are known.
    pub(super) sensitivity: Option<f64>,
    /// The RMS of the weights.
    pub(super) rms: f64,
    /// The energy of outputs per weight, and that at a squared error of 1 per coordinate.
    pub(super) outputs: Option<(f64, f64)>,
    /// Binary logarithms of steps and of the mean squared errors at them.
    pub(super) noise: [(f64, f64); 3],
}

/// A step near which rates are measured.
#[derive(Clone, Copy, Debug)]
pub(super) enum Guess {
    Step(f64),
    /// Relative to the RMS of the tensor, in scaled coordinates if statistics are known.
    RelativeStep(f64),
}

/// Chooses the transform at a guess of the step, and measures rates and errors around it. `None` for tensors that the lattice does not suit: constant ones, or
/// values out of range.
pub(super) fn measured_plan(
    search: &TransformSearch<'_>,
    encoding: &Encoding,
    scaling: Scaling,
    guess: Guess,
    overhead_bits: f64,
) -> Result<Option<MeasuredPlan>> {
    let rms = search.rms();
    let expected = match guess {
        Guess::Step(step) => step,
        Guess::RelativeStep(step) if search.has_statistics() => search.scaled_rms() * step,
        Guess::RelativeStep(step) => rms * step,
    };
    if !is_valid_step(expected) {
        return Ok(None);
    }
    let chosen = choose(search, encoding, expected as f32)?;
    let Some(Chosen { choice, candidate, gain, effort: level }) = chosen else { return Ok(None) };
    let (effort, step) = (planning_effort(level), expected * relative_step(level, encoding.effort));
    let (rate, noise) = measured_rates(&candidate, search.weights(), step, effort, overhead_bits);
    let plan = LossyPlan {
        step: step as f32,
        transform: choice.transform,
        mean: choice.mean,
        rank: choice.rank,
        row_scales: scaling.rows,
        column_scales: scaling.columns,
        quantization_scales: scaling.quantization,
        effort: level,
        gain,
        max_noise: None,
        max_output_noise: None,
        statistics: Vec::new(),
        shares_budget: false,
        rate,
    };
    let (learned, sensitivity) = (candidate.learned(), candidate.sensitivity());
    let outputs = candidate.loss_weight().map(|weight| (search.output_energy(), weight));
    Ok(Some(MeasuredPlan { plan, learned, sensitivity, outputs, rms, noise }))
}

/// Points of a curve by the binary logarithm of the step.
type Points = [(f64, f64); 3];

/// The rates around a step, and the binary logarithms of the mean squared errors.
fn measured_rates(
    candidate: &Candidate,
    weights: f64,
    step: f64,
    effort: Effort,
    overhead_bits: f64,
) -> (RateCurve, Points) {
    let steps = OFFSETS.map(|offset| step.log2() + offset);
    let sample = RATE_SAMPLE.max(weights as usize / WEIGHTS_PER_SAMPLE).min(effort.sample);
    let effort = Effort { sample, ..effort };
    let rates = candidate.rates(steps.map(|step| step.exp2() as f32), effort, overhead_bits);
    let points = [0, 1, 2].map(|i| (steps[i], rates[i].bits));
    let noise = [0, 1, 2].map(|i| (steps[i], rates[i].noise.max(f64::MIN_POSITIVE).log2()));
    let states = STATE_BITS / weights;
    (RateCurve { min_bits: rates[2].side + states.max(MIN_BITS), points }, noise)
}

/// The rates of a plan around its step, which budgets have moved far from where they were measured.
pub(super) fn rates_at_step(
    matrix: &Matrix<'_>,
    plan: &LossyPlan,
    learned: Option<&LearnedTransform>,
    sensitivity: Option<Arc<Sensitivity>>,
    overhead_bits: f64,
) -> Result<Option<RateCurve>> {
    let effort = planning_effort(plan.effort);
    let search = TransformSearch::new(matrix, &plan.scaling(), sensitivity, effort.sample)?;
    let Some(candidate) = search.fit_learned(plan.choice(), learned)? else { return Ok(None) };
    let overhead_bits = overhead_bits + outlier_bits(&search, matrix.dtype);
    let weights = search.weights();
    Ok(Some(measured_rates(&candidate, weights, plan.step.into(), effort, overhead_bits).0))
}

/// The transform with the fewest bits.
pub(super) struct Chosen {
    pub(super) choice: TransformChoice,
    pub(super) candidate: Candidate,
    /// Bits per weight that it saves over the identity.
    gain: f64,
    /// The effort level: that of the encoding, or that of the scalar quantiser.
    pub(super) effort: u8,
}

/// The transform that needs the fewest bits at equal error: of all candidates without a low-rank
/// part, then of the best two with one.
pub(super) fn choose(
    search: &TransformSearch<'_>,
    encoding: &Encoding,
    step: f32,
) -> Result<Option<Chosen>> {
    let plain = |transform| TransformChoice { transform, mean: false, rank: 0 };
    let effort = planning_effort(encoding.effort);
    let estimate = |choice: TransformChoice| -> Result<Option<(f64, TransformChoice, Candidate)>> {
        let candidate = search.fit(choice)?;
        Ok(candidate.map(|candidate| (candidate.estimate(step, effort), choice, candidate)))
    };
    let mut found = Vec::new();
    let mut identity_without_feedback = None;
    for transform in allowed(search, encoding.coordinates) {
        let choice = plain(transform);
        if encoding.coordinates.is_none() && !search.may_save(transform, step, effort) {
            continue;
        }
        let Some(candidate) = search.fit_unweighted(choice)? else { continue };
        // Without a request for coordinates, the identity is the first candidate.
        if search.has_feedback() && encoding.coordinates.is_none() {
            // The feedback in other coordinates takes O(columns³), and loses what the order of columns
            // gains. A basis that saves nothing without feedback saves nothing with it.
            let bits = candidate.estimate(step, effort);
            if bits > *identity_without_feedback.get_or_insert(bits) {
                continue;
            }
        }
        let candidate = search.weigh(candidate);
        found.push((candidate.estimate(step, effort), choice, candidate));
    }
    let identity = match found.first() {
        Some((bits, TransformChoice { transform: BlockTransform::IDENTITY, .. }, _)) => Some(*bits),
        _ => estimate(plain(BlockTransform::IDENTITY))?.map(|(bits, ..)| bits),
    };
    found.sort_by(|a, b| a.0.total_cmp(&b.0));
    if encoding.max_rank > 0 {
        let (mean, rank) = search.worthwhile(encoding.max_rank)?;
        let best: Vec<BlockTransform> =
            found.iter().take(2).map(|(_, choice, _)| choice.transform).collect();
        if mean || rank > 0 {
            for transform in best {
                // The first basis vectors of a KLT are those of the low-rank part.
                let rank = if transform.coordinates == Coordinates::Klt { 0 } else { rank };
                if mean || rank > 0 {
                    found.extend(estimate(TransformChoice { mean, rank, ..plain(transform) })?);
                }
            }
        }
    }
    if found.is_empty() {
        return Ok(None);
    }
    found.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut best, mut effort) = (0, encoding.effort);
    if search.has_repeated_values() && !search.has_feedback() {
        let candidates = found.iter().take(MEASURED_CANDIDATES);
        let candidates: Vec<&Candidate> = candidates.map(|(.., candidate)| candidate).collect();
        (best, effort) = best_measured(&candidates, encoding.effort, step);
    }
    let (bits, choice, candidate) = found.swap_remove(best);
    let gain = identity.map_or(0.0, |identity| identity - bits);
    Ok(Some(Chosen { choice, candidate, gain, effort }))
}

/// Candidates whose rates are measured where many weights are equal.
const MEASURED_CANDIDATES: usize = 3;

/// The effort level of the scalar quantiser.
const SCALAR: u8 = 1;

/// The number of the candidate that needs the fewest bits at equal error, and its effort level. Where
/// many weights are equal, the scalar quantiser may need fewer bits than a trellis: the points of a
/// trellis at one place depend on those before it, so that equal weights have different errors.
fn best_measured(candidates: &[&Candidate], effort: u8, step: f32) -> (usize, u8) {
    let levels = if effort == SCALAR { vec![SCALAR] } else { vec![effort, SCALAR] };
    let mut best = (f64::INFINITY, (0, effort));
    for (number, candidate) in candidates.iter().enumerate() {
        for &level in &levels {
            let step = step * relative_step(level, effort) as f32;
            let Rate { bits, noise, .. } = candidate.rate(step, planning_effort(level), 0.0);
            let cost = bits + 0.5 * noise.max(f64::MIN_POSITIVE).log2();
            if cost < best.0 {
                best = (cost, (number, level));
            }
        }
    }
    best.1
}

/// The ratio of the steps of two effort levels with about the same rate: with a trellis, the points
/// that a state allows are two steps apart.
fn relative_step(level: u8, other: u8) -> f64 {
    step_for_bits(level, 1.0) / step_for_bits(other, 1.0)
}

/// The candidates in the coordinates that an encoding allows.
fn allowed(search: &TransformSearch<'_>, coordinates: Option<Coordinates>) -> Vec<BlockTransform> {
    let mut all = candidate_transforms(search.rows(), search.columns());
    // A rotation loses what the order of columns gains under feedback.
    if search.has_feedback() && coordinates != Some(Coordinates::Hadamard) {
        all.retain(|transform| transform.coordinates != Coordinates::Hadamard);
    }
    let Some(coordinates) = coordinates else { return all };
    all.retain(|transform| transform.coordinates == coordinates);
    if all.is_empty() && coordinates == Coordinates::Klt {
        all.push(BlockTransform::klt(search.columns().min(32)));
    }
    all
}
