//! Syncing of a large file while it is written, so that the disk is not idle until the end.

use std::fs::File;
use std::io;
use std::thread::{Builder, JoinHandle};

/// Bytes that are written before they are synced.
const INTERVAL: u64 = 32 << 20;

/// Syncs what was written so far by a thread of its own, one at a time.
#[derive(Default)]
pub(super) struct EarlySync {
    unsynced: u64,
    running: Option<JoinHandle<io::Result<()>>>,
}

impl EarlySync {
    /// Counts bytes that were written to `file`, and starts to sync if there are many.
    ///
    /// # Errors
    /// Those of the sync before: the system reports them once.
    pub(super) fn wrote(&mut self, file: &File, bytes: usize) -> io::Result<()> {
        self.unsynced += bytes as u64;
        let is_running = self.running.as_ref().is_some_and(|running| !running.is_finished());
        if self.unsynced < INTERVAL || is_running {
            return Ok(());
        }
        self.finish()?;
        let file = file.try_clone()?;
        // Without a thread the file is synced at the end only.
        self.running = Builder::new().spawn(move || file.sync_data()).ok();
        self.unsynced = 0;
        Ok(())
    }

    /// Waits for the sync in progress.
    ///
    /// # Errors
    /// Those of that sync.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        match self.running.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(io::Error::other("a thread that synced a file panicked")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syncs_after_many_bytes_and_reports_errors() {
        let file = tempfile::tempfile().unwrap();
        let mut sync = EarlySync::default();
        sync.wrote(&file, INTERVAL as usize - 1).unwrap();
        assert!(sync.running.is_none());
        sync.wrote(&file, 1).unwrap();
        assert!(sync.running.is_some() && sync.unsynced == 0);
        sync.finish().unwrap();
        assert!(sync.running.is_none());
        sync.running = Some(std::thread::spawn(|| Err(io::ErrorKind::StorageFull.into())));
        assert_eq!(sync.finish().unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
}
