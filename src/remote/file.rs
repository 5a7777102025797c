//! A remote file as a source of bytes.

use super::options::RemoteOptions;
use super::requests::{Part, Requests, Version};
use super::{runtime, stores};
use crate::error::{Error, Result};
use crate::io::ReadAt;
use crate::limits::Limits;
use crate::read::Reader;
use crate::request_failure::RequestFailure;
use object_store::ObjectStore;
use object_store::path::Path;
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

/// Bytes that are requested at once: much more than a connection transfers during the delay of a
/// request, and little enough that several are in memory.
const SPAN_BYTES: u64 = 64 << 20;

/// A file on a server. Its end, which has the index of most files, is in memory.
///
/// Clones share it. See the [module](crate::remote) for requests, failures and threads.
#[derive(Clone)]
pub struct RemoteFile(Arc<Opened>);

struct Opened {
    requests: Arc<Requests>,
    /// The URL for errors.
    name: PathBuf,
    version: Version,
    /// The last bytes of the file.
    tail: Vec<u8>,
}

impl fmt::Debug for RemoteFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, size) = (&self.0.name, &self.0.version.size);
        f.debug_struct("RemoteFile").field("name", name).field("size", size).finish_non_exhaustive()
    }
}

impl RemoteFile {
    /// Opens the file at a URL, with credentials from the environment.
    ///
    /// # Errors
    /// [`Error::Request`]; `InvalidArgument` for a URL that is not supported.
    pub fn open(url: &str) -> Result<Self> {
        Self::open_with(url, &RemoteOptions::default())
    }

    /// [`open`](Self::open) with options.
    ///
    /// # Errors
    /// As [`open`](Self::open); `InvalidArgument` for a setting that the store does not have.
    pub fn open_with(url: &str, options: &RemoteOptions) -> Result<Self> {
        let place = stores::open(url, options)?;
        Self::new(Requests::new(place.store, place.path, options.timeout), place.name)
    }

    /// Opens a file in a store that the caller has configured, with its time limits and repetitions.
    ///
    /// ```
    /// use occ::remote::{RemoteFile, object_store};
    /// # use object_store::{ObjectStoreExt, memory::InMemory};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let store = InMemory::new();
    /// # let mut bytes = Vec::new();
    /// # let mut w = occ::Writer::new(&mut bytes, occ::WriteOptions::default())?;
    /// # w.add("w", occ::Dtype::U8, &[3], &[1, 2, 3])?;
    /// # w.finish()?;
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    /// # runtime.block_on(store.put(&"models/model.occ".into(), bytes.into()))?;
    /// let path = object_store::path::Path::from("models/model.occ");
    /// let file = RemoteFile::from_store(std::sync::Arc::new(store), &path)?;
    /// assert_eq!(file.reader()?.tensor("w")?.decode()?, [1, 2, 3]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Request`].
    pub fn from_store(store: Arc<dyn ObjectStore>, path: &Path) -> Result<Self> {
        let requests = Requests::new(store, path.clone(), RemoteOptions::default().timeout);
        Self::new(requests, path.to_string().into())
    }

    fn new(requests: Requests, name: PathBuf) -> Result<Self> {
        let requests = Arc::new(requests);
        let opening = Arc::clone(&requests);
        let part = runtime::wait(async move { opening.tail().await });
        let part = part.map_err(|error| Error::from(error).in_file(&name))?;
        let Part { version, bytes } =
            part.map_err(|failure| Error::request(failure, &name, None))?;
        Ok(Self(Arc::new(Opened { requests, name, version, tail: bytes })))
    }

    /// The URL of the file without query and password, or its path in a store: the name in errors.
    pub fn name(&self) -> &FilePath {
        &self.0.name
    }

    /// Opens the file for access to its tensors.
    ///
    /// # Errors
    /// Those of [`Reader::open`]; [`Error::Request`].
    pub fn reader(&self) -> Result<Reader<'static>> {
        self.reader_with(Limits::default())
    }

    /// [`reader`](Self::reader) with other limits.
    ///
    /// # Errors
    /// As [`reader`](Self::reader).
    pub fn reader_with(&self, limits: Limits) -> Result<Reader<'static>> {
        Reader::from_named_source(self.clone(), self.0.name.clone(), limits)
    }

    /// Where [`tail`](Opened::tail) starts.
    fn tail_start(&self) -> u64 {
        self.size() - self.0.tail.len() as u64
    }

    fn request(&self, range: Range<u64>) -> io::Result<Vec<u8>> {
        let (opened, start) = (Arc::clone(&self.0), range.start);
        let part = runtime::wait(async move {
            opened.requests.range(range, &opened.version).await.map(|part| part.bytes)
        });
        let failed = |failure: RequestFailure| {
            io::Error::other(Error::request(failure, &self.0.name, Some(start)))
        };
        part?.map_err(failed)
    }
}

impl ReadAt for RemoteFile {
    fn size(&self) -> u64 {
        self.0.version.size
    }

    fn read_at<'b>(&'b self, range: Range<u64>, buffer: &'b mut Vec<u8>) -> io::Result<&'b [u8]> {
        if range.start > range.end || range.end > self.size() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (tail_start, tail) = (self.tail_start(), &self.0.tail);
        // Positions in the tail, which is in memory.
        let in_tail = |offset: u64| offset.saturating_sub(tail_start) as usize;
        if range.start >= tail_start || range.is_empty() {
            return Ok(&tail[in_tail(range.start)..in_tail(range.end)]);
        }
        *buffer = self.request(range.start..range.end.min(tail_start))?;
        let out_of_memory = |_| io::Error::from(io::ErrorKind::OutOfMemory);
        buffer.try_reserve_exact(in_tail(range.end)).map_err(out_of_memory)?;
        buffer.extend_from_slice(&tail[..in_tail(range.end)]);
        Ok(buffer)
    }

    fn span_bytes(&self) -> u64 {
        SPAN_BYTES
    }
}
