//! Why requests for parts of remote files fail.

use std::fmt;

/// Why a request for a part of a remote file failed.
///
/// Texts of servers and of the HTTP client are shortened to what cannot hold credentials: no URLs and no
/// bodies.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestFailure {
    /// There is no such file, or none that may be seen (HTTP status 404 or 405).
    NotFound,
    /// Access is refused, or credentials are missing (HTTP status 401 or 403). The text is the reason
    /// that the server gives, as `SignatureDoesNotMatch`, if any.
    Denied(String),
    /// The file is not the one that was opened: its size, its `ETag` or its date differs.
    Changed,
    /// The server does not send parts of files.
    NoRanges,
    /// The response ended early, also when it was requested again.
    Incomplete {
        /// Bytes of the range that arrived.
        received: u64,
        /// Bytes of the range.
        requested: u64,
    },
    /// The response is not one to the request: another range, or more bytes.
    WrongResponse(String),
    /// There was no complete response in time, with all attempts.
    TimedOut,
    /// Another status of the server, such as `503 Service Unavailable`, after repetitions where they make
    /// sense.
    Status(String),
    /// Another failure, such as one to connect.
    Other(String),
}

impl fmt::Display for RequestFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("no such file on the server"),
            Self::Denied(reason) if reason.is_empty() => f.write_str("access denied"),
            Self::Denied(reason) => write!(f, "access denied: {reason}"),
            Self::Changed => f.write_str("the file has changed since it was opened"),
            Self::NoRanges => f.write_str("the server does not send parts of files"),
            Self::Incomplete { received, requested } => {
                write!(f, "the response ended after {received} of {requested} bytes")
            }
            Self::WrongResponse(what) => write!(f, "wrong response: {what}"),
            Self::TimedOut => f.write_str("no complete response in time"),
            Self::Status(status) => write!(f, "the server answered {status}"),
            Self::Other(what) => write!(f, "request failed: {what}"),
        }
    }
}
