//! The figures, for people and machines.

use super::machine::{kernel, processor};
use super::rounds::Figure;
use super::weights::Weights;
use crate::numbers::{Bytes, counted, grouped};
use crate::table::{Align, Table};
use serde_json::{Value, json};

pub fn to_json(figures: &[Figure<'_>]) -> String {
    let object = |figure: &Figure<'_>| {
        json!({
            "name": figure.contestant.name,
            "bytes": figure.contestant.bytes,
            "threads": figure.threads(),
            "gb_per_s": figure.gb_per_s(),
            "mweights_per_s": figure.mweights_per_s(),
            "ratio": figure.ratio(),
        })
    };
    figures.iter().map(object).collect::<Value>().to_string()
}

pub fn to_text(weights: &Weights, figures: &[Figure<'_>], rounds: u16) -> String {
    let columns = [
        ("", Align::Left),
        ("threads", Align::Right),
        ("GB/s", Align::Right),
        ("Mweights/s", Align::Right),
        ("ratio", Align::Right),
        ("of memcpy", Align::Right),
    ];
    let mut table = Table::new(&columns);
    // The first, with one thread.
    let memcpy = figures.first().map_or(f64::INFINITY, Figure::gb_per_s);
    let mut threads = 1;
    for figure in figures {
        if figure.threads() != threads {
            threads = figure.threads();
            table.rule();
        }
        let share = 100.0 * figure.gb_per_s() / memcpy;
        table.row([
            figure.contestant.name.clone(),
            threads.to_string(),
            format!("{:.3}", figure.gb_per_s()),
            format!("{:.1}", figure.mweights_per_s()),
            figure.ratio().map_or_else(String::new, |ratio| format!("{ratio:.3}")),
            if threads == 1 { format!("{share:.1} %") } else { String::new() },
        ]);
    }
    format!("{}\n{}\n\n{}", what(weights), conditions(rounds), table.render())
}

/// What was coded: `made-up weights: 67.11 MB of BF16, 33,554,432 weights`.
fn what(weights: &Weights) -> String {
    let mut dtypes: Vec<&str> = weights.tensors.iter().map(|tensor| tensor.dtype.name()).collect();
    dtypes.sort_unstable();
    dtypes.dedup();
    let all = weights.all();
    format!(
        "{}: {} of {}, {} weights",
        weights.source,
        Bytes(all.byte_len()),
        dtypes.join(", "),
        grouped(all.weights())
    )
}

/// Where and how: `AMD EPYC, kernel best, medians of 5 rounds`.
fn conditions(rounds: u16) -> String {
    let rounds = counted(rounds.into(), "round");
    format!("{}, kernel {}, medians of {rounds}", processor(), kernel())
}
