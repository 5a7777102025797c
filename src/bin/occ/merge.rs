//! `occ merge`.

use crate::failure::{Failure, exists, in_file, usage};
use crate::numbers::{Bytes, counted};
use crate::paths::{check_distinct, is_dash, is_taken};
use crate::progress::{Progress, is_quiet, watch_for_interrupts};
use clap::Args;
use occ::convert;
use std::path::PathBuf;

/// Merge .occ files, such as those of the shards of a checkpoint, into one.
///
/// Tensors are copied in their coded form, in the order of the inputs. `decompress` restores all
/// files that the inputs were made from: for a.occ, made from one safetensors file, a.safetensors.
/// For lossless files of all shards, in order and with --index if the checkpoint has an index, the
/// output equals the one of `occ compress --no-files FOLDER`.
#[derive(Args)]
pub struct MergeArgs {
    /// .occ files
    #[arg(value_name = "IN", required = true)]
    inputs: Vec<PathBuf>,

    /// The .occ file to write
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,

    /// The index of the shards (*.safetensors.index.json), to be restored with them
    #[arg(long, value_name = "FILE")]
    index: Option<PathBuf>,

    /// Replace an existing file
    #[arg(short, long)]
    force: bool,
}

pub fn run(args: &MergeArgs) -> Result<(), Failure> {
    watch_for_interrupts();
    if args.inputs.iter().chain([&args.output]).any(|path| is_dash(path)) {
        return usage("merge reads indexes at the end of files, and writes a file");
    }
    let inputs = || args.inputs.iter().chain(&args.index);
    check_distinct(inputs().map(PathBuf::as_path), &args.output)?;
    if !args.force && is_taken(&args.output) {
        return exists(&args.output);
    }
    let length =
        |path: &PathBuf| Ok(std::fs::metadata(path).map_err(|error| in_file(path, error))?.len());
    let lengths = args.inputs.iter().map(length).collect::<Result<Vec<u64>, Failure>>()?;
    let progress = Progress::bytes("merging", Some(lengths.iter().sum()));
    let mut report = |bytes| progress.advance(bytes);
    let (index, output) = (args.index.as_deref(), &args.output);
    let bytes = convert::merge(&args.inputs, index, output, args.force, Some(&mut report))?;
    drop(progress);
    if !is_quiet() {
        let files = counted(args.inputs.len() as u64, "file");
        eprintln!("{}: {files}, {}", output.display(), Bytes(bytes));
    }
    Ok(())
}
