//! The files beside the weights of a model, such as its configuration and tokenizer.

use super::inventory::{LeftOut, LeftOutReason};
use super::shard_names::{is_index, is_safetensors};
use crate::error::{Error, Result};
use crate::format::check_relative_path;
use crate::io::{FileSection, ReadAt};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The largest file that is kept, in bytes, and the most for all files of a folder.
const MAX_FILE_BYTES: u64 = 64 << 20;
const MAX_TOTAL_BYTES: u64 = 256 << 20;

/// The most files that are kept.
const MAX_FILES: usize = 10_000;

/// Extensions of files with weights, or states of training, that are not safetensors.
const OTHER_WEIGHTS: &[&str] = &[
    "bin",
    "ckpt",
    "engine",
    "ggml",
    "gguf",
    "h5",
    "hdf5",
    "keras",
    "mlmodel",
    "msgpack",
    "nemo",
    "npy",
    "npz",
    "occ",
    "onnx",
    "onnx_data",
    "ot",
    "pb",
    "pdparams",
    "pickle",
    "pkl",
    "plan",
    "pt",
    "pte",
    "pth",
    "tflite",
];

/// A file that is stored beside the tensors. It is opened for each read, so that their number is not
/// limited by that of open files.
#[derive(Debug)]
pub(super) struct AttachedFile {
    /// Relative to the folder of the checkpoint, with `/` between names.
    pub(super) name: String,
    pub(super) path: PathBuf,
    /// Its length, as the shape of an attachment.
    pub(super) shape: [usize; 1],
}

impl AttachedFile {
    /// # Errors
    /// `Io`, also if it is not a regular file.
    pub(super) fn open(folder: &Path, name: &str) -> Result<Self> {
        let path = folder.join(name);
        let length = || {
            let length = FileSection::open(&path)?.size();
            usize::try_from(length).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))
        };
        let shape = [length().map_err(|error| Error::from(error).in_file(&path))?];
        Ok(Self { name: name.to_owned(), path, shape })
    }
}

impl ReadAt for AttachedFile {
    fn size(&self) -> u64 {
        self.shape[0] as u64
    }

    fn read_at<'b>(&'b self, range: Range<u64>, buffer: &'b mut Vec<u8>) -> io::Result<&'b [u8]> {
        let file = FileSection::open(&self.path)?;
        if file.size() != self.size() {
            return Err(io::Error::other("has changed since it was opened"));
        }
        let length = file.read_at(range, buffer)?.len();
        Ok(&buffer[..length])
    }
}

/// The files of a folder that are kept, and those that are not.
#[derive(Default)]
pub(super) struct FolderFiles {
    pub(super) kept: Vec<AttachedFile>,
    pub(super) left_out: Vec<LeftOut>,
}

/// An entry of a folder, its links followed.
#[derive(Clone, Copy, PartialEq)]
enum Entry {
    File(u64),
    Folder,
    LinkToFolder,
    BrokenLink,
    /// A pipe, a device, or what cannot be read.
    Special,
}

impl FolderFiles {
    /// The files of a folder, and of its subfolders without weights.
    ///
    /// Hidden files and `__pycache__` are ignored. Safetensors files and their indexes are no matter
    /// of this list. `is_taken` is called with names of files and, ending with `/`, of folders:
    /// whether they are part of the checkpoint, or contain parts of it.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn list(folder: &Path, is_taken: impl Fn(&str) -> bool) -> Result<Self> {
        let mut files = Self::default();
        let mut bytes = 0;
        for (name, entry) in entries(folder, "")? {
            if entry != Entry::Folder {
                files.add(folder, &name, entry, &mut bytes);
                continue;
            }
            // What cannot be read is named.
            let Ok(below) = entries(&folder.join(&name), &format!("{name}/")) else {
                files.leave_out(folder, &name, LeftOutReason::Unreadable);
                continue;
            };
            let has_weights =
                below.keys().any(|name| is_safetensors(name) || is_other_weights(name));
            for (name, entry) in below {
                match entry {
                    Entry::Folder if is_taken(&format!("{name}/")) => {}
                    _ if is_safetensors_part(&name) => {}
                    _ if has_weights || entry == Entry::Folder => {
                        files.leave_out(folder, &name, LeftOutReason::InSubfolder);
                    }
                    _ => files.add(folder, &name, entry, &mut bytes),
                }
            }
        }
        Ok(files)
    }

    fn leave_out(&mut self, folder: &Path, name: &str, reason: LeftOutReason) {
        self.left_out.push(LeftOut { path: folder.join(name), reason });
    }

    /// Adds a file other than safetensors to one of the lists.
    fn add(&mut self, folder: &Path, name: &str, entry: Entry, bytes: &mut u64) {
        if is_safetensors_part(name) {
            return;
        }
        let reason = match entry {
            Entry::File(_) if is_other_weights(name) => LeftOutReason::OtherFormat,
            Entry::File(length)
                if length > MAX_FILE_BYTES
                    || *bytes + length > MAX_TOTAL_BYTES
                    || self.kept.len() >= MAX_FILES =>
            {
                LeftOutReason::TooLarge
            }
            Entry::File(_) if check_relative_path(name).is_err() => LeftOutReason::InvalidName,
            Entry::File(length) => match AttachedFile::open(folder, name) {
                Ok(file) => {
                    *bytes += length;
                    self.kept.push(file);
                    return;
                }
                Err(_) => LeftOutReason::Unreadable,
            },
            Entry::Folder | Entry::LinkToFolder => LeftOutReason::InSubfolder,
            Entry::BrokenLink => LeftOutReason::BrokenLink,
            Entry::Special => LeftOutReason::Unreadable,
        };
        self.leave_out(folder, name, reason);
    }
}

fn is_safetensors_part(name: &str) -> bool {
    is_safetensors(name) || is_index(name)
}

fn is_other_weights(name: &str) -> bool {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    extension.is_some_and(|extension| OTHER_WEIGHTS.contains(&&*extension))
}

/// The entries of a folder that are not hidden, sorted, with `prefix` before their names.
fn entries(folder: &Path, prefix: &str) -> Result<BTreeMap<String, Entry>> {
    let in_folder = |error: io::Error| Error::from(error).in_file(folder);
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(in_folder)? {
        let entry = entry.map_err(in_folder)?;
        let name = entry.file_name();
        // No path of such a name is stored: `\` is refused, where the file is not found.
        let name =
            name.into_string().unwrap_or_else(|name| format!("{}\\", name.to_string_lossy()));
        if name.starts_with('.') || name == "__pycache__" {
            continue;
        }
        let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
        let kind = match fs::metadata(entry.path()) {
            Ok(metadata) if metadata.is_file() => Entry::File(metadata.len()),
            Ok(metadata) if metadata.is_dir() && is_link => Entry::LinkToFolder,
            Ok(metadata) if metadata.is_dir() => Entry::Folder,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Entry::BrokenLink,
            _ => Entry::Special,
        };
        found.insert(format!("{prefix}{name}"), kind);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_of_other_formats_are_known_by_their_extension() {
        for name in ["pytorch_model.bin", "x/model.GGUF", "model.onnx_data", "a.b.pt"] {
            assert!(is_other_weights(name), "{name}");
        }
        for name in ["tokenizer.model", "config.json", "pt", "vocab.txt", "bin/readme.md"] {
            assert!(!is_other_weights(name), "{name}");
        }
    }

    /// Sparse files: nothing of them is read.
    #[test]
    fn large_files_are_left_out_one_by_one() {
        let folder = tempfile::tempdir().unwrap();
        let create = |name: &str, bytes: u64| {
            fs::File::create(folder.path().join(name)).unwrap().set_len(bytes).unwrap();
        };
        create("large.txt", MAX_FILE_BYTES + 1);
        (0..5).for_each(|number| create(&format!("{number}.txt"), MAX_FILE_BYTES - 10));
        create("small.txt", 40);
        create("tiny.txt", 1);
        let files = FolderFiles::list(folder.path(), |_| false).unwrap();
        let kept: Vec<_> = files.kept.iter().map(|file| &file.name[..]).collect();
        assert_eq!(kept, ["0.txt", "1.txt", "2.txt", "3.txt", "small.txt"]);
        let left_out: Vec<_> = files
            .left_out
            .iter()
            .map(|file| (file.path.file_name().unwrap().to_str().unwrap(), file.reason))
            .collect();
        let too_large = LeftOutReason::TooLarge;
        let names = ["4.txt", "large.txt", "tiny.txt"];
        assert_eq!(left_out, names.map(|name| (name, too_large)));
    }
}
