//! The summary that `compress` and `decompress` print.

use crate::failure::{Failure, usage};
use crate::numbers::{Bytes, bits_per_weight, ratio};
use crate::output::{json, print};
use crate::paths::is_dash;
use crate::progress::is_quiet;
use clap::Args;
use serde::Serialize;
use std::io::{Write, stderr};
use std::path::{Path, PathBuf};

#[derive(Args)]
pub struct ConversionArgs {
    /// Replace existing files
    #[arg(short, long)]
    pub force: bool,

    /// Print a summary as JSON: input_bytes, output_bytes, ratio (compressed to original size),
    /// weights, bits_per_weight, seconds; for compress also snr_db and rel_error, which are null
    /// and 0 if lossless; with --dry-run estimated, which is true, instead
    #[arg(long)]
    pub json: bool,

    /// Print a line for each tensor to standard error: when compressing its codec or transform, why
    /// it is lossless, bits per weight, SNR and size
    #[arg(short, long)]
    pub verbose: bool,

    /// Remove each input when all outputs are complete and have been read again
    ///
    /// After compression each output is decoded and compared to its input. With lossy compression,
    /// which cannot restore the input, --rm needs --force. After decompression each output is
    /// compared to what its input decodes to. Of a folder, only the files that are in the output
    /// are removed. Links, files with several names and files of the cache of the Hugging Face hub are
    /// refused. If anything fails, nothing is removed.
    #[arg(long = "rm")]
    pub remove: bool,
}

impl ConversionArgs {
    /// Refuses options that exclude each other, and `--rm` for standard input or output.
    pub fn check(&self, inputs: &[PathBuf], output: Option<&PathBuf>) -> Result<(), Failure> {
        // The parser does not compare options before and after the name of the command.
        if self.verbose && is_quiet() {
            return usage("--verbose and --quiet exclude each other");
        }
        if self.remove && inputs.iter().chain(output).any(|path| is_dash(path)) {
            return usage("--rm needs files, not standard input or output");
        }
        Ok(())
    }
}

/// Sizes and duration of a conversion.
#[derive(Serialize)]
pub struct Outcome {
    input_bytes: u64,
    output_bytes: u64,
    ratio: f64,
    weights: u64,
    bits_per_weight: f64,
    seconds: f64,
    /// Compression only.
    #[serde(flatten)]
    error: Option<CodingError>,
    /// Whether the compressed size is an estimate.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    estimated: bool,
}

/// Error over all tensors that were coded lossily.
#[derive(Serialize)]
pub struct CodingError {
    pub snr_db: Option<f64>,
    pub rel_error: f64,
}

impl Outcome {
    pub fn compressed(bytes: [u64; 2], weights: u64, seconds: f64, error: CodingError) -> Self {
        Self { error: Some(error), ..Self::of_compression(bytes, weights, seconds) }
    }

    /// A compression that was not carried out.
    pub fn estimated(bytes: [u64; 2], weights: u64, seconds: f64) -> Self {
        Self { estimated: true, ..Self::of_compression(bytes, weights, seconds) }
    }

    fn of_compression([input_bytes, output_bytes]: [u64; 2], weights: u64, seconds: f64) -> Self {
        Self {
            input_bytes,
            output_bytes,
            ratio: ratio(output_bytes, input_bytes),
            weights,
            bits_per_weight: bits_per_weight(output_bytes, weights),
            seconds,
            error: None,
            estimated: false,
        }
    }

    pub fn decompressed([input_bytes, output_bytes]: [u64; 2], weights: u64, seconds: f64) -> Self {
        let ratio = ratio(input_bytes, output_bytes);
        let bits_per_weight = bits_per_weight(input_bytes, weights);
        let (error, estimated) = (None, false);
        Self {
            input_bytes,
            output_bytes,
            ratio,
            weights,
            bits_per_weight,
            seconds,
            error,
            estimated,
        }
    }

    /// Prints JSON on request, or else a line on standard error. Where standard output carries the
    /// data, JSON goes to standard error, too.
    pub fn print(&self, args: &ConversionArgs, output: &Path) -> Result<(), Failure> {
        if args.json {
            let json = json(self)?;
            if !is_dash(output) {
                return print(&json);
            }
            // There is no other channel to report that standard error is closed.
            let _ = writeln!(stderr(), "{json}");
        } else if !is_quiet() {
            let snr = self.error.as_ref().and_then(|error| error.snr_db);
            let snr = snr.map_or(String::new(), |snr| format!(", SNR {snr:.2} dB"));
            // As above; and the work is done.
            let _ = writeln!(
                stderr(),
                "{}{}: {} → {}, ratio {:.4}, {:.3} bits/weight{snr}, {:.2} s",
                output.display(),
                if self.estimated { ", estimated" } else { "" },
                Bytes(self.input_bytes),
                Bytes(self.output_bytes),
                self.ratio,
                self.bits_per_weight,
                self.seconds,
            );
        }
        Ok(())
    }
}
