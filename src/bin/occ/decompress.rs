//! `occ decompress`.

use crate::args::{Decompress, check_distinct, is_dash, output_path, piped_input};
use crate::compress::Outcome;
use crate::failure::{Failure, usage};
use crate::progress::{Progress, watch_for_interrupts};
use occ::Reader;
use occ::convert::{self, Target};
use std::io::{BufWriter, stdout};
use std::path::{Path, PathBuf};
use std::time::Instant;

pub fn run(args: &Decompress) -> Result<(), Failure> {
    let start = Instant::now();
    watch_for_interrupts();
    let output = output_path(args.output.as_ref(), &args.input, default_output)?;
    check_distinct([args.input.as_path()], &output)?;
    let mut stream = BufWriter::with_capacity(1 << 20, stdout());
    let target = if is_dash(&output) {
        Target::Stream(&mut stream)
    } else {
        Target::Path { path: output.clone(), overwrite: args.common.force }
    };
    let done = if is_dash(&args.input) {
        let progress = Progress::new("decompressing", None);
        convert::decompress_stream(piped_input()?, target, Some(&mut |n| progress.advance(n)))?
    } else {
        let progress = Progress::new("decompressing", Some(decoded_bytes(&args.input)?));
        convert::decompress(&args.input, target, Some(&mut |n| progress.advance(n)))?
    };
    let outcome = Outcome {
        input_bytes: done.input_bytes,
        output_bytes: done.output_bytes,
        original_bytes: done.output_bytes,
        weights: done.weights,
        seconds: start.elapsed().as_secs_f64(),
        loss: None,
    };
    outcome.report(args.common.json, &output)
}

/// Bytes of all tensors when decoded.
pub fn decoded_bytes(input: &Path) -> Result<u64, Failure> {
    let reader = Reader::open(input)?;
    let mut total = 0u64;
    for tensor in reader.tensors() {
        total = total.saturating_add(tensor?.decoded_bytes());
    }
    Ok(total)
}

/// `model.occ` to `model.safetensors`, or to a folder `model` when it is a sharded checkpoint.
fn default_output(input: &Path) -> Result<PathBuf, Failure> {
    if convert::is_sharded(&Reader::open(input)?)? {
        if input.extension().is_none() {
            return usage("an input without extension needs -o OUT");
        }
        return Ok(input.with_extension(""));
    }
    Ok(input.with_extension("safetensors"))
}
