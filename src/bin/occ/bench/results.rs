//! Results as text and JSON.

use super::machine::processor;
use super::rounds::TaskResult;
use super::task::BenchTask;
use crate::numbers::counted;
use serde::Serialize;

#[derive(Serialize)]
pub struct ResultJson {
    name: String,
    dtype: &'static str,
    bytes: u64,
    threads: usize,
    rounds: usize,
    gb_per_s: f64,
    mweights_per_s: f64,
    ratio: Option<f64>,
    of_memcpy: f64,
}

impl ResultJson {
    pub fn new(dtype: occ::Dtype, result: &TaskResult<'_>) -> Self {
        Self {
            name: result.task.name.clone(),
            dtype: dtype.name(),
            bytes: result.task.bytes,
            threads: result.threads(),
            rounds: result.rounds(),
            gb_per_s: result.gb_per_s(),
            mweights_per_s: result.mweights_per_s(),
            ratio: result.ratio(),
            of_memcpy: result.share_of_memcpy(),
        }
    }
}

/// The lines of a table that is printed while it is measured.
pub struct Lines {
    /// Of the first column.
    width: usize,
}

impl Lines {
    pub fn new(tasks: &[BenchTask<'_>]) -> Self {
        Self { width: tasks.iter().map(|task| task.name.len()).max().unwrap_or(0) }
    }

    /// The titles of the columns.
    pub fn titles(&self) -> String {
        let titles = ["threads", "rounds", "GB/s", "Mweights/s", "ratio", "of memcpy"];
        self.line("task", &titles.map(String::from))
    }

    pub fn rule(&self) -> String {
        "─".repeat(self.titles().chars().count())
    }

    pub fn result(&self, result: &TaskResult<'_>) -> String {
        self.line(
            &result.task.name,
            &[
                result.threads().to_string(),
                result.rounds().to_string(),
                format!("{:.3}", result.gb_per_s()),
                format!("{:.1}", result.mweights_per_s()),
                result.ratio().map_or_else(String::new, |ratio| format!("{ratio:.3}")),
                format!("{:.1} %", 100.0 * result.share_of_memcpy()),
            ],
        )
    }

    fn line(
        &self,
        name: &str,
        [threads, rounds, gb, mweights, ratio, share]: &[String; 6],
    ) -> String {
        let name = format!("{name:<0$}", self.width);
        format!(
            "{name}  {threads:>7}  {rounds:>6}  {gb:>7}  {mweights:>10}  {ratio:>5}  {share:>9}"
        )
    }
}

/// The machine and the method, as in `AMD EPYC, kernel avx2, medians of at most 5 rounds`.
pub fn conditions(rounds: u16) -> String {
    let rounds = counted(rounds.into(), "round");
    let kernel = occ::kernel().unwrap_or("unknown");
    let zstd = if cfg!(feature = "zstd") { "" } else { "; zstd: not built in" };
    format!("{}, kernel {kernel}, medians of at most {rounds}{zstd}", processor())
}
