//! References: objects whose chunks are those of an earlier object.

use crate::codec::Codec;
use crate::error::{Error, Result};
use crate::format::{Chunk, FrameHeader, PayloadLayout};
use crate::limits::Limits;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The position, in the order of frames, of the object that a frame refers to; `None` if the frame is
/// not a reference. `position` is that of the frame.
///
/// # Errors
/// `Corrupt` if the parameters are not the position of an earlier object.
pub(super) fn target_of(header: &FrameHeader, position: u64) -> Result<Option<u64>> {
    if header.object.codec != Codec::Reference.id() {
        return Ok(None);
    }
    let target = header.parameters.as_slice().try_into().map(u32::from_le_bytes);
    match target.map(u64::from) {
        Ok(target) if target < position => Ok(Some(target)),
        _ => Err(not_a_target()),
    }
}

/// Checks that an object may be the target of a reference.
///
/// # Errors
/// `Corrupt` if it is not marked, is a reference, or has another kind, shape or division into chunks;
/// or if the layout of the reference is not the one for it.
pub(super) fn check_target(header: &FrameHeader, target: &FrameHeader) -> Result<()> {
    let is_reference = target.object.codec == Codec::Reference.id();
    let is_same = header.object.kind == target.object.kind
        && header.object.geometry == target.object.geometry
        && header.object.layout == layout_for(target.object.layout);
    match target.referenced && !is_reference && is_same {
        true => Ok(()),
        false => Err(not_a_target()),
    }
}

/// The layout of references to an object of this layout: the footer states the same error.
fn layout_for(target: PayloadLayout) -> PayloadLayout {
    match target {
        PayloadLayout::ChunkedLossy => PayloadLayout::ChunkedLossy,
        PayloadLayout::Chunked | PayloadLayout::Contiguous => PayloadLayout::Chunked,
    }
}

fn not_a_target() -> Error {
    Error::corrupt("reference: not to an earlier object that may be referred to")
}

/// The chunks of a stream that references may need.
#[derive(Default)]
pub(super) struct KeptObjects {
    /// Objects that have started.
    started: u64,
    /// Objects that are marked, by their position.
    objects: BTreeMap<u64, KeptObject>,
    /// Bytes in memory, approximately: of all kept headers and chunks.
    bytes: u64,
    /// What the current object refers to, if it is a reference that is valid.
    target: Option<u64>,
}

struct KeptObject {
    header: Arc<FrameHeader>,
    chunks: Vec<Chunk<Vec<u8>>>,
}

impl KeptObjects {
    /// Starts an object. Returns the object that it refers to; `None` if it is not a reference, or
    /// one that is not valid.
    ///
    /// # Errors
    /// `LimitExceeded` if what is kept exceeds [`Limits::tensor_bytes`].
    pub(super) fn start(
        &mut self,
        header: &FrameHeader,
        limits: &Limits,
    ) -> Result<Option<Arc<FrameHeader>>> {
        let position = self.started;
        self.started += 1;
        self.target = None;
        if header.referenced {
            self.keep(size_of::<KeptObject>() + header.memory(), limits)?;
            let kept = KeptObject { header: Arc::new(header.clone()), chunks: Vec::new() };
            self.objects.insert(position, kept);
        }
        let target = target_of(header, position).ok().flatten();
        let kept = target.and_then(|target| self.objects.get(&target));
        let kept = kept.filter(|kept| check_target(header, &kept.header).is_ok());
        self.target = target.filter(|_| kept.is_some());
        Ok(kept.map(|kept| Arc::clone(&kept.header)))
    }

    fn keep(&mut self, bytes: usize, limits: &Limits) -> Result<()> {
        self.bytes += bytes as u64;
        Error::check_limit("tensors that others refer to", self.bytes, limits.tensor_bytes)
    }

    /// Keeps a chunk of the current object if it is marked. Replaces an empty chunk of a reference by
    /// that of its target.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub(super) fn chunk(
        &mut self,
        chunk: Chunk<Vec<u8>>,
        limits: &Limits,
    ) -> Result<Chunk<Vec<u8>>> {
        let number = chunk.number as usize;
        let target = self.target.and_then(|target| self.objects.get(&target));
        if let Some(kept) = target.and_then(|kept| kept.chunks.get(number)) {
            // A damaged chunk stays as it is, and is reported.
            let is_valid = chunk.bytes.is_empty() && chunk.check().is_ok();
            return Ok(if is_valid { kept.clone().ending_at(chunk.end) } else { chunk });
        }
        let current = self.started.wrapping_sub(1);
        if self.objects.contains_key(&current) {
            self.keep(size_of_val(&chunk) + chunk.bytes.len(), limits)?;
        }
        if let Some(kept) = self.objects.get_mut(&current) {
            kept.chunks.push(chunk.clone());
        }
        Ok(chunk)
    }
}
