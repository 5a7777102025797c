//! Limits on what a reader accepts from a file.

/// Upper bounds on the sizes that a reader accepts from a file, checked before it allocates.
///
/// The defaults admit all known checkpoints. Use lower limits for files from untrusted sources.
///
/// The limits are those of one object each. [`StreamReader`](crate::StreamReader),
/// [`verify`](crate::verify()) and decompression hold at most a few MiB per thread, and beyond that up
/// to two chunks (each encoded and decoded), two frame headers with what they expand to, and the
/// index, each once more in the read buffer. [`Reader`](crate::Reader) holds the index, and while a
/// thread decodes, one chunk, encoded and decoded. From a source that is read in spans, a call holds up
/// to three of them, encoded ([`ReadAt::span_bytes`](crate::ReadAt::span_bytes)). Between calls no
/// buffers of more than 4 MiB are kept.
///
/// ```
/// use occ::{Limits, Reader, Error};
/// # let mut file = Vec::new();
/// # let mut w = occ::Writer::new(&mut file, occ::WriteOptions::default())?;
/// # w.add("w", occ::Dtype::U8, &[4096], &[7; 4096])?;
/// # w.finish()?;
/// let reader = Reader::new_with(&file, Limits::default().tensor_bytes(1024))?;
/// assert!(matches!(reader.tensor("w")?.decode(), Err(Error::LimitExceeded { .. })));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Decoded bytes of one tensor that methods such as `decode` may allocate (default 1 TiB).
    /// Methods that decode into a buffer of the caller are not limited.
    pub tensor_bytes: u64,
    /// Decoded bytes of one chunk, and encoded bytes of one (default 256 MiB).
    pub chunk_bytes: u64,
    /// Bytes of one frame header: name, shape, codec parameters (default 64 MiB).
    pub frame_header_bytes: u64,
    /// Bytes of the basis that a lossy tensor stores, and of its low-rank part, in memory (default
    /// 256 MiB). In a frame header an entry takes as little as one bit, in memory four bytes.
    pub basis_bytes: u64,
    /// Bytes of the index (default 4 GiB).
    pub index_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            tensor_bytes: 1 << 40,
            chunk_bytes: 256 << 20,
            frame_header_bytes: 64 << 20,
            basis_bytes: 256 << 20,
            index_bytes: 4 << 30,
        }
    }
}

impl Limits {
    /// Limits of 1 MiB each, for fuzzing: memory stays within a few MiB for any input.
    pub const fn tight() -> Self {
        Self {
            tensor_bytes: 1 << 20,
            chunk_bytes: 1 << 20,
            frame_header_bytes: 1 << 20,
            basis_bytes: 1 << 20,
            index_bytes: 1 << 20,
        }
    }

    /// Sets [`tensor_bytes`](Self#structfield.tensor_bytes).
    #[must_use]
    pub const fn tensor_bytes(self, tensor_bytes: u64) -> Self {
        Self { tensor_bytes, ..self }
    }

    /// Sets [`chunk_bytes`](Self#structfield.chunk_bytes).
    #[must_use]
    pub const fn chunk_bytes(self, chunk_bytes: u64) -> Self {
        Self { chunk_bytes, ..self }
    }

    /// Sets [`frame_header_bytes`](Self#structfield.frame_header_bytes).
    #[must_use]
    pub const fn frame_header_bytes(self, frame_header_bytes: u64) -> Self {
        Self { frame_header_bytes, ..self }
    }

    /// Sets [`basis_bytes`](Self#structfield.basis_bytes).
    #[must_use]
    pub const fn basis_bytes(self, basis_bytes: u64) -> Self {
        Self { basis_bytes, ..self }
    }

    /// Sets [`index_bytes`](Self#structfield.index_bytes).
    #[must_use]
    pub const fn index_bytes(self, index_bytes: u64) -> Self {
        Self { index_bytes, ..self }
    }
}
