//! One object of an open file, and the one that it may refer to.

use super::container::Container;
use super::frame_decoder::FrameDecoder;
use super::indexed_frame::IndexedFrame;
use super::reference;
use crate::codec::{Codec, Coding};
use crate::error::{Error, Result};
use crate::format::{Footer, Object, Payload};
use std::ops::Range;
use std::sync::{Arc, OnceLock};

/// A tensor or an attachment of an open file.
pub(super) struct StoredObject<'a> {
    container: Arc<Container<'a>>,
    frame: IndexedFrame,
    shape: Vec<usize>,
    /// Position in the index.
    position: usize,
    /// The frame that this one refers to, found when it is first needed.
    target: OnceLock<IndexedFrame>,
    /// Read when it is first needed.
    footer: OnceLock<Footer>,
}

impl<'a> StoredObject<'a> {
    /// The object at `position` of the index.
    ///
    /// # Errors
    /// `Corrupt`, `Unsupported` or `LimitExceeded` if the index entry is not valid.
    pub(super) fn new(container: &Arc<Container<'a>>, position: usize) -> Result<Self> {
        let open = || {
            let frame = IndexedFrame::new(container, position)?;
            let shape = frame.entry().object.native_shape()?;
            let (target, footer) = (OnceLock::new(), OnceLock::new());
            Ok(Self { container: Arc::clone(container), frame, shape, position, target, footer })
        };
        open().map_err(|error| container.in_file(error))
    }

    pub(super) fn container(&self) -> &Container<'a> {
        &self.container
    }

    /// The frame of this object, which may be a reference.
    pub(super) fn frame(&self) -> &IndexedFrame {
        &self.frame
    }

    pub(super) fn object(&self) -> &Object {
        &self.frame.entry().object
    }

    pub(super) fn payload(&self) -> &Payload {
        &self.frame.entry().payload
    }

    pub(super) fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Adds the name and the file to an error.
    pub(super) fn locate(&self, error: Error) -> Error {
        self.container.in_file(error.in_tensor(&self.object().name))
    }

    /// # Errors
    /// `LimitExceeded` if `length` decoded bytes may not be allocated.
    pub(super) fn check_length(&self, length: u64) -> Result<()> {
        let limit = self.container.limits().tensor_bytes;
        Error::check_limit("a tensor", length, limit)
    }

    /// The payload, if it is contiguous and in memory.
    pub(super) fn contiguous_payload(&self) -> Option<&[u8]> {
        let &Payload { offset, length, .. } = self.payload();
        match self.object().layout.is_contiguous() {
            true => self.container.in_memory(offset..offset + length),
            false => None,
        }
    }

    /// The decoder of the object's own frame, which is built once.
    ///
    /// # Errors
    /// Those of [`IndexedFrame::decoder`].
    pub(super) fn decoder(&self) -> Result<&FrameDecoder> {
        self.frame.decoder(&self.container)
    }

    pub(super) fn is_reference(&self) -> bool {
        self.object().codec == Codec::Reference.id()
    }

    /// The frame whose chunks are decoded: the one that this one refers to, or this one.
    ///
    /// # Errors
    /// For a reference, those of [`decoder`](Self::decoder); `Corrupt` if it is not one to an earlier
    /// object.
    pub(super) fn stored(&self) -> Result<&IndexedFrame> {
        if !self.is_reference() {
            return Ok(&self.frame);
        }
        if let Some(target) = self.target.get() {
            return Ok(target);
        }
        let position = reference::target_of(self.decoder()?.header(), self.position as u64)?;
        // Positions before this one are in the index.
        let target = IndexedFrame::new(&self.container, position.unwrap_or(0) as usize)?;
        Ok(self.target.get_or_init(|| target))
    }

    /// [`stored`](Self::stored) with its decoder. A reference has been checked.
    ///
    /// # Errors
    /// As [`decoder`](Self::decoder), for either frame; `Corrupt` for a reference to an object that
    /// is not one to refer to; `ChecksumMismatch` if the decoded CRCs differ.
    pub(super) fn resolved(&self) -> Result<(&IndexedFrame, &FrameDecoder)> {
        let stored = self.stored()?;
        let decoder = stored.decoder(&self.container)?;
        if self.is_reference() {
            reference::check_target(self.decoder()?.header(), decoder.header())?;
            let found = stored.entry().payload.decoded_crc;
            Error::check_crc(self.payload().decoded_crc, found)?;
        }
        Ok((stored, decoder))
    }

    /// The parameters of a lossy codec; `None` for a lossless one.
    pub(super) fn coding(&self) -> Result<Option<Coding>> {
        self.resolved()?.1.coding(self.footer()?)
    }

    /// Where the footer lies in the file.
    ///
    /// # Errors
    /// `Truncated`.
    pub(super) fn footer_extent(&self) -> Result<Range<u64>> {
        let start = self.payload().offset + self.payload().length;
        let end = start + Footer::length(self.object().layout) as u64;
        match end <= self.container.size() {
            true => Ok(start..end),
            false => Err(Error::truncated().at_offset(start)),
        }
    }

    pub(super) fn has_footer(&self) -> bool {
        self.footer.get().is_some()
    }

    pub(super) fn footer(&self) -> Result<Footer> {
        if let Some(footer) = self.footer.get() {
            return Ok(*footer);
        }
        let extent = self.footer_extent()?;
        self.decoder()?;
        self.container.with_buffer(|buffer| {
            let bytes = self.container.read(extent, buffer)?;
            self.footer_from(bytes)
        })
    }

    /// The footer from the bytes at [`footer_extent`](Self::footer_extent).
    ///
    /// # Errors
    /// `ChecksumMismatch`, `Corrupt`; those of [`decoder`](Self::decoder).
    pub(super) fn footer_from(&self, bytes: &[u8]) -> Result<Footer> {
        let start = self.payload().offset + self.payload().length;
        let footer = Footer::parse(bytes, self.decoder()?.header());
        let footer = footer.map_err(|error| error.at_offset(start))?;
        Ok(*self.footer.get_or_init(|| footer))
    }

    /// The coded bytes of a chunk, whose checksum has been compared.
    #[cfg(feature = "convert")]
    pub(super) fn coded_chunk<'b>(
        &'b self,
        number: u64,
        buffer: &'b mut Vec<u8>,
    ) -> Result<&'b [u8]> {
        let chunk = self.frame.read_chunk(&self.container, number, buffer)?;
        chunk.check()?;
        Ok(chunk.bytes)
    }

    /// The position of the object that this one refers to; `None` if it is not a reference.
    #[cfg(feature = "convert")]
    pub(super) fn target(&self) -> Result<Option<u64>> {
        self.resolved()?;
        reference::target_of(self.decoder()?.header(), self.position as u64)
    }

    /// The byte range of rows of the outermost dimension.
    ///
    /// # Errors
    /// `InvalidArgument`.
    pub(super) fn row_bytes(&self, rows: Range<usize>) -> Result<Range<u64>> {
        let elements = self.row_elements(rows.clone())?;
        let dtype = self.object().geometry.dtype();
        match (dtype.byte_len(elements.start), dtype.byte_len(elements.end)) {
            (Some(start), Some(end)) => Ok(start..end),
            _ => Err(Error::invalid(format!("rows {rows:?}: do not start and end on whole bytes"))),
        }
    }

    /// The elements of rows of the outermost dimension.
    ///
    /// # Errors
    /// `InvalidArgument`.
    pub(super) fn row_elements(&self, rows: Range<usize>) -> Result<Range<u64>> {
        let Some(&count) = self.shape.first() else {
            return Err(Error::invalid("a scalar has no rows"));
        };
        if rows.start > rows.end || rows.end > count {
            return Err(Error::invalid(format!("rows {rows:?} of {count}: out of bounds")));
        }
        let row = self.object().geometry.elements() / (count as u64).max(1);
        Ok(rows.start as u64 * row..rows.end as u64 * row)
    }
}
