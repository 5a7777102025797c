//! Frames that refer to an earlier one.

use super::equal_tensors;
use super::frame_writer::FrameWriter;
use super::plan::{LossyPlan, Plan};
use super::source::{TensorSource, invalid};
use crate::codec::{Codec, EncodedChunk, SquaredError};
use crate::error::{Error, Result};
use crate::format::{FrameHeader, Geometry, Object, PayloadLayout};

/// Which sources are written as references, and to which ones.
pub(super) struct References {
    targets: Vec<Option<usize>>,
    referenced: Vec<bool>,
}

impl References {
    /// A tensor is a reference if an earlier one is equal and is to be coded alike.
    pub(super) fn find(sources: &[TensorSource<'_>], plan: &Plan) -> Result<Self> {
        let lossy = |number: usize| plan.get(sources[number].name)?.lossy.as_ref();
        let mut targets = equal_tensors::find(sources)?;
        let mut referenced = vec![false; sources.len()];
        for (number, target) in targets.iter_mut().enumerate() {
            *target = target.filter(|&target| is_same(lossy(number), lossy(target)));
            if let Some(target) = *target {
                referenced[target] = true;
            }
        }
        Ok(Self { targets, referenced })
    }

    /// The source that source `number` refers to.
    pub(super) fn target(&self, number: usize) -> Option<usize> {
        self.targets[number]
    }

    /// Whether a later source refers to source `number`.
    pub(super) fn is_referenced(&self, number: usize) -> bool {
        self.referenced[number]
    }
}

/// Whether two plans differ at most in whether they share a budget.
fn is_same(a: Option<&LossyPlan>, b: Option<&LossyPlan>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => *a == LossyPlan { shares_budget: a.shares_budget, ..b.clone() },
        (None, None) => true,
        _ => false,
    }
}

/// A tensor that is written and that later ones refer to.
pub(super) struct WrittenTarget {
    /// Its position in the file, in the order of frames.
    pub(super) position: usize,
    pub(super) geometry: Geometry,
    pub(super) is_lossy: bool,
    /// The CRC-32 of each decoded chunk.
    pub(super) crcs: Vec<u32>,
    pub(super) error: SquaredError,
}

impl WrittenTarget {
    /// Writes the frame of a tensor that is equal to this one.
    pub(super) fn write(
        &self,
        source: &TensorSource<'_>,
        writer: &mut FrameWriter<'_>,
    ) -> Result<()> {
        let codec = Codec::Reference.id();
        let layout = match self.is_lossy {
            true => PayloadLayout::ChunkedLossy,
            false => PayloadLayout::Chunked,
        };
        let (name, geometry) = (source.name.to_owned(), self.geometry.clone());
        let object = Object::new(source.kind(), name, geometry, codec, layout).map_err(invalid)?;
        writer.begin(reference_header(object, self.position)?)?;
        for &decoded_crc in &self.crcs {
            let (bytes, nothing) = (Vec::new(), SquaredError::default());
            let (squared_error, output_error) = (nothing, nothing);
            let chunk = EncodedChunk { bytes, decoded_crc, squared_error, output_error };
            writer.chunk(&chunk, None)?;
        }
        writer.end(self.error)
    }
}

/// The frame header of an object that is a reference to the one at `position`, of the same layout.
///
/// # Errors
/// `InvalidArgument` for a position that the format does not allow.
pub(crate) fn reference_header(object: Object, position: usize) -> Result<FrameHeader> {
    let position = u32::try_from(position)
        .map_err(|_| Error::invalid("more objects than the format allows"))?;
    let layout = match object.layout {
        PayloadLayout::Contiguous => PayloadLayout::Chunked,
        layout => layout,
    };
    let object = Object { codec: Codec::Reference.id(), layout, ..object };
    let parameters = position.to_le_bytes().to_vec();
    Ok(FrameHeader { object, parameters, chunk_crcs: Vec::new(), referenced: false })
}
