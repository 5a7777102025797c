//! The size of frames without their chunks, before the tensors are encoded.

use super::planned_tensor::CHUNK;
use crate::codec::Codec;
use crate::encode::source::TensorSource;
use crate::error::Result;
use crate::format::{FrameHeader, Object, OverheadCounter, PayloadLayout};

/// Bytes that each of these tensors adds to a file that contains them in this order, without codec
/// parameters, padding, and what chunks add. All matrices count as lossy. O(n).
///
/// # Errors
/// `InvalidArgument` for a tensor that the format cannot describe.
pub(super) fn frame_bytes(sources: &[TensorSource<'_>]) -> Result<Vec<u64>> {
    let mut counter = OverheadCounter::default();
    let mut next = |source: &TensorSource<'_>| -> Result<u64> {
        let (codec, layout) = match source.matrix() {
            Some(_) => (Codec::Trellis, PayloadLayout::ChunkedLossy),
            None => (Codec::Raw, PayloadLayout::Contiguous),
        };
        let (geometry, name) = (source.geometry(CHUNK)?, source.name.to_owned());
        let object = Object::new(source.kind(), name, geometry, codec.id(), layout)?;
        let (parameters, chunk_crcs) = (Vec::new(), Vec::new());
        counter.next(&FrameHeader { object, parameters, chunk_crcs })
    };
    let sizes = sources.iter().map(|source| next(source).map_err(|error| source.locate(error)));
    sizes.collect()
}
