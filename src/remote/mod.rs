//! Reading `.occ` files from servers, by HTTP and from object stores, without downloading them.
//!
//! ```no_run
//! let file = occ::remote::open("https://example.com/models/model.occ")?;
//! let tensor = file.tensor("model.norm.weight")?;
//! let rows = file.tensor("model.embed_tokens.weight")?.decode_rows(100..164)?;
//! # Ok::<(), occ::Error>(())
//! ```
//!
//! [`open`] gives a [`Reader`] with all its methods. [`RemoteFile`] is the source below it, for options,
//! for other stores and for reading front to back:
//!
//! ```no_run
//! use occ::remote::{RemoteFile, RemoteOptions};
//! use occ::{SequentialReader, VerifyOptions, verify};
//! let options = RemoteOptions::default().setting("aws_region", "eu-central-1");
//! let file = RemoteFile::open_with("s3://bucket/model.occ", &options)?;
//! let report = verify(SequentialReader::new(file)?, VerifyOptions::default())?;
//! # Ok::<(), occ::Error>(())
//! ```
//!
//! # URLs
//!
//! | URL | access |
//! |---|---|
//! | `http://…`, `https://…` | as it is, with its query: public files, signed URLs |
//! | `s3://bucket/path` | Amazon S3 and compatible ones; credentials from `AWS_…` of the environment |
//! | `gs://bucket/path` | Google Cloud Storage; `GOOGLE_…` |
//! | `az://container/path`, `abfs://…` | Azure Blob Storage; `AZURE_…` |
//! | `file:///path` | a local file |
//!
//! The environment variables and settings are those of [`object_store`]: `AWS_ENDPOINT` names another
//! server, `AWS_SKIP_SIGNATURE=true` reads a public bucket without credentials. Environment variables
//! for proxies, such as `HTTPS_PROXY`, are obeyed.
//!
//! # Requests
//!
//! | operation | requests | bytes |
//! |---|---|---|
//! | open | 1 for the last 256 KiB, 1 for the first bytes of a larger file, 1 for the rest of a large index | these |
//! | decode a tensor | 1 for each 64 MiB; for a reference 1 more | frame header and chunks |
//! | decode rows | 1 for the frame header, once, and 1 for each 64 MiB of chunks | these |
//! | decode several tensors together | as for one; neighbours in the file share requests | these, and gaps of up to 4 KiB |
//! | read front to back | 1 for each 16 MiB | all |
//!
//! A store without ranges from the end of a file, such as Azure, takes one more to open. Up to eight
//! requests of one call run at a time while the first parts are decoded; at most 192 MiB of coded bytes
//! are in memory for each call. Threads may read at the same time.
//!
//! # Failures
//!
//! A request that fails is repeated a few times with pauses. The time for one with its repetitions is
//! bounded: [`RemoteOptions::timeout`], and a second for each 64 KiB of it. Errors are
//! [`Error::Request`](crate::Error::Request), with the URL (without query and password), tensor, chunk
//! and offset. If the server states an `ETag`, or a date, a file that changes between requests is an
//! error; the checksums of the format find other changes.
//!
//! # Runtime
//!
//! The functions block. Requests run on two threads of a runtime of this crate, so that the functions
//! may be called from anywhere, also from a runtime of the caller; there the rule for blocking code
//! applies (`spawn_blocking`). A store of the caller may have connections that a runtime of the caller
//! drives: a thread that this runtime needs must not read from it. TLS uses the default provider of the process; if there is none, that of
//! `ring` becomes it.

mod failures;
mod file;
mod options;
mod requests;
mod runtime;
mod stores;

pub use crate::request_failure::RequestFailure;
pub use file::RemoteFile;
pub use object_store;
pub use options::RemoteOptions;

use crate::error::Result;
use crate::read::Reader;

/// Opens an `.occ` file at a URL.
///
/// # Errors
/// [`Error::Request`](crate::Error::Request) if it cannot be read, `InvalidArgument` for a URL that is
/// not supported, and those of [`Reader::open`].
pub fn open(url: &str) -> Result<Reader<'static>> {
    RemoteFile::open(url)?.reader()
}
