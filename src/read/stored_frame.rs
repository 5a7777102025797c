//! Objects as they are stored, for copies of them in other files.

use super::decode_object::decode_range;
use super::frame_decoder::FrameDecoder;
use super::stored_object::StoredObject;
use crate::error::{Error, Result};
use crate::format::{Footer, FrameHeader, Object};
use crate::io::ReadAt;
use std::io;
use std::ops::Range;

/// An object of an open file with its coded bytes. As [`ReadAt`] it has the decoded ones.
pub(crate) struct StoredFrame<'a>(StoredObject<'a>);

impl<'a> StoredFrame<'a> {
    pub(super) fn new(object: StoredObject<'a>) -> Self {
        Self(object)
    }

    pub(crate) fn object(&self) -> &Object {
        self.0.object()
    }

    /// CRC-32 of the decoded bytes.
    pub(crate) fn decoded_crc(&self) -> u32 {
        self.0.payload().decoded_crc
    }

    /// # Errors
    /// Those of reading the frame header.
    pub(crate) fn header(&self) -> Result<&FrameHeader> {
        self.0.decoder().map(FrameDecoder::header).map_err(|error| self.locate(error))
    }

    /// The position of the object that this one refers to, which has been checked; `None` if it is not
    /// a reference.
    ///
    /// # Errors
    /// `Corrupt` for a reference that is not valid.
    pub(crate) fn target(&self) -> Result<Option<u64>> {
        self.0.target().map_err(|error| self.locate(error))
    }

    /// The coded bytes of a chunk.
    ///
    /// # Errors
    /// `ChecksumMismatch` and those of reading.
    pub(crate) fn chunk<'b>(&'b self, number: u64, buffer: &'b mut Vec<u8>) -> Result<&'b [u8]> {
        self.0.coded_chunk(number, buffer).map_err(|error| self.locate(error))
    }

    /// # Errors
    /// Those of reading the footer.
    pub(crate) fn footer(&self) -> Result<Footer> {
        self.0.footer().map_err(|error| self.locate(error))
    }

    /// Adds the name and the file to an error.
    pub(crate) fn locate(&self, error: Error) -> Error {
        self.0.locate(error)
    }
}

impl ReadAt for StoredFrame<'_> {
    fn size(&self) -> u64 {
        self.0.object().geometry.decoded_len()
    }

    fn read_at<'b>(&'b self, range: Range<u64>, buffer: &'b mut Vec<u8>) -> io::Result<&'b [u8]> {
        let length = usize::try_from(range.end - range.start).map_err(io::Error::other)?;
        buffer.clear();
        buffer.resize(length, 0);
        decode_range(&self.0, range.start, buffer).map_err(io::Error::other)?;
        Ok(buffer)
    }
}
