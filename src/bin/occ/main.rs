//! The command `occ`: compresses neural-network weights into `.occ` files and back.

mod analyze;
mod args;
mod bench;
mod charts;
mod compare;
mod compress;
mod decompress;
mod demo;
mod failure;
mod inspect;
mod numbers;
mod progress;
mod report;
mod table;
mod toy;
mod verify;

use args::{Args, Command};
use clap::Parser;
use failure::Failure;
use std::process::ExitCode;

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(args: &Args) -> Result<(), Failure> {
    if let Some(threads) = args.threads {
        work_with(threads)?;
    }
    match &args.command {
        Command::Compress(args) => compress::run(args),
        Command::Decompress(args) => decompress::run(args),
        Command::Compare(args) => compare::run(args),
        Command::Analyze(args) => analyze::run(args),
        Command::Inspect(args) => inspect::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Demo(args) => demo::run(args),
        Command::Toy(args) => toy::run(args),
    }
}

/// Makes rayon's global pool, on which all work is done, one of so many threads.
fn work_with(threads: u16) -> Result<(), Failure> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.into());
    // More than the system allows, say.
    pool.build_global().map_err(|error| occ::Error::from(std::io::Error::other(error)).into())
}

/// Prints to standard output; a reader that has gone away is no failure.
fn print(text: &str) -> Result<(), Failure> {
    use std::io::{ErrorKind, Write};
    match writeln!(std::io::stdout(), "{}", text.trim_end()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(occ::Error::from(error).into()),
        _ => Ok(()),
    }
}
