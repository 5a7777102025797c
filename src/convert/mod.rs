//! Foreign formats: safetensors files and checkpoint folders, to `.occ` and back.
//!
//! A file comes back byte for byte: its header is kept as it is. A checkpoint folder is its
//! `model.safetensors.index.json` and the shards that names; nothing else in it is looked at.

mod checkpoint;
mod decompress;
mod encode;
pub(crate) mod model;
mod safetensors;

pub use checkpoint::Checkpoint;
pub use decompress::{Decompressed, Target, decompress, decompress_stream, is_sharded};
pub use encode::Encoded;

use crate::error::{Error, Result};
use std::ops::ControlFlow;

/// Told, now and then, how many more bytes of tensors have been converted; may break the work off,
/// which then fails with [`Error::Cancelled`].
pub type Progress<'p> = dyn FnMut(u64) -> ControlFlow<()> + 'p;

/// The index of a sharded checkpoint.
const INDEX_NAME: &str = "model.safetensors.index.json";

/// The name under which the header of a lone file is kept, whatever the file was called: the
/// same tensors make the same `.occ`.
const LONE_NAME: &str = "model.safetensors";

pub(crate) fn report(progress: &mut Progress<'_>, bytes: u64) -> Result<()> {
    match progress(bytes) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::Cancelled),
    }
}
