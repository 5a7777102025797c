//! A checkpoint coded as planned.

use super::checkpoint::{Checkpoint, Section};
use super::{Progress, report};
use crate::error::{Error, Result};
use crate::io::FileSection;
use crate::plan::{Allowance, Encoding, Plan, Source, Steering, TensorPlan, plan};
use crate::writer::{Added, Incoming, Ready, Writer};

/// What became of a checkpoint.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Encoded {
    /// Each tensor's name and what became of it, in the order of the file.
    pub tensors: Vec<(String, Added)>,
}

impl Encoded {
    /// ‖W − Ŵ‖ ÷ ‖W‖ over the tensors that lost something; 0 when none did.
    pub fn rel_error(&self) -> f64 {
        self.total().rel_error()
    }

    /// The same as a signal-to-noise ratio in decibels; `None` when nothing was lost.
    pub fn snr_db(&self) -> Option<f64> {
        self.total().snr_db()
    }

    fn total(&self) -> Added {
        let mut total = Added::default();
        for (_, added) in &self.tensors {
            total.signal += added.signal;
            total.noise += added.noise;
        }
        total
    }
}

/// Bytes of header, trailer and attachments that a plan allows for: as many as go uncoded.
fn other_bytes(checkpoint: &Checkpoint) -> u64 {
    let attached = checkpoint.file_bytes() - checkpoint.tensor_bytes();
    OTHER_BYTES + attached / 3
}

/// Header, index head, trailer, and the frame of a safetensors header.
const OTHER_BYTES: u64 = 512;

/// How often a tensor is measured to fit what is left of the budget.
const ATTEMPTS: usize = 16;

/// Bytes of its allowance that a measured tensor may leave.
const SLACK: f64 = 0.998;

impl Checkpoint {
    /// Studies all tensors and plans how to code them. Reads each a few times; takes a fraction
    /// of the time that coding does.
    ///
    /// # Errors
    /// `Io`; `InvalidArgument` when a budget cannot be kept or makes no sense.
    pub fn plan(&self, encoding: &Encoding, progress: &mut Progress<'_>) -> Result<Plan> {
        let sections: Vec<Section<'_>> = self.sections().collect();
        let sources: Vec<Source<'_>> = sections
            .iter()
            .map(|Section { name, dtype, shape, bytes, .. }| Source {
                name,
                dtype: *dtype,
                shape,
                bytes,
            })
            .collect();
        plan(&sources, encoding, other_bytes(self), &mut |bytes| report(progress, bytes))
    }

    /// Writes everything as planned: in the order of [`write_to`](Self::write_to), and so that the
    /// whole file keeps to the plan's budget, if it has one.
    ///
    /// # Errors
    /// `Io`; `InvalidArgument` when a file changes meanwhile, or the budget does not suffice.
    pub fn write_planned(
        &self,
        writer: &mut Writer<'_>,
        plan: &Plan,
        progress: &mut Progress<'_>,
    ) -> Result<Encoded> {
        let budget = self.budget(plan);
        let mut steering = budget.map(|budget| self.steering(plan, budget));
        let mut encoded = Encoded::default();
        self.write_parts(writer, &mut |writer, section| {
            let Section { name, dtype, shape, ref bytes, .. } = section;
            let incoming = Incoming { name, dtype, shape, source: bytes };
            let observe = &mut |bytes| report(progress, bytes);
            let steered = match &mut steering {
                Some(steering) => steer(writer, &incoming, steering)?,
                None => None,
            };
            let added = match steered {
                Some((ready, step)) => writer.add_ready(&incoming, &ready, step, observe),
                None => {
                    let planned = plan.get(name).and_then(|tensor| tensor.lossy.as_ref());
                    writer.add_tensor(&incoming, planned, observe)
                }
            };
            encoded.tensors.push((name.to_owned(), added?));
            Ok(())
        })?;
        match budget {
            Some(budget) if writer.finished_length() > budget => {
                let excess = writer.finished_length() - budget;
                Err(Error::invalid(format!("a budget that is {excess} bytes too small")))
            }
            _ => Ok(encoded),
        }
    }

    /// Bytes that the file may take; `None` without a budget, or for a part of what it spans.
    fn budget(&self, plan: &Plan) -> Option<u64> {
        let weights: u64 = plan.tensors.values().map(|tensor| tensor.weights).sum();
        let planned = self.sections().filter(|section| plan.get(section.name).is_some()).count();
        let whole = planned == plan.tensors.len() && planned == self.tensor_count();
        let bits = plan.bits.filter(|_| whole)?;
        Some((bits * weights as f64 / 8.0) as u64)
    }

    /// What keeps a file with all planned tensors to the budget.
    fn steering(&self, plan: &Plan, budget: u64) -> Steering {
        let tensors: Vec<TensorPlan> =
            self.sections().filter_map(|section| plan.get(section.name).cloned()).collect();
        Steering::new(budget, tensors.into_iter())
    }
}

/// The next tensor, ready, and the step that keeps the file to its budget; `None` when its plan is
/// not to be changed.
fn steer(
    writer: &Writer<'_>,
    incoming: &Incoming<'_, FileSection<'_>>,
    steering: &mut Steering,
) -> Result<Option<(Ready, f32)>> {
    let here = |what: String| Error::invalid(what).in_tensor(incoming.name);
    let allowance = steering
        .next(writer.finished_length())
        .map_err(|missing| here(format!("a budget that is {missing} bytes too small")))?;
    let Some(Allowance { plan, bytes }) = allowance else { return Ok(None) };
    let ready = writer.prepare(incoming, &plan)?;
    let ready = ready.ok_or_else(|| here("a plan that does not suit it".into()))?;
    let step = match bytes {
        None => Some(plan.step),
        Some(allowed) => {
            let weights = incoming.shape.iter().product();
            let measure = |step| writer.measure(incoming, &ready, step);
            step_within(plan.step, allowed, weights, measure)?
        }
    };
    let step = step.ok_or_else(|| here("a budget that the last tensors cannot keep".into()))?;
    Ok(Some((ready, step)))
}

/// A step at which a tensor takes the bytes it may, or a little less; by false position and halving
/// once there are steps on both sides. `None` when none is found.
fn step_within(
    first: f32,
    allowed: u64,
    weights: usize,
    measure: impl Fn(f32) -> Result<u64>,
) -> Result<Option<f32>> {
    let aim = allowed as f64 * (1.0 + SLACK) / 2.0;
    let mut at = f64::from(first).log2();
    // Binary logarithms of steps, and the bytes they lead to: too many, and few enough.
    let (mut fine, mut coarse) = (None, None);
    // Twice the step saves a bit a weight, less at low rates.
    let most_saved = weights as f64 / 8.0;
    let mut before = None;
    for attempt in 0..ATTEMPTS {
        let bytes = measure(at.exp2() as f32)?;
        let point = (at, bytes as f64);
        if bytes > allowed {
            fine = Some(point);
        } else {
            coarse = Some(point);
            if bytes as f64 >= allowed as f64 * SLACK {
                break;
            }
        }
        at = match (fine, coarse) {
            (Some((low, most)), Some((high, least))) => {
                // Halving the interval now and then: what lies between may be no line.
                let share = if attempt % 2 == 0 { 0.5 } else { (most - aim) / (most - least) };
                low + share.clamp(0.05, 0.95) * (high - low)
            }
            _ => {
                let slope =
                    before.replace(point).map(|(x, y): (f64, f64)| (y - point.1) / (at - x));
                let saved = slope.unwrap_or(most_saved).clamp(0.05 * most_saved, most_saved);
                at + ((point.1 - aim) / saved).clamp(-4.0, 4.0)
            }
        };
    }
    Ok(coarse.map(|(step, _)| step.exp2() as f32))
}
