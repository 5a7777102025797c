//! `occ compress`.

mod dry_run;
mod lossless;
mod lossy;
mod tensor_line;

use crate::failure::{Failure, exists, in_file, usage};
use crate::hub;
use crate::model;
use crate::names::listed;
use crate::numbers::{Bytes, counted};
use crate::outcome::{CodingError, ConversionArgs, Outcome};
use crate::paths::{
    check_distinct, create_folder_of, file_name, folder_of, is_dash, is_taken, output_path,
    piped_input, resolved,
};
use crate::progress::{Progress, is_quiet, watch_for_interrupts};
use crate::removal::Originals;
use crate::report;
use clap::Args;
pub use lossy::LossyArgs;
use occ::convert::{Checkpoint, CheckpointTree, FoundCheckpoint, Written, names_folder};
use occ::{WriteOptions, Writer};
use std::collections::BTreeSet;
use std::io::{BufWriter, ErrorKind, stdout};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tensor_line::tensor_line;

/// Compress safetensors into .occ files, losslessly or lossily.
///
/// Lossless by default: decompression restores every byte of the input, including the header text,
/// the order of tensors, padding and metadata. With --bits, --snr or --rel-error weight matrices
/// are quantised and keep their dtype; all other tensors stay lossless.
///
/// A folder becomes one file. It contains an index (*.safetensors.index.json) and the shards that
/// it lists; or, without an index, numbered shards or a single safetensors file. The other files of
/// the folder and of subfolders without weights, such as config.json and the tokenizer, are stored in
/// it, too: up to 64 MiB each and 256 MiB in all, hidden files excepted. Other safetensors files, weights
/// in other formats and what is too large are left out and named in a warning. With -r a tree of
/// folders is compressed, such as a pipeline of diffusers.
///
/// Of a folder models--OWNER--NAME in the cache of the Hugging Face hub, the snapshot of the main
/// branch is read. Nothing is written into the cache unless -o says so: by default NAME.occ is written
/// to the current folder.
#[derive(Args)]
pub struct CompressArgs {
    /// .safetensors files, indexes of shards, checkpoint folders, or - for standard input
    #[arg(value_name = "IN", required = true)]
    inputs: Vec<PathBuf>,

    /// The .occ file to write, - for standard output, or a folder for files named after the inputs
    /// [default: IN with extension .occ, outside of the cache of the Hugging Face hub]
    #[arg(short, long, value_name = "OUT")]
    output: Option<PathBuf>,

    /// Compress all checkpoints below the folder IN, each to a file with the same relative path
    /// below the folder OUT. Other files of a folder are stored in its first .occ file; those of
    /// folders without a checkpoint are not copied
    #[arg(short, long, requires = "output", conflicts_with_all = ["report", "save_plan"])]
    recursive: bool,

    /// Do not store the other files of a folder, such as config.json
    #[arg(long)]
    no_files: bool,

    /// Print the plan and the estimated size, but write nothing
    ///
    /// Tensors are planned as without this option, or read once if compression is lossless, but
    /// not encoded.
    #[arg(long, conflicts_with_all = ["report", "save_plan", "force", "remove", "verbose"])]
    dry_run: bool,

    /// Approximate number of weights in a chunk, the unit of random access; twice as many in lossy
    /// chunks. Small chunks take more bytes [default: 262144, and 65536 for embeddings of tokens and
    /// output heads, of which single rows are read]
    #[arg(long, value_name = "N", conflicts_with = "dry_run",
          value_parser = clap::value_parser!(u64).range(1..))]
    chunk: Option<u64>,

    #[command(flatten)]
    lossy: LossyArgs,

    /// Also write an HTML report: sizes, coordinates, and size and error of each tensor
    ///
    /// The report is written last. If that fails, the .occ file is still complete.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,

    #[command(flatten)]
    conversion: ConversionArgs,
}

pub fn run(args: &CompressArgs) -> Result<(), Failure> {
    watch_for_interrupts();
    args.conversion.check(&args.inputs, args.output.as_ref())?;
    if args.conversion.remove && args.lossy.is_lossy() && !args.conversion.force {
        return usage(
            "--rm with lossy compression removes weights that cannot be restored: \
             it needs --force, too",
        );
    }
    let mut originals = Originals::default();
    if args.recursive {
        compress_tree(args, &mut originals)?;
    } else {
        match &args.inputs[..] {
            [input] => compress_one(args, input, &mut originals)?,
            _ => compress_several(args, &mut originals)?,
        }
    }
    originals.remove()
}

fn compress_one(
    args: &CompressArgs,
    input: &Path,
    originals: &mut Originals,
) -> Result<(), Failure> {
    let input = &hub::resolved(input)?;
    let output = output_path(args.output.as_ref(), input, default_output)?;
    if names_folder(&output) {
        let output = output.join(file_name(&default_output(input)?));
        check_outputs(args, &output)?;
        return compress_into_folder(
            args,
            &open(args, input, &output)?,
            [input, &output],
            originals,
        );
    }
    check_outputs(args, &output)?;
    compress(args, &open(args, input, &output)?, [input, &output], originals)
}

/// Compresses each input to a file in the output folder.
fn compress_several(args: &CompressArgs, originals: &mut Originals) -> Result<(), Failure> {
    let Some(folder) = args.output.as_ref().filter(|output| !is_dash(output)) else {
        return usage("several inputs need -o FOLDER");
    };
    if args.report.is_some() || args.lossy.plan_output().is_some() {
        return usage("--report and --save-plan need a single input");
    }
    if args.inputs.iter().any(|input| is_dash(input)) {
        return usage("standard input must be the only input");
    }
    let inputs = args.inputs.iter().map(|input| hub::resolved(input));
    let inputs = inputs.collect::<Result<Vec<_>, Failure>>()?;
    let output = |input: &PathBuf| Ok(folder.join(file_name(&default_output(input)?)));
    let outputs = inputs.iter().map(output).collect::<Result<Vec<_>, Failure>>()?;
    for (number, output) in outputs.iter().enumerate() {
        if outputs[..number].contains(output) {
            return usage(&format!("two inputs would become {}", output.display()));
        }
        check_outputs(args, output)?;
    }
    for (input, output) in inputs.iter().zip(&outputs) {
        compress_into_folder(args, &open(args, input, output)?, [input, output], originals)?;
    }
    Ok(())
}

/// Compresses to a file in a folder that may not exist yet.
fn compress_into_folder(
    args: &CompressArgs,
    checkpoint: &Checkpoint,
    paths: [&Path; 2],
    originals: &mut Originals,
) -> Result<(), Failure> {
    if !args.dry_run {
        create_folder_of(paths[1])?;
    }
    compress(args, checkpoint, paths, originals)
}

/// Compresses each checkpoint below the input folder.
fn compress_tree(args: &CompressArgs, originals: &mut Originals) -> Result<(), Failure> {
    let ([root], Some(folder)) = (&args.inputs[..], &args.output) else {
        return usage("-r needs one folder");
    };
    if !root.is_dir() || is_dash(folder) {
        return usage("-r compresses a folder into a folder: occ compress -r IN -o OUT");
    }
    let root = &hub::resolved(root)?;
    let tree = CheckpointTree::find(root)?;
    if tree.checkpoints.is_empty() {
        return usage(&format!("no safetensors in {} and below", root.display()));
    }
    let output = |found: &FoundCheckpoint| {
        let mut path = folder.join(found.relative()).into_os_string();
        path.push(".occ");
        PathBuf::from(path)
    };
    for found in &tree.checkpoints {
        check_outputs(args, &output(found))?;
    }
    let mut others: BTreeSet<&Path> = tree.others.iter().map(PathBuf::as_path).collect();
    for found in &tree.checkpoints {
        let input = root.join(found.relative());
        let checkpoint = if args.no_files { found.open() } else { found.open_with_files() }?;
        let named = checkpoint.inventory().left_out.iter().map(|file| file.path.as_path());
        for path in checkpoint.paths().chain(named) {
            if let Ok(relative) = path.strip_prefix(root) {
                others.remove(relative);
            }
        }
        compress_into_folder(args, &checkpoint, [&input, &output(found)], originals)?;
    }
    if !others.is_empty() {
        let others: Vec<_> = others.into_iter().map(Path::display).collect();
        eprintln!("warning: not copied: {}", listed(&others));
    }
    Ok(())
}

/// Compresses a checkpoint that was read from `input` to `output`. With `--rm`, checks the output
/// and adds the files of the checkpoint to `originals`.
fn compress(
    args: &CompressArgs,
    checkpoint: &Checkpoint,
    [input, output]: [&Path; 2],
    originals: &mut Originals,
) -> Result<(), Failure> {
    let start = Instant::now();
    model::warn(checkpoint.inventory());
    let inputs: Vec<&Path> = checkpoint.paths().chain(args.lossy.inputs()).collect();
    let further = [args.report.as_deref(), args.lossy.plan_output()];
    for path in std::iter::once(output).chain(further.into_iter().flatten()) {
        check_distinct(inputs.iter().copied(), path)?;
    }
    if args.dry_run {
        return dry_run::run(args, checkpoint, output);
    }
    if args.conversion.remove {
        originals.add(checkpoint.paths())?;
    }
    let options = WriteOptions::default().overwrite(args.conversion.force).mode(checkpoint.mode());
    let options = options.chunk_elements(args.chunk);
    let mut writer = if is_dash(output) {
        Writer::new(BufWriter::with_capacity(1 << 16, stdout()), options)?
    } else {
        Writer::create(output, options)?
    };
    let plan = args.lossy.plan(checkpoint, args.conversion.force)?;
    let task = if args.lossy.is_planned() { "compressing (2 of 2)" } else { "compressing" };
    let progress = Progress::bytes(task, Some(checkpoint.tensor_bytes()));
    let encoded = checkpoint.write_observed(&mut writer, &plan, &mut |written| match written {
        Written::Bytes(bytes) => progress.advance(bytes),
        Written::Tensor { name, codec, stats } if args.conversion.verbose => {
            progress.print(&tensor_line(name, codec, &stats, plan.get(name)));
            ControlFlow::Continue(())
        }
        _ => ControlFlow::Continue(()),
    })?;
    drop(progress);
    let input_bytes = checkpoint.file_bytes();
    let output_bytes = writer.finish()?;
    if args.conversion.remove {
        let progress = Progress::bytes("comparing", Some(checkpoint.tensor_bytes()));
        checkpoint.check_copy(output, Some(&mut |bytes| progress.advance(bytes)))?;
    }
    let seconds = start.elapsed().as_secs_f64();
    if let Some(path) = &args.report {
        let done = report::Compression {
            input,
            output,
            input_bytes,
            target: args.lossy.target(),
            snr_db: encoded.snr_db(),
        };
        report::write(path, &report::compression(&done)?, args.conversion.force)?;
    }
    let error = CodingError { snr_db: encoded.snr_db(), rel_error: encoded.rel_error() };
    let outcome =
        Outcome::compressed([input_bytes, output_bytes], checkpoint.weights(), seconds, error);
    let files = checkpoint.attached_files();
    if files > 0 && !args.conversion.json && !is_quiet() {
        let (files, bytes) = (counted(files as u64, "other file"), checkpoint.attached_bytes());
        eprintln!("{files} stored with the weights, {}", Bytes(bytes));
    }
    if let Some(summary) =
        lossless::summary(&plan, &encoded).filter(|_| !args.conversion.json && !is_quiet())
    {
        eprintln!("{summary}");
    }
    outcome.print(&args.conversion, output)
}

/// Refuses to replace files, before a long input is read. The writer checks its output again.
fn check_outputs(args: &CompressArgs, output: &Path) -> Result<(), Failure> {
    if args.dry_run {
        return Ok(());
    }
    if !args.conversion.force && is_taken(output) {
        return exists(output);
    }
    let (report, plan) = (args.report.as_deref(), args.lossy.plan_output());
    if report.is_some() && is_dash(output) {
        return usage("a report is made from the finished file: it needs -o OUT");
    }
    if plan.is_some_and(is_dash) {
        return usage("a plan is written to a file, not to standard output");
    }
    let outputs = [Some(output), report, plan].into_iter().flatten();
    let mut resolved: Vec<_> = outputs.map(resolved).collect();
    let count = resolved.len();
    resolved.sort_unstable();
    resolved.dedup();
    if resolved.len() < count {
        return usage("two outputs are the same file");
    }
    if let Some(plan) = plan.filter(|plan| !args.conversion.force && is_taken(plan)) {
        return exists(plan);
    }
    report.map_or(Ok(()), |path| crate::report::check(path, args.conversion.force))
}

fn open(args: &CompressArgs, input: &Path, output: &Path) -> Result<Checkpoint, Failure> {
    if !is_dash(input) {
        let mut checkpoint = Checkpoint::open(input).map_err(|error| with_advice(error, input))?;
        if input.is_dir() && !args.no_files {
            checkpoint.add_files(input)?;
        }
        return Ok(checkpoint);
    }
    // A copy of the input is more likely to fit beside the output than in the temporary folder,
    // which can be in memory.
    let folder = match is_dash(output) {
        true => std::env::temp_dir(),
        false => folder_of(output).to_owned(),
    };
    let progress = Progress::bytes("reading", None);
    let mut input = piped_input()?;
    Ok(Checkpoint::spool(&mut input, folder, Some(&mut |bytes| progress.advance(bytes)))?)
}

/// Says that -r helps, where it does.
fn with_advice(error: occ::Error, folder: &Path) -> Failure {
    let is_unclear = match &error {
        occ::Error::SeveralCheckpoints { .. } => true,
        occ::Error::Io { path: Some(path), source } => {
            source.kind() == ErrorKind::NotFound && path == folder && folder.is_dir()
        }
        _ => false,
    };
    let has_some = |tree: CheckpointTree| !tree.checkpoints.is_empty();
    if is_unclear && CheckpointTree::find(folder).is_ok_and(has_some) {
        return Failure::Usage(format!(
            "{error}; `occ compress -r IN -o OUT` compresses each of them"
        ));
    }
    error.into()
}

/// `model.occ` for `model.safetensors` or its index, or beside a folder `model`; in the current
/// folder for files of the cache of the Hugging Face hub.
fn default_output(input: &Path) -> Result<PathBuf, Failure> {
    hub::outside_of_cache(output_beside(input)?, input)
}

fn output_beside(input: &Path) -> Result<PathBuf, Failure> {
    if !input.is_dir() {
        // `model` for `model.safetensors.index.json`
        let name = file_name(input).to_string_lossy().into_owned();
        return Ok(match name.split_once(".safetensors.index") {
            Some((stem, rest)) => {
                let variant = rest.trim_end_matches("json").trim_end_matches('.');
                input.with_file_name(format!("{stem}{variant}.occ"))
            }
            None => input.with_extension("occ"),
        });
    }
    // Resolved, so that `.` has a name.
    let folder = input.canonicalize().map_err(|error| in_file(input, error))?;
    let Some(name) = folder.file_name() else { return usage("this folder needs -o OUT") };
    let mut file = name.to_owned();
    file.push(".occ");
    Ok(folder.with_file_name(file))
}
