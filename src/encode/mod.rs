//! From tensor sources to an `.occ` file: statistics, transform search, plan, rate control,
//! pipeline, writer.
//!
//! [`Encoding`] is what a user asks for, [`Calibration`] what is known about inputs, [`Plan`] how each
//! tensor is encoded, [`Writer`] writes the file. The pipeline connects them: start reading in
//! `pipeline.rs`.
//!
//! The layer may import codec, format, io and the ground. It does not read `.occ` files.

mod buffers;
mod calibration;
mod chunk_size;
mod encoding;
mod equal_tensors;
mod few_values;
mod frame_writer;
mod job;
mod lossless_reason;
mod lossy_tensor;
mod matrix;
mod options;
mod pipeline;
mod plan;
mod rate_control;
mod reference;
mod repeated_rows;
mod sample;
mod source;
mod statistics;
mod tensor_stats;
mod writer;
mod written;

pub use calibration::Calibration;
#[cfg(feature = "convert")]
pub(crate) use calibration::{Diagonals, WeightShape};
pub use encoding::{Encoding, Weighting};
#[cfg(feature = "convert")]
pub(crate) use equal_tensors::is_compared;
#[cfg(feature = "convert")]
pub(crate) use job::attachment_bytes;
pub use lossless_reason::LosslessReason;
#[cfg(feature = "analysis")]
pub(crate) use matrix::matrix_shape;
pub use options::WriteOptions;
#[cfg(feature = "convert")]
pub(crate) use plan::FIXED_BYTES;
pub use plan::{LossyPlan, Plan, RateCurve, TensorPlan};
#[cfg(feature = "analysis")]
pub(crate) use plan::{Rated, rates};
#[cfg(feature = "convert")]
pub(crate) use reference::reference_header;
pub use source::TensorSource;
pub use tensor_stats::TensorStats;
pub use writer::Writer;
#[cfg(feature = "convert")]
pub use written::Written;
