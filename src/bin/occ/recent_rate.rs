//! The rate of recent work, for progress bars.

use std::collections::VecDeque;
use std::time::Duration;

/// Samples in the time that counts, about.
const SAMPLES: u32 = 128;

/// The rate of work in the later half of the time since the start.
///
/// Tensors differ in cost for each byte, and large embeddings often come first: the mean since the
/// start would be wrong for long. What the last half brought is a better guess of what remains.
#[derive(Clone)]
pub struct RecentRate {
    /// Time since the start and work done until then, in order. All but the first are in the later
    /// half of the time.
    samples: VecDeque<(Duration, u64)>,
}

impl Default for RecentRate {
    fn default() -> Self {
        Self { samples: VecDeque::from([(Duration::ZERO, 0)]) }
    }
}

impl RecentRate {
    /// Notes the work that is done at a time since the start. Amortised O(1).
    pub fn add(&mut self, time: Duration, done: u64) {
        let next = self.samples.back().map_or(Duration::ZERO, |last| last.0 + time / (2 * SAMPLES));
        if time > next {
            self.samples.push_back((time, done));
        }
        while self.samples.get(1).is_some_and(|second| second.0 <= time / 2) {
            self.samples.pop_front();
        }
    }

    /// Work per second; `None` before the first work is done.
    pub fn per_second(&self, time: Duration, done: u64) -> Option<f64> {
        let &(start, before) = self.samples.front()?;
        let seconds = time.saturating_sub(start).as_secs_f64();
        let work = done.saturating_sub(before);
        (work > 0 && seconds > 0.0).then(|| work as f64 / seconds)
    }

    /// The time that is left until `total` is done; `None` also after that, when a task may still end
    /// with work that is not counted.
    pub fn time_left(&self, time: Duration, done: u64, total: u64) -> Option<Duration> {
        if done >= total {
            return None;
        }
        let seconds = total.saturating_sub(done) as f64 / self.per_second(time, done)?;
        Duration::try_from_secs_f64(seconds).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The time left that is shown at each millisecond of some work, and the true one, in seconds.
    fn shown(work: &[(u64, u64)]) -> Vec<(f64, f64)> {
        let steps = work.iter().flat_map(|&(ms, rate)| (0..ms).map(move |_| rate));
        let steps: Vec<u64> = steps.collect();
        let total = steps.iter().sum();
        let (mut rate, mut done) = (RecentRate::default(), 0);
        let mut shown = Vec::new();
        for (ms, step) in steps.iter().enumerate() {
            done += step;
            let time = Duration::from_millis(ms as u64 + 1);
            rate.add(time, done);
            assert!(rate.samples.len() <= 2 * SAMPLES as usize + 2);
            let left = rate.time_left(time, done, total).unwrap_or(Duration::MAX).as_secs_f64();
            shown.push((left, (steps.len() - 1 - ms) as f64 / 1000.0));
        }
        shown
    }

    #[test]
    fn the_time_left_of_steady_work_is_exact() {
        for &(left, truth) in shown(&[(5000, 7)]).split_last().unwrap().1 {
            assert!((left - truth).abs() < 1e-9, "{left} {truth}");
        }
    }

    /// An embedding at twice the rate of the layers after it: after twice its time, nothing is left
    /// of its rate.
    #[test]
    fn a_fast_start_is_forgotten() {
        let shown = shown(&[(2000, 20), (18_000, 10)]);
        for (left, truth) in &shown[4100..shown.len() - 1] {
            assert!((left - truth).abs() <= 0.02 * truth + 1e-9, "{left} {truth}");
        }
    }

    #[test]
    fn without_work_nothing_is_known() {
        let mut rate = RecentRate::default();
        rate.add(Duration::from_secs(3), 0);
        assert_eq!(rate.time_left(Duration::from_secs(4), 0, 10), None);
    }

    #[test]
    fn after_the_last_work_nothing_is_known() {
        let mut rate = RecentRate::default();
        rate.add(Duration::from_secs(3), 10);
        assert!(rate.time_left(Duration::from_secs(3), 10, 11).is_some());
        assert_eq!(rate.time_left(Duration::from_secs(4), 10, 10), None);
    }
}
