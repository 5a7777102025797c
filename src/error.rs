//! The one error type, and where in a file something went wrong.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A result with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Where in a file something went wrong, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Location {
    /// The file.
    pub file: Option<PathBuf>,
    /// The tensor's name, or the attachment's.
    pub tensor: Option<String>,
    /// The chunk's number within the tensor, from 0.
    pub chunk: Option<u64>,
    /// Bytes from the start of the file.
    pub offset: Option<u64>,
}

/// All but the file, which errors begin with.
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

/// Everything that can go wrong, with the tensor, chunk and offset where known.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The first bytes are not the magic number.
    #[error("not an .occ file")]
    NotOcc,
    /// The file is of a format version this crate does not read.
    #[error(
        "format version {found} needs a reader of version {min_reader} or later; \
         this one reads version {supported}"
    )]
    UnsupportedVersion {
        /// The file's format version.
        found: u16,
        /// The oldest reader that understands the file.
        min_reader: u16,
        /// The version this crate reads.
        supported: u16,
    },
    /// Something well-formed that this crate does not implement.
    #[error("{}unsupported {what}{at}", PathPrefix(at.file.as_deref()))]
    Unsupported {
        /// What it is.
        what: String,
        /// Where it is.
        at: Location,
    },
    /// The bytes contradict the format.
    #[error("{}corrupt data: {what}{at}", PathPrefix(at.file.as_deref()))]
    Corrupt {
        /// The rule that is broken.
        what: Cow<'static, str>,
        /// Where it is broken.
        at: Location,
    },
    /// A stored CRC32 is not that of the bytes it covers.
    #[error("{}checksum mismatch: stored {stored:08x}, computed {computed:08x}{at}", PathPrefix(at.file.as_deref()))]
    ChecksumMismatch {
        /// The CRC32 in the file.
        stored: u32,
        /// The CRC32 of the bytes.
        computed: u32,
        /// What was checked.
        at: Location,
    },
    /// The data end too early.
    #[error("{}truncated: the data end too early{at}", PathPrefix(at.file.as_deref()))]
    Truncated {
        /// Where more was expected.
        at: Location,
    },
    /// A size exceeds the reader's [`Limits`](crate::Limits) or the format's own.
    #[error("{}{what} of {requested} exceeds the limit of {limit}{at}", PathPrefix(at.file.as_deref()))]
    LimitExceeded {
        /// What is too large.
        what: &'static str,
        /// The size asked for.
        requested: u64,
        /// The size allowed.
        limit: u64,
        /// Where it was asked.
        at: Location,
    },
    /// The caller asked for something impossible.
    #[error("{}invalid argument: {what}{at}", PathPrefix(at.file.as_deref()))]
    InvalidArgument {
        /// What is wrong with it.
        what: Cow<'static, str>,
        /// What it concerns.
        at: Location,
    },
    /// The file contains no tensor of this name.
    #[error("no tensor `{}`{}", name.escape_debug(), Similar(similar))]
    #[non_exhaustive]
    TensorNotFound {
        /// The name.
        name: String,
        /// The most similar names in the file, best first; at most three.
        similar: Vec<String>,
    },
    /// The caller broke the work off.
    #[error("cancelled")]
    Cancelled,
    /// Reading or writing failed.
    #[error("{}{source}", PathPrefix(path.as_deref()))]
    Io {
        /// The file, where known.
        path: Option<PathBuf>,
        /// The operating system's error.
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
        // What a source found out while it decoded comes through as it was.
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

    pub(crate) fn truncated() -> Self {
        let at = Location::default();
        Self::Truncated { at }
    }

    /// Fails when `requested` exceeds `limit`.
    pub(crate) fn check_limit(what: &'static str, requested: u64, limit: u64) -> Result<()> {
        if requested <= limit {
            return Ok(());
        }
        let at = Location::default();
        Err(Self::LimitExceeded { what, requested, limit, at })
    }

    /// Fails when the CRC32 that was computed is not the one stored.
    pub(crate) fn check_crc(stored: u32, computed: u32) -> Result<()> {
        if stored == computed {
            return Ok(());
        }
        let at = Location::default();
        Err(Self::ChecksumMismatch { stored, computed, at })
    }

    /// Where it happened, for the errors that have a place.
    pub fn location(&self) -> Option<&Location> {
        match self {
            Self::Unsupported { at, .. }
            | Self::Corrupt { at, .. }
            | Self::ChecksumMismatch { at, .. }
            | Self::Truncated { at }
            | Self::LimitExceeded { at, .. }
            | Self::InvalidArgument { at, .. } => Some(at),
            Self::NotOcc
            | Self::UnsupportedVersion { .. }
            | Self::TensorNotFound { .. }
            | Self::Cancelled
            | Self::Io { .. } => None,
        }
    }

    fn location_mut(&mut self) -> Option<&mut Location> {
        match self {
            Self::Unsupported { at, .. }
            | Self::Corrupt { at, .. }
            | Self::ChecksumMismatch { at, .. }
            | Self::Truncated { at }
            | Self::LimitExceeded { at, .. }
            | Self::InvalidArgument { at, .. } => Some(at),
            Self::NotOcc
            | Self::UnsupportedVersion { .. }
            | Self::TensorNotFound { .. }
            | Self::Cancelled
            | Self::Io { .. } => None,
        }
    }

    /// Adds the tensor's name unless one is known.
    pub(crate) fn in_tensor(mut self, name: &str) -> Self {
        if let Some(at) = self.location_mut() {
            at.tensor.get_or_insert_with(|| name.to_owned());
        }
        self
    }

    /// Adds the chunk's number unless one is known.
    pub(crate) fn in_chunk(mut self, chunk: u64) -> Self {
        if let Some(at) = self.location_mut() {
            at.chunk.get_or_insert(chunk);
        }
        self
    }

    /// Adds the offset in the file unless one is known.
    pub(crate) fn at_offset(mut self, offset: u64) -> Self {
        if let Some(at) = self.location_mut() {
            at.offset.get_or_insert(offset);
        }
        self
    }

    /// Adds the file unless one is known.
    pub(crate) fn in_file(mut self, file: &Path) -> Self {
        let place = match &mut self {
            Self::Io { path, .. } => Some(path),
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
    fn the_innermost_place_wins_and_all_of_it_is_said() {
        let error = Error::corrupt("a rule").at_offset(7).at_offset(9).in_chunk(2).in_tensor("w");
        assert_eq!(error.to_string(), "corrupt data: a rule, tensor `w`, chunk 2, byte 7");
        assert_eq!(error.location().unwrap().chunk, Some(2));
    }

    #[test]
    fn io_errors_name_their_file_once() {
        let error =
            Error::from(io::Error::other("no")).in_file(Path::new("a")).in_file(Path::new("b"));
        assert_eq!(error.to_string(), "a: no");
        let error = Error::corrupt("a rule").in_file(Path::new("a"));
        assert_eq!(error.to_string(), "a: corrupt data: a rule");
    }
}
