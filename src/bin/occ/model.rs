//! A model on the command line: what of it is left out, and its size.

use crate::names::listed;
use occ::Reader;
use occ::convert::{Checkpoint, Inventory, LeftOutReason};
use std::path::Path;

/// Warns of files that are left out of a model. Returns the bytes of all its tensors, the total of
/// a progress bar; `None` for a model that cannot be read: the work itself reports the error.
pub fn examine(model: &Path) -> Option<u64> {
    match Checkpoint::open(model) {
        Ok(checkpoint) => {
            warn(checkpoint.inventory());
            Some(checkpoint.tensor_bytes())
        }
        Err(_) => Reader::open(model).and_then(|reader| decoded_bytes(&reader)).ok(),
    }
}

/// Decoded bytes of all tensors of an .occ file.
pub fn decoded_bytes(file: &Reader<'_>) -> occ::Result<u64> {
    let mut total = 0u64;
    for tensor in file.tensors() {
        total = total.saturating_add(tensor?.decoded_bytes());
    }
    Ok(total)
}

/// Warns of files that are left out of a checkpoint, and of tensors that its index does not list.
pub fn warn(inventory: &Inventory) {
    for reason in LeftOutReason::ALL {
        let files = inventory.left_out.iter().filter(|file| file.reason == reason);
        let files: Vec<_> = files.map(|file| file.path.display()).collect();
        if !files.is_empty() {
            eprintln!("warning: left out, {reason}: {}", listed(&files));
        }
    }
    if let Some((shard, name)) = inventory.unlisted.first() {
        eprintln!(
            "warning: tensors that the index does not list, taken all the same: {}, for example {} in {}",
            inventory.unlisted.len(),
            name.escape_debug(),
            shard.display()
        );
    }
}
