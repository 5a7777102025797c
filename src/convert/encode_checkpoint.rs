//! Planning and encoding of a checkpoint.

use super::checkpoint::Checkpoint;
use super::progress::{Progress, Reporter};
use super::shard_index::IndexFile;
use crate::encode::{
    Encoding, FIXED_BYTES, Plan, TensorSource, TensorStats, Writer, Written, attachment_bytes,
};
use crate::error::{Error, Result};
use std::ops::ControlFlow;
use std::path::Path;

/// Size and error of each tensor of an encoded checkpoint.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct EncodeReport {
    /// Name and statistics of each tensor, in file order.
    pub tensors: Vec<(String, TensorStats)>,
}

impl EncodeReport {
    /// ‖W − Ŵ‖ ÷ ‖W‖ over all tensors that were coded lossily; 0 if there are none.
    pub fn rel_error(&self) -> f64 {
        self.total().rel_error()
    }

    /// The signal-to-noise ratio −20 log₁₀ [`rel_error`](Self::rel_error) in decibels; `None`
    /// without errors.
    pub fn snr_db(&self) -> Option<f64> {
        self.total().snr_db()
    }

    fn total(&self) -> TensorStats {
        let mut total = TensorStats::default();
        for (_, stats) in &self.tensors {
            total.signal += stats.signal;
            total.noise += stats.noise;
        }
        total
    }
}

/// Bytes that a plan reserves for the header, the index, the trailer and the attachments.
fn reserved_bytes(checkpoint: &Checkpoint) -> Result<u64> {
    let objects = checkpoint.objects().into_iter();
    let attachments: Vec<_> = objects.filter(|object| !object.is_tensor()).collect();
    Ok(FIXED_BYTES + attachment_bytes(&attachments)?)
}

/// Bytes that the index of a sharded checkpoint adds to an `.occ` file, for [`Plan::merge`].
///
/// ```no_run
/// let bytes = occ::convert::index_bytes("model.safetensors.index.json")?;
/// # Ok::<(), occ::Error>(())
/// ```
///
/// # Errors
/// `Io`; `Corrupt` if the file is no index.
pub fn index_bytes(path: impl AsRef<Path>) -> Result<u64> {
    let index = IndexFile::open(path.as_ref())?;
    attachment_bytes(&[index.source()])
}

impl Checkpoint {
    /// Plans how each tensor is coded, so that the whole file meets the targets of `encoding`.
    ///
    /// Reads each tensor a few times. `progress` receives the bytes of tensors that are planned.
    ///
    /// ```no_run
    /// use occ::{Encoding, WriteOptions, Writer, convert::Checkpoint};
    /// let checkpoint = Checkpoint::open("model.safetensors")?;
    /// let plan = checkpoint.plan(&Encoding::bits(3.0), None)?;
    /// let mut writer = Writer::create("model.occ", WriteOptions::default())?;
    /// let report = checkpoint.write_planned(&mut writer, &plan, None)?;
    /// writer.finish()?;
    /// println!("relative error {:.4}", report.rel_error());
    /// # Ok::<(), occ::Error>(())
    /// ```
    ///
    /// # Errors
    /// `InvalidArgument` if a target is not a valid number or the bit budget is too small; `Io`;
    /// `Cancelled`.
    pub fn plan(&self, encoding: &Encoding, progress: Option<&mut Progress<'_>>) -> Result<Plan> {
        self.plan_file(encoding, false, progress)
    }

    /// Plans one of several files that are compressed apart with a common bit budget, for
    /// [`Plan::merge`]. Rates are measured around the steps at which the lossy tensors of this file
    /// take the budget's bits per weight. What lossless ones take follows when the plans are merged.
    ///
    /// # Errors
    /// Those of [`plan`](Self::plan); `InvalidArgument` if `encoding` is not a bit budget, or has
    /// statistics.
    pub fn plan_part(
        &self,
        encoding: &Encoding,
        progress: Option<&mut Progress<'_>>,
    ) -> Result<Plan> {
        if encoding.budget().is_none() || encoding.has_calibration() {
            let what = "plans of several files have a bit budget in common, without statistics";
            return Err(Error::invalid(what));
        }
        self.plan_file(encoding, true, progress)
    }

    fn plan_file(
        &self,
        encoding: &Encoding,
        is_part: bool,
        progress: Option<&mut Progress<'_>>,
    ) -> Result<Plan> {
        let mut progress = Reporter(progress);
        let sources: Vec<TensorSource<'_>> = self.sources().collect();
        // Attachments are encoded to find their size.
        let reserved = match encoding.budget() {
            Some(_) => reserved_bytes(self)?,
            None => 0,
        };
        Plan::new(&sources, encoding, reserved, is_part, &mut |bytes| progress.report(bytes))
    }

    /// The estimated length of the `.occ` file with this plan: its tensors as the plan has them, those
    /// without a plan as if they were stored raw. Encodes headers, and reads no tensors.
    ///
    /// ```no_run
    /// use occ::{Encoding, convert::Checkpoint};
    /// let checkpoint = Checkpoint::open("model.safetensors")?;
    /// let plan = checkpoint.plan(&Encoding::lossless(), None)?;
    /// println!("about {} bytes", checkpoint.estimated_bytes(&plan)?);
    /// # Ok::<(), occ::Error>(())
    /// ```
    ///
    /// # Errors
    /// `InvalidArgument` for a name that the format does not allow.
    pub fn estimated_bytes(&self, plan: &Plan) -> Result<u64> {
        let bytes = |tensor: TensorSource<'_>| {
            plan.get(tensor.name).map_or(tensor.data.size(), |planned| planned.bytes)
        };
        Ok(self.sources().map(bytes).fold(reserved_bytes(self)?, u64::saturating_add))
    }

    /// Writes the checkpoint as planned, in the order of [`write_to`](Self::write_to). The file
    /// does not exceed the bit budget of the plan; a plan of several files ([`Plan::merge`]) has one for
    /// each.
    ///
    /// # Errors
    /// `Io`; `InvalidArgument` if a file has changed since it was opened, the bit budget is too small,
    /// or a plan of several files is for none with these tensors; `Cancelled`.
    pub fn write_planned(
        &self,
        writer: &mut Writer<'_>,
        plan: &Plan,
        progress: Option<&mut Progress<'_>>,
    ) -> Result<EncodeReport> {
        let mut progress = Reporter(progress);
        self.write(writer, plan, &mut |written| match written {
            Written::Bytes(bytes) => progress.report(bytes),
            Written::Tensor { .. } => Ok(()),
        })
    }

    /// [`write_planned`](Self::write_planned) with an `observe` function that also receives the
    /// size and error of each tensor as soon as it is written. [`ControlFlow::Break`] cancels.
    ///
    /// # Errors
    /// Those of [`write_planned`](Self::write_planned).
    pub fn write_observed(
        &self,
        writer: &mut Writer<'_>,
        plan: &Plan,
        observe: &mut dyn FnMut(Written<'_>) -> ControlFlow<()>,
    ) -> Result<EncodeReport> {
        self.write(writer, plan, &mut |written| match observe(written) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::Cancelled),
        })
    }

    fn write(
        &self,
        writer: &mut Writer<'_>,
        plan: &Plan,
        observe: &mut dyn FnMut(Written<'_>) -> Result<()>,
    ) -> Result<EncodeReport> {
        let plan = plan.of_file(self.tensor_names())?;
        let stats = writer.add_sources(&self.objects(), &plan, observe)?;
        let names = self.sources().map(|source| source.name.to_owned());
        Ok(EncodeReport { tensors: names.zip(stats).collect() })
    }
}
