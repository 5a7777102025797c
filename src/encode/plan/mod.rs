//! From what a user asks for to how each tensor is coded.
//!
//! A [`Plan`] is made from all tensors of a checkpoint, so that one budget spans them. It can be
//! stored and used again, for one shard at a time.

#[cfg(feature = "analysis")]
mod rates;
mod tensor;

#[cfg(feature = "analysis")]
pub(crate) use rates::{Rated, rates};
pub use tensor::{LossyPlan, TensorPlan};
pub(crate) use tensor::{Prepared, Subject, prepare};

use super::encoding::{Encoding, Target, TensorTarget, Weighting};
use super::matrix::matrix_shape;
use super::rate_control as budget;
use super::statistics;
use crate::codec::trellis::{RowScales, Scaling};
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::format::{CHUNK_OVERHEAD, Geometry, object_overhead};
use crate::io::ReadAt;
use crate::limits::Limits;
use crate::role::Role;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tensor::Finding;

/// How each tensor of a checkpoint will be coded.
///
/// ```no_run
/// use occ::{Encoding, Plan, convert::Checkpoint};
/// use std::ops::ControlFlow;
/// let checkpoint = Checkpoint::open("checkpoint/")?;
/// let plan = checkpoint.plan(&Encoding::bits(3.0), &mut |_| ControlFlow::Continue(()))?;
/// std::fs::write("plan.json", plan.to_json())?;
/// let again = Plan::from_json(&std::fs::read_to_string("plan.json")?)?;
/// assert_eq!(plan, again);
/// # Ok::<(), occ::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Plan {
    /// Bits a weight that the whole file may take, if there is such a budget.
    pub bits: Option<f64>,
    /// By name. Tensors that are not here lose nothing.
    pub tensors: BTreeMap<String, TensorPlan>,
}

impl Plan {
    /// The plan as JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_else(|_| unreachable!("names are strings"))
    }

    /// A plan from JSON.
    ///
    /// # Errors
    /// `InvalidArgument` when it is not one.
    pub fn from_json(text: &str) -> Result<Self> {
        serde_json::from_str(text).map_err(|error| Error::invalid(format!("a plan: {error}")))
    }

    /// The plan of the tensor of this name.
    pub fn get(&self, name: &str) -> Option<&TensorPlan> {
        self.tensors.get(name)
    }
}

impl Plan {
    /// The plan of a tensor on its own; a budget is then its own.
    ///
    /// # Errors
    /// `Io`; `InvalidArgument` when dtype and shape do not fit or a budget makes no sense.
    pub fn of(
        name: &str,
        dtype: Dtype,
        shape: &[usize],
        bytes: &(impl ReadAt + ?Sized),
        encoding: &Encoding,
    ) -> Result<TensorPlan> {
        let source = TensorSource { name, dtype, shape, bytes: &bytes };
        let mut plan = plan(&[source], encoding, 0, &mut |_| Ok(()))?;
        plan.tensors.remove(name).ok_or_else(|| Error::invalid("no such tensor"))
    }
}

/// A tensor that is to be planned or added.
#[derive(Clone, Copy)]
pub struct TensorSource<'s> {
    /// Its name.
    pub name: &'s str,
    /// The type of its elements.
    pub dtype: Dtype,
    /// Its dimensions, outermost first.
    pub shape: &'s [usize],
    /// Its elements in row-major order, little-endian.
    pub bytes: &'s dyn ReadAt,
}

impl std::fmt::Debug for TensorSource<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TensorSource").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Tensors that are studied at a time: progress is told in between.
const AT_A_TIME: usize = 8;

/// Plans all tensors. `observe` is told the bytes of tensors studied. `other_bytes` are those of
/// the file that no tensor is to blame for.
pub(crate) fn plan(
    sources: &[TensorSource<'_>],
    encoding: &Encoding,
    other_bytes: u64,
    observe: &mut dyn FnMut(u64) -> Result<()>,
) -> Result<Plan> {
    encoding.check()?;
    let mut drafts = Vec::with_capacity(sources.len());
    for group in sources.chunks(AT_A_TIME) {
        let studied: Vec<Result<Draft>> =
            group.par_iter().map(|source| draft(source, encoding)).collect();
        for (draft, source) in studied.into_iter().zip(group) {
            drafts.push(draft.map_err(|error| error.in_tensor(source.name))?);
            observe(source.bytes.byte_len())?;
        }
    }
    let bits = match encoding.target {
        Target::Bits(bits) => {
            share(&mut drafts, bits, other_bytes)?;
            Some(bits)
        }
        _ => None,
    };
    let tensors = sources.iter().zip(drafts);
    let tensors = tensors.map(|(source, draft)| (source.name.to_owned(), draft.plan)).collect();
    Ok(Plan { bits, tensors })
}

/// A tensor's plan, and what it would take without loss.
struct Draft {
    plan: TensorPlan,
    lossless_bytes: u64,
}

/// Plans one tensor on its own; a step that a budget is shared for is provisional.
fn draft(source: &TensorSource<'_>, encoding: &Encoding) -> Result<Draft> {
    let shape: Vec<u64> = source.shape.iter().map(|&size| size as u64).collect();
    let geometry = Geometry::new(source.dtype, shape.clone(), CHUNK, &Limits::default())?;
    let frame = object_overhead(source.shape.len(), source.name.len());
    let (survey, _) = statistics::collect(&geometry, source.bytes)?;
    let lossless_bytes = frame + survey.estimate(geometry.chunk_count(), CHUNK_OVERHEAD);
    let weights = geometry.elements();
    let lossy = match matrix_shape(source.dtype, &shape) {
        Some((rows, columns)) => {
            let overhead_bits = overhead_bits(source.name, source.shape.len(), weights);
            let subject =
                Subject { source: source.bytes, dtype: source.dtype, rows, columns, overhead_bits };
            lossy_plan(&subject, source.name, encoding)?
        }
        None => None,
    };
    let mut plan = TensorPlan { weights, bytes: lossless_bytes, lossy };
    settle(&mut plan, lossless_bytes, 0.0);
    Ok(Draft { plan, lossless_bytes })
}

/// Bits of a tensor coded with loss besides those of its chunks' streams and its parameters.
fn overhead_bits(name: &str, dimensions: usize, weights: u64) -> f64 {
    let chunks = weights.div_ceil(CHUNK) * (CHUNK_OVERHEAD + STREAM_BYTES);
    (object_overhead(dimensions, name.len()) + chunks) as f64 * 8.0
}

/// Elements in a chunk, about.
const CHUNK: u64 = 1 << 18;

/// Bytes of a chunk's stream that carry nothing: half of the first states, and two counts.
const STREAM_BYTES: u64 = 72;

fn lossy_plan(
    subject: &Subject<'_, dyn ReadAt + '_>,
    name: &str,
    encoding: &Encoding,
) -> Result<Option<LossyPlan>> {
    let target = encoding.target_for(name);
    let relative_step = match target {
        TensorTarget::Lossless => return Ok(None),
        TensorTarget::SharedBits(bits) | TensorTarget::OwnBits(bits) => {
            tensor::step_for_bits(encoding.effort, bits)
        }
        TensorTarget::Noise(share) => tensor::step_for_noise(encoding.effort, share),
    };
    let relative_step = relative_step.clamp(1e-4, 4.0);
    let scaling = scaling(encoding, target, name, subject);
    let finding = tensor::study(subject, encoding, scaling, relative_step)?;
    let Some(finding) = finding else { return Ok(None) };
    let Finding { mut plan, rms, noise } = finding;
    match target {
        TensorTarget::Lossless => return Ok(None),
        TensorTarget::SharedBits(_) => {
            plan.shares_budget = true;
            let weights = subject.rows as f64 * subject.columns as f64;
            let factor = relative_weight(encoding.weighting, weights);
            plan.step = (f64::from(plan.step) * factor) as f32;
        }
        TensorTarget::OwnBits(bits) => {
            // A small tensor may be unable to do with so few; then it gets the fewest it can.
            let bits = bits.max(plan.floor + LEAST_BITS);
            let factor = budget::spread(&std::iter::once((&plan, 1)), bits).unwrap_or(0.0);
            plan.step = (f64::from(plan.step).log2() + factor).exp2() as f32;
        }
        TensorTarget::Noise(share) => {
            plan.max_noise = Some(share);
            plan.step = step_for(noise, (share * 0.995 * rms * rms).log2()).exp2() as f32;
        }
    }
    Ok(Some(plan))
}

/// Bits a weight that a lattice gets at least.
const LEAST_BITS: f64 = 0.1;

/// The binary logarithm of the step that leads to a noise, on the line through what was measured.
fn step_for([(x0, y0), (x1, y1), (x2, y2)]: [(f64, f64); 3], noise: f64) -> f64 {
    let (x, y, slope) = match noise < y1 {
        true => (x0, y0, (y1 - y0) / (x1 - x0)),
        false => (x1, y1, (y2 - y1) / (x2 - x1)),
    };
    // Two, where the error goes with the square of the step; less, where nothing is left to lose.
    x + (noise - y) / slope.clamp(0.5, 2.5)
}

/// What rows and columns are scaled by. Scales shift errors about within a tensor, so they are not
/// for promises about its error.
fn scaling(
    encoding: &Encoding,
    target: TensorTarget,
    name: &str,
    subject: &Subject<'_, dyn ReadAt + '_>,
) -> Scaling {
    let (rows, columns) = (subject.rows, subject.columns);
    let weighs = encoding.weighting == Weighting::Operator;
    let weighs = weighs && !matches!(target, TensorTarget::Noise(_));
    let role = if weighs { Role::of(name, rows, columns) } else { Role::Other };
    Scaling {
        rows: match role {
            _ if encoding.row_scales => RowScales::Rms,
            Role::Vocabulary => RowScales::Rank,
            _ => RowScales::None,
        },
        columns: role == Role::Reader && rows >= ROWS_FOR_COLUMN_SCALES,
    }
}

/// With fewer rows scales of columns take more than they save.
const ROWS_FOR_COLUMN_SCALES: usize = 64;

/// How much larger than the others' a tensor's step is, relative to its deviation.
fn relative_weight(weighting: Weighting, weights: f64) -> f64 {
    match weighting {
        Weighting::Operator => (weights / MANY).min(1.0).powf(0.125),
        Weighting::RelativeError => 1.0,
    }
}

/// Weights of a large tensor.
const MANY: f64 = (1 << 22) as f64;

/// Lets the tensors that share a budget of so many bits a weight have what the others leave.
fn share(drafts: &mut [Draft], bits: f64, other_bytes: u64) -> Result<()> {
    let weights: u64 = drafts.iter().map(|draft| draft.plan.weights).sum();
    let budget = bits * weights as f64 / 8.0;
    loop {
        let flexible = |draft: &&Draft| draft.plan.lossy.as_ref().is_some_and(|p| p.shares_budget);
        let fixed = drafts.iter().filter(|draft| !flexible(draft));
        let fixed = other_bytes + fixed.map(|draft| draft.plan.bytes).sum::<u64>();
        let tensors = || {
            drafts.iter().filter(flexible).filter_map(|draft| {
                draft.plan.lossy.as_ref().map(|plan| (plan, draft.plan.weights))
            })
        };
        let left = (budget - fixed as f64) * 8.0;
        if tensors().next().is_none() && left >= 0.0 {
            return Ok(());
        }
        let Some(factor) = budget::spread(&tensors(), left) else {
            return Err(Error::invalid(format!(
                "a budget of {bits} bits a weight: what is not to be lost, and headers, alone \
                 take {:.3}",
                fixed as f64 * 8.0 / weights as f64
            )));
        };
        let mut settled = true;
        for draft in drafts.iter_mut().filter(|draft| flexible(&&**draft)) {
            settled &= settle(&mut draft.plan, draft.lossless_bytes, factor);
        }
        // What is better off without loss leaves another budget to the others.
        if settled {
            return Ok(());
        }
    }
}

/// Changes a tensor's step by a factor, and what it takes; loses nothing of a tensor where that
/// takes no more, or the step is one that the codec has not. Returns whether it stayed lossy.
fn settle(tensor: &mut TensorPlan, lossless_bytes: u64, factor: f64) -> bool {
    let Some(plan) = &mut tensor.lossy else { return true };
    let step = f64::from(plan.step).log2() + factor;
    let bytes = (plan.bits_at(step) * tensor.weights as f64 / 8.0) as u64;
    if lossless_bytes <= bytes || !tensor::is_step(step.exp2()) {
        (tensor.lossy, tensor.bytes) = (None, lossless_bytes);
        return false;
    }
    (plan.step, tensor.bytes) = (step.exp2() as f32, bytes);
    true
}
