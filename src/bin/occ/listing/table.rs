//! Tensors as a table.

use super::Group;
use crate::numbers::{Bytes, bits_per_weight, grouped, ratio, shape};
use crate::table::{Align, Table};
use std::collections::BTreeMap;

/// Something in a file besides tensors.
pub struct Attached {
    pub name: String,
    pub bytes: u64,
    pub stored: u64,
}

/// The columns that a narrow terminal does without, the first of them first.
const OPTIONAL: &[&str] =
    &["gain", "statistics", "bytes", "dtype", "stored as", "coded", "estimated"];

#[derive(Clone, Copy)]
enum Column {
    Name,
    Count,
    Dtype,
    Shape,
    Form,
    Bytes,
    Stored(&'static str),
    Ratio,
    BitsPerWeight,
    Gain,
    Snr,
    Statistics,
}

/// A row for each group of tensors and each attachment. Lists with lossy tensors have columns for
/// bits per weight and SNR, and one for statistics if some tensors were coded with them.
/// `stored_title` is the title of the bytes in the file.
pub fn tensor_table(
    groups: &[Group<'_, '_>],
    attached: &[Attached],
    stored_title: &'static str,
) -> Table {
    let tensors = || groups.iter().flat_map(|group| &group.tensors);
    let lossy = || tensors().filter_map(|tensor| tensor.lossy());
    let mut columns = vec![Column::Name];
    columns.extend(groups.iter().any(|group| group.tensors.len() > 1).then_some(Column::Count));
    columns.extend([Column::Dtype, Column::Shape]);
    let is_stored = tensors().any(|tensor| tensor.stored.is_some()) || !attached.is_empty();
    columns.extend(is_stored.then_some(Column::Form));
    columns.push(Column::Bytes);
    columns.extend(is_stored.then_some(Column::Stored(stored_title)));
    match lossy().next() {
        Some(_) => columns.extend([Column::BitsPerWeight, Column::Gain]),
        None => columns.extend(is_stored.then_some(Column::Ratio)),
    }
    columns.extend(lossy().any(|lossy| lossy.error.is_some()).then_some(Column::Snr));
    let calibrated = lossy().any(|lossy| !matches!(&lossy.statistics[..], "" | "none"));
    columns.extend(calibrated.then_some(Column::Statistics));

    let titles: Vec<_> = columns.iter().map(|&column| title(column)).collect();
    let mut table = Table::new(&titles).optional(OPTIONAL);
    for group in groups {
        table.cells(columns.iter().map(|&column| cell(column, group)).collect());
    }
    for attached in attached {
        table.cells(columns.iter().map(|&column| attached_cell(column, attached)).collect());
    }
    table
}

fn title(column: Column) -> (&'static str, Align) {
    match column {
        Column::Name => ("tensor", Align::Left),
        Column::Count => ("", Align::Right),
        Column::Dtype => ("dtype", Align::Left),
        Column::Shape => ("shape", Align::Left),
        Column::Form => ("stored as", Align::Left),
        Column::Bytes => ("bytes", Align::Right),
        Column::Stored(title) => (title, Align::Right),
        Column::Ratio => ("ratio", Align::Right),
        Column::BitsPerWeight => ("bits/weight", Align::Right),
        Column::Gain => ("gain", Align::Right),
        Column::Snr => ("SNR dB", Align::Right),
        Column::Statistics => ("statistics", Align::Left),
    }
}

fn cell(column: Column, group: &Group<'_, '_>) -> String {
    let tensors = || group.tensors.iter();
    let first = group.tensors[0];
    let bytes = || sum(tensors().map(|tensor| tensor.bytes));
    let stored = || sum(tensors().filter_map(|tensor| Some(tensor.stored.as_ref()?.bytes)));
    let lossy = || tensors().filter_map(|tensor| tensor.lossy());
    match column {
        Column::Name => group.name.clone(),
        Column::Count if group.tensors.len() == 1 => String::new(),
        Column::Count => format!("×{}", grouped(group.tensors.len() as u64)),
        Column::Dtype => first.dtype.to_string(),
        Column::Shape => shape(first.shape),
        Column::Form => mostly(tensors().filter_map(|tensor| Some(&tensor.stored.as_ref()?.form))),
        Column::Bytes => Bytes(bytes()).to_string(),
        Column::Stored(_) => Bytes(stored()).to_string(),
        Column::Ratio => format!("{:.3}", ratio(stored(), bytes())),
        Column::BitsPerWeight => {
            format!(
                "{:.3}",
                bits_per_weight(stored(), sum(tensors().map(|tensor| tensor.weights())))
            )
        }
        Column::Gain => match lossy().count() {
            0 => String::new(),
            count => {
                format!("{:.2}", lossy().map(|lossy| lossy.gain).sum::<f64>() / count as f64)
            }
        },
        Column::Snr => match lossy().next() {
            None => "lossless".into(),
            Some(_) => {
                let errors = lossy().filter_map(|lossy| lossy.error);
                decibels(errors.fold((0.0, 0.0), |sum, error| (sum.0 + error.0, sum.1 + error.1)))
            }
        },
        Column::Statistics => mostly(lossy().map(|lossy| &lossy.statistics)),
    }
}

fn sum(numbers: impl Iterator<Item = u64>) -> u64 {
    numbers.fold(0, u64::saturating_add)
}

fn attached_cell(column: Column, attached: &Attached) -> String {
    match column {
        Column::Name => attached.name.clone(),
        Column::Bytes => Bytes(attached.bytes).to_string(),
        Column::Stored(_) => Bytes(attached.stored).to_string(),
        Column::Ratio => format!("{:.3}", ratio(attached.stored, attached.bytes)),
        _ => String::new(),
    }
}

fn decibels((signal, noise): (f64, f64)) -> String {
    if noise > 0.0 { format!("{:.2}", 10.0 * (signal / noise).log10()) } else { "∞".into() }
}

/// The text that all have in common, or the most frequent one.
fn mostly<'s>(texts: impl Iterator<Item = &'s String>) -> String {
    let mut counts = BTreeMap::<&str, usize>::new();
    for text in texts {
        *counts.entry(text).or_default() += 1;
    }
    // The first of those that are equally frequent.
    let most = counts.iter().rev().max_by_key(|&(_, count)| count);
    match most {
        None => String::new(),
        Some((text, _)) if counts.len() == 1 => (*text).to_owned(),
        Some((text, _)) => format!("mostly {text}"),
    }
}
