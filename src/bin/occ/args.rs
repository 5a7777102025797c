//! The command line.

use crate::failure::{Failure, usage};
use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use std::io::{IsTerminal, StdinLock, stdin, stdout};
use std::path::{Path, PathBuf};

/// Compress neural-network weights into .occ files, and back.
///
/// Exit codes: 0 done; 1 bad data, or it could not be read or written; 2 wrong usage; 130
/// interrupted.
#[derive(Parser)]
#[command(version, max_term_width = 100)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,

    /// Threads to work with, at most 1024 [default: one a core]
    #[arg(long, value_name = "N", global = true,
          value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
}

#[derive(Subcommand)]
pub enum Command {
    Compress(Compress),
    Decompress(Decompress),
    Inspect(Inspect),
    Verify(Verify),
    Compare(Compare),
    Analyze(Analyze),
    Bench(Bench),
    Demo(Demo),
    Toy(Toy),
}

/// Compress safetensors into one .occ file: losslessly, or to a budget or an error.
///
/// Without --bits, --snr or --rel-error the .occ file gives back every byte: header text, order,
/// padding, metadata. With one of them weight matrices come back as near as the bits allow, in
/// their own dtype; all else is still exact. Of a folder, the shards named by
/// model.safetensors.index.json are taken, and that file itself.
#[derive(ClapArgs)]
pub struct Compress {
    /// A .safetensors file, a checkpoint folder, or - for standard input
    #[arg(value_name = "IN")]
    pub input: PathBuf,

    /// The .occ file to write, or - for standard output [default: IN with extension .occ]
    #[arg(short, long, value_name = "OUT")]
    pub output: Option<PathBuf>,

    #[command(flatten)]
    pub loss: Loss,

    /// Write a report as an HTML page, too: sizes, choices, what each tensor lost. If that fails
    /// at the end the .occ file is there all the same
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,

    #[command(flatten)]
    pub common: Common,
}

/// What may be lost.
#[derive(ClapArgs)]
pub struct Loss {
    /// Spend at most B bits a weight, for the whole file; it is hit within 0.5 %
    #[arg(long, value_name = "B", group = "target", help_heading = LOSS)]
    pub bits: Option<f64>,

    /// Reach this signal-to-noise ratio in every tensor, 20·log10(‖W‖/‖W−Ŵ‖)
    #[arg(long, value_name = "DB", group = "target", help_heading = LOSS)]
    pub snr: Option<f64>,

    /// Keep ‖W−Ŵ‖/‖W‖ of every tensor at or below this
    #[arg(long, value_name = "E", group = "target", help_heading = LOSS)]
    pub rel_error: Option<f64>,

    /// Lose nothing of tensors whose names match (* and ?); may be repeated
    #[arg(long, value_name = "GLOB", help_heading = LOSS)]
    pub keep: Vec<String>,

    /// Code tensors whose names match at B bits a weight; may be repeated
    #[arg(long, value_name = "GLOB=B", value_parser = glob_and_bits, help_heading = LOSS)]
    pub bits_for: Vec<(String, f64)>,

    /// How hard to look, 1 to 9: 1 is a plain quantiser, 5 a trellis of 8 states, 9 one of 256
    #[arg(long, value_name = "N", default_value_t = 5, help_heading = LOSS,
          value_parser = clap::value_parser!(u8).range(1..=9))]
    pub effort: u8,

    /// The axes to code in
    #[arg(long, value_name = "AXES", default_value = "auto", help_heading = LOSS)]
    pub coordinates: Axes,

    /// Axes of the low-dimensional part, at most
    #[arg(long, value_name = "R", default_value_t = 32, help_heading = LOSS,
          value_parser = clap::value_parser!(u8).range(0..=128))]
    pub max_rank: u8,

    /// Scale each row by its loudness: quiet rows come as near as loud ones
    #[arg(long, help_heading = LOSS)]
    pub row_scales: bool,

    /// How the budget is spread
    #[arg(long, value_name = "HOW", default_value = "operator", help_heading = LOSS)]
    pub weighting: Spread,

    /// Write the plan, as JSON, too
    #[arg(long, value_name = "FILE", help_heading = LOSS)]
    pub save_plan: Option<PathBuf>,

    /// Take the plan from a file instead of making one
    #[arg(long, value_name = "FILE", help_heading = LOSS,
          conflicts_with_all = ["target", "keep", "bits_for"])]
    pub plan: Option<PathBuf>,
}

const LOSS: &str = "With loss";

#[derive(Clone, Copy, ValueEnum)]
pub enum Axes {
    /// Whatever takes the fewest bits, tensor by tensor
    Auto,
    /// The tensor's own columns
    Identity,
    /// Columns mixed by Hadamard matrices
    Hadamard,
    /// The Karhunen-Loeve transform: a basis learned from the tensor and stored with it
    #[value(alias = "aligned")]
    Klt,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Spread {
    /// By likely use: errors in loud columns, rare words and large tensors count less
    Operator,
    /// By relative error, all weights alike
    RelativeError,
}

fn glob_and_bits(text: &str) -> Result<(String, f64), String> {
    let (glob, bits) = text.rsplit_once('=').ok_or("GLOB=B is wanted, as in '*embed*=4'")?;
    let bits = bits.parse().map_err(|_| format!("`{bits}` is not a number of bits"))?;
    Ok((glob.to_owned(), bits))
}

/// Restore the safetensors file or checkpoint folder from an .occ file.
#[derive(ClapArgs)]
pub struct Decompress {
    /// An .occ file, or - for standard input
    #[arg(value_name = "IN")]
    pub input: PathBuf,

    /// The file to write, for a sharded checkpoint the folder; - for standard output
    /// [default: IN with extension .safetensors, or without one for a folder]
    #[arg(short, long, value_name = "OUT")]
    pub output: Option<PathBuf>,

    #[command(flatten)]
    pub common: Common,
}

#[derive(ClapArgs)]
pub struct Common {
    /// Replace existing files
    #[arg(short, long)]
    pub force: bool,

    /// Report as JSON: input_bytes, output_bytes, ratio (compressed to original), weights,
    /// bits_per_weight, seconds; of compress also snr_db and rel_error, null and 0 without loss
    #[arg(long)]
    pub json: bool,
}

/// List what an .occ file holds.
#[derive(ClapArgs)]
pub struct Inspect {
    /// An .occ file
    pub file: PathBuf,

    /// Report as JSON
    #[arg(long)]
    pub json: bool,
}

/// Check an .occ file: structure, every checksum, and that index and frames agree.
#[derive(ClapArgs)]
pub struct Verify {
    /// An .occ file, or - for standard input
    pub file: PathBuf,

    /// Decode everything, too, and compare the checksums of the decoded tensors
    #[arg(long)]
    pub deep: bool,

    /// Report as JSON
    #[arg(long)]
    pub json: bool,
}

/// Tell how far two models are apart, tensor by tensor.
///
/// Each is an .occ file, a .safetensors file or a checkpoint folder. A is the original: errors are
/// relative to it. That they differ is no failure.
///
/// Without --inputs only weights are compared. With it what they make of inputs is, too: the
/// operator error is ‖(W−Ŵ)x‖/‖Wx‖ over all inputs x.
#[derive(ClapArgs)]
pub struct Compare {
    /// The original
    pub a: PathBuf,

    /// What became of it
    pub b: PathBuf,

    /// Inputs to compare outputs with, stored like a model
    ///
    /// For any weight, under its name, a batch (an input vector a row) or the Gram matrix XᵀX of
    /// one. What is square and symmetric is taken for a Gram matrix; under NAME.inputs it is a
    /// batch for certain, under NAME.gram a Gram matrix. A weight's outermost dimension is that of
    /// its outputs, unless only as inputs × outputs it fits.
    #[arg(long, value_name = "X")]
    pub inputs: Option<PathBuf>,

    /// Report as JSON: tensors, total, only_in_a, only_in_b, only_weights (whether no inputs were
    /// given), unused_inputs; null for what is infinite or unknown
    #[arg(long)]
    pub json: bool,
}

/// Show what weights look like in several coordinate systems: outliers, concentration, rates.
///
/// Every weight matrix is looked at as it is, rotated at random, by Hadamard matrices and by
/// cosines, and along principal axes. Distances stay the same; what changes is how far the largest
/// numbers stand out, and what all of them take at equal distortion.
#[derive(ClapArgs)]
pub struct Analyze {
    /// An .occ file, a .safetensors file or a checkpoint folder
    pub model: PathBuf,

    /// Only tensors whose names match (* and ?), each in every system
    #[arg(long, value_name = "GLOB")]
    pub tensor: Option<String>,

    /// The signal-to-noise ratio at which coded bits are compared
    #[arg(long, value_name = "DB", default_value_t = 16.0)]
    pub snr: f64,

    /// Write a report with charts, too: a page of its own, without scripts
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,

    /// Replace a report that is there
    #[arg(short, long, requires = "html")]
    pub force: bool,

    /// Report as JSON: matrices (each in all coordinates, and its spectrum), summaries by coordinates, roles, layers,
    /// rate_distortion; null for what is unknown
    #[arg(long)]
    pub json: bool,
}

/// Measure how fast this machine codes weights, beside memcpy and zstd.
///
/// All in memory, and in rounds: every contestant has its turn in each, and the median is reported.
/// Those with loss code the matrices of floats, at 3 bits a weight. Without FILE, 34 million weights
/// in BF16 are made up, always the same.
#[derive(ClapArgs)]
pub struct Bench {
    /// A .safetensors file: its first tensors, as many as fit in 256 MiB
    pub file: Option<PathBuf>,

    /// Rounds that count, after one to warm up
    #[arg(long, value_name = "N", default_value_t = 5,
          value_parser = clap::value_parser!(u16).range(1..))]
    pub rounds: u16,

    /// Report as JSON, a list: name, bytes, threads, gb_per_s (10^9 bytes of the original),
    /// mweights_per_s, ratio (compressed to original, or null)
    #[arg(long)]
    pub json: bool,
}

/// Compress and restore a made-up model, or yours, and show what it takes.
///
/// Without a model, a checkpoint of 20 million weights is made up, always the same. Everything
/// happens in a temporary folder.
#[derive(ClapArgs)]
pub struct Demo {
    /// A .safetensors file or checkpoint folder of your own
    pub model: Option<PathBuf>,
}

/// Learn a small known function with small networks, and see in which coordinates it is small.
///
/// Two functions are described by their own parameters, by Fourier's coefficients, and by the
/// weights of twelve networks, as trained and rotated; each is quantised and coded, and compared by
/// what it takes and how much it errs. Takes a minute or two; always the same for a seed.
#[derive(ClapArgs)]
pub struct Toy {
    /// Keep the report, the networks and figures in a folder
    #[arg(short, long, value_name = "DIR")]
    pub out: Option<PathBuf>,

    /// Replace a report that is there
    #[arg(short, long, requires = "out")]
    pub force: bool,

    /// What everything random begins with
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,

    /// Batches that each network learns from
    #[arg(long, value_name = "N", default_value_t = 8000,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub steps: u32,

    /// Report as JSON: seed, steps, samples, held_out, cases (each case, parameters, fourier,
    /// networks, and how concentrated its energy is)
    #[arg(long)]
    pub json: bool,
}

/// Whether a path stands for standard input or output.
pub fn is_dash(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Where to write: what was asked for, or else the default for an input that has a name.
pub fn output_path(
    asked: Option<&PathBuf>,
    input: &Path,
    default: impl Fn(&Path) -> Result<PathBuf, Failure>,
) -> Result<PathBuf, Failure> {
    let output = match asked {
        Some(output) => output.clone(),
        None if is_dash(input) => return usage("standard input needs -o OUT"),
        None => default(input)?,
    };
    if is_dash(&output) && stdout().is_terminal() {
        return usage("standard output is a terminal");
    }
    Ok(output)
}

/// Standard input, unless a person sits there.
pub fn piped_input() -> Result<StdinLock<'static>, Failure> {
    if stdin().is_terminal() {
        return usage("standard input is a terminal, not a file");
    }
    Ok(stdin().lock())
}

/// Refuses to write over what is being read.
pub fn check_distinct<'p>(
    inputs: impl IntoIterator<Item = &'p Path>,
    output: &Path,
) -> Result<(), Failure> {
    let Ok(output) = output.canonicalize() else { return Ok(()) };
    for input in inputs {
        if input.canonicalize().is_ok_and(|input| input == output) {
            return usage("input and output are the same file");
        }
    }
    Ok(())
}
