//! Taking turns, and the time that takes.

use super::contestants::{Contestant, Desk};
use crate::progress::Progress;
use occ::Result;
use std::time::Instant;

/// How a contestant did.
pub struct Figure<'c> {
    pub contestant: &'c Contestant<'c>,
    /// Bytes of what is coded, where that is written or read.
    coded_bytes: Option<u64>,
    /// The time each turn took that counts.
    seconds: Vec<f64>,
}

/// Lets every contestant have one turn a round, so that whatever else the machine does befalls all
/// of them alike. A round before those that count warms up.
pub fn hold<'c>(
    contestants: &'c [Contestant<'c>],
    desk: &mut Desk,
    rounds: u16,
) -> Result<Vec<Figure<'c>>> {
    let figure = |contestant| Figure {
        contestant,
        coded_bytes: None,
        seconds: Vec::with_capacity(rounds.into()),
    };
    let mut figures: Vec<Figure<'c>> = contestants.iter().map(figure).collect();
    let bytes: u64 = contestants.iter().map(|contestant| contestant.bytes).sum();
    let progress = Progress::new("measuring", Some(bytes * (1 + u64::from(rounds))));
    for round in 0..=rounds {
        for figure in &mut figures {
            let contestant = figure.contestant;
            let seconds = contestant.pool.install(|| timed(|| contestant.take_turn(desk)))?;
            figure.coded_bytes = contestant.codes.then_some(desk.coded.len() as u64);
            if round > 0 {
                figure.seconds.push(seconds);
            }
            // An interrupt ends the process at once: there is nothing to leave behind.
            let _ = progress.advance(contestant.bytes);
        }
    }
    Ok(figures)
}

/// Seconds that work takes.
fn timed(work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed().as_secs_f64())
}

impl Figure<'_> {
    pub fn threads(&self) -> usize {
        self.contestant.pool.current_num_threads()
    }

    /// 10^9 bytes of the original a second.
    pub fn gb_per_s(&self) -> f64 {
        self.contestant.bytes as f64 / self.seconds() * 1e-9
    }

    /// Millions of weights a second.
    pub fn mweights_per_s(&self) -> f64 {
        self.contestant.weights as f64 / self.seconds() * 1e-6
    }

    /// Bytes of what is coded to bytes of the original.
    pub fn ratio(&self) -> Option<f64> {
        self.coded_bytes.map(|coded| crate::numbers::ratio(coded, self.contestant.bytes))
    }

    /// The median, a clock's tick at least.
    fn seconds(&self) -> f64 {
        median(&self.seconds).max(1e-9)
    }
}

/// The middle of some numbers, or of the two in the middle.
fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    let at = |index: usize| sorted.get(index).copied().unwrap_or(0.0);
    (at(last / 2) + at(last.div_ceil(2))) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 9.0]), 3.0);
        assert_eq!((median(&[5.0]), median(&[])), (5.0, 0.0));
    }
}
