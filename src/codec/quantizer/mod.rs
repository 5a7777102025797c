//! Quantisation to lattice points: scalar, or trellis-coded over cosets of the lattice.
//!
//! This layer does not depend on frequencies or files. The search takes the costs of lattice points
//! as numbers.

mod trellis_code;
#[cfg(feature = "encode")]
mod viterbi;

pub(crate) use trellis_code::Trellis;
#[cfg(feature = "encode")]
pub(crate) use viterbi::{CostTables, ROWS, SearchInput, ViterbiSearch};
