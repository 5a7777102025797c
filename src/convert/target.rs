//! Where a decompression writes.

use std::io::Write;
use std::path::{Path, PathBuf};

/// The output of a decompression.
pub enum Target<'t> {
    /// A file, or a folder in which files have their original names: if the checkpoint is sharded,
    /// the path is that of an existing folder, or it ends with a separator. A folder is created if
    /// it does not exist. Files appear under their names only after all of them are complete.
    Path {
        /// The file or folder.
        path: PathBuf,
        /// Whether existing files may be replaced.
        overwrite: bool,
    },
    /// A stream that receives a single file.
    Stream(&'t mut dyn Write),
}

impl std::fmt::Debug for Target<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Path { path, .. } => f.debug_tuple("Path").field(path).finish(),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}

impl Target<'_> {
    /// Whether it can only be a single safetensors file: a stream, or a path that ends with
    /// `.safetensors` where no folder is.
    pub(super) fn is_single_file(&self) -> bool {
        match self {
            Self::Path { path, .. } => {
                !names_folder(path) && path.extension().is_some_and(|end| end == "safetensors")
            }
            Self::Stream(_) => true,
        }
    }
}

/// Whether an output path is that of a folder: it ends with a separator, or there is a folder.
///
/// ```
/// use occ::convert::names_folder;
/// use std::path::Path;
/// assert!(names_folder(Path::new("new/")) && !names_folder(Path::new("new.occ")));
/// ```
pub fn names_folder(path: &Path) -> bool {
    let end = path.as_os_str().as_encoded_bytes().last();
    end.is_some_and(|&end| std::path::is_separator(end.into())) || path.is_dir()
}
