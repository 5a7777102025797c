//! What a reader will allocate before it trusts a file.

/// Upper bounds on what a reader accepts from a file, checked before anything is allocated.
///
/// The defaults admit every checkpoint known to us; lower them when files come from strangers.
///
/// ```
/// use occ::{Limits, Reader, Error};
/// # let mut file = Vec::new();
/// # let mut w = occ::Writer::new(&mut file, occ::WriteOptions::default())?;
/// # w.add("w", occ::Dtype::U8, &[4096], &[7; 4096])?;
/// # w.finish()?;
/// let strict = Limits { tensor_bytes: 1024, ..Limits::default() };
/// let reader = Reader::from_bytes_with(&file, strict)?;
/// assert!(matches!(reader.tensor("w")?.decode(), Err(Error::LimitExceeded { .. })));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Decoded bytes of one tensor that `decode` and its kin may allocate (default 1 TiB).
    pub tensor_bytes: u64,
    /// Decoded bytes of one chunk, and coded bytes of one (default 256 MiB).
    pub chunk_bytes: u64,
    /// Bytes of one frame header: name, shape, tables (default 64 MiB).
    pub frame_header_bytes: u64,
    /// Bytes of the index that a stream reader keeps (default 4 GiB).
    pub index_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            tensor_bytes: 1 << 40,
            chunk_bytes: 256 << 20,
            frame_header_bytes: 64 << 20,
            index_bytes: 4 << 30,
        }
    }
}

impl Limits {
    /// Bounds tight enough for a fuzzer: at most a few megabytes whatever the input says.
    pub const fn tight() -> Self {
        Self {
            tensor_bytes: 1 << 20,
            chunk_bytes: 1 << 20,
            frame_header_bytes: 1 << 20,
            index_bytes: 1 << 20,
        }
    }
}
