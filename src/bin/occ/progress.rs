//! The progress bar, and Ctrl-C.

use crate::numbers::Bytes;
use crate::recent_rate::RecentRate;
use indicatif::style::ProgressTracker;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use std::fmt;
use std::io::{Read, Write};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Whether progress bars and summaries are omitted.
static QUIET: AtomicBool = AtomicBool::new(false);

/// Omits progress bars and summaries from now on. Warnings and errors remain.
pub fn be_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

pub fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

const WITH_TOTAL: &str =
    "{msg} {wide_bar} {decimal_bytes} of {decimal_total_bytes}, {rate}, {left} left";
const SHARE: &str = "{msg} {wide_bar} {percent} %, {left} left";
const WITHOUT_TOTAL: &str = "{msg} {spinner} {decimal_bytes}, {rate}";

/// From now on Ctrl-C cancels the work in progress, which removes its temporary files. A second
/// Ctrl-C ends the process at once.
///
/// Only for work that reports to a [`Progress`], which checks for interrupts.
pub fn watch_for_interrupts() {
    // Without a handler an interrupt still ends the process, but a temporary file may remain.
    let _ = ctrlc::set_handler(|| {
        if INTERRUPTED.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
    });
}

/// A progress bar on standard error, if that is a terminal and the command is not to be quiet.
pub struct Progress(ProgressBar);

impl Progress {
    /// Counts bytes, out of a total if it is known.
    pub fn bytes(task: &'static str, total: Option<u64>) -> Self {
        Self::new(task, total, if total.is_some() { WITH_TOTAL } else { WITHOUT_TOTAL })
    }

    /// Counts units of work other than bytes, and shows only a percentage.
    pub fn percentage(task: &'static str, total: u64) -> Self {
        Self::new(task, Some(total), SHARE)
    }

    fn new(task: &'static str, total: Option<u64>, template: &str) -> Self {
        let target =
            if is_quiet() { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(total, target);
        if let Ok(style) = ProgressStyle::with_template(template) {
            let style = style.with_key("rate", Pace::new(Figure::Rate));
            let style = style.with_key("left", Pace::new(Figure::TimeLeft));
            bar.set_style(style.progress_chars("━╸ "));
        }
        bar.set_message(task);
        Self(bar)
    }

    /// Adds work that is done; breaks after an interrupt.
    pub fn advance(&self, work: u64) -> ControlFlow<()> {
        self.0.inc(work);
        if INTERRUPTED.load(Ordering::SeqCst) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    /// Prints a line on standard error, above the bar.
    pub fn print(&self, line: &str) {
        // There is no other channel to report that standard error is closed.
        self.suspended(|| writeln!(std::io::stderr(), "{line}").unwrap_or(()));
    }

    /// Hides the bar while `output` prints, which may be to the same terminal.
    pub fn suspended<T>(&self, output: impl FnOnce() -> T) -> T {
        self.0.suspend(output)
    }

    /// Counts the bytes that are read from an input.
    pub fn count_reads<R: Read>(&self, input: R) -> impl Read {
        self.0.wrap_read(input)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// A figure of a progress bar that follows from the rate of recent work.
#[derive(Clone)]
struct Pace {
    figure: Figure,
    rate: RecentRate,
}

#[derive(Clone, Copy)]
enum Figure {
    /// In bytes.
    Rate,
    TimeLeft,
}

impl Pace {
    fn new(figure: Figure) -> Self {
        Self { figure, rate: RecentRate::default() }
    }
}

impl ProgressTracker for Pace {
    fn clone_box(&self) -> Box<dyn ProgressTracker> {
        Box::new(self.clone())
    }

    fn tick(&mut self, state: &ProgressState, _: Instant) {
        self.rate.add(state.elapsed(), state.pos());
    }

    fn reset(&mut self, _: &ProgressState, _: Instant) {
        self.rate = RecentRate::default();
    }

    fn write(&self, state: &ProgressState, w: &mut dyn fmt::Write) {
        let (time, done) = (state.elapsed(), state.pos());
        let text = match self.figure {
            Figure::Rate => {
                let rate = self.rate.per_second(time, done);
                rate.map(|rate| format!("{}/s", Bytes(rate as u64)))
            }
            Figure::TimeLeft => {
                let total = state.len().unwrap_or(done);
                self.rate.time_left(time, done, total).map(duration)
            }
        };
        // The line of a bar is in memory.
        let _ = w.write_str(text.as_deref().unwrap_or("–"));
    }
}

/// A duration as `42 s`, `12 min 5 s` or `3 h 20 min`.
fn duration(duration: Duration) -> String {
    match duration.as_secs_f64().round() as u64 {
        seconds @ ..100 => format!("{seconds} s"),
        seconds @ ..6000 => format!("{} min {} s", seconds / 60, seconds % 60),
        seconds => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}
