//! Files that appear whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use tempfile::{NamedTempFile, TempPath};

/// Bytes gathered before they are handed to the operating system.
const BUFFER_BYTES: usize = 1 << 20;

/// A file being written beside its destination, which it replaces on [`commit`](Self::commit);
/// dropped before that, it disappears.
pub(crate) struct AtomicFile {
    output: BufWriter<Output>,
    path: PathBuf,
    overwrite: bool,
}

enum Output {
    Temporary(NamedTempFile),
    /// A device or a pipe: there is nothing to replace.
    Special(File),
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Temporary(file) => file.write(bytes),
            Self::Special(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Temporary(file) => file.flush(),
            Self::Special(file) => file.flush(),
        }
    }
}

impl AtomicFile {
    /// Starts a file that will be at `path`; a symbolic link there is followed, not replaced.
    ///
    /// # Errors
    /// `AlreadyExists` when a file is there and `overwrite` is false.
    pub(crate) fn create(path: &Path, overwrite: bool) -> io::Result<Self> {
        let output = |output| BufWriter::with_capacity(BUFFER_BYTES, output);
        let (path, existing) = match fs::metadata(path) {
            Ok(existing) if existing.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
            Ok(existing) if !existing.is_file() => {
                let file = OpenOptions::new().write(true).open(path)?;
                let output = output(Output::Special(file));
                return Ok(Self { output, path: path.to_owned(), overwrite });
            }
            Ok(_) if !overwrite => return Err(io::ErrorKind::AlreadyExists.into()),
            Ok(existing) => (fs::canonicalize(path)?, Some(existing)),
            Err(_) => (path.to_owned(), None),
        };
        let mut builder = tempfile::Builder::new();
        let mut prefix = std::ffi::OsString::from(".");
        prefix.push(path.file_name().ok_or(io::ErrorKind::InvalidInput)?);
        prefix.push(".");
        builder.prefix(&prefix).suffix(".tmp");
        // As the file that is replaced; else as an ordinary new one, by the user's umask.
        #[cfg(unix)]
        {
            let ordinary = std::os::unix::fs::PermissionsExt::from_mode(0o666);
            builder.permissions(existing.map_or(ordinary, |existing| existing.permissions()));
        }
        #[cfg(not(unix))]
        let _ = existing;
        // Without the temporary file's name, which means nothing to whoever reads the error.
        let file = builder.tempfile_in(directory(&path)).map_err(|error| error.kind())?;
        Ok(Self { output: output(Output::Temporary(file)), path, overwrite })
    }

    /// Where the file will be.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the file durable and puts it in its place.
    ///
    /// # Errors
    /// As for writing; `AlreadyExists` when another file has taken the place meanwhile.
    pub(crate) fn commit(self) -> io::Result<()> {
        self.seal()?.commit()
    }

    /// Makes the file durable, not yet in its place.
    pub(crate) fn seal(self) -> io::Result<SealedFile> {
        let temporary = match self.output.into_inner()? {
            Output::Special(_) => None,
            Output::Temporary(file) => {
                file.as_file().sync_all()?;
                Some(file.into_temp_path())
            }
        };
        Ok(SealedFile { temporary, path: self.path, overwrite: self.overwrite })
    }
}

/// A file that is whole and waits to be put in its place.
pub(crate) struct SealedFile {
    temporary: Option<TempPath>,
    path: PathBuf,
    overwrite: bool,
}

impl SealedFile {
    /// Where the file will be.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn commit(self) -> io::Result<()> {
        let Some(temporary) = self.temporary else { return Ok(()) };
        if self.overwrite {
            temporary.persist(&self.path)?;
        } else {
            temporary.persist_noclobber(&self.path)?;
        }
        sync_directory(directory(&self.path))
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Makes a rename in `directory` durable, where the system can.
fn sync_directory(directory: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(directory)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(directory: &Path) -> usize {
        fs::read_dir(directory).unwrap().count()
    }

    #[test]
    fn appears_on_commit_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        let mut file = AtomicFile::create(&path, false).unwrap();
        file.write_all(b"new").unwrap();
        assert!(!path.exists());
        file.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        drop(AtomicFile::create(&path, true).unwrap());
        assert_eq!((fs::read(&path).unwrap(), entries(directory.path())), (b"new".to_vec(), 1));
    }

    #[test]
    fn never_replaces_unasked() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        let late = AtomicFile::create(&path, false).unwrap();
        fs::write(&path, b"old").unwrap();
        let exists = |error: io::Error| error.kind() == io::ErrorKind::AlreadyExists;
        assert!(late.commit().is_err_and(exists));
        assert!(AtomicFile::create(&path, false).err().is_some_and(exists));
        assert_eq!((fs::read(&path).unwrap(), entries(directory.path())), (b"old".to_vec(), 1));
        AtomicFile::create(&path, true).unwrap().commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"");
    }

    #[cfg(unix)]
    #[test]
    fn a_private_file_stays_private() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        fs::write(&path, b"old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        AtomicFile::create(&path, true).unwrap().commit().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[cfg(unix)]
    #[test]
    fn devices_and_links_stay_what_they_are() {
        use std::os::unix::fs::FileTypeExt;
        let mut null = AtomicFile::create(Path::new("/dev/null"), true).unwrap();
        null.write_all(b"x").unwrap();
        null.commit().unwrap();
        assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());

        let directory = tempfile::tempdir().unwrap();
        let (target, link) = (directory.path().join("target"), directory.path().join("link"));
        fs::write(&target, b"old").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        let mut file = AtomicFile::create(&link, true).unwrap();
        file.write_all(b"new").unwrap();
        file.commit().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&target).unwrap(), b"new");
    }
}
