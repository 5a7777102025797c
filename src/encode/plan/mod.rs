//! The plan: how each tensor of a checkpoint is encoded.
//!
//! A [`Plan`] is made from all tensors of a checkpoint, so that a budget spans them. It can be
//! stored as JSON and used again.

mod budget;
mod calibrated_steps;
mod effort;
mod file_budget;
mod frame_sizes;
mod merge;
mod one_tensor;
mod planned_tensor;
mod planner;
mod quantized_weights;
#[cfg(feature = "analysis")]
mod rates;
mod relative_plan;
mod representatives;
mod scaling;
mod shared_step;
mod tensor_plan;
mod transform_choice;

pub(crate) use effort::{encoder_effort, is_valid_step};
#[cfg(feature = "analysis")]
pub(crate) use rates::{Rated, rates};
pub(crate) use tensor_plan::Learned;
pub use tensor_plan::{LossyPlan, RateCurve, TensorPlan};

use super::calibration::Calibration;
use super::encoding::Encoding;
use super::source::TensorSource;
use crate::error::{Error, Result};
use file_budget::{FileBudget, FileFacts, MAX_TOTAL, check_files};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Bytes of a file's header, index head and trailer.
pub(crate) const FIXED_BYTES: u64 = 144;

/// The version of the JSON of a plan.
const VERSION: u32 = 2;

/// How each tensor of a checkpoint is encoded.
///
/// ```no_run
/// use occ::{Encoding, Plan, convert::Checkpoint};
/// let checkpoint = Checkpoint::open("checkpoint/")?;
/// let plan = checkpoint.plan(&Encoding::bits(3.0), None)?;
/// std::fs::write("plan.json", plan.to_json())?;
/// let again = Plan::from_json(&std::fs::read_to_string("plan.json")?)?;
/// assert_eq!(plan, again);
/// # Ok::<(), occ::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Plan {
    /// The version of the JSON form: 2.
    version: u32,
    /// The budget of the whole file in bits per weight, if there is one.
    pub bits: Option<f64>,
    /// The plans of tensors by name. Tensors without one are stored losslessly.
    pub tensors: BTreeMap<String, TensorPlan>,
    /// For the plan of one of several files: what the merged plan needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    facts: Option<FileFacts>,
    /// The files of a merged plan.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    files: Vec<FileBudget>,
}

/// All tensors are stored losslessly.
impl Default for Plan {
    fn default() -> Self {
        let (tensors, facts, files) = (BTreeMap::new(), None, Vec::new());
        Self { version: VERSION, bits: None, tensors, facts, files }
    }
}

impl Plan {
    /// Plans tensors, with one budget for all of them if the encoding has one. `other_bytes` are
    /// the bytes of the file outside of tensors; `is_part` is for a plan that will be merged with
    /// others; `observe` is called with the bytes of planned tensors.
    pub(crate) fn new(
        sources: &[TensorSource<'_>],
        encoding: &Encoding,
        other_bytes: u64,
        is_part: bool,
        observe: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<Self> {
        let (tensors, facts) =
            planner::plan_tensors(sources, encoding, other_bytes, is_part, observe)?;
        Ok(Self { bits: encoding.budget(), tensors, facts, ..Self::default() })
    }

    /// Plans tensors from memory or any other source, so that a file of them meets the targets of
    /// `encoding`. A bit budget is for the whole file with its index.
    ///
    /// Reads each tensor a few times.
    ///
    /// ```
    /// use occ::{Dtype, Encoding, Plan, TensorSource, WriteOptions, Writer};
    /// let data: Vec<u8> = (0..64 * 512).flat_map(|i| f32::sin((i * i) as f32).to_le_bytes()).collect();
    /// let sources = ["a", "b"].map(|name| TensorSource::new(name, Dtype::F32, &[64, 512], &data));
    /// let plan = Plan::of_tensors(&sources, &Encoding::bits(4.0))?;
    /// let mut file = Vec::new();
    /// let mut writer = Writer::new(&mut file, WriteOptions::default())?;
    /// writer.add_all(&sources, &plan)?;
    /// writer.finish()?;
    /// assert!(file.len() * 8 <= 4 * (2 * 64 * 512));
    /// # Ok::<(), occ::Error>(())
    /// ```
    ///
    /// # Errors
    /// `Io`; `InvalidArgument` when dtype, shape and data do not fit, the encoding is invalid, or the
    /// bit budget is too small.
    pub fn of_tensors(sources: &[TensorSource<'_>], encoding: &Encoding) -> Result<Self> {
        Self::new(sources, encoding, FIXED_BYTES, false, &mut |_| Ok(()))
    }

    /// The plan of a single tensor; a budget is for this tensor.
    ///
    /// # Errors
    /// `Io`; `InvalidArgument` when dtype, shape and data do not fit or the encoding is invalid.
    pub fn of(source: &TensorSource<'_>, encoding: &Encoding) -> Result<TensorPlan> {
        let sources = std::slice::from_ref(source);
        let mut plan = Self::new(sources, encoding, 0, false, &mut |_| Ok(()))?;
        plan.tensors.remove(source.name).ok_or_else(|| Error::invalid("no such tensor"))
    }

    /// A plan of one tensor, without a budget.
    pub(crate) fn single(name: &str, plan: TensorPlan) -> Self {
        Self { tensors: BTreeMap::from([(name.to_owned(), plan)]), ..Self::default() }
    }

    /// The plan as JSON, with a version.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_else(|_| unreachable!("names are strings"))
    }

    /// A plan from JSON.
    ///
    /// # Errors
    /// `InvalidArgument` when the text is not a plan or its numbers are out of range; `Unsupported`
    /// for another version.
    pub fn from_json(text: &str) -> Result<Self> {
        let invalid = |error: serde_json::Error| Error::invalid(format!("not a plan: {error}"));
        let value: serde_json::Value = serde_json::from_str(text).map_err(invalid)?;
        match value.get("version").and_then(serde_json::Value::as_u64) {
            Some(version) if version != u64::from(VERSION) => {
                Err(Error::unsupported(format!("plan version {version}")))
            }
            _ => {
                let plan: Self = serde_json::from_value(value).map_err(invalid)?;
                plan.check()?;
                Ok(plan)
            }
        }
    }

    /// Checks numbers that may come from a file.
    ///
    /// # Errors
    /// `InvalidArgument`, with the tensor.
    pub(crate) fn check(&self) -> Result<()> {
        let (mut weights, mut bytes) = (0u64, 0u64);
        for (name, tensor) in &self.tensors {
            let mut check = || {
                let add = |sum: u64, count| sum.checked_add(count).filter(|&sum| sum <= MAX_TOTAL);
                let too_large = || Error::invalid("plan: more than 2^60 weights or bytes");
                weights = add(weights, tensor.weights).ok_or_else(too_large)?;
                bytes = add(bytes, tensor.bytes).ok_or_else(too_large)?;
                tensor.lossy.as_ref().map_or(Ok(()), LossyPlan::check)
            };
            check().map_err(|error: Error| error.in_tensor(name))?;
        }
        self.facts.as_ref().map_or(Ok(()), FileFacts::check)?;
        check_files(&self.files, self.tensors.keys())?;
        match self.bits {
            Some(bits) if !(bits > 0.0 && bits * weights as f64 / 8.0 <= MAX_TOTAL as f64) => {
                Err(Error::invalid("plan: a budget that is not positive, or more than 2^60 bytes"))
            }
            _ => Ok(()),
        }
    }

    /// Adds statistics to a plan from JSON that was made with them: encoding needs them, too.
    pub fn set_calibration(&mut self, calibration: &Arc<Calibration>) {
        for tensor in self.tensors.values_mut() {
            tensor.learned.calibration = Some(Arc::clone(calibration));
        }
    }

    /// The plan of the tensor of this name.
    pub fn get(&self, name: &str) -> Option<&TensorPlan> {
        self.tensors.get(name)
    }
}
