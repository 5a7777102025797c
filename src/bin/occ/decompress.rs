//! `occ decompress`.

use crate::failure::{Failure, usage};
use crate::outcome::{ConversionArgs, Outcome};
use crate::paths::{check_distinct, is_dash, output_path, piped_input};
use crate::progress::{Progress, decoded_bytes, watch_for_interrupts};
use clap::Args;
use occ::Reader;
use occ::convert::{self, Target};
use std::io::{BufWriter, stdout};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Restore the safetensors file or checkpoint folder from an .occ file.
#[derive(Args)]
pub struct DecompressArgs {
    /// An .occ file, or - for standard input
    #[arg(value_name = "IN")]
    input: PathBuf,

    /// The file to write, for a sharded checkpoint the folder; - for standard output
    /// [default: IN with extension .safetensors, or without extension for a folder]
    #[arg(short, long, value_name = "OUT")]
    output: Option<PathBuf>,

    #[command(flatten)]
    conversion: ConversionArgs,
}

pub fn run(args: &DecompressArgs) -> Result<(), Failure> {
    let start = Instant::now();
    watch_for_interrupts();
    let output = output_path(args.output.as_ref(), &args.input, default_output)?;
    check_distinct([args.input.as_path()], &output)?;
    let mut stream = BufWriter::with_capacity(1 << 20, stdout());
    let target = if is_dash(&output) {
        Target::Stream(&mut stream)
    } else {
        Target::Path { path: output.clone(), overwrite: args.conversion.force }
    };
    let done = if is_dash(&args.input) {
        let progress = Progress::bytes("decompressing", None);
        convert::decompress_stream(piped_input()?, target, Some(&mut |n| progress.advance(n)))?
    } else {
        let progress = Progress::bytes("decompressing", Some(decoded_bytes(&args.input)?));
        convert::decompress(&args.input, target, Some(&mut |n| progress.advance(n)))?
    };
    let seconds = start.elapsed().as_secs_f64();
    let outcome =
        Outcome::decompressed([done.input_bytes, done.output_bytes], done.weights, seconds);
    outcome.print(&args.conversion, &output)
}

/// `model.safetensors` for `model.occ`, or a folder `model` for a sharded checkpoint.
fn default_output(input: &Path) -> Result<PathBuf, Failure> {
    if convert::is_sharded(&Reader::open(input)?)? {
        if input.extension().is_none() {
            return usage("an input without extension needs -o OUT");
        }
        return Ok(input.with_extension(""));
    }
    Ok(input.with_extension("safetensors"))
}
