//! The input of the encoder: a matrix that is read by rows.

use crate::codec::transform::BAND;
use crate::error::Result;
use std::ops::Range;

/// The longest row: 32 rows of this length fit a cache, and the decoder's memory is bounded.
pub(crate) const MAX_COLUMNS: usize = 1 << 16;

/// Rows that are coded side by side. Pieces of a tensor should hold a multiple of them.
pub(crate) const ROW_GROUP: usize = BAND;

/// A matrix that can be read by rows, repeatedly and from several threads.
pub(crate) trait Rows: Sync {
    fn rows(&self) -> usize;
    fn columns(&self) -> usize;
    /// Replaces the content of `out` by whole rows.
    fn read(&self, rows: Range<usize>, out: &mut Vec<f32>) -> Result<()>;
}
