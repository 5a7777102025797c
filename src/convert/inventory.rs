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
    /// Safetensors files and indexes in the folder that are no part of the checkpoint.
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
    /// It is in a subfolder, and the folder has a checkpoint of its own.
    InSubfolder,
    /// It is a link to a file that does not exist.
    BrokenLink,
}

impl fmt::Display for LeftOutReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotInIndex => "not in the index",
            Self::InSubfolder => "in a subfolder",
            Self::BrokenLink => "a link to a file that does not exist",
        })
    }
}
