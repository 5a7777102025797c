//! The runtime on which requests run.

use std::io;
use std::sync::LazyLock;
use std::sync::mpsc::sync_channel;
use tokio::runtime::{Builder, Runtime};

/// One for the process, which is never dropped: a runtime must not be dropped in another one.
static RUNTIME: LazyLock<io::Result<Runtime>> = LazyLock::new(|| {
    Builder::new_multi_thread().worker_threads(2).thread_name("occ-remote").enable_all().build()
});

/// Runs a future to its end. This thread, which may be one of another runtime, blocks meanwhile.
///
/// # Errors
/// Those of the operating system for the threads of the runtime; `Other` if the future panics.
pub(super) fn wait<T: Send + 'static>(
    future: impl Future<Output = T> + Send + 'static,
) -> io::Result<T> {
    let runtime =
        RUNTIME.as_ref().map_err(|error| io::Error::new(error.kind(), error.to_string()))?;
    let (sender, receiver) = sync_channel(1);
    runtime.spawn(async move {
        // The receiver waits.
        let _ = sender.send(future.await);
    });
    receiver.recv().map_err(|_| io::Error::other("the HTTP client panicked"))
}
