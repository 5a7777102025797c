//! An open `.occ` file: its source, its index, the limits, and buffers for reading.

use crate::error::{Error, Result};
use crate::file_kind::FileKind;
use crate::format::{Header, Index, ObjectKind, Trailer};
use crate::io::ReadAt;
use crate::limits::Limits;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Mutex;

/// An open file, shared by the reader and the handles of its tensors.
pub(super) struct Container<'a> {
    source: Box<dyn ReadAt + 'a>,
    /// For errors.
    path: Option<PathBuf>,
    header: Header,
    index: IndexBytes,
    /// Where the index starts in the file. All payloads lie before it.
    index_offset: u64,
    /// The number of tensors.
    tensors: usize,
    limits: Limits,
    /// Buffers that are not in use: at most as many as threads have read at the same time.
    buffers: Mutex<Vec<Vec<u8>>>,
}

/// The largest buffer that is kept for the next read: chunks have about 2^18 elements.
const KEPT_BYTES: usize = 4 << 20;

enum IndexBytes {
    /// Part of a source that lies in memory.
    Borrowed(Range<usize>),
    Owned(Vec<u8>),
}

impl<'a> Container<'a> {
    /// Reads and checks the header, the trailer and the index.
    pub(super) fn open(
        source: Box<dyn ReadAt + 'a>,
        path: Option<PathBuf>,
        limits: Limits,
    ) -> Result<Self> {
        let (size, mut buffer) = (source.size(), Vec::new());
        let mut read = |range: Range<u64>| -> Result<Vec<u8>> {
            let start = range.start;
            let bytes = source.read_at(range, &mut buffer);
            bytes.map(<[u8]>::to_vec).map_err(|error| read_error(error, start))
        };
        // More than the header, to tell what another file is.
        let start = size.min(FileKind::PREFIX_BYTES.max(Header::BYTES) as u64);
        let header = Header::parse(&read(0..start)?)?;
        let trailer_offset = size
            .checked_sub(Trailer::BYTES as u64)
            .ok_or_else(|| Error::truncated().at_offset(size))?;
        let trailer = read(trailer_offset..size)?;
        let trailer = trailer.first_chunk().ok_or_else(Error::truncated)?;
        let trailer = Trailer::parse(trailer, size)?;
        let (offset, length) = (trailer.index_offset, trailer.index_length);
        Error::check_limit("the index", length, limits.index_bytes)
            .map_err(|error| error.at_offset(offset))?;
        // The trailer has been checked against the size of the file.
        let extent = offset..offset + length;
        let index = match source.in_memory() {
            Some(_) => IndexBytes::Borrowed(extent.start as usize..extent.end as usize),
            // Not from the buffer: a source may have these bytes in memory although not all.
            None => IndexBytes::Owned(read(extent)?),
        };
        let buffers = Mutex::default();
        let (index_offset, tensors) = (offset, 0);
        let mut container =
            Self { source, path, header, index, index_offset, tensors, limits, buffers };
        container.tensors =
            container.check_index(trailer.index_crc).map_err(|error| error.at_offset(offset))?;
        Ok(container)
    }

    /// Checks the CRC and the structure of the index and counts the tensors.
    fn check_index(&self, crc: u32) -> Result<usize> {
        Error::check_crc(crc, crc32fast::hash(self.index_bytes()))?;
        Ok(Index::parse(self.index_bytes(), self.index_offset)?.count(ObjectKind::Tensor))
    }

    fn index_bytes(&self) -> &[u8] {
        match &self.index {
            IndexBytes::Owned(bytes) => bytes,
            IndexBytes::Borrowed(range) => {
                self.source.in_memory().and_then(|all| all.get(range.clone())).unwrap_or_default()
            }
        }
    }

    pub(super) fn index(&self) -> Index<'_> {
        match Index::parse(self.index_bytes(), self.index_offset) {
            Ok(index) => index,
            Err(_) => unreachable!("parsed when the file was opened"),
        }
    }

    pub(super) fn index_offset(&self) -> u64 {
        self.index_offset
    }

    pub(super) fn index_length(&self) -> u64 {
        self.index_bytes().len() as u64
    }

    /// The number of tensors.
    pub(super) fn tensors(&self) -> usize {
        self.tensors
    }

    /// The length of the file.
    pub(super) fn size(&self) -> u64 {
        self.source.size()
    }

    pub(super) fn alignment(&self) -> u64 {
        self.header.alignment()
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The bytes at `range`, if the source lies in memory.
    pub(super) fn in_memory(&self, range: Range<u64>) -> Option<&[u8]> {
        let range = usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?;
        self.source.in_memory()?.get(range)
    }

    /// How many bytes are read at once where neighbouring ones are needed; 0 for single chunks.
    pub(super) fn span_bytes(&self) -> u64 {
        self.source.span_bytes()
    }

    /// The bytes at `range`, which lies within the file.
    ///
    /// # Errors
    /// `Truncated` if the file has become shorter since it was opened; `Io`.
    pub(super) fn read<'b>(
        &'b self,
        range: Range<u64>,
        buffer: &'b mut Vec<u8>,
    ) -> Result<&'b [u8]> {
        let start = range.start;
        self.source.read_at(range, buffer).map_err(|error| read_error(error, start))
    }

    /// Calls `work` with a buffer that was used before, if one is free. A large one is not kept.
    pub(super) fn with_buffer<T>(&self, work: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        let free = self.buffers.lock().ok().and_then(|mut buffers| buffers.pop());
        let mut buffer = free.unwrap_or_default();
        let result = work(&mut buffer);
        if (1..=KEPT_BYTES).contains(&buffer.capacity())
            && let Ok(mut buffers) = self.buffers.lock()
        {
            buffers.push(buffer);
        }
        result
    }

    /// Adds the path of the file to an error, if it is known.
    pub(super) fn in_file(&self, error: Error) -> Error {
        match &self.path {
            Some(path) => error.in_file(path),
            None => error,
        }
    }
}

/// The error for a read at `offset` that failed.
fn read_error(error: io::Error, offset: u64) -> Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Error::truncated().at_offset(offset),
        _ => error.into(),
    }
}
