//! The command line.

use crate::failure::{Failure, usage};
use clap::{Args as ClapArgs, Parser, Subcommand};
use std::io::{IsTerminal, StdinLock, stdin, stdout};
use std::path::{Path, PathBuf};

/// Compress neural-network weights into .occ files, and back.
///
/// Exit codes: 0 done; 1 bad data, or it could not be read or written; 2 wrong usage; 130
/// interrupted.
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
    Compare(Compare),
    Demo(Demo),
}

/// Compress safetensors into one .occ file, losslessly.
///
/// The .occ file gives back every byte: header text, order, padding, metadata. Of a folder, the
/// shards named by model.safetensors.index.json are taken, and that file itself.
#[derive(ClapArgs)]
pub struct Compress {
    /// A .safetensors file, a checkpoint folder, or - for standard input
    #[arg(value_name = "IN")]
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
    #[arg(value_name = "IN")]
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

/// Tell how far two models are apart, tensor by tensor.
///
/// Each is an .occ file, a .safetensors file or a checkpoint folder. A is the original: errors are
/// relative to it. That they differ is no failure.
#[derive(ClapArgs)]
pub struct Compare {
    /// The original
    pub a: PathBuf,

    /// What became of it
    pub b: PathBuf,

    /// Report as JSON: tensors, total, only_in_a, only_in_b; null for what is infinite or unknown
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

/// Where to write: what was asked for, or else the default for an input that has a name.
pub fn output_path(
    asked: Option<&PathBuf>,
    input: &Path,
    default: impl Fn(&Path) -> Result<PathBuf, Failure>,
) -> Result<PathBuf, Failure> {
    let output = match asked {
        Some(output) => output.clone(),
        None if is_dash(input) => return usage("standard input needs -o OUT"),
        None => default(input)?,
    };
    if is_dash(&output) && stdout().is_terminal() {
        return usage("standard output is a terminal");
    }
    Ok(output)
}

/// Standard input, unless a person sits there.
pub fn piped_input() -> Result<StdinLock<'static>, Failure> {
    if stdin().is_terminal() {
        return usage("standard input is a terminal, not a file");
    }
    Ok(stdin().lock())
}

/// Refuses to write over what is being read.
pub fn check_distinct<'p>(
    inputs: impl IntoIterator<Item = &'p Path>,
    output: &Path,
) -> Result<(), Failure> {
    let Ok(output) = output.canonicalize() else { return Ok(()) };
    for input in inputs {
        if input.canonicalize().is_ok_and(|input| input == output) {
            return usage("input and output are the same file");
        }
    }
    Ok(())
}
