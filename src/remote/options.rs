//! Options for opening remote files.

use std::fmt;
use std::time::Duration;

/// How remote files are opened.
#[derive(Clone)]
#[non_exhaustive]
pub struct RemoteOptions {
    /// How long a request may take with its repetitions, besides a second for each 64 KiB that are
    /// requested (default 60 s). A third of it may pass without any bytes before the request is
    /// repeated.
    pub timeout: Duration,
    settings: Vec<(String, String)>,
}

impl Default for RemoteOptions {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(60), settings: Vec::new() }
    }
}

/// Settings are left out: they may hold credentials.
impl fmt::Debug for RemoteOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteOptions").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

impl RemoteOptions {
    /// Sets [`timeout`](Self#structfield.timeout).
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Adds a setting of the store, which replaces that of the environment. The keys are those of the
    /// stores in [`object_store`], such as `aws_endpoint` or `proxy_url`.
    #[must_use]
    pub fn setting(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.push((key.into(), value.into()));
        self
    }

    pub(super) fn settings(&self) -> &[(String, String)] {
        &self.settings
    }
}
