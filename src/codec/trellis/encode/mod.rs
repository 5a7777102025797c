//! Encoding a lossy tensor.
//!
//! 1. A [`TransformSearch`] reads a sample of the tensor's rows and makes a [`Candidate`] of each
//!    [`TransformChoice`]: the sample in the coordinates of the choice.
//! 2. A candidate estimates its rate at a lattice step. For the chosen one it trains row and column
//!    classes and the profiles of their frequency tables, and returns the [`TrellisEncoder`].
//! 3. The encoder encodes each chunk independently of the others: scales, low-rank part, transform,
//!    lattice search, entropy coding.
//!
//! Imports the decoder's modules, never the reverse. Start reading with `transform_search.rs`, then
//! `candidate.rs` and `encoder.rs`.

mod candidate;
mod class_training;
mod effort;
mod encoder;
mod learned_transform;
mod low_rank_coding;
mod low_rank_screening;
mod magnitude_counts;
mod outliers;
mod parameter_writer;
mod quantization_scales;
mod rate_statistics;
mod repeated_values;
mod row_classifier;
mod row_table_training;
mod rows;
mod sample;
mod scaling;
mod search_input;
mod sensitivity;
mod symbols;
mod table_training;
mod transform_choice;
mod transform_search;

pub(crate) use candidate::{Candidate, Rate};
pub(crate) use effort::Effort;
pub(crate) use encoder::{TrellisEncoder, overhead_bytes};
pub(crate) use learned_transform::LearnedTransform;
pub use quantization_scales::{QuantizationScales, ScaleRuns};
pub(crate) use rate_statistics::RateStatistics;
pub(crate) use rows::{MAX_COLUMNS, ROW_GROUP, Rows};
pub(crate) use scaling::{FIRST_RANK, Scaling};
pub(crate) use sensitivity::{InputMoment, Inputs, Sensitivity};
pub(crate) use transform_choice::{TransformChoice, candidate_transforms};
pub(crate) use transform_search::TransformSearch;

#[cfg(test)]
mod tests;
