//! Reads of several parts of a file in few requests, for sources whose reads take long.

use super::container::Container;
use crate::error::{Error, Result};
use std::collections::VecDeque;
use std::ops::Range;
use std::panic::resume_unwind;
use std::thread::{self, ScopedJoinHandle};

/// Bytes between two parts that are read with them rather than skipped: footers of frames, padding,
/// small tensors.
const MAX_GAP_BYTES: u64 = 4096;

/// Spans that are read at the same time at most.
const MAX_READS: usize = 8;

/// Neighbouring parts of a file, which are read together.
pub(super) struct Span<T> {
    pub(super) extent: Range<u64>,
    /// The extents of the parts, which lie within that of the span, in the order of the file.
    pub(super) parts: Vec<(Range<u64>, T)>,
}

/// Groups parts of a file into spans of at most `most` bytes, or of one part that is larger.
pub(super) fn spans<T>(mut parts: Vec<(Range<u64>, T)>, most: u64) -> Vec<Span<T>> {
    parts.sort_by_key(|(extent, _)| extent.start);
    let mut spans: Vec<Span<T>> = Vec::new();
    for (extent, part) in parts {
        if let Some(Span { extent: span, parts }) = spans.last_mut() {
            let end = span.end.max(extent.end);
            let is_near = extent.start <= span.end.saturating_add(MAX_GAP_BYTES);
            // Parts of several tensors may be the same.
            if extent.end <= span.end || is_near && end - span.start <= most {
                span.end = end;
                parts.push((extent, part));
                continue;
            }
        }
        spans.push(Span { extent: extent.clone(), parts: vec![(extent, part)] });
    }
    spans
}

/// Reads spans and calls `work` with each and its bytes, in order. The next ones are read meanwhile,
/// by threads of their own, while those in memory have at most twice `most` bytes.
///
/// # Errors
/// Those of reading, with what `locate` adds from the parts of the span; those of `work`.
pub(super) fn read_spans<T: Send>(
    container: &Container<'_>,
    spans: Vec<Span<T>>,
    locate: impl Fn(&Span<T>, Error) -> Error,
    mut work: impl FnMut(Span<T>, &[u8]) -> Result<()>,
) -> Result<()> {
    let read = |extent: Range<u64>| {
        let (start, length) = (extent.start, extent.end - extent.start);
        let bytes = container.read(extent, &mut Vec::new())?.to_vec();
        match bytes.len() as u64 == length {
            true => Ok(bytes),
            // The source does not do what it should.
            false => Err(Error::truncated().at_offset(start)),
        }
    };
    let length = |span: &Span<T>| span.extent.end - span.extent.start;
    let most = container.span_bytes().saturating_mul(2);
    let mut rest = spans.into_iter();
    thread::scope(|scope| {
        let (mut next, mut ahead, mut in_memory) = (rest.next(), VecDeque::new(), 0u64);
        loop {
            while let Some(span) = next.take_if(|span| {
                ahead.is_empty()
                    || ahead.len() < MAX_READS && in_memory.saturating_add(length(span)) <= most
            }) {
                in_memory += length(&span);
                next = rest.next();
                let (extent, read) = (span.extent.clone(), &read);
                // A span that would be the only one is read by this thread; so is one for which the
                // system has no thread.
                let thread = match next.is_none() && ahead.is_empty() {
                    true => None,
                    false => thread::Builder::new().spawn_scoped(scope, move || read(extent)).ok(),
                };
                ahead.push_back((span, thread));
            }
            let Some((span, thread)) = ahead.pop_front() else { return Ok(()) };
            let bytes = match thread.map(ScopedJoinHandle::join) {
                Some(Ok(bytes)) => bytes,
                Some(Err(panic)) => resume_unwind(panic),
                None => read(span.extent.clone()),
            };
            let bytes = bytes.map_err(|error| locate(&span, error))?;
            let done = length(&span);
            work(span, &bytes)?;
            in_memory -= done;
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extents(parts: &[Range<u64>], most: u64) -> Vec<(Range<u64>, usize)> {
        let parts = parts.iter().map(|extent| (extent.clone(), ())).collect();
        spans(parts, most).into_iter().map(|span| (span.extent, span.parts.len())).collect()
    }

    #[test]
    fn neighbouring_parts_are_read_together() {
        let far = 20 + MAX_GAP_BYTES;
        assert_eq!(extents(&[10..20, 0..10, far..far + 5], 1 << 20), [(0..far + 5, 3)]);
        assert_eq!(
            extents(&[0..20, far + 1..far + 5], 1 << 20),
            [(0..20, 1), (far + 1..far + 5, 1)]
        );
        assert_eq!(extents(&[0..10, 10..20, 20..30], 20), [(0..20, 2), (20..30, 1)]);
        assert_eq!(extents(&[0..50, 50..60, 60..61], 20), [(0..50, 1), (50..61, 2)]);
        assert_eq!(extents(&[0..50, 0..50, 10..20], 20), [(0..50, 3)]);
        assert_eq!(extents(&[], 20), []);
    }
}
