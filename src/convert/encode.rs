//! A checkpoint coded as planned.

use super::checkpoint::{Checkpoint, Section};
use super::{Progress, report};
use crate::encode::{Encoding, Plan, TensorSource};
use crate::encode::{TensorStats, Writer};
use crate::error::Result;

/// What became of a checkpoint.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Encoded {
    /// Each tensor's name and what became of it, in the order of the file.
    pub tensors: Vec<(String, TensorStats)>,
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

    fn total(&self) -> TensorStats {
        let mut total = TensorStats::default();
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

impl Checkpoint {
    /// Studies all tensors and plans how to code them. Reads each a few times; takes a fraction
    /// of the time that coding does.
    ///
    /// # Errors
    /// `Io`; `InvalidArgument` when a budget cannot be kept or makes no sense.
    pub fn plan(&self, encoding: &Encoding, progress: &mut Progress<'_>) -> Result<Plan> {
        let sections: Vec<Section<'_>> = self.sections().collect();
        let sources: Vec<TensorSource<'_>> = sections.iter().map(Section::source).collect();
        Plan::new(&sources, encoding, other_bytes(self), &mut |bytes| report(progress, bytes))
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
        let sections: Vec<Section<'_>> = self.sections().collect();
        let sources = self.sources(&sections);
        let added = writer.add_sources(&sources, plan, &mut |bytes| report(progress, bytes))?;
        let names = sections.iter().map(|section| section.name.to_owned());
        Ok(Encoded { tensors: names.zip(added).collect() })
    }
}
