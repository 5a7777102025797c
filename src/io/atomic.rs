//! Files that are replaced atomically.

use super::early_sync::EarlySync;
use crate::error::{Error, Result};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use tempfile::{NamedTempFile, TempPath};

/// Bytes of the write buffer. Larger pieces, as most chunks are, are written without a copy.
const BUFFER_BYTES: usize = 1 << 16;

/// Reading and writing by everybody: files of weights are never executable.
#[cfg(unix)]
const ANY_ACCESS: u32 = 0o666;

/// The permissions of an open file, as [`AtomicFile::create`] takes them. `None` for a device or a
/// pipe, and where the system has other permissions.
pub(crate) fn permission_bits(file: &File) -> io::Result<Option<u32>> {
    let metadata = file.metadata()?;
    #[cfg(unix)]
    let mode = Some(std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & ANY_ACCESS);
    #[cfg(not(unix))]
    let mode = None;
    Ok(mode.filter(|_| metadata.is_file()))
}

/// A temporary file in the directory of its destination, which it replaces on
/// [`commit`](Self::commit). It is deleted if it is dropped before.
pub(crate) struct AtomicFile {
    output: BufWriter<Output>,
    path: PathBuf,
    overwrite: bool,
}

enum Output {
    Temporary(NamedTempFile, EarlySync),
    /// A device or a pipe, which is written directly.
    Special(File),
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Temporary(file, sync) => {
                let written = file.write(bytes)?;
                sync.wrote(file.as_file(), written)?;
                Ok(written)
            }
            Self::Special(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Temporary(file, _) => file.flush(),
            Self::Special(file) => file.flush(),
        }
    }
}

impl AtomicFile {
    /// Creates the temporary file for the destination `path`. A symbolic link there is replaced, and
    /// the file that it names is left alone: others may know that file by another name. Only a link
    /// to a device or a pipe is followed.
    ///
    /// A new file has the permissions `mode` (all, by default) that the umask leaves; one that is
    /// replaced keeps its own.
    ///
    /// # Errors
    /// `AlreadyExists` if the destination exists, even as a link to nothing, and `overwrite` is false.
    pub(crate) fn create(path: &Path, overwrite: bool, mode: Option<u32>) -> io::Result<Self> {
        let output = |output| BufWriter::with_capacity(BUFFER_BYTES, output);
        let existing = fs::metadata(path).ok();
        match &existing {
            Some(existing) if existing.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
            Some(existing) if !existing.is_file() => {
                let file = OpenOptions::new().write(true).open(path)?;
                let output = output(Output::Special(file));
                return Ok(Self { output, path: path.to_owned(), overwrite });
            }
            _ => {}
        }
        if !overwrite && fs::symlink_metadata(path).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let mut builder = tempfile::Builder::new();
        let mut prefix = std::ffi::OsString::from(".");
        prefix.push(path.file_name().ok_or(io::ErrorKind::InvalidInput)?);
        prefix.push(".");
        builder.prefix(&prefix).suffix(".tmp");
        #[cfg(unix)]
        if existing.is_none() {
            let mode = mode.unwrap_or(ANY_ACCESS) & ANY_ACCESS;
            builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(mode));
        }
        #[cfg(not(unix))]
        let _ = mode;
        // Without the name of the temporary file, which the caller does not know.
        let file = builder.tempfile_in(folder_of(path)).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => io::Error::new(error.kind(), "its folder does not exist"),
            kind => kind.into(),
        })?;
        // Those of the file that is replaced stay as they are, whatever the umask.
        #[cfg(unix)]
        if let Some(existing) = existing {
            file.as_file().set_permissions(existing.permissions())?;
        }
        let output = output(Output::Temporary(file, EarlySync::default()));
        Ok(Self { output, path: path.to_owned(), overwrite })
    }

    /// The destination.
    #[cfg(feature = "convert")]
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Syncs the file to disk and moves it to its destination.
    ///
    /// # Errors
    /// Those of writing; `AlreadyExists` if the destination exists by now and may not be replaced.
    pub(crate) fn commit(self) -> io::Result<()> {
        self.seal()?.commit()
    }

    /// Syncs the file to disk without moving it.
    pub(crate) fn seal(self) -> io::Result<SealedFile> {
        let temporary = match self.output.into_inner()? {
            Output::Special(_) => None,
            Output::Temporary(file, mut sync) => {
                sync.finish()?;
                file.as_file().sync_all()?;
                Some(file.into_temp_path())
            }
        };
        Ok(SealedFile { temporary, path: self.path, overwrite: self.overwrite })
    }
}

/// Writes a file as [`Writer::create`](crate::Writer::create) does: it takes its place at once, durably,
/// and a symbolic link there is replaced instead of the file that it names.
///
/// # Errors
/// `Io`, with `AlreadyExists` if there is a file or a link and `overwrite` is false.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("plan.json");
/// occ::write_file(&path, b"{}", false)?;
/// assert!(occ::write_file(&path, b"[]", false).is_err());
/// # assert_eq!(std::fs::read(&path)?, b"{}");
/// # Ok::<(), occ::Error>(())
/// ```
pub fn write_file(path: impl AsRef<Path>, bytes: &[u8], overwrite: bool) -> Result<()> {
    write_with_mode(path.as_ref(), bytes, overwrite, None)
}

/// [`write_file`], but a new file has the permissions of the file `like`, as far as the umask leaves
/// them.
///
/// # Errors
/// As [`write_file`].
pub fn write_file_like(
    path: impl AsRef<Path>,
    bytes: &[u8],
    overwrite: bool,
    like: impl AsRef<Path>,
) -> Result<()> {
    let like = like.as_ref();
    let mode = File::open(like).and_then(|file| permission_bits(&file));
    let mode = mode.map_err(|error| Error::from(error).in_file(like))?;
    write_with_mode(path.as_ref(), bytes, overwrite, mode)
}

fn write_with_mode(path: &Path, bytes: &[u8], overwrite: bool, mode: Option<u32>) -> Result<()> {
    let write = || {
        let mut file = AtomicFile::create(path, overwrite, mode)?;
        file.write_all(bytes)?;
        file.commit()
    };
    write().map_err(|error| Error::from(error).in_file(path))
}

/// A complete file that has not been moved to its destination.
pub(crate) struct SealedFile {
    temporary: Option<TempPath>,
    path: PathBuf,
    overwrite: bool,
}

impl SealedFile {
    /// The destination.
    #[cfg(feature = "convert")]
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Changes the destination, to one on the same file system.
    #[cfg(feature = "convert")]
    pub(crate) fn redirect(&mut self, path: PathBuf) {
        self.path = path;
    }

    pub(crate) fn commit(self) -> io::Result<()> {
        let Some(temporary) = self.temporary else { return Ok(()) };
        if self.overwrite {
            temporary.persist(&self.path)?;
        } else {
            temporary.persist_noclobber(&self.path)?;
        }
        sync_directory(folder_of(&self.path))
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

/// The folder of a file.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Syncs a rename in `directory` to disk, if the platform supports it.
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
    fn the_destination_appears_on_commit() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        let mut file = AtomicFile::create(&path, false, None).unwrap();
        file.write_all(b"new").unwrap();
        assert!(!path.exists());
        file.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        drop(AtomicFile::create(&path, true, None).unwrap());
        assert_eq!((fs::read(&path).unwrap(), entries(directory.path())), (b"new".to_vec(), 1));
    }

    #[test]
    fn existing_files_are_kept_without_overwrite() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        let late = AtomicFile::create(&path, false, None).unwrap();
        fs::write(&path, b"old").unwrap();
        let exists = |error: io::Error| error.kind() == io::ErrorKind::AlreadyExists;
        assert!(late.commit().is_err_and(exists));
        assert!(AtomicFile::create(&path, false, None).err().is_some_and(exists));
        assert_eq!((fs::read(&path).unwrap(), entries(directory.path())), (b"old".to_vec(), 1));
        AtomicFile::create(&path, true, None).unwrap().commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"");
    }

    #[cfg(unix)]
    #[test]
    fn permissions_are_kept() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        fs::write(&path, b"old").unwrap();
        // Some of these bits are those that a umask usually removes.
        for mode in [0o600, 0o664, 0o666, 0o755] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            AtomicFile::create(&path, true, None).unwrap().commit().unwrap();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, mode);
        }
    }

    /// The umask of this process is not known, but it leaves the owner's permissions.
    #[cfg(unix)]
    #[test]
    fn a_new_file_has_no_more_permissions_than_requested() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        for (requested, expected) in [(0o600, 0o600), (0o400, 0o400), (0o755, 0o644)] {
            let path = directory.path().join(format!("{requested:o}"));
            AtomicFile::create(&path, false, Some(requested)).unwrap().commit().unwrap();
            let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode & !expected, 0, "{requested:o} gives {mode:o}");
            assert_eq!(mode & 0o700, expected & 0o700, "{requested:o} gives {mode:o}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn devices_are_written() {
        use std::os::unix::fs::FileTypeExt;
        let mut null = AtomicFile::create(Path::new("/dev/null"), true, None).unwrap();
        null.write_all(b"x").unwrap();
        null.commit().unwrap();
        assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
        let directory = tempfile::tempdir().unwrap();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink("/dev/null", &link).unwrap();
        AtomicFile::create(&link, true, None).unwrap().commit().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }

    /// A link of a cache of models names a file by the hash of its content.
    #[cfg(unix)]
    #[test]
    fn links_are_replaced_and_not_their_targets() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name| directory.path().join(name);
        fs::write(path("blob"), b"old").unwrap();
        for target in ["blob", "nothing"] {
            let link = path("link");
            std::os::unix::fs::symlink(target, &link).unwrap();
            let refused = AtomicFile::create(&link, false, None).err();
            assert!(refused.is_some_and(|error| error.kind() == io::ErrorKind::AlreadyExists));
            let mut file = AtomicFile::create(&link, true, None).unwrap();
            file.write_all(b"new").unwrap();
            file.commit().unwrap();
            assert!(fs::symlink_metadata(&link).unwrap().is_file());
            assert_eq!(fs::read(&link).unwrap(), b"new");
            fs::remove_file(&link).unwrap();
        }
        assert_eq!(fs::read(path("blob")).unwrap(), b"old");
        assert!(!path("nothing").exists());
    }
}
