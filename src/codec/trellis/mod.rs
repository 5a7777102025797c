//! The lossy codec: rows in coordinates of their own, less a low-dimensional part, on a lattice.
//!
//! A weight is `step · (lattice integers, rotated back) + scale · (mean + θ J)`, times the scales of
//! its row and its column. A trellis says which lattice points may follow one another along a row; they are entropy-coded
//! by tables that row and column choose. `spec/codec.md` tells why.

mod candidate;
mod classes;
mod coding;
mod decoder;
mod encoder;
mod parameters;
mod reconstruction;
mod row_table;
mod scales;
mod symbols;
mod training;

#[cfg(test)]
mod tests;

pub(crate) use crate::codec::transform::BAND;
#[cfg(feature = "analysis")]
pub(crate) use candidate::Rate;
pub(crate) use candidate::{
    Candidate, Effort, Rows, TransformChoice, TransformSearch, candidate_transforms,
};
pub use coding::Coding;
pub(crate) use decoder::Decoder;
pub(crate) use encoder::Encoder;
pub(crate) use parameters::MAX_COLUMNS;
pub use scales::RowScales;
pub(crate) use scales::Scaling;
