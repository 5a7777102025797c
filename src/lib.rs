//! `occ` compresses neural-network weights into `.occ`, a versioned container that is checksummed,
//! memory-mappable and streamable, and back, byte for byte.
//!
//! ```
//! use occ::{Dtype, Reader, StreamReader, WriteOptions, Writer};
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("model.occ");
//! # let bytes = vec![0u8; 512 * 64 * 2];
//! let mut writer = Writer::create(&path, WriteOptions::default())?;
//! writer.add("embed.weight", Dtype::Bf16, &[512, 64], &bytes)?;
//! writer.finish()?;
//!
//! let file = Reader::open(&path)?; // reads the index, no tensor
//! let tensor = file.tensor("embed.weight")?;
//! assert_eq!(tensor.decode()?, bytes);
//! assert_eq!(tensor.decode_rows(100..164)?, bytes[100 * 128..164 * 128]);
//!
//! for tensor in StreamReader::new(std::fs::File::open(&path)?)?.tensors() {
//!     assert_eq!(tensor?.bytes, bytes); // from a pipe or a socket just as well
//! }
//! # Ok::<(), occ::Error>(())
//! ```
//!
//! - [`Writer`] writes front to back, to a file that appears whole or not at all, or to any output.
//! - [`Reader`] gives random access to tensors and rows in a mapped or borrowed file.
//! - [`StreamReader`] reads tensors as their bytes arrive.
//! - [`verify()`] checks whole files, [`convert`] turns safetensors into `.occ` and back,
//!   [`compare()`] tells how far two models are apart.
//!
//! Work runs on the current [rayon] pool. Results do not depend on the number of threads. Bad
//! input gets a typed [`Error`] with the tensor, the chunk and the offset; it never panics, and
//! never allocates beyond [`Limits`].
//!
//! The format is in `spec/format.md`. The feature `cli`, on by default, is for the command alone:
//! libraries turn it off with `default-features = false`.

#[cfg(feature = "analysis")]
pub mod analysis;
mod arch;
#[cfg(feature = "bench-internals")]
#[doc(hidden)]
pub mod bench_internals;
mod codec;
#[cfg(feature = "convert")]
mod compare;
#[cfg(feature = "convert")]
pub mod convert;
mod coordinates;
mod dtype;
mod encode;
mod error;
mod format;
#[cfg(any(test, feature = "analysis", feature = "bench-internals"))]
mod gaussian;
mod io;
mod limits;
mod parallel;
mod read;
mod role;

pub use codec::{Codec, Coding, RowScales};
#[cfg(feature = "convert")]
pub use compare::{
    CompareOptions, Comparison, Distortion, Inputs, OperatorDistortion, TensorComparison,
    TotalComparison, compare,
};
pub use coordinates::{BlockTransform, Coordinates};
pub use dtype::Dtype;
pub use encode::{
    Encoding, LossyPlan, Plan, RateCurve, TensorPlan, TensorSource, TensorStats, Weighting,
    WriteOptions, Writer,
};
pub use error::{Error, Location, Result};
pub use io::{FileSection, ReadAt};
pub use limits::Limits;
pub use read::{
    Attachment, AttachmentKind, DecodedTensor, Element, Reader, StreamReader, StreamTensor, Tensor,
    VerifyOptions, VerifyReport, verify,
};
pub use role::TensorRole;
