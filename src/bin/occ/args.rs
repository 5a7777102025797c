//! The command line.

use clap::{Args as ClapArgs, Parser, Subcommand};
use std::path::{Path, PathBuf};

/// Compress neural-network weights into .occ files, and back.
///
/// Exit codes: 0 done; 1 bad data, or it could not be read or written; 2 wrong usage.
#[derive(Parser)]
#[command(version, max_term_width = 100)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    Compress(Compress),
    Decompress(Decompress),
    Inspect(Inspect),
    Verify(Verify),
    Demo(Demo),
}

/// Compress safetensors into one .occ file, losslessly.
///
/// The .occ file gives back every byte: header text, order, padding, metadata. Of a folder, the
/// shards named by model.safetensors.index.json are taken, and that file itself.
#[derive(ClapArgs)]
pub struct Compress {
    /// A .safetensors file, a checkpoint folder, or - for standard input
    pub input: PathBuf,

    /// The .occ file to write, or - for standard output [default: IN with extension .occ]
    #[arg(short, long, value_name = "OUT")]
    pub output: Option<PathBuf>,

    #[command(flatten)]
    pub common: Common,
}

/// Restore the safetensors file or checkpoint folder from an .occ file.
#[derive(ClapArgs)]
pub struct Decompress {
    /// An .occ file, or - for standard input
    pub input: PathBuf,

    /// The file to write, for a sharded checkpoint the folder; - for standard output
    /// [default: IN with extension .safetensors, or without one for a folder]
    #[arg(short, long, value_name = "OUT")]
    pub output: Option<PathBuf>,

    #[command(flatten)]
    pub common: Common,
}

#[derive(ClapArgs)]
pub struct Common {
    /// Replace existing files
    #[arg(short, long)]
    pub force: bool,

    /// Report as JSON: input_bytes, output_bytes, ratio (compressed to original), weights,
    /// bits_per_weight, seconds
    #[arg(long)]
    pub json: bool,
}

/// List what an .occ file holds.
#[derive(ClapArgs)]
pub struct Inspect {
    /// An .occ file
    pub file: PathBuf,

    /// Report as JSON
    #[arg(long)]
    pub json: bool,
}

/// Check an .occ file: structure, every checksum, and that index and frames agree.
#[derive(ClapArgs)]
pub struct Verify {
    /// An .occ file, or - for standard input
    pub file: PathBuf,

    /// Decode everything, too, and compare the checksums of the decoded tensors
    #[arg(long)]
    pub deep: bool,

    /// Report as JSON
    #[arg(long)]
    pub json: bool,
}

/// Compress and restore a made-up model, or yours, and show what it takes.
///
/// Without a model, a checkpoint of 20 million weights is made up, always the same. Everything
/// happens in a temporary folder.
#[derive(ClapArgs)]
pub struct Demo {
    /// A .safetensors file or checkpoint folder of your own
    pub model: Option<PathBuf>,
}

/// Whether a path stands for standard input or output.
pub fn is_dash(path: &Path) -> bool {
    path.as_os_str() == "-"
}
