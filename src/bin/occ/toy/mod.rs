//! `occ toy`: a function small enough to know everything about, in several coordinates.

mod adam;
mod coding;
mod experiment;
mod figures;
mod folder;
mod found;
mod fourier;
mod matrix;
mod network;
mod report;
mod rotation;
mod target;
mod training;

use crate::args::Toy;
use crate::failure::Failure;
use crate::progress::watch_for_interrupts;
use experiment::Experiment;

pub fn run(args: &Toy) -> Result<(), Failure> {
    watch_for_interrupts();
    if let Some(folder) = &args.out {
        folder::check(folder, args.force)?;
    }
    let experiment = Experiment::run(args.seed, args.steps)?;
    let text = report::to_text(&experiment);
    if let Some(folder) = &args.out {
        folder::write(&experiment, &text, folder)?;
    }
    if args.json {
        return crate::print(&to_json(&experiment)?);
    }
    crate::print(&text)
}

fn to_json(experiment: &Experiment) -> occ::Result<String> {
    Ok(serde_json::to_string(experiment).map_err(std::io::Error::other)?)
}
