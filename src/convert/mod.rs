//! Foreign formats: safetensors files and checkpoint folders, to `.occ` and back.
//!
//! A file comes back byte for byte: its header is kept as it is. A checkpoint folder is its
//! `model.safetensors.index.json` and the shards that names; nothing else in it is looked at.

mod checkpoint;
mod decompress;
mod safetensors;

pub use checkpoint::Checkpoint;
pub use decompress::{Decompressed, Target, decompress, decompress_stream, is_sharded};

use crate::error::{Error, Result};
use std::io;
use std::ops::ControlFlow;
use std::path::{Component, Path};

/// Told, now and then, how many more bytes of tensors have been converted; may break the work off,
/// which then fails with an `Interrupted` I/O error.
pub type Progress<'p> = dyn FnMut(u64) -> ControlFlow<()> + 'p;

/// The index of a sharded checkpoint.
const INDEX_NAME: &str = "model.safetensors.index.json";

/// The name under which the header of a lone file is kept, whatever the file was called: the
/// same tensors make the same `.occ`.
const LONE_NAME: &str = "model.safetensors";

fn report(progress: &mut Progress<'_>, bytes: u64) -> Result<()> {
    match progress(bytes) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => {
            Err(io::Error::new(io::ErrorKind::Interrupted, "interrupted").into())
        }
    }
}

/// Refuses names that lead out of a folder.
fn check_file_name(name: &str) -> Result<()> {
    let mut components = Path::new(name).components();
    let plain = matches!(components.next(), Some(Component::Normal(part)) if part == name);
    if plain && components.next().is_none() && !name.contains(['/', '\\', '\0', ':']) {
        return Ok(());
    }
    Err(Error::corrupt(format!("`{}` is not a plain file name", name.escape_debug())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_pass() {
        for name in ["a", "model-00001-of-00002.safetensors", ".hidden", "é"] {
            check_file_name(name).unwrap();
        }
        for name in ["", ".", "..", "/a", "a/b", "../a", "a/", "a\\b", "c:a", "a\0"] {
            assert!(check_file_name(name).is_err(), "{name:?}");
        }
    }
}
