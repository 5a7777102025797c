//! The lossy codec: rows in coordinates of their own, less a low-dimensional part, on a lattice.
//!
//! A weight is `step · (lattice integers, rotated back) + scale · (mean + θ J)`, times the scales of
//! its row and its column. A trellis says which lattice points may follow one another along a row; they are entropy-coded
//! by tables that row and column choose. `spec/codec.md` tells why.

mod classes;
mod coding;
mod decoder;
mod encoder;
mod model;
mod parameters;
mod parts;
mod row_table;
mod scales;
mod study;
mod training;

#[cfg(test)]
mod tests;

pub(crate) use crate::coordinates::BAND;
pub use coding::{Axes, Coding};
pub(crate) use decoder::Decoder;
pub(crate) use encoder::{Distortion, Encoded, Encoder};
pub(crate) use parameters::MAX_COLUMNS;
pub use scales::RowScales;
pub(crate) use scales::Scaling;
#[cfg(feature = "analysis")]
pub(crate) use study::Rate;
pub(crate) use study::{Choice, Effort, Fitted, Rows, Study, candidates};
