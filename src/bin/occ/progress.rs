//! The progress bar, and Ctrl-C.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::Read;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

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

const WITH_TOTAL: &str = "{msg} {wide_bar} {decimal_bytes} of {decimal_total_bytes}, {decimal_bytes_per_sec}, {eta} left";
const SHARE: &str = "{msg} {wide_bar} {percent} %, {eta} left";
const WITHOUT_TOTAL: &str = "{msg} {spinner} {decimal_bytes}, {decimal_bytes_per_sec}";

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
