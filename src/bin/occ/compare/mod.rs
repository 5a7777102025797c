//! `occ compare`.

mod json;
mod text;

use crate::failure::{Failure, usage};
use crate::output::{print, print_json};
use crate::paths::is_dash;
use crate::progress::{Progress, tensor_bytes, watch_for_interrupts};
use clap::Args;
use json::ComparisonJson;
use occ::CompareOptions;
use std::path::PathBuf;

/// Compare two models tensor by tensor: relative error, SNR, largest error, cosine.
///
/// Each model is an .occ file, a .safetensors file or a checkpoint folder. Errors are relative to
/// A. The exit code is 0 even if the models differ.
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
    let progress = Progress::bytes("comparing", tensor_bytes(&args.a));
    let advance = &mut |bytes| progress.advance(bytes);
    let options = match &args.inputs {
        Some(inputs) => CompareOptions::default().inputs(inputs),
        None => CompareOptions::default(),
    };
    let comparison = occ::compare(&args.a, &args.b, &options, Some(advance))?;
    drop(progress);
    let with_inputs = args.inputs.is_some();
    if args.json {
        return print_json(&ComparisonJson::new(&comparison, with_inputs));
    }
    print(&text::to_text(&comparison, [&args.a, &args.b], with_inputs))
}
