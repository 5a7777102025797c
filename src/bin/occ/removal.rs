//! `--rm`: the removal of inputs whose outputs are complete.

use crate::failure::{Failure, in_file, usage};
use crate::hub::is_in_cache;
use occ::Error;
use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

/// Files that are read, and removed when all outputs are complete and checked.
#[derive(Default)]
pub struct Originals(BTreeMap<PathBuf, Identity>);

/// What changes when a file is replaced or written to.
#[derive(PartialEq)]
struct Identity {
    bytes: u64,
    modified: Option<std::time::SystemTime>,
    /// Device and inode, on Unix.
    file: (u64, u64),
}

impl Originals {
    /// Adds files before they are read.
    ///
    /// Refuses links, which removal would break or which name only one of the places of the data, and
    /// files of the cache of the Hugging Face hub.
    pub fn add<'p>(&mut self, paths: impl IntoIterator<Item = &'p Path>) -> Result<(), Failure> {
        for path in paths {
            let metadata = fs::symlink_metadata(path).map_err(|error| in_file(path, error))?;
            let refuse = |what: &str| usage(&format!("{}: {what}; --rm keeps it", path.display()));
            if metadata.is_symlink() {
                return refuse("a symbolic link");
            }
            if !metadata.is_file() {
                return refuse("not a regular file");
            }
            if link_count(&metadata) > 1 {
                return refuse("a file with several names (hard links)");
            }
            if is_in_cache(path) {
                return refuse("a file of the cache of the Hugging Face hub");
            }
            self.0.insert(path.to_owned(), Identity::of(&metadata));
        }
        Ok(())
    }

    /// Removes the files. A file that has changed since it was added is kept, which is an error.
    pub fn remove(self) -> Result<(), Failure> {
        for (path, identity) in self.0 {
            let remove = || {
                if Identity::of(&fs::symlink_metadata(&path)?) != identity {
                    return Err(io::Error::other("changed since it was read; --rm keeps it"));
                }
                fs::remove_file(&path)
            };
            remove().map_err(|error| Error::from(error).in_file(&path))?;
        }
        Ok(())
    }
}

impl Identity {
    fn of(metadata: &Metadata) -> Self {
        let modified = metadata.modified().ok();
        Self { bytes: metadata.len(), modified, file: device_and_inode(metadata) }
    }
}

#[cfg(unix)]
fn device_and_inode(metadata: &Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino())
}

#[cfg(not(unix))]
fn device_and_inode(_: &Metadata) -> (u64, u64) {
    (0, 0)
}

#[cfg(unix)]
fn link_count(metadata: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::nlink(metadata)
}

#[cfg(not(unix))]
fn link_count(_: &Metadata) -> u64 {
    1
}
