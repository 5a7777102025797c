//! Rounds of measurements.

use super::task::{BenchTask, Buffers};
use crate::numbers::{median, ratio};
use crate::timing::timed;
use occ::Result;
use std::time::{Duration, Instant};

/// A task is not measured again when it has taken so long, with its warm-up.
const LONGEST: Duration = Duration::from_secs(2);

/// The measurements of a task.
pub struct TaskResult<'d> {
    pub task: &'d BenchTask<'d>,
    /// Bytes of coded data, if the task writes or reads any.
    coded_bytes: Option<u64>,
    /// Duration in each measured round.
    seconds: Vec<f64>,
    /// Duration of memcpy in the same rounds, divided by the bytes.
    memcpy_seconds_per_byte: Vec<f64>,
}

/// Runs a task `rounds` times, or for about two seconds. In every round memcpy runs, too, so that
/// disturbances by other processes affect both. The first round is a warm-up, unless it is the only one.
pub fn measure<'d>(
    task: &'d BenchTask<'d>,
    memcpy: &BenchTask<'_>,
    buffers: &mut Buffers,
    rounds: u16,
) -> Result<TaskResult<'d>> {
    task.prepare(buffers)?;
    let (mut seconds, mut memcpy_seconds_per_byte) = (Vec::new(), Vec::new());
    let (mut coded_bytes, start) = (None, Instant::now());
    for round in 0..=rounds {
        let ((), copied) = timed(|| memcpy.run(buffers))?;
        let ((), taken) = match std::ptr::eq(task, memcpy) {
            true => ((), copied),
            false => timed(|| task.run(buffers))?,
        };
        coded_bytes = task.has_ratio.then_some(buffers.coded.len() as u64);
        let is_last = start.elapsed() >= LONGEST;
        if round > 0 || is_last {
            seconds.push(taken);
            memcpy_seconds_per_byte.push(copied / memcpy.bytes as f64);
        }
        if is_last {
            break;
        }
    }
    Ok(TaskResult { task, coded_bytes, seconds, memcpy_seconds_per_byte })
}

impl TaskResult<'_> {
    pub fn threads(&self) -> usize {
        self.task.pool.current_num_threads()
    }

    /// The number of measured rounds.
    pub fn rounds(&self) -> usize {
        self.seconds.len()
    }

    /// 10^9 bytes of the original per second.
    pub fn gb_per_s(&self) -> f64 {
        self.task.bytes as f64 / self.median_seconds() * 1e-9
    }

    /// 10^6 weights per second.
    pub fn mweights_per_s(&self) -> f64 {
        self.task.weights as f64 / self.median_seconds() * 1e-6
    }

    /// The speed divided by that of memcpy in the same rounds.
    pub fn share_of_memcpy(&self) -> f64 {
        let rounds = self.seconds.iter().zip(&self.memcpy_seconds_per_byte);
        median(rounds.map(|(seconds, memcpy)| memcpy * self.task.bytes as f64 / seconds.max(1e-9)))
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
