//! `occ compress`.

use crate::args::{Compress, check_distinct, is_dash, output_path, piped_input};
use crate::failure::{Failure, usage};
use crate::progress::{Progress, watch_for_interrupts};
use crate::table::{Bytes, bits_per_weight, ratio};
use occ::convert::Checkpoint;
use occ::{WriteOptions, Writer};
use serde_json::json;
use std::io::{BufWriter, IsTerminal, Write, stdout};
use std::path::{Path, PathBuf};
use std::time::Instant;

pub fn run(args: &Compress) -> Result<(), Failure> {
    let start = Instant::now();
    watch_for_interrupts();
    let output = output_path(args.output.as_ref(), &args.input, default_output)?;
    let overwrite = args.common.force;
    if !overwrite && output.is_file() {
        // Before a long input is read; the writer looks again.
        return usage(&format!("{} exists; --force replaces it", output.display()));
    }
    let checkpoint = open(&args.input, &output)?;
    check_distinct(checkpoint.paths(), &output)?;
    let options = WriteOptions { overwrite, ..WriteOptions::default() };
    let mut writer = if is_dash(&output) {
        Writer::new(BufWriter::with_capacity(1 << 20, stdout()), options)?
    } else {
        Writer::create(&output, options)?
    };
    let progress = Progress::new("compressing", Some(checkpoint.tensor_bytes()));
    checkpoint.write_to(&mut writer, &mut |bytes| progress.advance(bytes))?;
    drop(progress);
    let outcome = Outcome {
        input_bytes: checkpoint.file_bytes(),
        output_bytes: writer.finish()?,
        original_bytes: checkpoint.file_bytes(),
        weights: checkpoint.weights(),
        seconds: start.elapsed().as_secs_f64(),
    };
    outcome.report(args.common.json, &output)
}

fn open(input: &Path, output: &Path) -> Result<Checkpoint, Failure> {
    if !is_dash(input) {
        return Ok(Checkpoint::open(input)?);
    }
    // Beside the output there is room for the input, more likely than where temporary files go.
    let folder = match output.parent() {
        _ if is_dash(output) => std::env::temp_dir(),
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    let progress = Progress::new("reading", None);
    let mut input = piped_input()?;
    Ok(Checkpoint::spool(&mut input, folder, &mut |bytes| progress.advance(bytes))?)
}

/// `model.safetensors` to `model.occ`; a folder `model` to `model.occ` beside it.
fn default_output(input: &Path) -> Result<PathBuf, Failure> {
    if !input.is_dir() {
        return Ok(input.with_extension("occ"));
    }
    // Resolved, so that `.` has a name.
    let folder = input.canonicalize().map_err(occ::Error::from)?;
    let name = folder.file_name();
    let Some(name) = name else { return usage("this folder needs -o OUT") };
    let mut file = name.to_owned();
    file.push(".occ");
    Ok(folder.with_file_name(file))
}

/// What a conversion did, for people and machines.
pub struct Outcome {
    pub input_bytes: u64,
    pub output_bytes: u64,
    /// The uncompressed one of the two.
    pub original_bytes: u64,
    pub weights: u64,
    pub seconds: f64,
}

impl Outcome {
    /// Reports as JSON, or in a line to a terminal; away from standard output where the data go.
    pub fn report(&self, json: bool, output: &Path) -> Result<(), Failure> {
        let compressed = self.input_bytes + self.output_bytes - self.original_bytes;
        let ratio = ratio(compressed, self.original_bytes);
        let bits = bits_per_weight(compressed, self.weights);
        if json {
            let report = json!({
                "input_bytes": self.input_bytes,
                "output_bytes": self.output_bytes,
                "ratio": ratio,
                "weights": self.weights,
                "bits_per_weight": bits,
                "seconds": self.seconds,
            });
            if !is_dash(output) {
                return crate::print(&report.to_string());
            }
            // Nobody is left to tell when standard error is gone.
            let _ = writeln!(std::io::stderr(), "{report}");
        } else if std::io::stderr().is_terminal() {
            eprintln!(
                "{}: {} → {}, ratio {ratio:.4}, {bits:.2} bits a weight, {:.2} s",
                output.display(),
                Bytes(self.input_bytes),
                Bytes(self.output_bytes),
                self.seconds,
            );
        }
        Ok(())
    }
}
