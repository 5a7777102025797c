//! What belongs to a checkpoint, and what lies beside it.

use std::fmt;
use std::path::PathBuf;

/// The files and tensors that were found when a [`Checkpoint`](super::Checkpoint) was opened. Every
/// safetensors file of a folder is in it, so that nothing is left out in silence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Inventory {
    /// The safetensors files that the checkpoint consists of, in order.
    pub shards: Vec<PathBuf>,
    /// Safetensors files and indexes in the folder that are no part of the checkpoint; if other files
    /// are kept, those that are not.
    pub left_out: Vec<LeftOut>,
    /// Tensors of shards that the index does not list: the shard and the name of the tensor. They
    /// are part of the checkpoint, since files are restored byte for byte.
    pub unlisted: Vec<(PathBuf, String)>,
}

/// A file in the folder of a checkpoint that is no part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeftOut {
    /// The file.
    pub path: PathBuf,
    /// Why it is left out.
    pub reason: LeftOutReason,
}

/// Why a file is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum LeftOutReason {
    /// The index of the folder does not list it.
    NotInIndex,
    /// It is in a subfolder with weights, or deeper, and the folder has a checkpoint of its own.
    InSubfolder,
    /// It is a link to a file that does not exist.
    BrokenLink,
    /// Weights, or a state of training, in another format than safetensors.
    OtherFormat,
    /// A file of more than 64 MiB that is not safetensors; or all files that are kept would take
    /// more than 256 MiB, or be more than 10,000.
    TooLarge,
    /// Its name cannot be stored: it is not UTF-8, or contains `\\` or `:`.
    InvalidName,
    /// Not a regular file, or not readable.
    Unreadable,
}

impl LeftOutReason {
    /// All reasons.
    pub const ALL: [Self; 7] = [
        Self::NotInIndex,
        Self::InSubfolder,
        Self::BrokenLink,
        Self::OtherFormat,
        Self::TooLarge,
        Self::InvalidName,
        Self::Unreadable,
    ];
}

impl fmt::Display for LeftOutReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotInIndex => "not in the index",
            Self::InSubfolder => "in a subfolder",
            Self::BrokenLink => "a link to a file that does not exist",
            Self::OtherFormat => "weights in another format",
            Self::TooLarge => "too large (64 MiB each, 256 MiB in all)",
            Self::InvalidName => "a name that cannot be stored",
            Self::Unreadable => "not a file that can be read",
        })
    }
}
