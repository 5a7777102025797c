//! `occ compress`.

mod lossy;

use crate::failure::{Failure, exists, usage};
use crate::outcome::{CodingError, ConversionArgs, Outcome};
use crate::paths::{self, check_distinct, is_dash, is_taken, output_path, piped_input};
use crate::progress::{Progress, watch_for_interrupts};
use crate::report;
use clap::Args;
use lossy::LossyArgs;
use occ::convert::Checkpoint;
use occ::{WriteOptions, Writer};
use std::io::{BufWriter, stdout};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Compress safetensors into one .occ file, losslessly or lossily.
///
/// Lossless by default: decompression restores every byte of the input, including the header text,
/// the order of tensors, padding and metadata. With --bits, --snr or --rel-error weight matrices
/// are quantised and keep their dtype; all other tensors stay lossless. From a folder the shards
/// that model.safetensors.index.json lists are compressed, and that file itself.
#[derive(Args)]
pub struct CompressArgs {
    /// A .safetensors file, a checkpoint folder, or - for standard input
    #[arg(value_name = "IN")]
    input: PathBuf,

    /// The .occ file to write, or - for standard output [default: IN with extension .occ]
    #[arg(short, long, value_name = "OUT")]
    output: Option<PathBuf>,

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
    let start = Instant::now();
    watch_for_interrupts();
    let output = output_path(args.output.as_ref(), &args.input, default_output)?;
    check_outputs(args, &output)?;
    let checkpoint = open(&args.input, &output)?;
    let inputs: Vec<&Path> = checkpoint.paths().chain(args.lossy.inputs()).collect();
    let further = [args.report.as_deref(), args.lossy.plan_output()];
    for path in std::iter::once(&*output).chain(further.into_iter().flatten()) {
        check_distinct(inputs.iter().copied(), path)?;
    }
    let options = WriteOptions::default().overwrite(args.conversion.force).mode(checkpoint.mode());
    let mut writer = if is_dash(&output) {
        Writer::new(BufWriter::with_capacity(1 << 20, stdout()), options)?
    } else {
        Writer::create(&output, options)?
    };
    let plan = args.lossy.plan(&checkpoint, args.conversion.force)?;
    let progress = Progress::bytes("compressing", Some(checkpoint.tensor_bytes()));
    let encoded =
        checkpoint.write_planned(&mut writer, &plan, Some(&mut |bytes| progress.advance(bytes)))?;
    drop(progress);
    let input_bytes = checkpoint.file_bytes();
    let output_bytes = writer.finish()?;
    let seconds = start.elapsed().as_secs_f64();
    if let Some(path) = &args.report {
        let done = report::Compression {
            input: &args.input,
            output: &output,
            input_bytes,
            target: args.lossy.target(),
            snr_db: encoded.snr_db(),
        };
        report::write(path, &report::compression(&done)?)?;
    }
    let error = CodingError { snr_db: encoded.snr_db(), rel_error: encoded.rel_error() };
    let outcome =
        Outcome::compressed([input_bytes, output_bytes], checkpoint.weights(), seconds, error);
    outcome.print(&args.conversion, &output)
}

/// Refuses to replace files, before a long input is read. The writer checks its output again.
fn check_outputs(args: &CompressArgs, output: &Path) -> Result<(), Failure> {
    if !args.conversion.force && is_taken(output) {
        return exists(output);
    }
    let (report, plan) = (args.report.as_deref(), args.lossy.plan_output());
    if report.is_some() && is_dash(output) {
        return usage("a report is made from the finished file: it needs -o OUT");
    }
    let outputs = [Some(output), report, plan].into_iter().flatten();
    let mut resolved: Vec<_> = outputs.map(paths::resolved).collect();
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

fn open(input: &Path, output: &Path) -> Result<Checkpoint, Failure> {
    if !is_dash(input) {
        return Ok(Checkpoint::open(input)?);
    }
    // A copy of the input is more likely to fit beside the output than in the temporary folder,
    // which can be in memory.
    let folder = match output.parent() {
        _ if is_dash(output) => std::env::temp_dir(),
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    let progress = Progress::bytes("reading", None);
    let mut input = piped_input()?;
    Ok(Checkpoint::spool(&mut input, folder, Some(&mut |bytes| progress.advance(bytes)))?)
}

/// `model.occ` for `model.safetensors`, or beside a folder `model`.
fn default_output(input: &Path) -> Result<PathBuf, Failure> {
    if !input.is_dir() {
        return Ok(input.with_extension("occ"));
    }
    // Resolved, so that `.` has a name.
    let folder = input.canonicalize().map_err(occ::Error::from)?;
    let Some(name) = folder.file_name() else { return usage("this folder needs -o OUT") };
    let mut file = name.to_owned();
    file.push(".occ");
    Ok(folder.with_file_name(file))
}
