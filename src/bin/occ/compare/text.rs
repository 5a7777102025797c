//! What `occ compare` shows to people.

use super::operators;
use crate::args::Compare;
use crate::numbers::{counted, grouped, shape};
use crate::table::{Align, Table};
use occ::{Comparison, Distortion, Inputs, OperatorDistortion, TensorComparison};
use std::path::Path;

pub fn to_text(comparison: &Comparison, args: &Compare) -> String {
    let identical = comparison.tensors.iter().filter(|tensor| tensor.identical).count();
    format!(
        "{}\n{}, {} weights; {} identical\n{}{}{}{}",
        table(comparison, args).render(),
        counted(comparison.tensors.len() as u64, "tensor"),
        grouped(comparison.total.weights),
        grouped(identical as u64),
        operator_notes(comparison, args),
        list("shape differs", comparison.tensors.iter().filter_map(shapes)),
        only_in(&args.a, &comparison.only_in_a),
        only_in(&args.b, &comparison.only_in_b),
    )
}

/// Errors of weights and, where there are inputs, of outputs.
fn table(comparison: &Comparison, args: &Compare) -> Table {
    let mut columns = vec![
        ("tensor", Align::Left),
        ("dtype", Align::Left),
        ("shape", Align::Left),
        ("rel err", Align::Right),
        ("SNR dB", Align::Right),
        ("max err", Align::Right),
        ("cosine", Align::Right),
    ];
    if args.inputs.is_some() {
        columns.extend([("op err", Align::Right), ("op dB", Align::Right)]);
    }
    let mut table = Table::new(&columns);
    let row = |first: [String; 3], weights: [String; 4], operator| {
        let mut cells: Vec<String> = first.into_iter().chain(weights).collect();
        if args.inputs.is_some() {
            cells.extend(operator_numbers(operator));
        }
        cells
    };
    for tensor in &comparison.tensors {
        let same_shape = tensor.shape == tensor.shape_b;
        let first = [
            tensor.name.escape_debug().to_string(),
            dtypes(tensor),
            if same_shape { shape(&tensor.shape) } else { "shape differs".into() },
        ];
        let weights = numbers(tensor.identical, tensor.distortion);
        table.cells(row(first, weights, tensor.operator));
    }
    table.rule();
    let total = &comparison.total;
    let first = ["total".into(), String::new(), String::new()];
    table.cells(row(first, numbers(total.identical, total.distortion), total.operator));
    table
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

/// Cells for the errors of outputs.
fn operator_numbers(operator: Option<OperatorDistortion>) -> [String; 2] {
    match operator {
        None => [String::new(), String::new()],
        Some(o) => [scientific(o.rel_error), finite(o.snr_db, format!("{:.2}", o.snr_db))],
    }
}

/// What the operator error covers, and how weights and inputs were taken.
fn operator_notes(comparison: &Comparison, args: &Compare) -> String {
    if args.inputs.is_none() {
        return "only weights were compared: --inputs compares outputs, too\n".into();
    }
    let names = |tensors: &mut dyn Iterator<Item = &TensorComparison>| {
        tensors.map(|tensor| tensor.name.escape_debug().to_string()).collect::<Vec<_>>()
    };
    let transposed = names(&mut operators(comparison).filter(|tensor| tensor.transposed));
    // Where some are transposed, those that look the same both ways may be meant so, too.
    let square = |tensor: &&TensorComparison| {
        !transposed.is_empty() && matches!(tensor.shape[..], [rows, columns] if rows == columns)
    };
    let square = names(&mut operators(comparison).filter(square));
    let weights: u64 = operators(comparison).map(|tensor| tensor.weights).sum();
    let gram = |tensor: &&TensorComparison| tensor.inputs == Some(Inputs::Gram);
    let (count, grams) =
        (operators(comparison).count(), operators(comparison).filter(gram).count());
    let unused = comparison.unused_inputs.iter().map(|name| name.escape_debug().to_string());
    format!(
        "operator error (op): {}, {} weights; batches {}, Gram matrices {}\n{}{}{}",
        counted(count as u64, "tensor"),
        grouped(weights),
        grouped((count - grams) as u64),
        grouped(grams as u64),
        list("transposed, since only as inputs × outputs they fit", transposed.into_iter()),
        list("square, taken as outputs × inputs", square.into_iter()),
        list("inputs not used", unused),
    )
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
