//! `occ compress`.

use crate::args::{Compress, is_dash};
use crate::failure::Failure;
use crate::progress::Progress;
use crate::table::{Bytes, bits_per_weight, ratio};
use occ::convert::Checkpoint;
use occ::{WriteOptions, Writer};
use serde_json::json;
use std::io::{BufWriter, IsTerminal, Write, stdin, stdout};
use std::path::{Path, PathBuf};
use std::time::Instant;

pub fn run(args: &Compress) -> Result<(), Failure> {
    let start = Instant::now();
    let output = output_path(args)?;
    let options = WriteOptions { overwrite: args.common.force, ..WriteOptions::default() };
    // Before the input is read, so that a refusal comes at once.
    let mut writer = if is_dash(&output) {
        Writer::new(BufWriter::with_capacity(1 << 20, stdout()), options)?
    } else {
        Writer::create(&output, options)?
    };
    let checkpoint = open(&args.input, &output)?;
    let progress = Progress::new("compressing", checkpoint.tensor_bytes());
    checkpoint.write_to(&mut writer, &mut |bytes| progress.advance(bytes))?;
    drop(progress);
    let outcome = Outcome {
        input_bytes: checkpoint.file_bytes(),
        output_bytes: writer.finish()?,
        original_bytes: checkpoint.file_bytes(),
        weights: checkpoint.weights(),
        seconds: start.elapsed().as_secs_f64(),
    };
    outcome.report(args.common.json, is_dash(&output))
}

fn open(input: &Path, output: &Path) -> Result<Checkpoint, Failure> {
    if !is_dash(input) {
        return Ok(Checkpoint::open(input)?);
    }
    if stdin().is_terminal() {
        return Err(Failure::Usage("standard input is a terminal, not a safetensors file".into()));
    }
    // Beside the output there is room for the input, more likely than where temporary files go.
    let folder = output.parent().filter(|_| !is_dash(output)).map(Path::to_owned);
    let folder = folder.unwrap_or_else(std::env::temp_dir);
    let folder = if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder };
    Ok(Checkpoint::spool(stdin().lock(), folder)?)
}

fn output_path(args: &Compress) -> Result<PathBuf, Failure> {
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

/// `model.safetensors` to `model.occ`; a folder `model` to `model.occ` beside it.
fn default_output(input: &Path) -> Result<PathBuf, Failure> {
    if !input.is_dir() {
        return Ok(input.with_extension("occ"));
    }
    // Resolved, so that `.` has a name.
    let folder = input.canonicalize().map_err(occ::Error::from)?;
    let name = folder.file_name();
    let name = name.ok_or_else(|| Failure::Usage("this folder needs -o OUT".into()))?;
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
    pub fn report(&self, json: bool, output_is_stdout: bool) -> Result<(), Failure> {
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
            if !output_is_stdout {
                return crate::print(&report.to_string());
            }
            // Nobody is left to tell when standard error is gone.
            let _ = writeln!(std::io::stderr(), "{report}");
        } else if std::io::stderr().is_terminal() {
            eprintln!(
                "{} → {}, ratio {ratio:.4}, {bits:.2} bits a weight, {:.2} s, {}/s",
                Bytes(self.input_bytes),
                Bytes(self.output_bytes),
                self.seconds,
                Bytes((self.original_bytes as f64 / self.seconds) as u64),
            );
        }
        Ok(())
    }
}
