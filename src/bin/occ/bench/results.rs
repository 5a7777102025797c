//! Results as text and JSON.

use super::data::BenchData;
use super::machine::processor;
use super::rounds::TaskResult;
use crate::numbers::{Bytes, counted, grouped};
use crate::table::{Align, Table};
use serde::Serialize;

#[derive(Serialize)]
pub struct ResultJson<'r> {
    name: &'r str,
    bytes: u64,
    threads: usize,
    gb_per_s: f64,
    mweights_per_s: f64,
    ratio: Option<f64>,
}

impl<'r> ResultJson<'r> {
    pub fn new(result: &'r TaskResult<'_>) -> Self {
        Self {
            name: &result.task.name,
            bytes: result.task.bytes,
            threads: result.threads(),
            gb_per_s: result.gb_per_s(),
            mweights_per_s: result.mweights_per_s(),
            ratio: result.ratio(),
        }
    }
}

pub fn to_text(data: &BenchData, results: &[TaskResult<'_>], rounds: u16) -> String {
    let columns = [
        ("task", Align::Left),
        ("threads", Align::Right),
        ("GB/s", Align::Right),
        ("Mweights/s", Align::Right),
        ("ratio", Align::Right),
        ("of memcpy", Align::Right),
    ];
    let mut table = Table::new(&columns);
    // The first task, with one thread.
    let memcpy = results.first().map_or(f64::INFINITY, TaskResult::gb_per_s);
    let mut threads = 1;
    for result in results {
        if result.threads() != threads {
            threads = result.threads();
            table.rule();
        }
        let share = 100.0 * result.gb_per_s() / memcpy;
        table.row([
            result.task.name.clone(),
            threads.to_string(),
            format!("{:.3}", result.gb_per_s()),
            format!("{:.1}", result.mweights_per_s()),
            result.ratio().map_or_else(String::new, |ratio| format!("{ratio:.3}")),
            if threads == 1 { format!("{share:.1} %") } else { String::new() },
        ]);
    }
    let zstd = if cfg!(feature = "zstd") { "" } else { "zstd: not built in\n" };
    format!("{}\n{}\n\n{}{zstd}", describe(data), conditions(rounds), table.render())
}

/// The data, as in `random weights: 67.11 MB of BF16, 33,554,432 weights`.
fn describe(data: &BenchData) -> String {
    let mut dtypes: Vec<&str> = data.tensors.iter().map(|tensor| tensor.dtype.name()).collect();
    dtypes.sort_unstable();
    dtypes.dedup();
    let all = data.all();
    format!(
        "{}: {} of {}, {} weights",
        data.source,
        Bytes(all.byte_len()),
        dtypes.join(", "),
        grouped(all.weights())
    )
}

/// The machine and the method, as in `AMD EPYC, kernel avx2, medians of 5 rounds`.
fn conditions(rounds: u16) -> String {
    let rounds = counted(rounds.into(), "round");
    let kernel = occ::kernel().unwrap_or("unknown");
    format!("{}, kernel {kernel}, medians of {rounds}", processor())
}
