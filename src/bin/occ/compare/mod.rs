//! `occ compare`.

mod json;
mod text;

use crate::failure::{Failure, usage};
use crate::model::examine;
use crate::names::listed;
use crate::numbers::counted;
use crate::output::{print, print_json};
use crate::paths::is_dash;
use crate::progress::{Progress, watch_for_interrupts};
use clap::Args;
use json::ComparisonJson;
use occ::{CompareOptions, Comparison, TensorComparison};
use std::path::PathBuf;

/// Compare two models tensor by tensor: relative error, SNR, largest error, cosine.
///
/// Each model is an .occ file, a .safetensors file or a checkpoint folder. Errors are relative to
/// A. Metadata and the other files of a model, such as config.json, are not compared. The exit code is
/// 0 even if the models differ, and 1 if they have no tensor in common; with --max-rel-error also if
/// they differ more.
///
/// With --inputs the outputs of matrices are compared as well: the operator error is
/// ‖(W−Ŵ)x‖/‖Wx‖ over all inputs x.
#[derive(Args)]
pub struct CompareArgs {
    /// The original model
    a: PathBuf,

    /// The model to compare with the original
    b: PathBuf,

    /// Also compare outputs, for the inputs in this model
    ///
    /// An input has the name of its weight. It is a batch (one input vector per row) or the Gram
    /// matrix XᵀX of a batch X. A square symmetric input is a Gram matrix. The names NAME.inputs
    /// and NAME.gram select batch and Gram matrix explicitly; NAME.diag is the diagonal of the Gram
    /// matrix. The file may be one with statistics for compress. Weights are outputs × inputs,
    /// unless the inputs fit only inputs × outputs.
    #[arg(long, value_name = "X")]
    inputs: Option<PathBuf>,

    /// Exit with code 1 if a tensor has a larger relative error, is in one model only, or cannot be
    /// compared; 0 demands equal values
    #[arg(long, value_name = "E", value_parser = error_bound, allow_negative_numbers = true)]
    max_rel_error: Option<f64>,

    /// Print JSON: tensors, total, only_in_a, only_in_b, only_weights (true without --inputs),
    /// unused_inputs; null for infinite or undefined numbers
    #[arg(long)]
    json: bool,
}

pub fn run(args: &CompareArgs) -> Result<(), Failure> {
    let pipe = args.inputs.as_deref().is_some_and(is_dash);
    if pipe || is_dash(&args.a) || is_dash(&args.b) {
        return usage("compare reads tensors in any order: it cannot read a pipe");
    }
    watch_for_interrupts();
    let bytes = examine(&args.a);
    examine(&args.b);
    args.inputs.as_deref().and_then(examine);
    let progress = Progress::bytes("comparing", bytes);
    let advance = &mut |bytes| progress.advance(bytes);
    let options = match &args.inputs {
        Some(inputs) => CompareOptions::default().inputs(inputs),
        None => CompareOptions::default(),
    };
    let comparison = occ::compare(&args.a, &args.b, &options, Some(advance))?;
    drop(progress);
    check_overlap(args, &comparison)?;
    let with_inputs = args.inputs.is_some();
    if args.json {
        print_json(&ComparisonJson::new(&comparison, with_inputs))?;
    } else {
        print(&text::to_text(&comparison, [&args.a, &args.b], with_inputs))?;
    }
    match args.max_rel_error {
        Some(bound) => check_errors(&comparison, bound),
        None => Ok(()),
    }
}

fn error_bound(text: &str) -> Result<f64, String> {
    let bound = text.parse().map_err(|_| format!("`{text}` is not a number"))?;
    if bound >= 0.0 { Ok(bound) } else { Err("an error is not negative".into()) }
}

/// Rejects models without a common tensor, and inputs of none of the tensors.
fn check_overlap(args: &CompareArgs, comparison: &Comparison) -> Result<(), Failure> {
    let Comparison { tensors, only_in_a, only_in_b, .. } = comparison;
    if tensors.is_empty() && !(only_in_a.is_empty() && only_in_b.is_empty()) {
        return Err(Failure::Unequal(format!(
            "{} and {} have no tensor in common; they have {} and {}",
            args.a.display(),
            args.b.display(),
            names(only_in_a),
            names(only_in_b),
        )));
    }
    match &args.inputs {
        Some(inputs) if tensors.iter().all(|tensor| tensor.operator.is_none()) => usage(&format!(
            "{}: none of its entries has inputs of a matrix of both models; it has {}",
            inputs.display(),
            names(&comparison.unused_inputs),
        )),
        _ => Ok(()),
    }
}

/// Fails if a tensor differs by more than a bound, and names those that do.
fn check_errors(comparison: &Comparison, bound: f64) -> Result<(), Failure> {
    let is_within = |tensor: &TensorComparison| {
        tensor.identical || tensor.distortion.is_some_and(|errors| errors.rel_error <= bound)
    };
    let above = comparison.tensors.iter().filter(|tensor| !is_within(tensor));
    let mut failed: Vec<String> = above.map(|tensor| tensor.name.clone()).collect();
    failed.extend(comparison.only_in_a.iter().chain(&comparison.only_in_b).cloned());
    if failed.is_empty() {
        return Ok(());
    }
    let bound = format!("not within a relative error of {bound}");
    Err(Failure::Unequal(format!("{bound}: {}", names(&failed))))
}

/// A number of tensors, and the first names.
fn names(names: &[String]) -> String {
    let count = counted(names.len() as u64, "tensor");
    let names: Vec<_> = names.iter().map(|name| name.escape_debug()).collect();
    if names.is_empty() { count } else { format!("{count} ({})", listed(&names)) }
}
