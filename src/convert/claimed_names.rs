//! Output files of one folder, of which no two may have the same path.

use crate::error::{Error, Result};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;
use tempfile::TempDir;

/// The names of the output files of a folder: a temporary folder in it, with an empty file for each
/// of them. The file system decides which names are the same: it may regard names as the same that
/// differ by case, Unicode normalisation or a dot at the end.
pub(super) struct ClaimedNames(TempDir);

impl ClaimedNames {
    /// No names in an existing folder.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn new(folder: &Path) -> Result<Self> {
        let names = tempfile::Builder::new().prefix(".names.").tempdir_in(folder);
        names.map(Self).map_err(|error| Error::from(error).in_file(folder))
    }

    /// Claims a relative path.
    ///
    /// # Errors
    /// `Corrupt` if the path is taken; `Io`.
    pub(super) fn claim(&self, name: &str) -> Result<()> {
        let path = self.0.path().join(name);
        let claim = || {
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            File::create_new(&path)
        };
        match claim() {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let name = name.escape_debug();
                Err(Error::corrupt(format!("file name `{name}`: two files would have this path")))
            }
            Err(error) => Err(Error::from(error).in_file(&path)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::{DecompressReport, Target, decompress_stream};
    use crate::encode::{Plan, TensorSource, WriteOptions, Writer};
    use crate::format::ObjectKind;

    /// An `.occ` file of attachments without tensors.
    fn attachments(objects: &[(ObjectKind, &str)]) -> Vec<u8> {
        let mut file = Vec::new();
        let mut writer = Writer::new(&mut file, WriteOptions::default()).unwrap();
        let content: &[u8] = b"{}";
        let sources: Vec<TensorSource<'_>> = objects
            .iter()
            .map(|&(kind, name)| TensorSource::attachment(kind, name, &[2], &content))
            .collect();
        writer.add_sources(&sources, &Plan::default(), &mut |_| Ok(())).unwrap();
        writer.finish().unwrap();
        file
    }

    fn restore(file: &[u8], folder: &Path) -> Result<DecompressReport> {
        let target = Target::Path { path: folder.to_owned(), overwrite: true };
        decompress_stream(file, target, None)
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn two_files_with_one_path_are_refused_before_any_is_replaced() {
        use ObjectKind::{File, SafetensorsHeader as Header};
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("index"), "old").unwrap();
        fs::write(folder.path().join("a"), "old").unwrap();
        for objects in [
            [(File, "index"), (Header, "a"), (File, "a")],
            [(File, "index"), (File, "a"), (Header, "a")],
        ] {
            let error = restore(&attachments(&objects), folder.path()).unwrap_err();
            assert!(matches!(error, Error::Corrupt { .. }), "{error}");
            assert!(error.to_string().contains("`a`"), "{error}");
            assert_eq!(names(folder.path()), ["a", "index"]);
            for name in ["a", "index"] {
                assert_eq!(fs::read(folder.path().join(name)).unwrap(), b"old");
            }
        }
        let new = folder.path().join("new");
        let objects = [(File, "index"), (Header, "index")];
        assert!(restore(&attachments(&objects), &new).is_err() && !new.exists());
    }

    /// Names that differ by case are one path on some file systems and two on others.
    #[test]
    fn the_file_system_decides_which_names_are_the_same() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("probe"), "").unwrap();
        let ignores_case = folder.path().join("PROBE").exists();
        let output = folder.path().join("output");
        let objects = [(ObjectKind::File, "a"), (ObjectKind::SafetensorsHeader, "A")];
        let restored = restore(&attachments(&objects), &output);
        if ignores_case {
            assert!(matches!(restored.unwrap_err(), Error::Corrupt { .. }) && !output.exists());
        } else {
            assert_eq!(restored.unwrap().files, 2);
            assert_eq!(names(&output), ["A", "a"]);
        }
    }
}
