//! `occ plan`.

use crate::compress::LossyArgs;
use crate::failure::{Failure, exists, in_file, usage};
use crate::model;
use crate::paths::{check_distinct, is_dash, is_taken};
use crate::progress::watch_for_interrupts;
use clap::Args;
use occ::Plan;
use occ::convert::{Checkpoint, index_bytes};
use std::path::{Path, PathBuf};

/// Plan how tensors are coded, for `compress --plan`, or merge plans.
///
/// A file or folder is planned as by `compress --save-plan`, but not compressed. For several files
/// with one budget, such as the shards of a checkpoint on many machines, each is planned with
/// --part, and --merge makes one plan of these. Each file is then compressed by itself with the
/// merged plan, and `merge` joins the results.
#[derive(Args)]
pub struct PlanArgs {
    /// A .safetensors file, an index of shards or a checkpoint folder
    #[arg(value_name = "IN", required_unless_present = "merge")]
    input: Option<PathBuf>,

    /// The plan to write, as JSON
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,

    /// Plan one of several files with a common bit budget, for --merge
    #[arg(long, requires = "bits", conflicts_with_all = ["merge", "statistics"])]
    part: bool,

    /// Merge the plans of several files, each made with --part
    #[arg(long, value_name = "PLAN", num_args = 1.., requires = "bits",
          conflicts_with_all = ["input", "keep", "bits_for", "effort", "coordinates", "max_rank",
                                "row_scales", "statistics", "weighting"])]
    merge: Vec<PathBuf>,

    /// With --merge: the index that `occ merge` adds, to count its size
    #[arg(long, value_name = "FILE", requires = "merge")]
    index: Option<PathBuf>,

    /// Replace an existing file
    #[arg(short, long)]
    force: bool,

    #[command(flatten)]
    lossy: LossyArgs,
}

pub fn run(args: &PlanArgs) -> Result<(), Failure> {
    watch_for_interrupts();
    if args.lossy.plan_output().is_some() || args.lossy.plan_input().is_some() {
        return usage("occ plan writes a plan to -o: it has no --plan and no --save-plan");
    }
    if is_dash(&args.output) || args.input.as_deref().is_some_and(is_dash) {
        return usage("occ plan reads a file or a folder, and writes a file");
    }
    if !args.force && is_taken(&args.output) {
        return exists(&args.output);
    }
    let plan = match &args.input {
        Some(input) => planned(args, input)?,
        None => merged(args)?,
    };
    Ok(occ::write_file(&args.output, plan.to_json().as_bytes(), args.force)?)
}

fn planned(args: &PlanArgs, input: &Path) -> Result<Plan, Failure> {
    if !args.lossy.is_lossy() {
        return usage("a plan is lossy: it needs --bits, --snr or --rel-error");
    }
    let checkpoint = Checkpoint::open(input)?;
    model::warn(checkpoint.inventory());
    check_distinct(checkpoint.paths().chain(args.lossy.inputs()), &args.output)?;
    match args.part {
        true => args.lossy.plan_part(&checkpoint),
        false => args.lossy.plan(&checkpoint, args.force),
    }
}

fn merged(args: &PlanArgs) -> Result<Plan, Failure> {
    let inputs = args.merge.iter().chain(&args.index);
    check_distinct(inputs.map(PathBuf::as_path), &args.output)?;
    let Some(bits) = args.lossy.bits() else { return usage("--merge needs --bits") };
    let read = |path: &PathBuf| {
        let json = std::fs::read_to_string(path).map_err(|error| in_file(path, error))?;
        let plan = Plan::from_json(&json).map_err(|error| error.in_file(path))?;
        Ok((path.clone(), plan))
    };
    let plans = args.merge.iter().map(read).collect::<Result<Vec<_>, Failure>>()?;
    let index = args.index.as_ref().map_or(Ok(0), index_bytes)?;
    Ok(Plan::merge(&plans, bits, index)?)
}
