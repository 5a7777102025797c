//! The checkpoints in a tree of folders.

use super::checkpoint::Checkpoint;
use super::folder::{FolderContents, not_found};
use super::inventory::LeftOutReason;
use super::shard_index::ShardIndex;
use super::shard_names::{index_stem, is_index, is_safetensors, shard_sets};
use crate::error::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The checkpoints below a folder, and the other files there. Hidden folders and links to folders
/// are not searched.
///
/// ```no_run
/// let tree = occ::convert::CheckpointTree::find("stable-diffusion")?;
/// for found in &tree.checkpoints {
///     println!("{}: {} tensors", found.relative().display(), found.open()?.tensor_count());
/// }
/// # Ok::<(), occ::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckpointTree {
    /// The checkpoints, sorted by path. Each safetensors file is in one of them or in `others`.
    pub checkpoints: Vec<FoundCheckpoint>,
    /// All other files, relative to the folder, sorted.
    pub others: Vec<PathBuf>,
}

/// A checkpoint in a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundCheckpoint {
    root: PathBuf,
    /// Relative to the root.
    folder: PathBuf,
    stem: String,
    files: Files,
    /// Whether it is the first one of its folder.
    is_first: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Files {
    Index(String),
    Shards(Vec<String>),
}

impl FoundCheckpoint {
    /// Its path relative to the root, without an extension: `unet/diffusion_pytorch_model`.
    pub fn relative(&self) -> PathBuf {
        self.folder.join(&self.stem)
    }

    /// Opens it.
    ///
    /// # Errors
    /// Those of [`Checkpoint::open`].
    pub fn open(&self) -> Result<Checkpoint> {
        let folder = self.root.join(&self.folder);
        match &self.files {
            // What lies beside it is in the tree.
            Files::Index(name) => Checkpoint::open_index(&folder, name, &FolderContents::default()),
            // A file by itself is compressed as if it were not in a folder.
            Files::Shards(names) if names.len() == 1 => Checkpoint::open(folder.join(&names[0])),
            Files::Shards(names) => Checkpoint::open_files(&folder, names, Vec::new()),
        }
    }

    /// Opens it with the other files of its folder, as [`Checkpoint::add_files`] takes them, if it is
    /// the first checkpoint of the folder. Without such files it is as [`open`](Self::open) opens it.
    ///
    /// # Errors
    /// Those of [`Checkpoint::open`].
    pub fn open_with_files(&self) -> Result<Checkpoint> {
        if !self.is_first {
            return self.open();
        }
        let folder = self.root.join(&self.folder);
        let mut checkpoint = match &self.files {
            Files::Index(_) => self.open()?,
            Files::Shards(names) => Checkpoint::open_files(&folder, names, Vec::new())?,
        };
        checkpoint.add_files(&folder)?;
        // A subfolder with weights is a part of the tree.
        checkpoint.retain_left_out(|reason| reason != LeftOutReason::InSubfolder);
        match checkpoint.is_sharded() {
            true => Ok(checkpoint),
            false => self.open(),
        }
    }
}

impl CheckpointTree {
    /// Searches a folder.
    ///
    /// # Errors
    /// `Io`, with `NotFound` also if shards are missing; `Corrupt` for an invalid index;
    /// `InvalidArgument` if two checkpoints have the same path without extension.
    pub fn find(root: impl AsRef<Path>) -> Result<Self> {
        let root = root.as_ref();
        let mut tree = Self::default();
        let files = FolderContents::files_by_folder(root)?;
        let mut taken = BTreeSet::new();
        for (folder, names) in &files {
            for name in names.iter().filter(|name| is_index(name)) {
                let path = root.join(folder).join(name);
                let index = fs::read(&path).map_err(Error::from).and_then(ShardIndex::parse);
                let shards = index.map_err(|error| error.in_file(&path))?.shards();
                taken.extend(shards.iter().map(|shard| Path::new(folder).join(shard)));
                tree.add(root, folder, index_stem(name), Files::Index(name.clone()));
            }
        }
        for (folder, names) in &files {
            let path = |name: &String| Path::new(folder).join(name);
            let exists = |name: &String| root.join(path(name)).exists();
            let has_index = names.iter().any(|name| is_index(name));
            let (shards, mut others): (Vec<&String>, Vec<&String>) =
                names.iter().partition(|name| is_safetensors(name) && exists(name));
            others.retain(|name| !is_index(name));
            tree.others.extend(others.into_iter().map(path));
            let free = shards.into_iter().filter(|name| !taken.contains(&path(name)));
            for set in shard_sets(free.cloned()) {
                if tree.has_index(folder, &set.stem()) {
                    // As where the folder is compressed by itself: the index counts.
                    tree.others.extend(set.names.iter().map(path));
                } else if set.missing.is_empty() {
                    tree.add(root, folder, set.stem(), Files::Shards(set.names));
                } else if has_index {
                    tree.others.extend(set.names.iter().map(path));
                } else {
                    return Err(not_found(&root.join(folder), set.missing_message()));
                }
            }
        }
        tree.checkpoints.sort_by_key(FoundCheckpoint::relative);
        let mut folders = BTreeSet::new();
        for found in &mut tree.checkpoints {
            found.is_first = folders.insert(found.folder.clone());
        }
        tree.others.sort();
        tree.check_names()?;
        Ok(tree)
    }

    fn add(&mut self, root: &Path, folder: &str, stem: String, files: Files) {
        let (root, folder) = (root.to_owned(), PathBuf::from(folder));
        self.checkpoints.push(FoundCheckpoint { root, folder, stem, files, is_first: false });
    }

    /// Whether there is a checkpoint with an index under this name.
    fn has_index(&self, folder: &str, stem: &str) -> bool {
        self.checkpoints.iter().any(|found| {
            matches!(found.files, Files::Index(_))
                && (found.folder.as_path(), &found.stem[..]) == (Path::new(folder), stem)
        })
    }

    fn check_names(&self) -> Result<()> {
        let mut seen = BTreeMap::new();
        for found in &self.checkpoints {
            if seen.insert(found.relative(), ()).is_some() {
                let path = found.relative();
                let what = format!("two checkpoints are called {}", path.display());
                return Err(Error::invalid(what).in_file(&found.root));
            }
        }
        Ok(())
    }
}
