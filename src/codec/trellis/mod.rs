//! The lossy codec: matrix rows in transform coordinates, less a low-rank part, quantised with a
//! trellis code and entropy-coded.
//!
//! A weight is `step · (inverse transform of lattice points) + scale · (mean + θ J)`, times the
//! scales of its row and its column. A trellis determines which lattice points may follow each
//! other along a row. The classes of row and column select the frequency tables that code them.
//! `spec/codec.md` gives the reasons and the measurements.
//!
//! Imports `codec::entropy`, `codec::transform`, `codec::quantizer` and the ground layers (`arch`,
//! `dtype`, `coordinates`, `error`). Start reading with `parameters.rs` (what is stored for a
//! tensor), then `decoder.rs` (a chunk's entropy decoding) and `reconstruction.rs` (from lattice
//! points to weights). `encode` holds what only an encoder needs.

mod chunk;
mod classes;
mod decoder;
#[cfg(feature = "encode")]
mod encode;
mod parameters;
mod reconstruction;
mod row_table;
mod scales;
mod writer_notes;

pub(crate) use decoder::TrellisDecoder;
pub use scales::{ColumnScales, RowScales};
#[cfg(feature = "encode")]
pub(crate) use writer_notes::WriterNotes;

#[cfg(feature = "encode")]
pub(crate) use encode::{
    Candidate, Effort, FIRST_RANK, InputMoment, Inputs, LearnedTransform, MAX_COLUMNS, ROW_GROUP,
    Rate, RateStatistics, Rows, Scaling, Sensitivity, TransformChoice, TransformSearch,
    TrellisEncoder, candidate_transforms, overhead_bytes,
};
#[cfg(feature = "encode")]
pub use encode::{QuantizationScales, ScaleRuns};
