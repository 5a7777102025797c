//! The files of a checkpoint folder, and which of them form the checkpoint.

use super::inventory::{LeftOut, LeftOutReason};
use super::shard_names::{is_index, is_safetensors, shard_sets};
use crate::error::{Error, Location, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

/// Subfolders that are searched for files beside a checkpoint: levels, and folders in all.
const MAX_DEPTH: usize = 4;
const MAX_FOLDERS: usize = 1000;

/// Names in a message.
const NAMED: usize = 12;

/// The files of a folder that matter. Paths are relative to it, with `/` between names.
#[derive(Debug, Default)]
pub(super) struct FolderContents {
    pub(super) indexes: BTreeSet<String>,
    pub(super) shards: BTreeSet<String>,
    /// Links to nothing, among the names of shards.
    broken: BTreeSet<String>,
    /// Other files, and folders.
    others: BTreeSet<String>,
    /// Safetensors files in subfolders.
    deeper: BTreeSet<String>,
}

/// The files that form the checkpoint of a folder.
pub(super) enum Layout {
    /// A file of this name.
    Index(String),
    /// Shards of these names, without an index.
    Shards(Vec<String>),
}

impl FolderContents {
    /// Lists a folder.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn list(folder: &Path) -> Result<Self> {
        let mut contents = Self::default();
        walk(folder, Search::Nearby, |prefix, name, is_folder, path| {
            contents.add(format!("{prefix}{name}"), !prefix.is_empty(), is_folder, path);
        })?;
        Ok(contents)
    }

    /// The names of all files in a folder and below it, by relative folder: empty, or ending with
    /// `/`.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn files_by_folder(root: &Path) -> Result<BTreeMap<String, BTreeSet<String>>> {
        let mut files = BTreeMap::<String, BTreeSet<String>>::new();
        walk(root, Search::Tree, |prefix, name, is_folder, _| {
            if !is_folder {
                files.entry(prefix.to_owned()).or_default().insert(name.to_owned());
            }
        })?;
        Ok(files)
    }

    fn add(&mut self, relative: String, is_deeper: bool, is_folder: bool, path: &Path) {
        let is_broken = || fs::metadata(path).is_err_and(|e| e.kind() == io::ErrorKind::NotFound);
        if is_folder || !(is_safetensors(&relative) || is_index(&relative)) {
            if !is_deeper {
                self.others.insert(if is_folder { relative + "/" } else { relative });
            }
        } else if is_deeper {
            self.deeper.insert(relative);
        } else if is_index(&relative) {
            self.indexes.insert(relative);
        } else {
            if is_broken() {
                self.broken.insert(relative.clone());
            }
            self.shards.insert(relative);
        }
    }

    /// Which files form the checkpoint of this folder.
    ///
    /// # Errors
    /// `SeveralCheckpoints`; `Io` with `NotFound` and a list of what there is, if there is no
    /// checkpoint or a shard is missing.
    pub(super) fn layout(&self, folder: &Path) -> Result<Layout> {
        let several = |names: Vec<String>| {
            let at = Location { file: Some(folder.to_owned()), ..Location::default() };
            Err(Error::SeveralCheckpoints { candidates: bounded(names), at })
        };
        if self.indexes.len() > 1 {
            return several(self.indexes.iter().cloned().collect());
        }
        if let Some(index) = self.indexes.first() {
            return Ok(Layout::Index(index.clone()));
        }
        // A link to nothing counts where it is one of several shards.
        let sets = shard_sets(self.shards.iter().cloned());
        let is_alone = |name: &String| self.broken.contains(name);
        let mut sets: Vec<_> =
            sets.into_iter().filter(|set| !set.names.iter().all(is_alone)).collect();
        match (sets.pop(), sets.is_empty()) {
            (None, _) => Err(self.nothing(folder)),
            (Some(set), true) if set.missing.is_empty() => Ok(Layout::Shards(set.names)),
            (Some(set), true) => Err(not_found(folder, set.missing_message())),
            (Some(last), false) => {
                let patterns = sets.into_iter().map(|set| set.pattern);
                several(patterns.chain([last.pattern]).collect())
            }
        }
    }

    /// The error for a folder without a checkpoint.
    fn nothing(&self, folder: &Path) -> Error {
        if !self.deeper.is_empty() {
            let names = bounded(self.deeper.iter().cloned().collect()).join(", ");
            return not_found(
                folder,
                format!("no safetensors in this folder, but in subfolders: {names}"),
            );
        }
        let is_pickle = |name: &String| {
            [".bin", ".pt", ".pth", ".ckpt"].iter().any(|extension| name.ends_with(extension))
        };
        let advice = match self.others.iter().find(|name| is_pickle(name)) {
            Some(name) => format!("; convert {name} to safetensors first"),
            None => String::new(),
        };
        let found = match self.others.len() {
            0 => "it is empty".to_owned(),
            _ => format!("it has {}", bounded(self.others.iter().cloned().collect()).join(", ")),
        };
        let broken = match self.broken.first() {
            Some(name) => format!("; {name} is a link to a file that does not exist"),
            None => String::new(),
        };
        not_found(folder, format!("no safetensors in this folder: {found}{broken}{advice}"))
    }

    /// The files that are no part of the checkpoint.
    pub(super) fn left_out(
        &self,
        folder: &Path,
        index: Option<&str>,
        taken: &BTreeSet<String>,
    ) -> Vec<LeftOut> {
        let beside = self.indexes.iter().chain(&self.shards);
        let beside = beside.filter(|name| index != Some(name.as_str()));
        let beside = beside.map(|name| match self.broken.contains(name) {
            true => (name, LeftOutReason::BrokenLink),
            false => (name, LeftOutReason::NotInIndex),
        });
        let deeper = self.deeper.iter().map(|name| (name, LeftOutReason::InSubfolder));
        let all = beside.chain(deeper).filter(|(name, _)| !taken.contains(*name));
        all.map(|(name, reason)| LeftOut { path: folder.join(name), reason }).collect()
    }
}

/// How a folder is searched.
#[derive(Clone, Copy, PartialEq)]
enum Search {
    /// A few levels; subfolders that cannot be read are skipped.
    Nearby,
    /// Everything.
    Tree,
}

/// Visits the entries of a folder and those below it: the relative folder (empty, or ending with
/// `/`), the name, whether it is a folder, and the path. Hidden folders and links to folders are
/// not entered.
fn walk(root: &Path, search: Search, mut visit: impl FnMut(&str, &str, bool, &Path)) -> Result<()> {
    let mut queue = vec![(root.to_owned(), String::new(), 0)];
    let mut folders = 0;
    while let Some((path, prefix, depth)) = queue.pop() {
        folders += 1;
        let in_folder = |error: io::Error| Error::from(error).in_file(&path);
        let entries = match fs::read_dir(&path) {
            Err(_) if search == Search::Nearby && depth > 0 => continue,
            entries => entries.map_err(in_folder)?,
        };
        for entry in entries {
            let entry = entry.map_err(in_folder)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_folder = entry.file_type().map_err(in_folder)?.is_dir();
            visit(&prefix, &name, is_folder, &entry.path());
            let enters = match search {
                Search::Nearby => depth < MAX_DEPTH && folders + queue.len() < MAX_FOLDERS,
                Search::Tree => true,
            };
            if is_folder && enters && !name.starts_with('.') {
                queue.push((entry.path(), format!("{prefix}{name}/"), depth + 1));
            }
        }
    }
    Ok(())
}

/// An error that says what is missing where.
pub(super) fn not_found(path: &Path, what: impl Into<String>) -> Error {
    Error::from(io::Error::new(io::ErrorKind::NotFound, what.into())).in_file(path)
}

/// As many names as a message can bear, and the number of the others.
pub(super) fn bounded(mut names: Vec<String>) -> Vec<String> {
    if let Some(more) = names.len().checked_sub(NAMED).filter(|&more| more > 0) {
        names.truncate(NAMED);
        names.push(format!("and {more} more"));
    }
    names
}
