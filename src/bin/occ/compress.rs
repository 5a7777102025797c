//! `occ compress`.

use crate::args::{
    Axes, Compress, Loss, Spread, check_distinct, is_dash, output_path, piped_input,
};
use crate::failure::{Failure, exists, in_file, usage};
use crate::numbers::{Bytes, bits_per_weight, ratio};
use crate::progress::{Progress, watch_for_interrupts};
use crate::report;
use occ::convert::Checkpoint;
use occ::{Coordinates, Encoding, Plan, Weighting, WriteOptions, Writer};
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
        return exists(&output);
    }
    if let Some(path) = &args.report {
        if is_dash(&output) {
            return usage("a report is made from the finished file: it needs -o OUT");
        }
        if std::path::absolute(path).ok() == std::path::absolute(&output).ok() {
            return usage("output and report are the same file");
        }
        report::check(path, overwrite)?;
    }
    let checkpoint = open(&args.input, &output)?;
    check_distinct(checkpoint.paths(), &output)?;
    let options = WriteOptions::default().overwrite(overwrite);
    let mut writer = if is_dash(&output) {
        Writer::new(BufWriter::with_capacity(1 << 20, stdout()), options)?
    } else {
        Writer::create(&output, options)?
    };
    let plan = plan(&args.loss, &checkpoint)?;
    let progress = Progress::new("compressing", Some(checkpoint.tensor_bytes()));
    let encoded =
        checkpoint.write_planned(&mut writer, &plan, Some(&mut |bytes| progress.advance(bytes)))?;
    drop(progress);
    let outcome = Outcome {
        input_bytes: checkpoint.file_bytes(),
        output_bytes: writer.finish()?,
        original_bytes: checkpoint.file_bytes(),
        weights: checkpoint.weights(),
        seconds: start.elapsed().as_secs_f64(),
        loss: Some((encoded.snr_db(), encoded.rel_error())),
    };
    if let Some(path) = &args.report {
        let done = report::Compression {
            input: &args.input,
            output: &output,
            input_bytes: outcome.input_bytes,
            aim: aim(&args.loss),
            snr_db: encoded.snr_db(),
        };
        report::write(path, &report::compression(&done)?)?;
    }
    outcome.report(args.common.json, &output)
}

/// What was to be reached, in words.
fn aim(loss: &Loss) -> String {
    match (&loss.plan, loss.bits, loss.snr, loss.rel_error) {
        (Some(_), ..) => "as an earlier plan has it".into(),
        (_, Some(bits), ..) => format!("at most {bits} bits a weight"),
        (_, _, Some(snr), _) => format!("at least {snr} dB in every matrix"),
        (.., Some(error)) => format!("a relative error of at most {error} in every matrix"),
        _ if !loss.bits_for.is_empty() => "some tensors with loss".into(),
        _ => "without loss".into(),
    }
}

/// How to code each tensor.
fn plan(loss: &Loss, checkpoint: &Checkpoint) -> Result<Plan, Failure> {
    let plan = match &loss.plan {
        Some(path) => {
            let json = std::fs::read_to_string(path).map_err(|error| in_file(path, error))?;
            Plan::from_json(&json)?
        }
        None => {
            let encoding = encoding(loss);
            if encoding.is_lossless() {
                return Ok(Plan::default());
            }
            let progress = Progress::new("planning", Some(checkpoint.tensor_bytes()));
            checkpoint.plan(&encoding, Some(&mut |bytes| progress.advance(bytes)))?
        }
    };
    if let Some(path) = &loss.save_plan {
        std::fs::write(path, plan.to_json()).map_err(|error| in_file(path, error))?;
    }
    Ok(plan)
}

fn encoding(loss: &Loss) -> Encoding {
    let mut encoding = match (loss.bits, loss.snr, loss.rel_error) {
        (Some(bits), ..) => Encoding::bits(bits),
        (_, Some(snr), _) => Encoding::snr(snr),
        (.., Some(error)) => Encoding::rel_error(error),
        _ => Encoding::lossless(),
    };
    encoding = encoding
        .effort(loss.effort)
        .max_rank(loss.max_rank.into())
        .row_scales(loss.row_scales)
        .coordinates(match loss.coordinates {
            Axes::Auto => None,
            Axes::Identity => Some(Coordinates::Identity),
            Axes::Hadamard => Some(Coordinates::Hadamard),
            Axes::Klt => Some(Coordinates::Klt),
        })
        .weighting(match loss.weighting {
            Spread::Operator => Weighting::Operator,
            Spread::RelativeError => Weighting::RelativeError,
        });
    for (pattern, bits) in &loss.bits_for {
        encoding = encoding.bits_for(pattern, *bits);
    }
    // What is to be kept is kept, whatever else matches.
    loss.keep.iter().fold(encoding, |encoding, pattern| encoding.keep(pattern))
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
    Ok(Checkpoint::spool(&mut input, folder, Some(&mut |bytes| progress.advance(bytes)))?)
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
    /// Of compression: the signal-to-noise ratio, if anything was lost, and the relative error.
    pub loss: Option<(Option<f64>, f64)>,
}

impl Outcome {
    /// Reports as JSON, or in a line to a terminal; away from standard output where the data go.
    pub fn report(&self, json: bool, output: &Path) -> Result<(), Failure> {
        let compressed = self.input_bytes + self.output_bytes - self.original_bytes;
        let ratio = ratio(compressed, self.original_bytes);
        let bits = bits_per_weight(compressed, self.weights);
        if json {
            let mut report = json!({
                "input_bytes": self.input_bytes,
                "output_bytes": self.output_bytes,
                "ratio": ratio,
                "weights": self.weights,
                "bits_per_weight": bits,
                "seconds": self.seconds,
            });
            if let Some((snr_db, rel_error)) = self.loss {
                report["snr_db"] = snr_db.into();
                report["rel_error"] = rel_error.into();
            }
            if !is_dash(output) {
                return crate::print(&report.to_string());
            }
            // Nobody is left to tell when standard error is gone.
            let _ = writeln!(std::io::stderr(), "{report}");
        } else if std::io::stderr().is_terminal() {
            let snr = self.loss.and_then(|loss| loss.0);
            let snr = snr.map_or(String::new(), |snr| format!(", {snr:.2} dB"));
            eprintln!(
                "{}: {} → {}, ratio {ratio:.4}, {bits:.3} bits a weight{snr}, {:.2} s",
                output.display(),
                Bytes(self.input_bytes),
                Bytes(self.output_bytes),
                self.seconds,
            );
        }
        Ok(())
    }
}
