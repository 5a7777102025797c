//! `occ decompress`.

use crate::args::{Decompress, is_dash};
use crate::compress::Outcome;
use crate::failure::Failure;
use crate::progress::Progress;
use occ::Reader;
use occ::convert::{self, Target};
use std::io::{BufWriter, IsTerminal, stdin, stdout};
use std::path::{Path, PathBuf};
use std::time::Instant;

pub fn run(args: &Decompress) -> Result<(), Failure> {
    let start = Instant::now();
    let output = output_path(args)?;
    let mut stream = BufWriter::with_capacity(1 << 20, stdout());
    let target = if is_dash(&output) {
        Target::Stream(&mut stream)
    } else {
        Target::Path { path: output.clone(), overwrite: args.common.force }
    };
    let done = if is_dash(&args.input) {
        if stdin().is_terminal() {
            return Err(Failure::Usage("standard input is a terminal, not an .occ file".into()));
        }
        let progress = Progress::new("decompressing", 0);
        convert::decompress_stream(stdin().lock(), target, &mut |n| progress.advance(n))?
    } else {
        let progress = Progress::new("decompressing", decoded_bytes(&args.input)?);
        convert::decompress(&args.input, target, &mut |n| progress.advance(n))?
    };
    let outcome = Outcome {
        input_bytes: done.input_bytes,
        output_bytes: done.output_bytes,
        original_bytes: done.output_bytes,
        weights: done.weights,
        seconds: start.elapsed().as_secs_f64(),
    };
    outcome.report(args.common.json, is_dash(&output))
}

/// Bytes of all tensors when decoded.
fn decoded_bytes(input: &Path) -> Result<u64, Failure> {
    let reader = Reader::open(input)?;
    let mut total = 0u64;
    for tensor in reader.tensors() {
        total = total.saturating_add(tensor?.decoded_bytes());
    }
    Ok(total)
}

fn output_path(args: &Decompress) -> Result<PathBuf, Failure> {
    let output = match &args.output {
        Some(output) => output.clone(),
        None if is_dash(&args.input) => {
            return Err(Failure::Usage("standard input needs -o OUT".into()));
        }
        None => default_output(&args.input)?,
    };
    if is_dash(&output) && stdout().is_terminal() {
        return Err(Failure::Usage("standard output is a terminal".into()));
    }
    Ok(output)
}

/// `model.occ` to `model.safetensors`, or to a folder `model` when it is a sharded checkpoint.
fn default_output(input: &Path) -> Result<PathBuf, Failure> {
    if convert::is_sharded(&Reader::open(input)?)? {
        if input.extension().is_none() {
            return Err(Failure::Usage("an input without extension needs -o OUT".into()));
        }
        return Ok(input.with_extension(""));
    }
    Ok(input.with_extension("safetensors"))
}
