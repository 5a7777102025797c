//! Conversion between safetensors and `.occ`.
//!
//! A safetensors file is restored byte for byte if its tensors were coded losslessly: the `.occ`
//! file holds its header. A checkpoint folder consists of shards, with or without an index. Other
//! safetensors files in the folder are in the [`Inventory`]; files of other kinds, such as the
//! configuration and the tokenizer, are kept by [`Checkpoint::add_files`].

mod attached_files;
mod calibration_files;
mod check_copy;
mod checkpoint;
mod claimed_names;
mod decompress;
mod decompress_report;
mod dtype_conversion;
mod encode_checkpoint;
mod equal_frames;
mod folder;
mod header_faults;
mod imatrix;
mod inventory;
mod json_entries;
mod merge;
mod model_file;
mod new_folders;
mod progress;
mod restored_files;
mod safetensors_header;
mod shard;
mod shard_index;
mod shard_names;
mod target;
mod tree;
mod unpacker;

pub use crate::encode::Written;
pub use check_copy::check_restored;
pub use checkpoint::Checkpoint;
pub use decompress::{
    decompress, decompress_as, decompress_source, decompress_stream, decompress_stream_as,
};
pub use decompress_report::DecompressReport;
pub use encode_checkpoint::{EncodeReport, index_bytes};
pub use inventory::{Inventory, LeftOut, LeftOutReason};
pub use merge::merge;
pub use progress::Progress;
pub use restored_files::is_sharded;
pub use target::{Target, names_folder};
pub use tree::{CheckpointTree, FoundCheckpoint};

pub(crate) use model_file::{ModelFile, ModelTensor};
pub(crate) use progress::Reporter;

/// The name under which an `.occ` file holds the header of a safetensors file that was not opened
/// as part of a folder. It does not depend on the name of that file, so equal tensors give equal
/// `.occ` files.
const SINGLE_FILE_NAME: &str = "model.safetensors";
