//! Options of the writer.

/// Options for writing a file.
///
/// ```
/// use occ::WriteOptions;
/// let options = WriteOptions::default().alignment(4096).overwrite(false);
/// assert_eq!(options.chunk_elements, None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WriteOptions {
    /// Raw tensors of at least 4096 bytes start at multiples of this many bytes: a power of two up to
    /// 65,536 (default 256).
    pub alignment: u32,
    /// The approximate number of elements in a chunk, rounded to whole rows where rows are shorter;
    /// chunks of lossy tensors have twice as many, in whole bands of 32 rows. By default 262,144, or
    /// 65,536 for embeddings of tokens and output heads, of which single rows are read. Smaller chunks
    /// cost more bytes and give finer random access. No chunk exceeds 64 MiB. Plans estimate sizes for
    /// the default.
    pub chunk_elements: Option<u64>,
    /// Whether [`Writer::create`](crate::Writer::create) may replace an existing file (default true).
    pub overwrite: bool,
    /// The Unix permissions of a new file, before the umask (default: reading and writing by
    /// everybody). A file that is replaced keeps its own. Other systems ignore them.
    pub mode: Option<u32>,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self { alignment: 256, chunk_elements: None, overwrite: true, mode: None }
    }
}

impl WriteOptions {
    /// Sets [`alignment`](Self::alignment).
    #[must_use]
    pub fn alignment(self, alignment: u32) -> Self {
        Self { alignment, ..self }
    }

    /// Sets [`chunk_elements`](Self::chunk_elements).
    #[must_use]
    pub fn chunk_elements(self, chunk_elements: impl Into<Option<u64>>) -> Self {
        Self { chunk_elements: chunk_elements.into(), ..self }
    }

    /// Sets [`overwrite`](Self::overwrite).
    #[must_use]
    pub fn overwrite(self, overwrite: bool) -> Self {
        Self { overwrite, ..self }
    }

    /// Sets [`mode`](Self::mode).
    #[must_use]
    pub fn mode(self, mode: Option<u32>) -> Self {
        Self { mode, ..self }
    }
}
