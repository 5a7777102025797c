//! The command `occ`: compresses neural-network weights into `.occ` files, and decompresses them.

mod analyze;
mod bench;
mod charts;
mod compare;
mod compress;
mod decompress;
mod demo;
mod documents;
mod dtypes;
mod extract;
mod failure;
mod gaussian;
mod hub;
mod input;
mod inspect;
mod listing;
mod merge;
mod model;
mod names;
mod numbers;
mod outcome;
mod output;
mod paths;
mod plan;
mod progress;
mod recent_rate;
mod removal;
mod report;
mod sizes;
mod table;
mod timing;
mod toy;
mod verify;

use clap::{CommandFactory, Parser, Subcommand};
use failure::Failure;
use std::process::ExitCode;

/// Compress neural-network weights into .occ files, and decompress them.
///
/// Exit codes: 0 success; 1 invalid data or an I/O error; 2 wrong usage; 130 interrupted.
#[derive(Parser)]
#[command(version, max_term_width = 100)]
struct Args {
    #[command(subcommand)]
    command: Command,

    /// Number of threads, 1 to 1024 [default: the number of cores]
    #[arg(long, value_name = "N", global = true,
          value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,

    /// Print no progress and no summary, only warnings and errors
    #[arg(short, long, global = true)]
    quiet: bool,
}

#[derive(Subcommand)]
enum Command {
    Compress(compress::CompressArgs),
    Decompress(decompress::DecompressArgs),
    Inspect(inspect::InspectArgs),
    Extract(extract::ExtractArgs),
    Plan(plan::PlanArgs),
    Merge(merge::MergeArgs),
    Verify(verify::VerifyArgs),
    Compare(compare::CompareArgs),
    Analyze(analyze::AnalyzeArgs),
    Bench(bench::BenchArgs),
    Demo(demo::DemoArgs),
    Toy(toy::ToyArgs),
    #[command(hide = true)]
    Completions(documents::CompletionsArgs),
    #[command(hide = true)]
    Manual(documents::ManualArgs),
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(args: &Args) -> Result<(), Failure> {
    occ::kernel()?;
    if args.quiet {
        progress::be_quiet();
    }
    if let Some(threads) = args.threads {
        set_thread_count(threads)?;
    }
    match &args.command {
        Command::Compress(args) => compress::run(args),
        Command::Decompress(args) => decompress::run(args),
        Command::Compare(args) => compare::run(args),
        Command::Analyze(args) => analyze::run(args),
        Command::Inspect(args) => inspect::run(args),
        Command::Extract(args) => extract::run(args),
        Command::Plan(args) => plan::run(args),
        Command::Merge(args) => merge::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Demo(args) => demo::run(args),
        Command::Toy(args) => toy::run(args),
        Command::Completions(args) => documents::completions(args, Args::command()),
        Command::Manual(args) => documents::manual(args, Args::command()),
    }
}

/// Sets the size of rayon's global thread pool, which runs all work.
fn set_thread_count(threads: u16) -> Result<(), Failure> {
    Ok(rayon::ThreadPoolBuilder::new().num_threads(threads.into()).build_global()?)
}
