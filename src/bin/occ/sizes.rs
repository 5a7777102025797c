//! Sizes of the tensors of an .occ file.

use crate::numbers::{Bytes, bits_per_weight, grouped, ratio};
use crate::table::{Align, Table};
use occ::Reader;
use std::collections::BTreeMap;

/// Tensors whose names differ only in numbers.
#[derive(Default)]
struct TensorGroup {
    first: usize,
    tensors: u64,
    dtypes: String,
    weights: u64,
    decoded: u64,
    coded: u64,
}

/// Sizes by group of tensors, and of the whole file.
pub fn size_table(file: &Reader<'_>, original_bytes: u64) -> occ::Result<Table> {
    let mut groups = BTreeMap::<String, TensorGroup>::new();
    let mut weights = 0;
    for (position, tensor) in file.tensors().enumerate() {
        let tensor = tensor?;
        let group = groups.entry(group_name(tensor.name())).or_insert_with(|| TensorGroup {
            first: position,
            dtypes: tensor.dtype().to_string(),
            ..TensorGroup::default()
        });
        group.tensors += 1;
        group.weights += tensor.elements();
        group.decoded += tensor.decoded_bytes();
        group.coded += tensor.coded_bytes();
        weights += tensor.elements();
        if group.dtypes != tensor.dtype().name() {
            group.dtypes = "mixed".into();
        }
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(_, group)| group.first);

    let mut table = Table::new(&[
        ("tensors", Align::Left),
        ("", Align::Right),
        ("dtype", Align::Left),
        ("weights", Align::Right),
        ("original", Align::Right),
        (".occ", Align::Right),
        ("ratio", Align::Right),
        ("bits/weight", Align::Right),
    ]);
    let (mut decoded, mut coded) = (0, 0);
    for (name, group) in &groups {
        let count = if group.tensors > 1 { format!("×{}", group.tensors) } else { String::new() };
        let [weights, original, occ, ratio, bits] =
            size_cells(group.weights, group.decoded, group.coded);
        let name = name.escape_debug().to_string();
        table.row([name, count, group.dtypes.clone(), weights, original, occ, ratio, bits]);
        decoded += group.decoded;
        coded += group.coded;
    }
    let none = String::new;
    let [_, rest, rest_coded, ..] =
        size_cells(0, original_bytes - decoded, file.file_bytes() - coded);
    let name = "headers and index".into();
    table.row([name, none(), none(), none(), rest, rest_coded, none(), none()]);
    table.rule();
    let [weights, original, occ, ratio, bits] =
        size_cells(weights, original_bytes, file.file_bytes());
    table.row(["total".into(), none(), none(), weights, original, occ, ratio, bits]);
    Ok(table)
}

/// Cells: weights, original and compressed bytes, ratio, bits per weight.
fn size_cells(weights: u64, decoded: u64, coded: u64) -> [String; 5] {
    [
        grouped(weights),
        Bytes(decoded).to_string(),
        Bytes(coded).to_string(),
        format!("{:.3}", ratio(coded, decoded)),
        format!("{:.2}", bits_per_weight(coded, weights)),
    ]
}

/// A name with numbers replaced by `*`.
fn group_name(name: &str) -> String {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let parts = name.split('.').map(|part| if is_number(part) { "*" } else { part });
    parts.collect::<Vec<_>>().join(".")
}
