//! Conversion between safetensors and `.occ`.
//!
//! A safetensors file is restored byte for byte if its tensors were coded losslessly: the `.occ`
//! file holds its header. A checkpoint folder consists of `model.safetensors.index.json` and the
//! shards that this index lists. Other files in the folder are ignored.

mod calibration_files;
mod checkpoint;
mod decompress;
mod encode_checkpoint;
mod imatrix;
mod model_file;
mod progress;
mod safetensors_header;

pub use checkpoint::Checkpoint;
pub use decompress::{DecompressReport, Target, decompress, decompress_stream, is_sharded};
pub use encode_checkpoint::EncodeReport;
pub use progress::Progress;

pub(crate) use model_file::{ModelFile, ModelTensor};
pub(crate) use progress::Reporter;

/// The index of a sharded checkpoint.
const INDEX_NAME: &str = "model.safetensors.index.json";

/// The name under which an `.occ` file holds the header of a single safetensors file. It does not
/// depend on the name of that file, so equal tensors give equal `.occ` files.
const SINGLE_FILE_NAME: &str = "model.safetensors";
