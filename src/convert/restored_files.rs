//! Which files an `.occ` file decompresses to.

use super::shard_names::is_index;
use crate::error::Result;
use crate::read::{AttachmentKind, Reader};

/// Whether an `.occ` file decompresses to a folder rather than to one file: of shards, or of a
/// safetensors file and others, such as the configuration.
///
/// # Errors
/// `Corrupt`, `Unsupported` or `LimitExceeded` if an index entry is invalid.
pub fn is_sharded(reader: &Reader<'_>) -> Result<bool> {
    Ok(RestoredFiles::of(reader)? != RestoredFiles::One)
}

/// What an `.occ` file decompresses to.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum RestoredFiles {
    /// A safetensors file.
    One,
    /// A safetensors file, and others that are not safetensors.
    OneAndOthers,
    /// Shards.
    Sharded,
}

impl RestoredFiles {
    /// # Errors
    /// Those of [`is_sharded`].
    pub(super) fn of(reader: &Reader<'_>) -> Result<Self> {
        let (mut shards, mut others) = (0, 0);
        for attachment in reader.attachments() {
            let attachment = attachment?;
            match attachment.kind() {
                AttachmentKind::SafetensorsHeader => shards += 1,
                AttachmentKind::File if is_index(attachment.name()) => return Ok(Self::Sharded),
                AttachmentKind::File => others += 1,
            }
        }
        Ok(match (shards, others) {
            (0 | 1, 0) => Self::One,
            (1, _) => Self::OneAndOthers,
            _ => Self::Sharded,
        })
    }
}
