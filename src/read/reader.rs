//! Random access to an `.occ` file in memory or mapped.

use super::attachment::Attachment;
use super::tensor::Tensor;
use crate::error::{Error, Result};
use crate::format::{FORMAT_VERSION, Header, Index, ObjectKind, Trailer};
use crate::io::Map;
use crate::limits::Limits;
use rayon::prelude::*;
use std::fmt;
use std::ops::Range;
use std::path::Path;

/// An open `.occ` file.
///
/// Opening checks the header, the trailer and the index's checksum, and allocates nothing per
/// tensor; tensors are looked at when asked for.
///
/// ```no_run
/// let file = occ::Reader::open("model.occ")?;
/// let tensor = file.tensor("model.embed_tokens.weight")?;
/// println!("{} {:?}: {} bytes", tensor.dtype(), tensor.shape(), tensor.coded_bytes());
/// let rows = tensor.decode_rows(100..164)?; // reads only the chunks that hold them
/// # Ok::<(), occ::Error>(())
/// ```
pub struct Reader<'a> {
    bytes: Bytes<'a>,
    pub(super) header: Header,
    pub(super) index: Range<usize>,
    pub(super) limits: Limits,
}

enum Bytes<'a> {
    Mapped(Map),
    Borrowed(&'a [u8]),
}

impl Bytes<'_> {
    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Borrowed(bytes) => bytes,
        }
    }
}

impl fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tensors = self.index().len();
        f.debug_struct("Reader").field("objects", &tensors).finish_non_exhaustive()
    }
}

impl Reader<'static> {
    /// Maps a file into memory and opens it.
    ///
    /// The file must not be truncated or changed in place while the reader lives: reading a
    /// vanished page kills the process, as with every memory map. Replacing it by renaming another
    /// over it, as [`Writer`](crate::Writer) does, is safe.
    ///
    /// # Errors
    /// `Io`, `NotOcc`, `UnsupportedVersion`, `Truncated`, `ChecksumMismatch`, `Corrupt`.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(path, Limits::default())
    }

    /// [`open`](Self::open) with other limits.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(path: impl AsRef<Path>, limits: Limits) -> Result<Self> {
        let path = path.as_ref();
        let open = || Self::with_bytes(Bytes::Mapped(Map::open(path)?), limits);
        open().map_err(|error: Error| error.in_file(path))
    }
}

impl<'a> Reader<'a> {
    /// Opens a file that is in memory already.
    ///
    /// # Errors
    /// As [`open`](Reader::open), without `Io`.
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self> {
        Self::from_bytes_with(bytes, Limits::default())
    }

    /// [`from_bytes`](Self::from_bytes) with other limits.
    ///
    /// # Errors
    /// As [`from_bytes`](Self::from_bytes).
    pub fn from_bytes_with(bytes: &'a [u8], limits: Limits) -> Result<Self> {
        Self::with_bytes(Bytes::Borrowed(bytes), limits)
    }

    fn with_bytes(bytes: Bytes<'a>, limits: Limits) -> Result<Self> {
        let file = bytes.as_slice();
        let header = Header::parse(file)?;
        let index = Trailer::index_range(file)?;
        Index::parse(&file[index.clone()]).map_err(|error| error.at_offset(index.start as u64))?;
        Ok(Self { bytes, header, index, limits })
    }

    fn file(&self) -> &[u8] {
        self.bytes.as_slice()
    }

    /// The bytes in `range`, if the file has them.
    pub(super) fn slice(&self, range: Range<u64>) -> Option<&[u8]> {
        let start = usize::try_from(range.start).ok()?;
        self.file().get(start..usize::try_from(range.end).ok()?)
    }

    fn index(&self) -> Index<'_> {
        match Index::parse(&self.file()[self.index.clone()]) {
            Ok(index) => index,
            Err(_) => unreachable!("parsed when the file was opened"),
        }
    }

    /// Bytes of the whole file.
    pub fn file_bytes(&self) -> u64 {
        self.file().len() as u64
    }

    /// Bytes of the index.
    pub fn index_bytes(&self) -> u64 {
        self.index.len() as u64
    }

    /// The file's format version.
    pub fn format_version(&self) -> u16 {
        FORMAT_VERSION // the only one that opens
    }

    /// Tensors stored raw start at multiples of this many bytes.
    pub fn alignment(&self) -> u64 {
        self.header.alignment()
    }

    /// The tensor of this name: binary search, O(log n) in the number of tensors.
    ///
    /// # Errors
    /// `InvalidArgument` when there is none; `Corrupt`, `Unsupported` or `LimitExceeded` when the
    /// index describes it badly.
    pub fn tensor(&self, name: &str) -> Result<Tensor<'_>> {
        self.get(name)?.ok_or_else(|| Error::invalid("no such tensor").in_tensor(name))
    }

    /// The tensor of this name, if there is one.
    ///
    /// # Errors
    /// As [`tensor`](Self::tensor), but for the missing one.
    pub fn get(&self, name: &str) -> Result<Option<Tensor<'_>>> {
        let position = self.index().find(ObjectKind::Tensor, name)?;
        position.map(|position| self.at(position)).transpose()
    }

    /// Decodes many tensors, each over a buffer of its own: in less time than one by one, since no
    /// thread waits where a tensor ends.
    ///
    /// ```
    /// # let mut file = Vec::new();
    /// # let mut w = occ::Writer::new(&mut file, occ::WriteOptions::default())?;
    /// # w.add("w", occ::Dtype::U8, &[3], &[1, 2, 3])?;
    /// # w.add("b", occ::Dtype::U8, &[1], &[4])?;
    /// # w.finish()?;
    /// let reader = occ::Reader::from_bytes(&file)?;
    /// let mut model = [0; 4];
    /// let (w, b) = model.split_at_mut(3);
    /// reader.decode_all_into([("w", w), ("b", b)])?;
    /// assert_eq!(model, [1, 2, 3, 4]);
    /// # Ok::<(), occ::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`tensor`](Self::tensor) and [`Tensor::decode_into`], of the first that fails.
    pub fn decode_all_into<'n, 'o>(
        &self,
        tensors: impl IntoIterator<Item = (&'n str, &'o mut [u8])>,
    ) -> Result<()> {
        let tensors: Vec<(&str, &mut [u8])> = tensors.into_iter().collect();
        let decode = |(name, out)| self.tensor(name).and_then(|tensor| tensor.decode_into(out));
        tensors.into_par_iter().map(decode).find_map_first(Result::err).map_or(Ok(()), Err)
    }

    /// All tensors, in the order they lie in the file.
    pub fn tensors(&self) -> impl Iterator<Item = Result<Tensor<'_>>> {
        self.objects(|kind| kind == ObjectKind::Tensor)
    }

    /// What is not a tensor: headers of the safetensors files that the tensors came from, and
    /// files of the checkpoint.
    pub fn attachments(&self) -> impl Iterator<Item = Result<Attachment<'_>>> {
        self.objects(|kind| kind != ObjectKind::Tensor).map(|object| object.map(Attachment))
    }

    fn objects(
        &self,
        wanted: impl Fn(ObjectKind) -> bool,
    ) -> impl Iterator<Item = Result<Tensor<'_>>> {
        let index = self.index();
        (0..index.len()).filter_map(move |position| match index.kind(position) {
            Ok(kind) if wanted(kind) => Some(self.at(position)),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        })
    }

    fn at(&self, position: usize) -> Result<Tensor<'_>> {
        let entry = self.index().entry(position, &self.limits)?;
        Tensor::new(self, entry)
    }
}
