//! What a writer reports while it writes.

use super::tensor_stats::TensorStats;
use crate::codec::Codec;
use crate::error::Result;

/// A part of an `.occ` file that has been written.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Written<'w> {
    /// Chunks that hold this number of bytes of tensors and headers, decoded.
    Bytes(u64),
    /// A whole tensor.
    Tensor {
        /// Its name.
        name: &'w str,
        /// Its codec.
        codec: Codec,
        /// Its size and error.
        stats: TensorStats,
    },
}

/// Called with each part; an error ends the work.
pub(crate) type Observer<'o> = dyn FnMut(Written<'_>) -> Result<()> + 'o;
