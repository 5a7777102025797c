//! The progress bar, and Ctrl-C.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::Read;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

const WITH_TOTAL: &str = "{msg} {wide_bar} {decimal_bytes} of {decimal_total_bytes}, {decimal_bytes_per_sec}, {eta} left";
const SHARE: &str = "{msg} {wide_bar} {percent} %, {eta} left";
const WITHOUT_TOTAL: &str = "{msg} {spinner} {decimal_bytes}, {decimal_bytes_per_sec}";

/// From now on Ctrl-C ends work in order, so that no half file stays; a second one, at once.
///
/// For work that reports to a [`Progress`]: nothing else looks.
pub fn watch_for_interrupts() {
    // Without a handler an interrupt still ends the process; only a temporary file may stay.
    let _ = ctrlc::set_handler(|| {
        if INTERRUPTED.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
    });
}

/// A bar over bytes on standard error, when that is a terminal.
pub struct Progress(ProgressBar);

impl Progress {
    /// For `bytes` in all, where that is known.
    pub fn new(task: &'static str, bytes: Option<u64>) -> Self {
        Self::with_template(task, bytes, if bytes.is_some() { WITH_TOTAL } else { WITHOUT_TOTAL })
    }

    /// For work that is not of bytes: only its share is shown.
    pub fn share(task: &'static str, work: u64) -> Self {
        Self::with_template(task, Some(work), SHARE)
    }

    fn with_template(task: &'static str, total: Option<u64>, template: &str) -> Self {
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━╸ "));
        }
        bar.set_message(task);
        Self(bar)
    }

    /// What the conversions call.
    pub fn advance(&self, work: u64) -> ControlFlow<()> {
        self.0.inc(work);
        if INTERRUPTED.load(Ordering::SeqCst) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    /// Follows what is read.
    pub fn follow<R: Read>(&self, input: R) -> impl Read {
        self.0.wrap_read(input)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
