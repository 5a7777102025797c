//! Random access to the tensors of an `.occ` file.

use super::attachment::Attachment;
use super::container::Container;
use super::decode_object::decode_all;
use super::decode_spans::read_codings;
use super::similar::similar_names;
#[cfg(feature = "convert")]
use super::stored_frame::StoredFrame;
use super::stored_object::StoredObject;
use super::tensor::Tensor;
use crate::codec::Coding;
use crate::error::{Error, Result};
use crate::format::{FORMAT_VERSION, ObjectKind};
use crate::io::{FileSection, ReadAt, map_or_read};
use crate::limits::Limits;
use std::fmt;
use std::path::Path;
#[cfg(feature = "remote")]
use std::path::PathBuf;
use std::sync::Arc;
use wildmatch::WildMatch;

/// An open `.occ` file with random access to its tensors.
///
/// | constructor | source | tensor data |
/// |---|---|---|
/// | [`open`](Self::open) | a file | positioned reads |
/// | [`map`](Self::map) (unsafe) | a file | memory map, no copies; positioned reads where there is no map |
/// | [`new`](Self::new) | bytes in memory | borrowed |
/// | [`from_source`](Self::from_source) | any [`ReadAt`] | as the source provides them |
/// | `remote::open` | a file on a server | requests for ranges |
///
/// All but the last have a variant `…_with` that takes [`Limits`]. Opening checks the header, the trailer and
/// the checksum of the index; index entries and tensors are checked when they are used. Handles
/// of tensors share the open file and may outlive the reader.
///
/// ```no_run
/// let file = occ::Reader::open("model.occ")?;
/// let tensor = file.tensor("model.embed_tokens.weight")?;
/// println!("{} {:?}: {} bytes", tensor.dtype(), tensor.shape(), tensor.coded_bytes());
/// let rows = tensor.decode_rows(100..164)?; // reads only the chunks that contain them
/// # Ok::<(), occ::Error>(())
/// ```
#[derive(Clone)]
pub struct Reader<'a>(Arc<Container<'a>>);

impl fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("tensors", &self.len()).finish_non_exhaustive()
    }
}

impl Reader<'static> {
    /// Opens a file and reads its index into memory. Chunks are read by position when they are
    /// needed.
    ///
    /// If the file is truncated or modified while it is open, or the device fails, decoding
    /// returns an error.
    ///
    /// # Errors
    /// `Io`, `NotOcc`, `UnsupportedVersion`, `Truncated`, `ChecksumMismatch`, `Corrupt`,
    /// `LimitExceeded`.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(path, Limits::default())
    }

    /// [`open`](Self::open) with other limits.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(path: impl AsRef<Path>, limits: Limits) -> Result<Self> {
        let path = path.as_ref();
        let source = FileSection::open(path).map(|file| Box::new(file) as Box<dyn ReadAt>);
        Self::open_path(path, source, limits)
    }

    /// Maps a file into memory and opens it. Tensors stored raw can be used without a copy
    /// ([`Tensor::as_raw`]).
    ///
    /// A file that the system cannot map, for example on a network drive, is read by position as
    /// [`open`](Self::open) does. All methods then work, but `as_raw` returns `None`.
    ///
    /// # Safety
    /// The file must not be truncated or modified in place, by this process or another, while the
    /// reader or a handle of a tensor exists: that is undefined behavior, and access to a page
    /// that no longer exists terminates the process with `SIGBUS`. It is safe to replace the file
    /// by renaming another over it, as [`Writer::create`](crate::Writer::create) does. The same
    /// conditions apply as for [`memmap2::Mmap::map`].
    ///
    /// ```
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path().join("model.occ");
    /// # let mut w = occ::Writer::create(&path, occ::WriteOptions::default())?;
    /// # w.add("w", occ::Dtype::U8, &[3], &[1, 2, 3])?;
    /// # w.finish()?;
    /// // SAFETY: no process modifies the file.
    /// let file = unsafe { occ::Reader::map(&path) }?;
    /// assert_eq!(file.tensor("w")?.as_raw(), Some(&[1, 2, 3][..]));
    /// # Ok::<(), occ::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`open`](Self::open).
    #[allow(unsafe_code)]
    pub unsafe fn map(path: impl AsRef<Path>) -> Result<Self> {
        // SAFETY: the caller's contract is the same.
        unsafe { Self::map_with(path, Limits::default()) }
    }

    /// [`map`](Self::map) with other limits.
    ///
    /// # Safety
    /// As [`map`](Self::map).
    ///
    /// # Errors
    /// As [`open`](Self::open).
    #[allow(unsafe_code)]
    pub unsafe fn map_with(path: impl AsRef<Path>, limits: Limits) -> Result<Self> {
        let path = path.as_ref();
        // SAFETY: the caller guarantees that the file does not change.
        Self::open_path(path, unsafe { map_or_read(path) }, limits)
    }

    fn open_path(
        path: &Path,
        source: std::io::Result<Box<dyn ReadAt>>,
        limits: Limits,
    ) -> Result<Self> {
        let source = source.map_err(|error| Error::from(error).in_file(path))?;
        let container = Container::open(source, Some(path.to_owned()), limits);
        container.map(|container| Self(Arc::new(container))).map_err(|error| error.in_file(path))
    }
}

impl<'a> Reader<'a> {
    /// Opens a file that is in memory.
    ///
    /// # Errors
    /// As [`open`](Reader::open), without `Io`.
    pub fn new(bytes: &'a [u8]) -> Result<Self> {
        Self::from_source(bytes)
    }

    /// [`new`](Self::new) with other limits.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn new_with(bytes: &'a [u8], limits: Limits) -> Result<Self> {
        Self::from_source_with(bytes, limits)
    }

    /// Opens a file in any source with positioned reads.
    ///
    /// ```
    /// # let mut file = Vec::new();
    /// # let mut w = occ::Writer::new(&mut file, occ::WriteOptions::default())?;
    /// # w.add("w", occ::Dtype::U8, &[3], &[1, 2, 3])?;
    /// # w.finish()?;
    /// let owned = std::sync::Arc::new(file); // a Vec<u8>
    /// let reader: occ::Reader<'static> = occ::Reader::from_source(owned)?;
    /// assert_eq!(reader.tensor("w")?.decode()?, [1, 2, 3]);
    /// # Ok::<(), occ::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`open`](Reader::open).
    pub fn from_source(source: impl ReadAt + 'a) -> Result<Self> {
        Self::from_source_with(source, Limits::default())
    }

    /// [`from_source`](Self::from_source) with other limits.
    ///
    /// # Errors
    /// As [`open`](Reader::open).
    pub fn from_source_with(source: impl ReadAt + 'a, limits: Limits) -> Result<Self> {
        Ok(Self(Arc::new(Container::open(Box::new(source), None, limits)?)))
    }

    /// [`from_source_with`](Self::from_source_with), with a name of the file for errors.
    #[cfg(feature = "remote")]
    pub(crate) fn from_named_source(
        source: impl ReadAt + 'a,
        name: PathBuf,
        limits: Limits,
    ) -> Result<Self> {
        let container = Container::open(Box::new(source), Some(name.clone()), limits);
        let container = container.map_err(|error| error.in_file(name))?;
        Ok(Self(Arc::new(container)))
    }

    /// Bytes of the whole file.
    pub fn file_bytes(&self) -> u64 {
        self.0.size()
    }

    /// Bytes of the index.
    pub fn index_bytes(&self) -> u64 {
        self.0.index_length()
    }

    /// The file's format version.
    pub fn format_version(&self) -> u16 {
        FORMAT_VERSION // files of other versions are not opened
    }

    /// Tensors of at least 4096 bytes that are stored raw start at multiples of this number of bytes.
    pub fn alignment(&self) -> u64 {
        self.0.alignment()
    }

    /// The number of tensors.
    pub fn len(&self) -> usize {
        self.0.tensors()
    }

    /// Whether the file contains no tensor.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The names of all tensors, in file order.
    ///
    /// # Errors
    /// An item is `Corrupt` if the index does not contain a valid name.
    pub fn names(&self) -> impl Iterator<Item = Result<&str>> {
        let index = self.0.index();
        self.tensor_positions().map(move |position| {
            let name = position.and_then(|position| index.name(position));
            name.map_err(|error| self.0.in_file(error))
        })
    }

    /// Whether the file contains a tensor of this name, in O(log n) for n tensors.
    ///
    /// # Errors
    /// `Corrupt` if the index is not valid.
    pub fn contains(&self, name: &str) -> Result<bool> {
        Ok(self.find(name)?.is_some())
    }

    /// The tensor of this name, in O(log n) for n tensors. Each call returns a new handle, which builds
    /// its own decoding tables; clones of a handle share them.
    ///
    /// # Errors
    /// `TensorNotFound`; `Corrupt`, `Unsupported` or `LimitExceeded` if the index entry is not
    /// valid.
    pub fn tensor(&self, name: &str) -> Result<Tensor<'a>> {
        self.get(name)?.ok_or_else(|| {
            let similar = similar_names(name, self.names().flatten());
            let (name, file) = (name.to_owned(), None);
            self.0.in_file(Error::TensorNotFound { name, similar, file })
        })
    }

    /// The tensor of this name, or `None`, in O(log n) for n tensors.
    ///
    /// # Errors
    /// As [`tensor`](Self::tensor), without `TensorNotFound`.
    pub fn get(&self, name: &str) -> Result<Option<Tensor<'a>>> {
        self.find(name)?.map(|position| self.at(position)).transpose()
    }

    fn find(&self, name: &str) -> Result<Option<usize>> {
        let position = self.0.index().find(ObjectKind::Tensor, name);
        position.map_err(|error| self.0.in_file(error))
    }

    /// Decodes several tensors, each into its own buffer. Faster than one after another, because
    /// the chunks of all of them are decoded in parallel.
    ///
    /// ```
    /// # let mut file = Vec::new();
    /// # let mut w = occ::Writer::new(&mut file, occ::WriteOptions::default())?;
    /// # w.add("w", occ::Dtype::U8, &[3], &[1, 2, 3])?;
    /// # w.add("b", occ::Dtype::U8, &[1], &[4])?;
    /// # w.finish()?;
    /// let reader = occ::Reader::new(&file)?;
    /// let mut model = [0; 4];
    /// let (w, b) = model.split_at_mut(3);
    /// reader.decode_all_into([("w", w), ("b", b)])?;
    /// assert_eq!(model, [1, 2, 3, 4]);
    /// # Ok::<(), occ::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`tensor`](Self::tensor) and [`Tensor::decode_into`], for the first that fails.
    pub fn decode_all_into<'n, 'o>(
        &self,
        tensors: impl IntoIterator<Item = (&'n str, &'o mut [u8])>,
    ) -> Result<()> {
        let open = |(name, out): (&str, &'o mut [u8])| {
            let tensor = self.tensor(name)?;
            tensor.check_buffer(out.len(), tensor.decoded_bytes(), "bytes")?;
            Ok((tensor, out))
        };
        let opened = tensors.into_iter().map(open).collect::<Result<Vec<_>>>()?;
        let (tensors, buffers): (Vec<Tensor<'a>>, Vec<&mut [u8]>) = opened.into_iter().unzip();
        decode_all(tensors.iter().map(Tensor::stored_object).zip(buffers).collect())
    }

    /// [`Tensor::coding`] of several tensors of this file; `None` for those with a lossless codec,
    /// whose frames are not read. Frame headers and footers of a remote file are read in fewer requests
    /// than one by one.
    ///
    /// ```
    /// # let mut file = Vec::new();
    /// # let mut w = occ::Writer::new(&mut file, occ::WriteOptions::default())?;
    /// # w.add("w", occ::Dtype::U8, &[3], &[1, 2, 3])?;
    /// # w.finish()?;
    /// let reader = occ::Reader::new(&file)?;
    /// let tensors = reader.tensors().collect::<occ::Result<Vec<_>>>()?;
    /// assert!(reader.codings(&tensors)?[0].is_none());
    /// # Ok::<(), occ::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Tensor::coding`]; `InvalidArgument` for a tensor of another file.
    pub fn codings(&self, tensors: &[Tensor<'a>]) -> Result<Vec<Option<Coding>>> {
        let is_foreign = |tensor: &Tensor<'_>| {
            !std::ptr::eq(tensor.stored_object().container(), Arc::as_ptr(&self.0))
        };
        if let Some(tensor) = tensors.iter().find(|tensor| is_foreign(tensor)) {
            let error = Error::invalid("a tensor of another reader").in_tensor(tensor.name());
            return Err(self.0.in_file(error));
        }
        let is_lossy = |tensor: &&Tensor<'_>| tensor.stored_object().object().layout.is_lossy();
        if self.0.span_bytes() > 0 {
            let lossy = tensors.iter().filter(is_lossy).map(Tensor::stored_object);
            read_codings(&lossy.collect::<Vec<_>>())?;
        }
        let coding = |tensor: &Tensor<'_>| match is_lossy(&tensor) {
            true => tensor.coding(),
            false => Ok(None),
        };
        tensors.iter().map(coding).collect()
    }

    /// All tensors, in file order.
    ///
    /// # Errors
    /// An item is `Corrupt`, `Unsupported` or `LimitExceeded` if the index entry is not valid.
    pub fn tensors(&self) -> impl Iterator<Item = Result<Tensor<'a>>> {
        self.tensor_positions().map(|position| self.at(position?))
    }

    /// The tensors whose names match a pattern, in file order: `*` stands for any characters, `?`
    /// for exactly one.
    ///
    /// ```
    /// # let mut file = Vec::new();
    /// # let mut w = occ::Writer::new(&mut file, occ::WriteOptions::default())?;
    /// # w.add("layers.0.weight", occ::Dtype::U8, &[1], &[1])?;
    /// # w.add("layers.0.bias", occ::Dtype::U8, &[1], &[2])?;
    /// # w.finish()?;
    /// let reader = occ::Reader::new(&file)?;
    /// for tensor in reader.tensors_matching("layers.*.weight") {
    ///     assert_eq!(tensor?.decode()?, [1]);
    /// }
    /// # Ok::<(), occ::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`tensors`](Self::tensors).
    pub fn tensors_matching(&self, pattern: &str) -> impl Iterator<Item = Result<Tensor<'a>>> {
        let (pattern, index) = (WildMatch::new(pattern), self.0.index());
        self.tensor_positions().filter_map(move |position| {
            let find = || {
                let position = position?;
                let matches = pattern.matches(index.name(position)?);
                matches.then(|| self.at(position)).transpose()
            };
            find().map_err(|error| self.0.in_file(error)).transpose()
        })
    }

    /// The objects that are not tensors, in file order: headers of the safetensors files that the
    /// tensors came from, and files of the checkpoint.
    ///
    /// # Errors
    /// As [`tensors`](Self::tensors).
    pub fn attachments(&self) -> impl Iterator<Item = Result<Attachment<'a>>> {
        self.positions(|kind| kind != ObjectKind::Tensor)
            .map(|position| Ok(Attachment(self.at(position?)?)))
    }

    /// The attachment of a name, such as `config.json`; `None` if there is none. Searches all of them.
    ///
    /// ```no_run
    /// let file = occ::Reader::open("model.occ")?;
    /// if let Some(config) = file.attachment("config.json")? {
    ///     println!("{}", String::from_utf8_lossy(&config.decode()?));
    /// }
    /// # Ok::<(), occ::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`tensors`](Self::tensors).
    pub fn attachment(&self, name: &str) -> Result<Option<Attachment<'a>>> {
        let is_wanted = |attachment: &Result<Attachment<'a>>| match attachment {
            Ok(attachment) => attachment.name() == name,
            Err(_) => true,
        };
        self.attachments().find(is_wanted).transpose()
    }

    /// The number of objects, tensors and attachments.
    #[cfg(feature = "convert")]
    pub(crate) fn object_count(&self) -> usize {
        self.0.index().len()
    }

    /// The object at a position, as it is stored.
    ///
    /// # Errors
    /// As [`tensors`](Self::tensors).
    #[cfg(feature = "convert")]
    pub(crate) fn stored_frame(&self, position: usize) -> Result<StoredFrame<'a>> {
        StoredObject::new(&self.0, position).map(StoredFrame::new)
    }

    fn tensor_positions(&self) -> impl Iterator<Item = Result<usize>> {
        self.positions(|kind| kind == ObjectKind::Tensor)
    }

    /// Positions in the index of objects of the kinds that `wanted` accepts.
    fn positions(
        &self,
        wanted: impl Fn(ObjectKind) -> bool,
    ) -> impl Iterator<Item = Result<usize>> {
        let index = self.0.index();
        (0..index.len()).filter_map(move |position| match index.kind(position) {
            Ok(kind) => wanted(kind).then_some(Ok(position)),
            Err(error) => Some(Err(self.0.in_file(error))),
        })
    }

    fn at(&self, position: usize) -> Result<Tensor<'a>> {
        StoredObject::new(&self.0, position).map(Tensor::new)
    }
}
