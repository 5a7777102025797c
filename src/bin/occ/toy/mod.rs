//! `occ toy`: a known function of one variable, represented by parameters, by Fourier
//! coefficients and by neural networks, each quantised and coded.

mod adam;
mod conclusions;
mod experiment;
mod fourier;
mod hadamard;
mod matrix;
mod network;
mod output_folder;
mod plots;
mod representation;
mod target;
mod text;
mod training;

use crate::failure::Failure;
use crate::output::{print, print_json};
use crate::progress::watch_for_interrupts;
use clap::Args;
use experiment::Experiment;
use std::path::PathBuf;

/// Compare representations of a small known function: parameters, Fourier series, neural networks.
///
/// Two functions are represented by their parameters, by Fourier coefficients and by the weights of
/// twelve neural networks, as trained and after a Hadamard rotation. Each representation is
/// quantised and coded; sizes and errors are compared. Takes one to two minutes. The result depends
/// only on the options.
#[derive(Args)]
pub struct ToyArgs {
    /// Write the report, the networks and plots to a folder
    #[arg(short, long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Replace an existing report
    #[arg(short, long, requires = "out")]
    force: bool,

    /// Seed of all random numbers
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    /// Training steps per network, each with a batch of 64 samples
    #[arg(long, value_name = "N", default_value_t = 8000,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    steps: u32,

    /// Print JSON: seed, steps, samples, held_out, cases (each with case, parameters, fourier,
    /// networks and energy concentration)
    #[arg(long)]
    json: bool,
}

pub fn run(args: &ToyArgs) -> Result<(), Failure> {
    watch_for_interrupts();
    if let Some(folder) = &args.out {
        output_folder::check(folder, args.force)?;
    }
    let experiment = Experiment::run(args.seed, args.steps)?;
    let text = text::to_text(&experiment);
    if let Some(folder) = &args.out {
        output_folder::write(&experiment, &text, folder, args.force)?;
    }
    if args.json { print_json(&experiment) } else { print(&text) }
}
