//! `occ` compresses neural-network weights into `.occ`, a versioned container that is checksummed,
//! memory-mappable and streamable: losslessly, or lossily to a target bit rate or error.
//!
//! ```
//! # #[cfg(feature = "encode")] {
//! use occ::{Dtype, Reader, StreamReader, WriteOptions, Writer};
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("model.occ");
//! # let bytes = vec![0u8; 512 * 64 * 2];
//! let mut writer = Writer::create(&path, WriteOptions::default())?;
//! writer.add("embed.weight", Dtype::Bf16, &[512, 64], &bytes)?;
//! writer.finish()?;
//!
//! let file = Reader::open(&path)?; // reads the index; tensors are read when they are decoded
//! let tensor = file.tensor("embed.weight")?;
//! assert_eq!(tensor.decode()?, bytes);
//! assert_eq!(tensor.decode_rows(100..164)?, bytes[100 * 128..164 * 128]);
//!
//! for tensor in StreamReader::new(std::fs::File::open(&path)?)?.tensors() {
//!     assert_eq!(tensor?.bytes, bytes); // also from a pipe or a socket
//! }
//! # }
//! # Ok::<(), occ::Error>(())
//! ```
//!
//! | to … | use |
//! |---|---|
//! | read tensors or rows from a file, a memory map, or bytes | [`Reader`], [`Tensor`] |
//! | read a file on a server | `remote` |
//! | read a pipe or a socket | [`StreamReader`] |
//! | check a file | [`verify()`] |
//! | write a file | `Writer`, with a `Plan` for lossy tensors |
//! | choose bit rate, error bound or coordinates | `Encoding` |
//! | convert safetensors files and checkpoint folders | `convert` |
//! | compare two models | `compare()` |
//! | analyse the weights of a model | `analysis` |
//! | load and save tensors and models of candle | `candle` |
//!
//! Ways of loading, and which one fits: `loading`, a page of this documentation.
//!
//! Work runs on the current [rayon] pool. Results do not depend on the number of threads. Decoded
//! bytes are the same on every machine, and so are the files of lossless coding. Those of lossy
//! coding are the same for the same options on machines of one type only: the search for transforms
//! and steps uses floating-point sums, in an order that depends on instruction set and cache sizes,
//! and logarithms of the platform's C library.
//!
//! Bad input gives a typed [`Error`] with file, tensor, chunk and offset. It does not cause a panic
//! or an allocation beyond [`Limits`]. Corruption is detected by CRC-32; authenticity is not.
//!
//! # Features
//!
//! | feature | adds | dependencies |
//! |---|---|---|
//! | none | [`Reader`], [`StreamReader`], [`verify()`] | memmap2, zerocopy, crc32fast, half, rayon, thiserror; wildmatch and strsim, which have no dependencies, for names |
//! | `encode` | `Writer`, `Encoding`, `Calibration`, `Plan` | faer, constriction, serde, serde_json, tempfile |
//! | `convert` | `convert`, `compare()` | safetensors |
//! | `analysis` | `analysis` | fastrand, rustdct |
//! | `candle` | `candle` | candle-core, candle-nn |
//! | `remote` | `remote` | object_store with reqwest, rustls and tokio |
//! | `cli` (default) | the command | clap and others |
//!
//! A program that only reads uses `occ = { version = "0.1", default-features = false }`.
//!
//! # Architecture
//!
//! Each folder or file of `src` is a layer. `tests/project/architecture.rs` checks which layer
//! imports which, and that no files import each other in a circle.
//!
//! | layer | content |
//! |---|---|
//! | `error`, `file_kind`, `request_failure`, `limits`, `dtype`, `coordinates`, `statistics_kind`, `arch`, `parallel`, `gaussian`, `linear_algebra` | the ground, which all layers may import |
//! | `format` | the bytes of the container: header, frame, index, trailer, parser, writer; chunks are opaque |
//! | `codec` | one chunk, encoded and decoded: `planes` (lossless) and `trellis` (lossy), made of `entropy`, `transform` and `quantizer` |
//! | `role` | the roles of tensors, from their names |
//! | `io` | positioned reads, memory map, atomic files |
//! | `read` | `Reader`, `StreamReader`, `verify` |
//! | `remote` | files on servers as sources of `read` |
//! | `encode` | calibration, statistics, transform search, plan, rate control, pipeline, `Writer` |
//! | `candle` | tensors and variables of candle |
//! | `convert`, `compare`, `analysis` | safetensors and importance matrices, comparison and analysis of models |
//! | `bin/occ` | the command; it uses the public API only |
//!
//! `format` and `codec` do not import each other, nor do `entropy`, `transform` and `quantizer`,
//! nor `read` and `encode`. The encode sides of the codecs are folders named `encode` behind the
//! feature of that name, so that a reader contains no encoder. Fitting a transform to a sample is
//! part of the codec, since it determines the codec's parameters; the choice among transforms is
//! part of `encode`.
//!
//! ## From `occ compress --bits 3` to the frame
//!
//! 1. `bin/occ/compress/mod.rs`: `run` opens the checkpoint and creates the `Writer`.
//! 2. `convert/checkpoint.rs`: `Checkpoint::open` reads the headers; `sources` describes each
//!    tensor as a `TensorSource { name, dtype, shape, data }`.
//! 3. `convert/encode_checkpoint.rs`: `Checkpoint::plan`, then `Checkpoint::write_planned`.
//! 4. `encode/plan/planner.rs`: `plan_tensors` plans each tensor, then distributes the budget.
//! 5. `encode/plan/one_tensor.rs`: `plan_tensor` chooses the transform and measures rates, by
//!    `TransformSearch::fit` and `Candidate::rate` of `codec/trellis/encode`. Small tensors that are
//!    similar share rates.
//! 6. `encode/pipeline.rs`: `write_sources` decides, prepares and encodes the tensors in order.
//! 7. `encode/rate_control.rs`: `RateController::next` gives the next tensor its step.
//! 8. `encode/lossy_tensor.rs`: `LossyTensor::new` takes the learned transform, `planned_job` the
//!    encoder at the step, whose tables `Candidate::encoder` trains.
//! 9. `encode/job.rs`: `EncodeJob::encode` reads one chunk.
//! 10. `codec/encode/encoder.rs`: `Encoder::encode` selects the codec.
//! 11. `codec/trellis/encode/encoder.rs`: `TrellisEncoder::encode` scales, subtracts the low-rank
//!     part and transforms (`transform`), searches the trellis (`quantizer`: `ViterbiSearch::run`)
//!     and entropy-codes (`entropy`: `RansEncoder`).
//! 12. `encode/frame_writer.rs`: `FrameWriter::begin`, `chunk`, `end`.
//! 13. `format/writer.rs`: `FileWriter` writes the bytes; `finish` adds index and trailer.
//! 14. `io/atomic.rs`: `AtomicFile::commit` puts the file in its place.
//!
//! ## From the frame to the caller
//!
//! 1. `read/reader.rs`: `Reader::open` and `Reader::tensor`.
//! 2. `read/container.rs`: `Container::open` checks header, trailer and index.
//! 3. `read/tensor.rs`: `Tensor::decode`, `decode_rows`, `decode_as`, `decode_vec`.
//! 4. `read/decode_object.rs`: `for_each_chunk` reads and decodes chunks in parallel; those of a remote
//!    file in spans (`decode_spans`).
//! 5. `format`: `FrameHeader::parse` and `parse_chunk`.
//! 6. `read/frame_decoder.rs`: `FrameDecoder` decodes a chunk, and compares its checksum unless that of
//!    the whole tensor is compared. Streams and `verify` use it through `read/decode_stream.rs`.
//! 7. `codec/decoder.rs`: `Decoder::decode` selects the codec.
//! 8. `codec/trellis/decoder.rs`: `TrellisDecoder::decode`, for each band of 32 rows.
//! 9. `codec/entropy`: `decode_runs` decodes lattice points.
//! 10. `codec/trellis/reconstruction.rs`: `Reconstruction` inverts the transform (`codec/transform`),
//!     adds the low-rank part and scales.
//! 11. `dtype/number/mod.rs`: `from_f32` rounds to the dtype, into the caller's buffer.
//!
//! The format is specified in `spec/format.md`; `spec/codec.md` gives the reasons and measurements.

#[cfg(feature = "analysis")]
pub mod analysis;
mod arch;
#[cfg(feature = "bench-internals")]
#[doc(hidden)]
pub mod bench_internals;
#[cfg(feature = "candle")]
pub mod candle;
mod codec;
#[cfg(feature = "convert")]
mod compare;
#[cfg(feature = "convert")]
pub mod convert;
mod coordinates;
mod dtype;
#[cfg(feature = "encode")]
mod encode;
mod error;
mod file_kind;
mod format;
#[cfg(any(all(test, feature = "encode"), feature = "analysis", feature = "bench-internals"))]
mod gaussian;
mod io;
mod limits;
#[cfg(any(doc, doctest))]
#[doc = include_str!("loading.md")]
pub mod loading {}
#[cfg(feature = "encode")]
mod linear_algebra;
mod parallel;
mod read;
#[cfg(feature = "remote")]
pub mod remote;
#[cfg(feature = "remote")]
mod request_failure;
#[cfg(feature = "encode")]
mod role;
mod statistics_kind;

pub use arch::kernel;
pub use codec::{Codec, Coding, ColumnScales, RowScales};
#[cfg(feature = "encode")]
pub use codec::{QuantizationScales, ScaleRuns};
#[cfg(feature = "convert")]
pub use compare::{
    CompareOptions, Comparison, Distortion, Inputs, NonFinite, OperatorDistortion,
    TensorComparison, TotalComparison, compare,
};
pub use coordinates::{BlockTransform, Coordinates};
pub use dtype::Dtype;
#[cfg(feature = "encode")]
pub use encode::{
    Calibration, Encoding, LosslessReason, LossyPlan, Plan, RateCurve, TensorPlan, TensorSource,
    TensorStats, Weighting, WriteOptions, Writer,
};
pub use error::{Error, Location, Result};
pub use file_kind::FileKind;
pub use io::{FileSection, ReadAt, SequentialReader};
#[cfg(feature = "encode")]
pub use io::{write_file, write_file_like};
pub use limits::Limits;
pub use read::{
    Attachment, AttachmentKind, DecodedTensor, Element, Reader, StreamReader, StreamTensor, Tensor,
    VerifyOptions, VerifyReport, verify,
};
#[cfg(feature = "encode")]
pub use role::TensorRole;
pub use statistics_kind::StatisticsKind;
