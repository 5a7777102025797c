//! Quantisation to lattice points: scalar, or trellis-coded over cosets of the lattice.
//!
//! This layer does not depend on frequencies or files. The search takes the costs of lattice points
//! as numbers.

#[cfg(feature = "encode")]
mod feedback;
mod trellis_code;
#[cfg(feature = "encode")]
mod viterbi;

#[cfg(feature = "encode")]
pub(crate) use feedback::{Feedback, FeedbackSearch, RowGroup, unit_upper_factor};
pub(crate) use trellis_code::Trellis;
#[cfg(feature = "encode")]
pub(crate) use viterbi::{CostTables, ROWS, SearchInput, ViterbiSearch};
