//! `occ analyze`.

pub mod tables;
pub mod text;

use crate::failure::{Failure, usage};
use crate::model::examine;
use crate::output::{print, print_json};
use crate::paths::is_dash;
use crate::progress::{Progress, watch_for_interrupts};
use crate::report;
use clap::Args;
use occ::analysis::{Analysis, AnalyzeOptions, analyze};
use std::path::PathBuf;

/// Measure outliers, energy concentration and bit rates of weights in several coordinate systems.
///
/// Every weight matrix is measured unchanged and after a random rotation, Hadamard matrices, a
/// cosine transform and the Karhunen-Loève transform (KLT). All of these are orthogonal: they
/// preserve distances, but change the largest magnitudes and the number of bits at equal
/// distortion.
#[derive(Args)]
pub struct AnalyzeArgs {
    /// An .occ file, a .safetensors file or a checkpoint folder
    model: PathBuf,

    /// Analyze only tensors whose names match (* and ?), and list all coordinate systems of each
    #[arg(long, value_name = "GLOB")]
    tensor: Option<String>,

    /// Signal-to-noise ratio in dB at which bit rates are compared
    #[arg(long, value_name = "DB", default_value_t = 16.0)]
    snr: f64,

    /// Also write an HTML report with charts
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    /// Replace an existing report
    #[arg(short, long, requires = "html")]
    force: bool,

    /// Print JSON: tensors, weights, matrix_weights, snr_db, matrices (each in all coordinate
    /// systems, and its spectrum), coordinates, roles, layers, rate_distortion; null for unknown
    /// numbers
    #[arg(long)]
    json: bool,
}

pub fn run(args: &AnalyzeArgs) -> Result<(), Failure> {
    if is_dash(&args.model) {
        return usage("analyze reads tensors more than once: it cannot read a pipe");
    }
    if let Some(html) = &args.html {
        report::check(html, args.force)?;
    }
    watch_for_interrupts();
    let analysis = run_analysis(args)?;
    if let Some(html) = &args.html {
        report::write(html, &report::analysis(&analysis, &args.model), args.force)?;
    }
    if args.json {
        return print_json(&analysis);
    }
    print(&text::to_text(&analysis, args.tensor.is_some()))
}

fn run_analysis(args: &AnalyzeArgs) -> Result<Analysis, Failure> {
    let options = analyze_options(args);
    // The size of the matching tensors is unknown.
    let bytes = examine(&args.model).filter(|_| args.tensor.is_none());
    let progress = Progress::bytes("analyzing", bytes);
    Ok(analyze(&args.model, &options, Some(&mut |bytes| progress.advance(bytes)))?)
}

fn analyze_options(args: &AnalyzeArgs) -> AnalyzeOptions {
    let options = AnalyzeOptions::default().snr_db(args.snr);
    match &args.tensor {
        Some(pattern) => options.tensors(pattern),
        None => options,
    }
}
