//! Folders that exist only if an operation succeeds.

use crate::error::{Error, Result};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Folders that were created. Those that are still empty are removed when this is dropped, unless
/// they are to be kept.
#[derive(Default)]
pub(super) struct NewFolders(Vec<PathBuf>);

impl NewFolders {
    /// Creates a folder and those above it, unless they exist.
    ///
    /// # Errors
    /// `Io`, with `NotADirectory` if a file is in the way.
    pub(super) fn create(&mut self, folder: &Path) -> Result<()> {
        if folder.as_os_str().is_empty() || folder.is_dir() {
            return Ok(());
        }
        if let Some(above) = folder.parent() {
            self.create(above)?;
        }
        fs::create_dir(folder).map_err(|error| {
            match error.kind() {
                ErrorKind::AlreadyExists => {
                    Error::from(std::io::Error::from(ErrorKind::NotADirectory))
                }
                _ => error.into(),
            }
            .in_file(folder)
        })?;
        self.0.push(folder.to_owned());
        Ok(())
    }

    pub(super) fn keep(&mut self) {
        self.0.clear();
    }
}

impl Drop for NewFolders {
    fn drop(&mut self) {
        for folder in self.0.iter().rev() {
            // It stays if files of others are in it.
            let _ = fs::remove_dir(folder);
        }
    }
}
