//! Reals to lattice integers and back: the scalar quantiser and trellises over its cosets.
//!
//! Knows nothing of frequencies or files: what a lattice point costs comes as numbers.

mod search;
mod trellis;

pub(crate) use search::{Costs, ROWS, Search, Task};
pub(crate) use trellis::Trellis;
