//! Many objects, one after the other, those that follow worked on while one is written.

use super::chunks::BufferPool;
use super::job::{Coded, Coder, Incoming, Ready};
use super::plan::{LossyPlan, Plan};
use super::rate_control::{BitBudget, RateController};
use super::step_search::Adjustable;
use super::tensor_statistics::TensorStats;
use super::writer::{WriteOptions, Writer};
use crate::error::{Error, Result};
use crate::format::ObjectKind;
use crate::parallel::{Turn, ahead};
use std::path::Path;

/// An object to be added, and the file it is read from, which errors name.
#[derive(Clone)]
pub(crate) struct Part<'p> {
    pub(crate) path: Option<&'p Path>,
    pub(crate) incoming: Incoming<'p>,
}

impl Part<'_> {
    fn in_place(&self, error: Error) -> Error {
        let error = error.in_tensor(self.incoming.name);
        match self.path {
            Some(path) => error.in_file(path),
            None => error,
        }
    }

    fn is_tensor(&self) -> bool {
        self.incoming.kind == ObjectKind::Tensor
    }
}

impl Writer<'_> {
    /// Adds all parts, tensors as planned, so that the file keeps to the plan's budget, if it has
    /// one and spans just these. Returns what became of the tensors. The bytes written do not
    /// depend on the number of threads.
    pub(crate) fn add_parts(
        &mut self,
        parts: &[Part<'_>],
        plan: &Plan,
        observe: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<Vec<TensorStats>> {
        let options = self.options.clone();
        let budget = budget(parts, plan);
        let controller = budget.map(|budget| controller(parts, plan, budget));
        let limit = limit(parts, controller.is_some());
        let buffers = &BufferPool::default();
        let mut course = Course {
            writer: self,
            parts: parts.iter(),
            plan,
            controller,
            buffers,
            added: Vec::new(),
        };
        ahead(
            &mut course,
            limit,
            Course::next,
            |(part, approach)| {
                let draft = Draft::of(&part.incoming, approach, &options, buffers);
                Ok((part, draft.map_err(|error| part.in_place(error))?))
            },
            |course, (part, draft)| {
                course.add(part, draft, observe).map_err(|error| part.in_place(error))
            },
        )?;
        let added = course.added;
        let length = self.finished_length();
        match budget.and_then(|budget| length.checked_sub(budget)) {
            Some(excess @ 1..) => {
                Err(Error::invalid(format!("a budget that is {excess} bytes too small")))
            }
            _ => Ok(added),
        }
    }
}

/// Bytes of sources that are worked on before their turn, at most: enough to keep many threads
/// busy, and what becomes of them waits in memory.
const AHEAD: u64 = 32 << 20;

/// Of all sources, what is worked on before its turn at most where a budget is to be kept: what
/// tensors really take is to be known while others can still make up for it.
const SHARE: u64 = 16;

/// Tensors of fewer bytes are coded before their turn if with loss, which takes long; others are
/// only made ready, so that what becomes of them is written while it is in the cache.
const WHOLE: u64 = AHEAD / 4;

/// How far to go ahead, in bytes of sources.
fn limit(parts: &[Part<'_>], steered: bool) -> u64 {
    let total: u64 = parts.iter().map(|part| part.incoming.source.size()).sum();
    if steered { AHEAD.min(total / SHARE) } else { AHEAD }
}

/// Bytes that the file may take; `None` without a budget, or for a part of what it spans.
fn budget(parts: &[Part<'_>], plan: &Plan) -> Option<u64> {
    let tensors = || parts.iter().filter(|part| part.is_tensor());
    let planned = tensors().filter(|part| plan.get(part.incoming.name).is_some()).count();
    let whole = planned == plan.tensors.len() && planned == tensors().count();
    let weights: u64 = plan.tensors.values().map(|tensor| tensor.weights).sum();
    let bits = plan.bits.filter(|_| whole)?;
    Some((bits * weights as f64 / 8.0) as u64)
}

/// What keeps a file with all planned tensors to the budget.
fn controller(parts: &[Part<'_>], plan: &Plan, budget: u64) -> RateController {
    let tensors = parts.iter().filter(|part| part.is_tensor());
    let planned: Vec<_> =
        tensors.filter_map(|part| plan.get(part.incoming.name).cloned()).collect();
    RateController::new(budget, planned.into_iter())
}

/// Parts on their way into a file.
struct Course<'c, 'w, 'p> {
    writer: &'c mut Writer<'w>,
    parts: std::slice::Iter<'c, Part<'p>>,
    plan: &'c Plan,
    controller: Option<RateController>,
    buffers: &'c BufferPool,
    added: Vec<TensorStats>,
}

/// How an object is added.
enum Approach {
    /// As planned, or without loss.
    Planned(Option<LossyPlan>),
    /// At the plan's step, or another one, at which the file is no longer than so many bytes.
    Within(LossyPlan, u64),
}

/// Objects of fewer bytes are coded at their turn, unless they are coded with loss.
const SMALL: u64 = 1 << 17;

impl<'c, 'p> Course<'c, '_, 'p> {
    /// The next part, and how to add it.
    fn next(&mut self) -> Option<Result<Turn<(&'c Part<'p>, Approach)>>> {
        let part = self.parts.next()?;
        let approach = match part.is_tensor() {
            true => self.approach(part.incoming.name).map_err(|error| part.in_place(error)),
            false => Ok(Approach::Planned(None)),
        };
        Some(approach.map(|approach| {
            let bytes = part.incoming.source.size();
            match approach {
                Approach::Planned(None) if bytes < SMALL => Turn::Small((part, approach)),
                _ => Turn::Large((part, approach), bytes),
            }
        }))
    }

    /// How to add the tensor of this name, which is the next one.
    fn approach(&mut self, name: &str) -> Result<Approach> {
        let missing = |bytes| Error::invalid(format!("a budget that is {bytes} bytes too small"));
        let steered = match &mut self.controller {
            Some(controller) => controller.next(self.writer.finished_length()).map_err(missing)?,
            None => None,
        };
        Ok(match steered {
            Some(BitBudget { plan, file_bytes: Some(end) }) => Approach::Within(plan, end),
            Some(BitBudget { plan, file_bytes: None }) => Approach::Planned(Some(plan)),
            None => Approach::Planned(self.plan.get(name).and_then(|tensor| tensor.lossy.clone())),
        })
    }

    fn add(
        &mut self,
        part: &Part<'_>,
        draft: Draft<'_>,
        observe: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<()> {
        let Self { writer, buffers, .. } = self;
        let source = part.incoming.source;
        let added = match draft {
            Draft::Coded(coded) => writer.add_coded(coded, buffers, observe)?,
            Draft::Ready(ready) => writer.add_ready(ready, source, buffers, observe)?,
            Draft::Within(tensor, plan, end) => {
                let allowed = end.saturating_sub(writer.finished_length());
                let step = step_within(&tensor, plan.step, allowed, buffers)?;
                writer.add_ready(tensor.ready(step)?, source, buffers, observe)?
            }
        };
        if part.is_tensor() {
            self.added.push(added);
            if let Some(controller) = &mut self.controller {
                controller.written();
            }
        }
        Ok(())
    }
}

/// An object as far as it is worked on before its turn.
enum Draft<'t> {
    Coded(Coded),
    /// Too much to keep what becomes of it.
    Ready(Ready),
    /// How it is coded depends on the length of the file without it.
    Within(Box<Adjustable<'t>>, LossyPlan, u64),
}

impl<'t> Draft<'t> {
    fn of(
        incoming: &Incoming<'t>,
        approach: Approach,
        options: &WriteOptions,
        buffers: &BufferPool,
    ) -> Result<Self> {
        match approach {
            Approach::Planned(plan) => {
                let ready = Ready::as_planned(incoming, plan.as_ref(), options, buffers)?;
                let lossy = matches!(ready.coder, Coder::Lossy { .. });
                let whole = lossy && incoming.source.size() < WHOLE;
                match whole {
                    true => ready.coded(incoming.source, buffers).map(Self::Coded),
                    false => Ok(Self::Ready(ready)),
                }
            }
            Approach::Within(plan, end) => match Adjustable::new(incoming, &plan, options)? {
                Some(tensor) => Ok(Self::Within(Box::new(tensor), plan, end)),
                None => Err(Error::invalid("a plan that does not suit it")),
            },
        }
    }
}

/// How often a tensor is measured to fit what is left of the budget.
const ATTEMPTS: usize = 16;

/// Bytes of its allowance that a measured tensor may leave.
const SLACK: f64 = 0.998;

/// A step at which a tensor takes the bytes it may, or a little less; by false position and halving
/// once there are steps on both sides.
///
/// # Errors
/// `InvalidArgument` when none is found.
fn step_within(
    tensor: &Adjustable<'_>,
    first: f32,
    allowed: u64,
    buffers: &BufferPool,
) -> Result<f32> {
    let aim = allowed as f64 * (1.0 + SLACK) / 2.0;
    let mut at = f64::from(first).log2();
    // Binary logarithms of steps, and the bytes they lead to: too many, and few enough.
    let (mut fine, mut coarse) = (None, None);
    // Twice the step saves a bit a weight, less at low rates.
    let most_saved = tensor.weights() as f64 / 8.0;
    let mut before = None;
    for attempt in 0..ATTEMPTS {
        let bytes = tensor.bytes_at(at.exp2() as f32, buffers)?;
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
    let found = coarse.map(|(step, _)| step.exp2() as f32);
    found.ok_or_else(|| Error::invalid("a budget that the last tensors cannot keep"))
}
