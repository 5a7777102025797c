//! `occ compare`.

use crate::args::{Compare, is_dash};
use crate::decompress::decoded_bytes;
use crate::failure::{Failure, usage};
use crate::progress::{Progress, watch_for_interrupts};
use crate::table::{Align, Table, counted, grouped, shape};
use occ::convert::Checkpoint;
use occ::{Comparison, Distortion, TensorComparison};
use serde_json::{Value, json};
use std::path::Path;

pub fn run(args: &Compare) -> Result<(), Failure> {
    if is_dash(&args.a) || is_dash(&args.b) {
        return usage("compare reads tensors in any order: it cannot read a pipe");
    }
    watch_for_interrupts();
    let progress = Progress::new("comparing", tensor_bytes(&args.a));
    let comparison = occ::compare(&args.a, &args.b, &mut |bytes| progress.advance(bytes))?;
    drop(progress);
    if args.json {
        return crate::print(&to_json(&comparison).to_string());
    }
    crate::print(&to_text(&comparison, args))
}

/// What there is to do, for the progress bar; a model that cannot be read is reported elsewhere.
fn tensor_bytes(model: &Path) -> Option<u64> {
    match Checkpoint::open(model) {
        Ok(checkpoint) => Some(checkpoint.tensor_bytes()),
        Err(_) => decoded_bytes(model).ok(),
    }
}

fn to_json(comparison: &Comparison) -> Value {
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
            });
            with_distortion(value, tensor.distortion)
        })
        .collect();
    let total = json!({
        "weights": comparison.total.weights,
        "identical": comparison.total.identical,
    });
    json!({
        "tensors": tensors,
        "total": with_distortion(total, comparison.total.distortion),
        "only_in_a": comparison.only_in_a,
        "only_in_b": comparison.only_in_b,
    })
}

/// What is infinite becomes null, since JSON has no word for it.
fn with_distortion(mut value: Value, distortion: Option<Distortion>) -> Value {
    value["rel_error"] = distortion.map(|d| d.rel_error).into();
    value["snr_db"] = distortion.map(|d| d.snr_db).into();
    value["max_abs_error"] = distortion.map(|d| d.max_abs_error).into();
    value["cosine"] = distortion.map(|d| d.cosine).into();
    value
}

fn to_text(comparison: &Comparison, args: &Compare) -> String {
    let mut table = Table::new(&[
        ("tensor", Align::Left),
        ("dtype", Align::Left),
        ("shape", Align::Left),
        ("rel err", Align::Right),
        ("SNR dB", Align::Right),
        ("max err", Align::Right),
        ("cosine", Align::Right),
    ]);
    for tensor in &comparison.tensors {
        let same_shape = tensor.shape == tensor.shape_b;
        let [rel_error, snr, max_error, cosine] = numbers(tensor.identical, tensor.distortion);
        table.row([
            tensor.name.escape_debug().to_string(),
            dtypes(tensor),
            if same_shape { shape(&tensor.shape) } else { "shape differs".into() },
            rel_error,
            snr,
            max_error,
            cosine,
        ]);
    }
    let total = &comparison.total;
    table.rule();
    let [rel_error, snr, max_error, cosine] = numbers(total.identical, total.distortion);
    let none = String::new;
    table.row(["total".into(), none(), none(), rel_error, snr, max_error, cosine]);
    let identical = comparison.tensors.iter().filter(|tensor| tensor.identical).count();
    format!(
        "{}\n{}, {} weights; {} identical\n{}{}{}",
        table.render(),
        counted(comparison.tensors.len() as u64, "tensor"),
        grouped(total.weights),
        grouped(identical as u64),
        list("shape differs", comparison.tensors.iter().filter_map(shapes)),
        only_in(&args.a, &comparison.only_in_a),
        only_in(&args.b, &comparison.only_in_b),
    )
}

/// One dtype, or both where they differ.
fn dtypes(tensor: &TensorComparison) -> String {
    let (a, b) = (tensor.dtype, tensor.dtype_b);
    if a == b { a.to_string() } else { format!("{a}→{b}") }
}

/// Cells for the errors.
fn numbers(identical: bool, distortion: Option<Distortion>) -> [String; 4] {
    let same = |otherwise: String| if identical { "identical".into() } else { otherwise };
    match distortion {
        None => [same("differs".into()), String::new(), String::new(), String::new()],
        Some(d) => [
            same(scientific(d.rel_error)),
            finite(d.snr_db, format!("{:.2}", d.snr_db)),
            scientific(d.max_abs_error),
            format!("{:.6}", d.cosine),
        ],
    }
}

/// Three digits and an exponent.
fn scientific(number: f64) -> String {
    if number == 0.0 { "0".into() } else { finite(number, format!("{number:.2e}")) }
}

fn finite(number: f64, text: String) -> String {
    match number {
        f64::INFINITY => "∞".into(),
        f64::NEG_INFINITY => "-∞".into(),
        _ => text,
    }
}

/// A heading and what belongs to it, line by line; nothing where nothing does.
fn list(heading: &str, lines: impl Iterator<Item = String>) -> String {
    let lines: String = lines.map(|line| format!("  {line}\n")).collect();
    if lines.is_empty() { lines } else { format!("{heading}:\n{lines}") }
}

/// A tensor's two shapes, where they differ: in the table they would need too much room.
fn shapes(tensor: &TensorComparison) -> Option<String> {
    let shapes = || format!("{} → {}", shape(&tensor.shape), shape(&tensor.shape_b));
    let differs = tensor.shape != tensor.shape_b;
    differs.then(|| format!("{}: {}", tensor.name.escape_debug(), shapes()))
}

fn only_in(model: &Path, names: &[String]) -> String {
    let names = names.iter().map(|name| name.escape_debug().to_string());
    list(&format!("only in {}", model.display()), names)
}
