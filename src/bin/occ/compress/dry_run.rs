//! The plan and the estimated size, without encoding.

use super::CompressArgs;
use crate::failure::Failure;
use crate::inspect::{kind_names, transform_name};
use crate::listing::{ListedTensor, Lossy, Stored, grouped_by_name, tensor_table};
use crate::numbers::counted;
use crate::outcome::Outcome;
use crate::output::print;
use crate::progress::{Progress, is_quiet};
use occ::convert::Checkpoint;
use occ::{Encoding, Plan, TensorPlan, TensorSource};
use std::path::Path;
use std::time::Instant;

/// Prints the plan of each group of tensors, and the estimated size of the file.
pub fn run(args: &CompressArgs, checkpoint: &Checkpoint, output: &Path) -> Result<(), Failure> {
    let start = Instant::now();
    let plan = complete(args.lossy.plan(checkpoint, false)?, checkpoint)?;
    let bytes = [checkpoint.file_bytes(), checkpoint.estimated_bytes(&plan)?];
    let tensors: Vec<TensorSource<'_>> = checkpoint.sources().collect();
    let planned = tensors.iter().filter_map(|tensor| Some((tensor, plan.get(tensor.name)?)));
    let is_lossy = planned.clone().any(|(_, plan)| plan.lossy.is_some());
    let listed: Vec<_> = planned.map(|(tensor, plan)| listed(tensor, plan, is_lossy)).collect();
    if !args.conversion.json && !is_quiet() {
        let groups = grouped_by_name(&listed, false);
        print(&tensor_table(&groups, &[], "estimated").render())?;
    }
    let lossy = listed.iter().filter(|tensor| tensor.is_lossy()).count();
    let all = counted(tensors.len() as u64, "tensor");
    if !is_quiet() {
        eprintln!("dry run, nothing is written: {all}, {lossy} of them lossy; sizes are estimated");
    }
    let seconds = start.elapsed().as_secs_f64();
    Outcome::estimated(bytes, checkpoint.weights(), seconds).print(&args.conversion, output)
}

/// Adds the sizes of tensors that have no plan: they are stored losslessly.
fn complete(plan: Plan, checkpoint: &Checkpoint) -> Result<Plan, Failure> {
    if checkpoint.tensor_names().all(|name| plan.get(name).is_some()) {
        return Ok(plan);
    }
    let progress = Progress::bytes("estimating", Some(checkpoint.tensor_bytes()));
    let mut report = |bytes| progress.advance(bytes);
    let mut complete = checkpoint.plan(&Encoding::lossless(), Some(&mut report))?;
    complete.tensors.extend(plan.tensors);
    Ok(complete)
}

fn listed<'t>(source: &TensorSource<'t>, plan: &TensorPlan, is_lossy: bool) -> ListedTensor<'t> {
    let form = match (&plan.lossy, plan.lossless) {
        (Some(lossy), _) => transform_name(lossy.transform, lossy.mean, lossy.rank),
        (None, Some(reason)) if is_lossy => format!("lossless ({})", reason.description()),
        (None, _) => "lossless".into(),
    };
    let lossy = plan.lossy.as_ref().map(|lossy| Lossy {
        gain: lossy.gain,
        statistics: kind_names(&lossy.statistics),
        error: None,
    });
    let stored = Some(Stored { form, bytes: plan.bytes, lossy });
    ListedTensor { stored, ..ListedTensor::source(source) }
}
