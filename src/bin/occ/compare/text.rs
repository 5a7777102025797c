//! `occ compare` as text.

use crate::numbers::{counted, grouped, shape};
use crate::table::{Align, Table};
use occ::{Comparison, Distortion, Inputs, NonFinite, OperatorDistortion, TensorComparison};
use std::path::Path;

pub fn to_text(comparison: &Comparison, [a, b]: [&Path; 2], with_inputs: bool) -> String {
    let identical = comparison.tensors.iter().filter(|tensor| tensor.identical).count();
    format!(
        "{}\n{}, {} weights; {} identical\n{}{}{}{}{}",
        comparison_table(comparison, with_inputs).render(),
        counted(comparison.tensors.len() as u64, "tensor"),
        grouped(comparison.total.weights),
        grouped(identical as u64),
        non_finite_notes(comparison),
        operator_notes(comparison, with_inputs),
        list("shape differs", comparison.tensors.iter().filter_map(shapes)),
        only_in(a, &comparison.only_in_a),
        only_in(b, &comparison.only_in_b),
    )
}

/// Errors of weights and, with inputs, of outputs.
fn comparison_table(comparison: &Comparison, with_inputs: bool) -> Table {
    let mut columns = vec![
        ("tensor", Align::Left),
        ("dtype", Align::Left),
        ("shape", Align::Left),
        ("rel. error", Align::Right),
        ("SNR dB", Align::Right),
        ("max error", Align::Right),
        ("cosine", Align::Right),
    ];
    if with_inputs {
        columns.extend([("op. error", Align::Right), ("op. SNR dB", Align::Right)]);
    }
    let mut table = Table::new(&columns);
    let row = |first: [String; 3], weights: [String; 4], outputs| {
        let mut cells: Vec<String> = first.into_iter().chain(weights).collect();
        if with_inputs {
            cells.extend(operator_cells(outputs));
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
        let weights = error_cells(tensor.identical, tensor.distortion);
        table.cells(row(first, weights, tensor.operator));
    }
    table.rule();
    let total = &comparison.total;
    let first = ["total".into(), String::new(), String::new()];
    table.cells(row(first, error_cells(total.identical, total.distortion), total.operator));
    table
}

/// The dtype, or both if they differ.
fn dtypes(tensor: &TensorComparison) -> String {
    let (a, b) = (tensor.dtype, tensor.dtype_b);
    if a == b { a.to_string() } else { format!("{a}→{b}") }
}

fn error_cells(identical: bool, distortion: Option<Distortion>) -> [String; 4] {
    let unless_identical = |text: String| if identical { "identical".into() } else { text };
    match distortion {
        None => [unless_identical("differs".into()), String::new(), String::new(), String::new()],
        Some(d) => [
            unless_identical(scientific(d.rel_error)),
            finite(d.snr_db, format!("{:.2}", d.snr_db)),
            scientific(d.max_abs_error),
            format!("{:.6}", d.cosine),
        ],
    }
}

fn operator_cells(operator: Option<OperatorDistortion>) -> [String; 2] {
    match operator {
        None => [String::new(), String::new()],
        Some(o) => [scientific(o.rel_error), finite(o.snr_db, format!("{:.2}", o.snr_db))],
    }
}

/// The tensors whose outputs were compared, and how weights and inputs were interpreted.
fn operator_notes(comparison: &Comparison, with_inputs: bool) -> String {
    if !with_inputs {
        return "only weights were compared; --inputs also compares outputs\n".into();
    }
    let operators: Vec<&TensorComparison> =
        comparison.tensors.iter().filter(|tensor| tensor.operator.is_some()).collect();
    let names = |wanted: &dyn Fn(&TensorComparison) -> bool| {
        let wanted = operators.iter().filter(|tensor| wanted(tensor));
        wanted.map(|tensor| tensor.name.escape_debug().to_string()).collect::<Vec<_>>()
    };
    let transposed = names(&|tensor| tensor.transposed);
    // If some weights are transposed, square ones may be as well, which their shapes do not show.
    let square = names(&|tensor| {
        let is_square = matches!(tensor.shape[..], [rows, columns] if rows == columns);
        !transposed.is_empty() && is_square
    });
    let weights: u64 = operators.iter().map(|tensor| tensor.weights).sum();
    let grams = names(&|tensor| tensor.inputs == Some(Inputs::Gram)).len();
    let diagonals = names(&|tensor| tensor.inputs == Some(Inputs::Diagonal)).len();
    let diagonal = match diagonals {
        0 => String::new(),
        count => format!(", {} diagonals", grouped(count as u64)),
    };
    let unused = comparison.unused_inputs.iter().map(|name| name.escape_debug().to_string());
    format!(
        "operator error (op.): {}, {} weights; {} batches, {} Gram matrices{diagonal}\n{}{}{}",
        counted(operators.len() as u64, "tensor"),
        grouped(weights),
        grouped((operators.len() - grams - diagonals) as u64),
        grouped(grams as u64),
        list("transposed: the inputs fit only inputs × outputs", transposed.into_iter()),
        list("square, interpreted as outputs × inputs", square.into_iter()),
        list("unused inputs", unused),
    )
}

/// How many weights are NaN or infinite in A and in B, and whether they agree.
fn non_finite_notes(comparison: &Comparison) -> String {
    let counts = |n: NonFinite| {
        let side = |nan, infinite| format!("{} NaN, {} infinite", grouped(nan), grouped(infinite));
        let (a, b) = (side(n.nan_a, n.infinite_a), side(n.nan_b, n.infinite_b));
        let agree = match n.differing {
            0 => "all agree".into(),
            differing => format!("{} differ", grouped(differing)),
        };
        format!("A {a}; B {b}; {agree}")
    };
    let Some(total) = comparison.total.non_finite else { return String::new() };
    if !total.any() {
        return "no weight is NaN or infinite\n".into();
    }
    let tensors = comparison.tensors.iter().filter_map(|tensor| {
        let counts = counts(tensor.non_finite.filter(NonFinite::any)?);
        Some(format!("{}: {counts}", tensor.name.escape_debug()))
    });
    list(&format!("weights that are NaN or infinite: {}", counts(total)), tensors)
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

/// A heading and indented lines; empty without lines.
fn list(heading: &str, lines: impl Iterator<Item = String>) -> String {
    let lines: String = lines.map(|line| format!("  {line}\n")).collect();
    if lines.is_empty() { lines } else { format!("{heading}:\n{lines}") }
}

/// Both shapes of a tensor, if they differ. They are too wide for the table.
fn shapes(tensor: &TensorComparison) -> Option<String> {
    let shapes = || format!("{} → {}", shape(&tensor.shape), shape(&tensor.shape_b));
    let differs = tensor.shape != tensor.shape_b;
    differs.then(|| format!("{}: {}", tensor.name.escape_debug(), shapes()))
}

fn only_in(model: &Path, names: &[String]) -> String {
    let names = names.iter().map(|name| name.escape_debug().to_string());
    list(&format!("only in {}", model.display()), names)
}
