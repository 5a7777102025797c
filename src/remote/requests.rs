//! Requests for ranges of one remote file.

use super::failures::{failure, is_out_of_range};
use crate::request_failure::RequestFailure;
use futures_util::StreamExt;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Bytes of the end of a file that the first request asks for: the index of most files.
pub(super) const TAIL_BYTES: u64 = 256 << 10;

/// The slowest transfer that is waited for, in bytes per second.
const SLOWEST: u64 = 64 << 10;

/// How often a response that ends early is requested in all. The store repeats other requests itself.
const ATTEMPTS: usize = 2;

/// A file in a store.
pub(super) struct Requests {
    store: Arc<dyn ObjectStore>,
    path: Path,
    timeout: Duration,
    /// Whether the server compares entity tags as it should.
    compares_tags: AtomicBool,
}

/// What does not change as long as the file does not: its size, its entity tag or, without a tag, its
/// date.
#[derive(Clone, PartialEq)]
pub(super) struct Version {
    pub(super) size: u64,
    tag: Option<String>,
    date: Option<i64>,
}

impl Version {
    fn of(meta: &ObjectMeta) -> Self {
        let date = meta.last_modified.timestamp();
        let date = meta.e_tag.is_none().then_some(date);
        Self { size: meta.size, tag: meta.e_tag.clone(), date }
    }

    /// The tag for a condition, in which weak tags never match.
    fn strong_tag(&self) -> Option<&str> {
        self.tag.as_deref().filter(|tag| !tag.starts_with("W/"))
    }
}

/// A part of a file.
pub(super) struct Part {
    pub(super) version: Version,
    pub(super) bytes: Vec<u8>,
}

impl Requests {
    pub(super) fn new(store: Arc<dyn ObjectStore>, path: Path, timeout: Duration) -> Self {
        Self { store, path, timeout, compares_tags: AtomicBool::new(true) }
    }

    /// The end of the file: [`TAIL_BYTES`], or all of a shorter file.
    pub(super) async fn tail(&self) -> Result<Part, RequestFailure> {
        let suffix = GetRange::Suffix(TAIL_BYTES);
        let refused = match self.get(suffix, TAIL_BYTES, None).await {
            Err(refused) if refused == RequestFailure::NoRanges || is_out_of_range(&refused) => {
                refused
            }
            result => return result,
        };
        // Azure has no such ranges, and an empty file has no range at all.
        let head = tokio::time::timeout(self.timeout, self.store.head(&self.path)).await;
        let Ok(Ok(meta)) = head else { return Err(refused) };
        let version = Version::of(&meta);
        match version.size {
            0 => Ok(Part { version, bytes: Vec::new() }),
            size => self.range(size.saturating_sub(TAIL_BYTES)..size, &version).await,
        }
    }

    /// The bytes at a range within the file, if it is still the same version.
    pub(super) async fn range(
        &self,
        range: Range<u64>,
        version: &Version,
    ) -> Result<Part, RequestFailure> {
        let length = range.end - range.start;
        let part = self.get(GetRange::Bounded(range), length, Some(version)).await;
        match part {
            // It became shorter.
            Err(failure) if is_out_of_range(&failure) => Err(RequestFailure::Changed),
            part => part,
        }
    }

    /// A range of at most `most` bytes, within a bounded time.
    async fn get(
        &self,
        range: GetRange,
        most: u64,
        version: Option<&Version>,
    ) -> Result<Part, RequestFailure> {
        let allowed = self.timeout.saturating_add(Duration::from_secs(most / SLOWEST));
        let attempts = async {
            let mut attempt = 1;
            loop {
                let tag = version.and_then(Version::strong_tag);
                let tag = tag.filter(|_| self.compares_tags.load(Ordering::Relaxed));
                match self.attempt(range.clone(), most, version, tag).await {
                    Err(RequestFailure::Incomplete { .. }) if attempt < ATTEMPTS => attempt += 1,
                    Err(RequestFailure::Changed) if tag.is_some() => {
                        // The response itself tells whether the file or the comparison is at fault.
                        let part = self.attempt(range, most, version, None).await?;
                        self.compares_tags.store(false, Ordering::Relaxed);
                        return Ok(part);
                    }
                    result => return result,
                }
            }
        };
        match tokio::time::timeout(allowed, attempts).await {
            Ok(result) => result,
            Err(_) => Err(RequestFailure::TimedOut),
        }
    }

    /// One request, which the store repeats if it fails before there is a response.
    async fn attempt(
        &self,
        range: GetRange,
        most: u64,
        version: Option<&Version>,
        tag: Option<&str>,
    ) -> Result<Part, RequestFailure> {
        let bounds = match &range {
            GetRange::Bounded(bounds) => Some(bounds.clone()),
            _ => None,
        };
        let options = GetOptions::new().with_range(Some(range)).with_if_match(tag);
        let response = self.store.get_opts(&self.path, options).await;
        let response = response.map_err(|error| failure(&error))?;
        let found = Version::of(&response.meta);
        if version.is_some_and(|version| *version != found) {
            return Err(RequestFailure::Changed);
        }
        let extent = response.range.clone();
        let requested = extent.end.saturating_sub(extent.start);
        if bounds.is_some_and(|bounds| bounds != extent)
            || requested > most
            || version.is_none() && extent.end != found.size
        {
            let what = format!("bytes {extent:?} were not requested");
            return Err(RequestFailure::WrongResponse(what));
        }
        let mut bytes = Vec::new();
        // At most what the caller has bounded.
        let reserved = usize::try_from(requested).map(|length| bytes.try_reserve_exact(length));
        if !matches!(reserved, Ok(Ok(()))) {
            return Err(RequestFailure::Other("out of memory".to_owned()));
        }
        let mut stream = response.into_stream();
        let incomplete =
            |received: usize| RequestFailure::Incomplete { received: received as u64, requested };
        while let Some(more) = stream.next().await {
            let more = more.map_err(|error| match failure(&error) {
                RequestFailure::TimedOut => RequestFailure::TimedOut,
                _ => incomplete(bytes.len()),
            })?;
            if more.len() as u64 > requested - bytes.len() as u64 {
                let what = format!("more than {requested} bytes");
                return Err(RequestFailure::WrongResponse(what));
            }
            bytes.extend_from_slice(&more);
        }
        match bytes.len() as u64 == requested {
            true => Ok(Part { version: found, bytes }),
            false => Err(incomplete(bytes.len())),
        }
    }
}
