//! Rounds of measurements.

use super::task::{BenchTask, Buffers};
use crate::numbers::{median, ratio};
use crate::progress::Progress;
use crate::timing::timed;
use occ::Result;

/// The measurements of a task.
pub struct TaskResult<'d> {
    pub task: &'d BenchTask<'d>,
    /// Bytes of coded data, if the task writes or reads any.
    coded_bytes: Option<u64>,
    /// Duration in each measured round.
    seconds: Vec<f64>,
}

/// Runs all tasks in every round, so that disturbances by other processes affect all of them. The
/// first round is not measured: it warms up.
pub fn measure<'d>(
    tasks: &'d [BenchTask<'d>],
    buffers: &mut Buffers,
    rounds: u16,
) -> Result<Vec<TaskResult<'d>>> {
    let empty =
        |task| TaskResult { task, coded_bytes: None, seconds: Vec::with_capacity(rounds.into()) };
    let mut results: Vec<TaskResult<'d>> = tasks.iter().map(empty).collect();
    let bytes: u64 = tasks.iter().map(|task| task.bytes).sum();
    let progress = Progress::bytes("measuring", Some(bytes * (1 + u64::from(rounds))));
    for round in 0..=rounds {
        for result in &mut results {
            let task = result.task;
            let ((), seconds) = task.pool.install(|| timed(|| task.run(buffers)))?;
            result.coded_bytes = task.has_ratio.then_some(buffers.coded.len() as u64);
            if round > 0 {
                result.seconds.push(seconds);
            }
            // An interrupt ends the process at once: there are no temporary files.
            let _ = progress.advance(task.bytes);
        }
    }
    Ok(results)
}

impl TaskResult<'_> {
    pub fn threads(&self) -> usize {
        self.task.pool.current_num_threads()
    }

    /// 10^9 bytes of the original per second.
    pub fn gb_per_s(&self) -> f64 {
        self.task.bytes as f64 / self.median_seconds() * 1e-9
    }

    /// 10^6 weights per second.
    pub fn mweights_per_s(&self) -> f64 {
        self.task.weights as f64 / self.median_seconds() * 1e-6
    }

    /// Coded bytes divided by original bytes.
    pub fn ratio(&self) -> Option<f64> {
        self.coded_bytes.map(|coded| ratio(coded, self.task.bytes))
    }

    /// At least a nanosecond, the resolution of the clock.
    fn median_seconds(&self) -> f64 {
        median(self.seconds.iter().copied()).max(1e-9)
    }
}
