//! `occ compare`.

mod text;

use crate::args::{Compare, is_dash};
use crate::decompress::decoded_bytes;
use crate::failure::{Failure, usage};
use crate::progress::{Progress, watch_for_interrupts};
use occ::convert::Checkpoint;
use occ::{CompareOptions, Comparison, Distortion, Inputs, OperatorDistortion, TensorComparison};
use serde_json::{Value, json};
use std::path::Path;

pub fn run(args: &Compare) -> Result<(), Failure> {
    let pipe = args.inputs.as_deref().is_some_and(is_dash);
    if pipe || is_dash(&args.a) || is_dash(&args.b) {
        return usage("compare reads tensors in any order: it cannot read a pipe");
    }
    watch_for_interrupts();
    let progress = Progress::new("comparing", tensor_bytes(&args.a));
    let mut options = CompareOptions::default();
    options.inputs.clone_from(&args.inputs);
    let advance = &mut |bytes| progress.advance(bytes);
    let comparison = occ::compare(&args.a, &args.b, &options, Some(advance))?;
    drop(progress);
    if args.json {
        return crate::print(&to_json(&comparison, args).to_string());
    }
    crate::print(&text::to_text(&comparison, args))
}

/// What there is to do, for the progress bar; a model that cannot be read is reported elsewhere.
pub fn tensor_bytes(model: &Path) -> Option<u64> {
    match Checkpoint::open(model) {
        Ok(checkpoint) => Some(checkpoint.tensor_bytes()),
        Err(_) => decoded_bytes(model).ok(),
    }
}

fn to_json(comparison: &Comparison, args: &Compare) -> Value {
    let tensors: Vec<Value> = comparison
        .tensors
        .iter()
        .map(|tensor| {
            let value = json!({
                "name": tensor.name,
                "dtype": tensor.dtype.name(),
                "dtype_b": tensor.dtype_b.name(),
                "shape": tensor.shape,
                "shape_b": tensor.shape_b,
                "weights": tensor.weights,
                "comparable": tensor.comparable(),
                "identical": tensor.identical,
                "inputs": tensor.inputs.map(form),
                "input_vectors": tensor.inputs.and_then(vectors),
                "transposed": tensor.transposed,
            });
            with_errors(value, tensor.distortion, tensor.operator)
        })
        .collect();
    let total = json!({
        "weights": comparison.total.weights,
        "identical": comparison.total.identical,
        "operator_weights": operators(comparison).map(|tensor| tensor.weights).sum::<u64>(),
    });
    json!({
        "tensors": tensors,
        "total": with_errors(total, comparison.total.distortion, comparison.total.operator),
        "only_in_a": comparison.only_in_a,
        "only_in_b": comparison.only_in_b,
        "only_weights": args.inputs.is_none(),
        "unused_inputs": comparison.unused_inputs,
    })
}

/// What inputs were given as.
fn form(inputs: Inputs) -> &'static str {
    match inputs {
        Inputs::Gram => "gram",
        _ => "batch",
    }
}

/// How many inputs there are, where that is known.
fn vectors(inputs: Inputs) -> Option<u64> {
    match inputs {
        Inputs::Batch { vectors } => Some(vectors),
        _ => None,
    }
}

/// The tensors whose outputs were compared.
fn operators(comparison: &Comparison) -> impl Iterator<Item = &TensorComparison> {
    comparison.tensors.iter().filter(|tensor| tensor.operator.is_some())
}

/// What is infinite becomes null, since JSON has no word for it.
fn with_errors(
    mut value: Value,
    distortion: Option<Distortion>,
    operator: Option<OperatorDistortion>,
) -> Value {
    value["operator_rel_error"] = operator.map(|o| o.rel_error).into();
    value["operator_snr_db"] = operator.map(|o| o.snr_db).into();
    value["rel_error"] = distortion.map(|d| d.rel_error).into();
    value["snr_db"] = distortion.map(|d| d.snr_db).into();
    value["max_abs_error"] = distortion.map(|d| d.max_abs_error).into();
    value["cosine"] = distortion.map(|d| d.cosine).into();
    value
}
