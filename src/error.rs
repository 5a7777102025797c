//! The error type of the crate, and locations in files.

use crate::file_kind::FileKind;
#[cfg(feature = "remote")]
use crate::request_failure::RequestFailure;
use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A result with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The location of an error in a file, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Location {
    /// The path of the file; of a remote file its URL, without query and password.
    pub file: Option<PathBuf>,
    /// The name of the tensor or attachment.
    pub tensor: Option<String>,
    /// The number of the chunk in the tensor, from 0.
    pub chunk: Option<u64>,
    /// The offset in the file, in bytes.
    pub offset: Option<u64>,
}

/// All parts except the file, which comes first in error messages.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(tensor) = &self.tensor {
            write!(f, ", tensor `{}`", tensor.escape_debug())?;
        }
        if let Some(chunk) = self.chunk {
            write!(f, ", chunk {chunk}")?;
        }
        if let Some(offset) = self.offset {
            write!(f, ", byte {offset}")?;
        }
        Ok(())
    }
}

/// The errors of this crate, with their location where it is known.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The first bytes are not the magic number.
    #[error("{}not an .occ file: {found}", PathPrefix(at.file.as_deref()))]
    #[non_exhaustive]
    NotOcc {
        /// What the file is instead.
        found: FileKind,
        /// The file.
        at: Location,
    },
    /// The first bytes are not those of a safetensors file.
    #[error("{}not a safetensors file: {found}", PathPrefix(at.file.as_deref()))]
    #[non_exhaustive]
    NotSafetensors {
        /// What the file is instead.
        found: FileKind,
        /// The file.
        at: Location,
    },
    /// A folder contains several checkpoints, and none of them is the main one.
    #[error(
        "{}several checkpoints in one folder: {}; give the path of one of them",
        PathPrefix(at.file.as_deref()),
        candidates.join(", ")
    )]
    #[non_exhaustive]
    SeveralCheckpoints {
        /// The names of the files, with `*` for the numbers of shards; at most twelve.
        candidates: Vec<String>,
        /// The folder.
        at: Location,
    },
    /// The format version is not supported by this crate.
    #[non_exhaustive]
    #[error(
        "{}format version {found} needs a reader of version {min_reader} or later; \
         this one reads version {supported}",
        PathPrefix(at.file.as_deref())
    )]
    UnsupportedVersion {
        /// The file's format version.
        found: u16,
        /// The version of the oldest reader that supports the file.
        min_reader: u16,
        /// The version that this crate reads.
        supported: u16,
        /// The file.
        at: Location,
    },
    /// The file uses a feature that this crate does not implement.
    #[error("{}unsupported {what}{at}", PathPrefix(at.file.as_deref()))]
    #[non_exhaustive]
    Unsupported {
        /// The feature.
        what: String,
        /// Where it is used.
        at: Location,
    },
    /// The file violates the format.
    #[error("{}corrupt data: {what}{at}", PathPrefix(at.file.as_deref()))]
    #[non_exhaustive]
    Corrupt {
        /// The violation.
        what: Cow<'static, str>,
        /// Where it is.
        at: Location,
    },
    /// A stored CRC-32 differs from that of the bytes that it covers.
    #[error("{}checksum mismatch: stored {stored:08x}, computed {computed:08x}{at}", PathPrefix(at.file.as_deref()))]
    #[non_exhaustive]
    ChecksumMismatch {
        /// The CRC-32 in the file.
        stored: u32,
        /// The CRC-32 of the bytes.
        computed: u32,
        /// The bytes that were checked.
        at: Location,
    },
    /// The file is too short.
    #[error("{}truncated: {}{at}", PathPrefix(at.file.as_deref()), Missing(*missing))]
    #[non_exhaustive]
    Truncated {
        /// The number of bytes that are missing, if it is known.
        missing: Option<u64>,
        /// Where bytes are missing.
        at: Location,
    },
    /// A size exceeds the [`Limits`](crate::Limits) of the reader or those of the format.
    #[error("{}{what} of {requested} exceeds the limit of {limit}{at}", PathPrefix(at.file.as_deref()))]
    #[non_exhaustive]
    LimitExceeded {
        /// The object that is too large.
        what: &'static str,
        /// Its size.
        requested: u64,
        /// The limit.
        limit: u64,
        /// Where it is.
        at: Location,
    },
    /// An argument of the caller is not valid.
    #[error("{}invalid argument: {what}{at}", PathPrefix(at.file.as_deref()))]
    #[non_exhaustive]
    InvalidArgument {
        /// The argument and the reason.
        what: Cow<'static, str>,
        /// The object that it concerns.
        at: Location,
    },
    /// The file contains no tensor of this name.
    #[error("{}no tensor `{}`{}", PathPrefix(file.as_deref()), name.escape_debug(), Similar(similar))]
    #[non_exhaustive]
    TensorNotFound {
        /// The name.
        name: String,
        /// The most similar names in the file, best first; at most three.
        similar: Vec<String>,
        /// The file, if it is known.
        file: Option<PathBuf>,
    },
    /// The caller cancelled the operation.
    #[error("cancelled")]
    Cancelled,
    /// A part of a remote file could not be read.
    #[cfg(feature = "remote")]
    #[error("{}{failure}{at}", PathPrefix(at.file.as_deref()))]
    #[non_exhaustive]
    Request {
        /// What failed.
        failure: RequestFailure,
        /// The bytes that were to be read.
        at: Location,
    },
    /// An I/O error.
    #[error("{}{source}", PathPrefix(path.as_deref()))]
    Io {
        /// The file, if it is known.
        path: Option<PathBuf>,
        /// The error of the operating system or of the source.
        source: io::Error,
    },
}

/// A path and a colon, or nothing.
struct PathPrefix<'a>(Option<&'a Path>);

impl fmt::Display for PathPrefix<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(path) => write!(f, "{}: ", path.display()),
            None => Ok(()),
        }
    }
}

/// How much of a file is missing.
struct Missing(Option<u64>);

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("the file is too short"),
            Some(1) => f.write_str("1 byte is missing"),
            Some(bytes) => write!(f, "{bytes} bytes are missing"),
        }
    }
}

/// Names that resemble one that was not found.
struct Similar<'a>(&'a [String]);

impl fmt::Display for Similar<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, name) in self.0.iter().enumerate() {
            let separator = if number == 0 { "; similar:" } else { "," };
            write!(f, "{separator} `{}`", name.escape_debug())?;
        }
        Ok(())
    }
}

impl From<io::Error> for Error {
    fn from(source: io::Error) -> Self {
        // An error of this crate that a source has wrapped is unwrapped.
        source.downcast().unwrap_or_else(|source| Self::Io { path: None, source })
    }
}

impl Error {
    pub(crate) fn corrupt(what: impl Into<Cow<'static, str>>) -> Self {
        let (what, at) = (what.into(), Location::default());
        Self::Corrupt { what, at }
    }

    pub(crate) fn unsupported(what: impl Into<String>) -> Self {
        let (what, at) = (what.into(), Location::default());
        Self::Unsupported { what, at }
    }

    pub(crate) fn invalid(what: impl Into<Cow<'static, str>>) -> Self {
        let (what, at) = (what.into(), Location::default());
        Self::InvalidArgument { what, at }
    }

    /// The error for bytes of a remote file from `offset` on.
    #[cfg(feature = "remote")]
    pub(crate) fn request(failure: RequestFailure, file: &Path, offset: Option<u64>) -> Self {
        let file = Some(file.to_owned());
        Self::Request { failure, at: Location { file, offset, ..Location::default() } }
    }

    /// Whether the file could not be read, whatever is in it.
    pub(crate) fn is_io(&self) -> bool {
        match self {
            Self::Io { .. } => true,
            #[cfg(feature = "remote")]
            Self::Request { .. } => true,
            _ => false,
        }
    }

    pub(crate) fn truncated() -> Self {
        let at = Location::default();
        Self::Truncated { missing: None, at }
    }

    /// The error for a file that ends before all of its bytes.
    #[cfg(feature = "convert")]
    pub(crate) fn truncated_by(missing: u64) -> Self {
        Self::Truncated { missing: Some(missing), at: Location::default() }
    }

    /// The error for a file that does not start as an `.occ` file does.
    pub(crate) fn not_occ(start: &[u8]) -> Self {
        Self::NotOcc { found: FileKind::of(start), at: Location::default() }
    }

    /// Checks that `requested` does not exceed `limit`.
    pub(crate) fn check_limit(what: &'static str, requested: u64, limit: u64) -> Result<()> {
        if requested <= limit {
            return Ok(());
        }
        let at = Location::default();
        Err(Self::LimitExceeded { what, requested, limit, at })
    }

    /// Checks that the computed CRC-32 is the stored one.
    pub(crate) fn check_crc(stored: u32, computed: u32) -> Result<()> {
        if stored == computed {
            return Ok(());
        }
        let at = Location::default();
        Err(Self::ChecksumMismatch { stored, computed, at })
    }

    /// The location, if the error has one.
    pub fn location(&self) -> Option<&Location> {
        match self {
            Self::Unsupported { at, .. }
            | Self::Corrupt { at, .. }
            | Self::ChecksumMismatch { at, .. }
            | Self::Truncated { at, .. }
            | Self::NotOcc { at, .. }
            | Self::NotSafetensors { at, .. }
            | Self::SeveralCheckpoints { at, .. }
            | Self::UnsupportedVersion { at, .. }
            | Self::LimitExceeded { at, .. }
            | Self::InvalidArgument { at, .. } => Some(at),
            #[cfg(feature = "remote")]
            Self::Request { at, .. } => Some(at),
            Self::TensorNotFound { .. } | Self::Cancelled | Self::Io { .. } => None,
        }
    }

    fn location_mut(&mut self) -> Option<&mut Location> {
        match self {
            Self::Unsupported { at, .. }
            | Self::Corrupt { at, .. }
            | Self::ChecksumMismatch { at, .. }
            | Self::Truncated { at, .. }
            | Self::NotOcc { at, .. }
            | Self::NotSafetensors { at, .. }
            | Self::SeveralCheckpoints { at, .. }
            | Self::UnsupportedVersion { at, .. }
            | Self::LimitExceeded { at, .. }
            | Self::InvalidArgument { at, .. } => Some(at),
            #[cfg(feature = "remote")]
            Self::Request { at, .. } => Some(at),
            Self::TensorNotFound { .. } | Self::Cancelled | Self::Io { .. } => None,
        }
    }

    /// Adds the name of the tensor unless it is known.
    pub(crate) fn in_tensor(mut self, name: &str) -> Self {
        if let Some(at) = self.location_mut() {
            at.tensor.get_or_insert_with(|| name.to_owned());
        }
        self
    }

    /// Adds the number of the chunk unless it is known.
    pub(crate) fn in_chunk(mut self, chunk: u64) -> Self {
        if let Some(at) = self.location_mut() {
            at.chunk.get_or_insert(chunk);
        }
        self
    }

    /// Adds the offset in the file unless it is known.
    pub(crate) fn at_offset(mut self, offset: u64) -> Self {
        if let Some(at) = self.location_mut() {
            at.offset.get_or_insert(offset);
        }
        self
    }

    /// Adds the path of the file unless it is known.
    #[must_use]
    pub fn in_file(mut self, file: impl AsRef<Path>) -> Self {
        let file = file.as_ref();
        let place = match &mut self {
            Self::Io { path, .. } | Self::TensorNotFound { file: path, .. } => Some(path),
            other => other.location_mut().map(|at| &mut at.file),
        };
        if let Some(place) = place {
            place.get_or_insert_with(|| file.to_owned());
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_location_is_kept_and_displayed() {
        let error = Error::corrupt("reason").at_offset(7).at_offset(9).in_chunk(2).in_tensor("w");
        assert_eq!(error.to_string(), "corrupt data: reason, tensor `w`, chunk 2, byte 7");
        assert_eq!(error.location().unwrap().chunk, Some(2));
    }

    #[test]
    fn errors_display_their_file_once() {
        let error =
            Error::from(io::Error::other("no")).in_file(Path::new("a")).in_file(Path::new("b"));
        assert_eq!(error.to_string(), "a: no");
        let error = Error::corrupt("reason").in_file(Path::new("a"));
        assert_eq!(error.to_string(), "a: corrupt data: reason");
    }
}
