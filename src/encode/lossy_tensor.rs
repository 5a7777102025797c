//! A tensor whose transform is known, to be encoded at a step that is still to be found.

use super::buffers::BufferPool;
use super::chunk_size;
use super::job::{EncodeJob, Measured};
use super::options::WriteOptions;
use super::plan::{Learned, LossyPlan, encoder_effort, is_valid_step};
use super::source::TensorSource;
use crate::codec::trellis::{Candidate, Effort, Sensitivity, TransformSearch, WriterNotes};
use crate::codec::{Encoder, SquaredError};
use crate::error::{Error, Result};
use crate::format::{FrameHeader, Geometry};
use std::ops::RangeInclusive;
use std::sync::Arc;

/// A tensor in the coordinates of its plan. Encoders differ in their step only.
pub(super) struct LossyTensor<'s> {
    source: TensorSource<'s>,
    geometry: Geometry,
    candidate: Candidate,
    effort: Effort,
    notes: WriterNotes,
    /// Measures errors of outputs.
    outputs: Option<Arc<Sensitivity>>,
}

/// Steps tried for an error bound before the tensor is stored losslessly.
const ERROR_BOUND_ATTEMPTS: usize = 10;

/// The least share of the allowed error that a search accepts.
const ERROR_TOLERANCE: f64 = 0.96;

/// Steps within an error bound that are tried before one with a smaller error is accepted.
const MAX_REFINED: usize = 4;

/// Steps tried for a number of bytes.
const SIZE_ATTEMPTS: usize = 16;

/// The share of the most bytes that a search aims at, if a number of bytes is not too small.
const SIZE_AIM: f64 = 0.995;

impl<'s> LossyTensor<'s> {
    /// Learns the transform of a plan, or takes what planning learned. `None` when the tensor is to
    /// be stored losslessly: it is not a matrix, or the transform cannot be stored.
    pub(super) fn new(
        source: TensorSource<'s>,
        plan: &LossyPlan,
        learned: &Learned,
        options: &WriteOptions,
    ) -> Result<Option<Self>> {
        let Some(matrix) = source.matrix() else { return Ok(None) };
        plan.check()?;
        let target = chunk_size::target(&source, options.chunk_elements);
        let chunk = chunk_size::lossy(source.dtype, matrix.columns, target);
        let geometry = source.geometry(chunk)?;
        let effort = encoder_effort(plan.effort);
        let notes = WriterNotes { gain: plan.gain, statistics: plan.statistics.clone() };
        let sensitivity = match (&learned.calibration, plan.is_calibrated()) {
            (Some(calibration), true) => calibration.resolve(&source, &matrix)?,
            _ => None,
        };
        if sensitivity.is_none() && plan.is_calibrated() {
            return Err(Error::invalid("the plan was made with statistics, which are missing"));
        }
        let sensitivity = sensitivity.map(|calibrated| calibrated.sensitivity);
        let outputs = sensitivity.clone().filter(|_| plan.max_output_noise.is_some());
        let search = TransformSearch::new(&matrix, &plan.scaling(), sensitivity, effort.sample)?;
        let candidate = search.fit_learned(plan.choice(), learned.transform.as_ref())?;
        Ok(candidate.map(|candidate| Self { source, geometry, candidate, effort, notes, outputs }))
    }

    pub(super) fn source(&self) -> TensorSource<'s> {
        self.source
    }

    /// The tensor at a step.
    ///
    /// # Errors
    /// `InvalidArgument` for a step outside the range of the codec.
    pub(super) fn job(&self, step: f32) -> Result<EncodeJob<'s>> {
        if !is_valid_step(step.into()) {
            return Err(Error::invalid("a step out of range"));
        }
        let outputs = self.outputs.clone();
        let (dtype, effort) = (self.source.dtype, self.effort);
        let encoder = self.candidate.encoder(dtype, step, effort, self.notes.clone(), outputs)?;
        let encoder = Encoder::Trellis(Box::new(encoder));
        Ok(EncodeJob::new(self.source, self.geometry.clone(), encoder))
    }

    /// The tensor as planned: at the step of the plan, or at the largest one found from there on
    /// whose error is within the bound. `None` when there is none.
    pub(super) fn planned_job(
        &self,
        plan: &LossyPlan,
        buffers: &BufferPool,
    ) -> Result<Option<EncodeJob<'s>>> {
        if let Some(share) = plan.max_output_noise {
            return self.job_within_error(
                plan.step,
                share,
                0.0,
                |found| found.output_error,
                buffers,
            );
        }
        if let Some(share) = plan.max_noise {
            // A much smaller error is relative to outliers, which are exact.
            return self.job_within_error(plan.step, share, 0.25, |found| found.error, buffers);
        }
        self.job(plan.step).map(Some)
    }

    /// The tensor at the largest step found, from `step` on, at which a squared error is at most a
    /// share of its signal. `None` when there is none. An error below `refined_from` times the bound
    /// is accepted as it is.
    fn job_within_error(
        &self,
        mut step: f32,
        share: f64,
        refined_from: f64,
        error: impl Fn(&Measured) -> SquaredError,
        buffers: &BufferPool,
    ) -> Result<Option<EncodeJob<'s>>> {
        let (mut within, mut beyond) = (None, None);
        let mut refined = 0;
        for attempt in 0..ERROR_BOUND_ATTEMPTS {
            let job = self.job(step)?;
            let SquaredError { signal, noise } = error(&job.measure(buffers)?);
            let ratio = noise / (share * signal);
            // Without a signal there is no error, either.
            if noise <= share * signal {
                within = Some((step, job));
                refined += 1;
                let is_close = !(refined_from..ERROR_TOLERANCE).contains(&ratio);
                if is_close || signal == 0.0 || refined == MAX_REFINED {
                    break;
                }
            } else if !ratio.is_finite() {
                break;
            } else {
                beyond = Some(step);
            }
            let aim = (1.0 + ERROR_TOLERANCE) / 2.0;
            let mut next = step * (aim / ratio).sqrt().clamp(0.25, 4.0) as f32;
            if ratio > 1.0 {
                // The error is nearly proportional to the square of the step, but hardly depends on
                // it where nearly all of the residual is zero: each attempt has a smaller factor at
                // most.
                let at_most = (1.0 - 0.05 * (attempt * attempt) as f64).max(0.25);
                next = next.min(step * at_most as f32);
            }
            step = match (&within, beyond) {
                (Some((low, _)), Some(high)) if !(*low..high).contains(&next) || next == *low => {
                    (low * high).sqrt()
                }
                _ => next,
            };
            if !is_valid_step(step.into()) {
                break;
            }
        }
        Ok(within.map(|(_, job)| job))
    }

    /// The tensor at a step at which it takes an allowed number of bytes, or fewer if no step is
    /// found: false position from the step of the plan on, alternating with bisection once there are
    /// steps on both sides. `overhead` is the number of bytes that a frame of this header adds to the
    /// file besides its chunks.
    ///
    /// # Errors
    /// `InvalidArgument` when it takes more bytes at all steps.
    pub(super) fn job_within(
        &self,
        plan: &LossyPlan,
        allowed: RangeInclusive<u64>,
        overhead: impl Fn(&FrameHeader) -> Result<u64>,
        buffers: &BufferPool,
    ) -> Result<EncodeJob<'s>> {
        let most = *allowed.end() as f64;
        let aim = f64::max((*allowed.start() as f64 + most) / 2.0, most * SIZE_AIM);
        let mut at = f64::from(plan.step).log2();
        // Binary logarithms of steps and the bytes at them: too many, and few enough.
        let (mut above, mut below) = (None, None);
        // Twice the step saves one bit per weight at most.
        let most_saved = self.geometry.elements() as f64 / 8.0;
        let mut previous = None;
        for attempt in 0..SIZE_ATTEMPTS {
            let job = self.job(at.exp2() as f32)?;
            let bytes = overhead(&job.header()?)? + job.measure(buffers)?.bytes;
            let point = (at, bytes as f64);
            if bytes > *allowed.end() {
                above = Some(point);
            } else {
                below = Some(point);
                if allowed.contains(&bytes) {
                    break;
                }
            }
            at = match (above, below) {
                (Some((low, most)), Some((high, least))) => {
                    // The size is not a linear function of the step.
                    let share = if attempt % 2 == 0 { 0.5 } else { (most - aim) / (most - least) };
                    low + share.clamp(0.05, 0.95) * (high - low)
                }
                _ => {
                    let slope =
                        previous.replace(point).map(|(x, y): (f64, f64)| (y - point.1) / (at - x));
                    let saved = slope.unwrap_or(most_saved).clamp(0.05 * most_saved, most_saved);
                    at + ((point.1 - aim) / saved).clamp(-4.0, 4.0)
                }
            };
        }
        match below {
            Some((step, _)) => self.job(step.exp2() as f32),
            None => Err(Error::invalid("the budget is too small for the last tensors")),
        }
    }
}
