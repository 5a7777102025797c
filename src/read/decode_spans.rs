//! Decoding of objects whose frame headers and chunks are read together, in spans.

use super::frame_decoder::FrameDecoder;
use super::indexed_frame::IndexedFrame;
use super::pieces::Piece;
use super::spans::{Span, read_spans, spans};
use super::stored_object::StoredObject;
use crate::error::{Error, Result};
use crate::format::Chunk;
use rayon::prelude::*;
use std::ops::Range;

/// An object, and the parts of it to decode.
pub(super) struct Decoding<'d, 'a, 'o> {
    pub(super) object: &'d StoredObject<'a>,
    pub(super) pieces: &'d mut [Piece<'o>],
}

/// A part of the file that is read for an object.
struct Part<'p, 'a, 'o> {
    object: &'p StoredObject<'a>,
    content: Content<'p, 'o>,
}

enum Content<'p, 'o> {
    /// The header of the object's frame, or of the one that it refers to.
    Header(&'p IndexedFrame),
    /// The object's footer.
    Footer,
    /// A chunk of the object's frame, or of the one that it refers to.
    Chunk(&'p IndexedFrame, &'p mut Piece<'o>),
}

type Parts<'p, 'a, 'o> = Vec<(Range<u64>, Part<'p, 'a, 'o>)>;

impl Part<'_, '_, '_> {
    /// Adds the object, and the chunk unless it is known, to an error.
    fn locate(&self, error: Error) -> Error {
        self.object.locate(match &self.content {
            Content::Header(_) | Content::Footer => error,
            Content::Chunk(_, piece) => error.in_chunk(piece.number),
        })
    }
}

/// Calls `work` with the chunks of all pieces, in parallel. Parts of one tensor, and those of tensors
/// that are neighbours in the file, are read together. Returns the first error in the order of the
/// file.
pub(super) fn for_each_chunk(
    decodings: Vec<Decoding<'_, '_, '_>>,
    work: impl Fn(&FrameDecoder, &Chunk<&[u8]>, &mut Piece<'_>) -> Result<()> + Sync,
) -> Result<()> {
    let objects: Vec<&StoredObject<'_>> = decodings.iter().map(|one| one.object).collect();
    read_references(&objects)?;
    let mut parts = Vec::new();
    for Decoding { object, pieces } in decodings {
        let (file, located) = (object.container(), |error| object.locate(error));
        let stored = object.stored().map_err(located)?;
        push_header(&mut parts, object, stored);
        for piece in pieces {
            let extent = stored.chunk_extent(file, piece.number).map_err(located)?;
            parts.push((extent, Part { object, content: Content::Chunk(stored, piece) }));
        }
    }
    read_parts(parts, work)?;
    // Also of objects without chunks.
    let check = |object: &&StoredObject<'_>| {
        let supported = object.resolved().and_then(|(_, decoder)| decoder.check_supported());
        supported.map_err(|error| object.locate(error))
    };
    objects.iter().try_for_each(check)
}

/// Reads the frame headers and footers of objects that have not been read, so that
/// [`StoredObject::coding`] reads nothing.
pub(super) fn read_codings(objects: &[&StoredObject<'_>]) -> Result<()> {
    read_references(objects)?;
    let mut parts = Vec::new();
    for &object in objects {
        let located = |error| object.locate(error);
        push_header(&mut parts, object, object.frame());
        if object.is_reference() {
            push_header(&mut parts, object, object.stored().map_err(located)?);
        }
        if !object.has_footer() {
            let extent = object.footer_extent().map_err(located)?;
            parts.push((extent, Part { object, content: Content::Footer }));
        }
    }
    read_parts(parts, |_, _, _| Ok(()))
}

/// Reads the frame headers of references, which state what they refer to.
fn read_references(objects: &[&StoredObject<'_>]) -> Result<()> {
    let mut parts = Vec::new();
    for object in objects.iter().filter(|object| object.is_reference()) {
        push_header(&mut parts, object, object.frame());
    }
    read_parts(parts, |_, _, _| Ok(()))
}

fn push_header<'p, 'a>(
    parts: &mut Parts<'p, 'a, '_>,
    object: &'p StoredObject<'a>,
    frame: &'p IndexedFrame,
) {
    if !frame.has_decoder() {
        let extent = frame.header_extent(object.container());
        parts.push((extent, Part { object, content: Content::Header(frame) }));
    }
}

/// Reads parts of one file. Takes headers and footers, and calls `work` with the chunks.
fn read_parts(
    parts: Parts<'_, '_, '_>,
    work: impl Fn(&FrameDecoder, &Chunk<&[u8]>, &mut Piece<'_>) -> Result<()> + Sync,
) -> Result<()> {
    let Some((_, first)) = parts.first() else { return Ok(()) };
    let file = first.object.container();
    let spans = spans(parts, file.span_bytes());
    // A span that cannot be read lacks its first chunk, or a header or footer if it has no chunk.
    let locate = |span: &Span<Part<'_, '_, '_>>, error| {
        let mut parts = span.parts.iter().map(|(_, part)| part);
        let chunk = parts.clone().find(|part| matches!(part.content, Content::Chunk(..)));
        match chunk.or_else(|| parts.next()) {
            Some(part) => part.locate(error),
            None => error,
        }
    };
    read_spans(file, spans, locate, |span, all| {
        let start = span.extent.start;
        // The span, which is in memory, contains its parts.
        let bytes = |extent: &Range<u64>| {
            &all[(extent.start - start) as usize..(extent.end - start) as usize]
        };
        let (chunks, others): (Vec<_>, Vec<_>) = span
            .parts
            .into_iter()
            .partition(|(_, part)| matches!(part.content, Content::Chunk(..)));
        // Footers and chunks come after the header, which they need.
        for (extent, part) in others {
            let taken = match part.content {
                Content::Header(frame) => frame.decoder_from(file, bytes(&extent)).map(drop),
                Content::Footer => part.object.footer_from(bytes(&extent)).map(drop),
                Content::Chunk(..) => Ok(()),
            };
            taken.map_err(|error| part.object.locate(error))?;
        }
        let decode = |(extent, part): (Range<u64>, Part<'_, '_, '_>)| {
            let Content::Chunk(stored, piece) = part.content else { return Ok(()) };
            let mut decode = || {
                let (_, decoder) = part.object.resolved()?;
                decoder.check_supported()?;
                let chunk = stored.chunk_from(file, bytes(&extent), extent.start, piece.number)?;
                work(decoder, &chunk, piece)
            };
            decode().map_err(|error| part.object.locate(error))
        };
        let failure = chunks.into_par_iter().map(decode).find_map_first(Result::err);
        failure.map_or(Ok(()), Err)
    })
}
