//! The size of frames without their chunks, before the tensors are encoded.

use crate::codec::Codec;
use crate::encode::chunk_size;
use crate::encode::source::TensorSource;
use crate::error::Result;
use crate::format::{FrameHeader, Object, OverheadCounter, PayloadLayout};

/// Bytes that each of these tensors adds to a file that contains them in this order, without codec
/// parameters, padding, and what chunks add. All matrices count as lossy; those with the position of
/// another tensor in `references` are references to it. O(n).
///
/// # Errors
/// `InvalidArgument` for a tensor that the format cannot describe.
pub(super) fn frame_bytes(
    sources: &[TensorSource<'_>],
    references: &[Option<usize>],
) -> Result<Vec<u64>> {
    let mut counter = OverheadCounter::default();
    let mut next = |source: &TensorSource<'_>, target: Option<usize>| -> Result<u64> {
        let (codec, layout) = match (target, source.matrix()) {
            (Some(_), Some(_)) => (Codec::Reference, PayloadLayout::ChunkedLossy),
            (Some(_), None) => (Codec::Reference, PayloadLayout::Chunked),
            (None, Some(_)) => (Codec::Trellis, PayloadLayout::ChunkedLossy),
            (None, None) => (Codec::Raw, PayloadLayout::Contiguous),
        };
        let (geometry, name) =
            (source.geometry(chunk_size::expected(source))?, source.name.to_owned());
        let object = Object::new(source.kind(), name, geometry, codec.id(), layout)?;
        let (parameters, chunk_crcs, referenced) = (Vec::new(), Vec::new(), false);
        counter.next(&FrameHeader { object, parameters, chunk_crcs, referenced })
    };
    let sizes = sources
        .iter()
        .zip(references)
        .map(|(source, &target)| next(source, target).map_err(|error| source.locate(error)));
    sizes.collect()
}
