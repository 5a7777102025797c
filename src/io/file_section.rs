//! A part of a file, read by position.

use super::read_at::ReadAt;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// A part of an open file, or all of it, read by position (`pread`) and never mapped.
///
/// Its pages do not count against the memory of the process. Clones share the open file.
///
/// ```no_run
/// use occ::{Dtype, FileSection, Plan, TensorSource, WriteOptions, Writer};
/// let file = std::fs::File::open("weights.bin")?;
/// let mut writer = Writer::create("weights.occ", WriteOptions::default())?;
/// let section = FileSection::new(file, 0..4096 * 4096 * 2);
/// let source = TensorSource::new("w", Dtype::Bf16, &[4096, 4096], &section);
/// writer.add_all(&[source], &Plan::default())?;
/// writer.finish()?;
/// # Ok::<(), occ::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct FileSection {
    file: Arc<File>,
    range: Range<u64>,
}

impl FileSection {
    /// The bytes of `file` in `range`, as offsets from its start.
    pub fn new(file: impl Into<Arc<File>>, range: Range<u64>) -> Self {
        Self { file: file.into(), range }
    }

    /// All bytes of the regular file at `path`, which is opened.
    ///
    /// # Errors
    /// Those of the operating system; `InvalidInput` if it is not a regular file.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let file = File::open(path)?;
        let length = regular_file_length(&file)?;
        Ok(Self::new(file, 0..length))
    }
}

/// # Errors
/// `InvalidInput` for directories, pipes and devices, which have no length.
pub(super) fn regular_file_length(file: &File) -> io::Result<u64> {
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        let what = if metadata.is_dir() { "a folder, not a file" } else { "not a regular file" };
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    Ok(metadata.len())
}

impl ReadAt for FileSection {
    fn size(&self) -> u64 {
        self.range.end.saturating_sub(self.range.start)
    }

    fn read_at<'b>(&'b self, range: Range<u64>, buffer: &'b mut Vec<u8>) -> io::Result<&'b [u8]> {
        if range.start > range.end || range.end > self.size() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let out_of_memory = || io::Error::from(io::ErrorKind::OutOfMemory);
        let length = usize::try_from(range.end - range.start).map_err(|_| out_of_memory())?;
        if let Some(missing) = length.checked_sub(buffer.len()) {
            buffer.try_reserve_exact(missing).map_err(|_| out_of_memory())?;
            buffer.resize(length, 0);
        }
        let out = &mut buffer[..length];
        read_exact_at(&self.file, out, self.range.start + range.start)?;
        Ok(out)
    }
}

#[cfg(unix)]
fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
}

/// Other platforms have no reads by position in the standard library, and WebAssembly in browsers has
/// no files.
#[cfg(not(any(unix, windows)))]
fn read_exact_at(_: &File, _: &mut [u8], _: u64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(windows)]
fn read_exact_at(file: &File, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, buffer, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                buffer = &mut buffer[read..];
                offset += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn file_and_memory_agree() {
        let bytes: Vec<u8> = (0..100).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        let section = FileSection::new(file, 10..90);
        let memory = &bytes[10..90];
        assert_eq!((section.size(), memory.size()), (80, 80));
        assert!(section.in_memory().is_none());
        let mut buffer = vec![1; 3];
        for range in [0..80, 5..5, 7..80, 0..1] {
            let expected = memory.read_at(range.clone(), &mut Vec::new()).unwrap().to_vec();
            assert_eq!(section.read_at(range, &mut buffer).unwrap(), expected);
        }
        let reversed = Range { start: 9, end: 8 };
        for range in [0..81, 80..81, reversed, 0..u64::MAX] {
            let error = section.read_at(range, &mut buffer).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
        assert_eq!(buffer.len(), 80, "the buffer keeps its length");
    }

    #[test]
    fn a_file_that_became_shorter_is_an_error() {
        let file = Arc::new(tempfile::tempfile().unwrap());
        file.set_len(50).unwrap();
        let section = FileSection::new(Arc::clone(&file), 0..50);
        section.read_at(0..50, &mut Vec::new()).unwrap();
        file.set_len(20).unwrap();
        section.clone().read_at(0..20, &mut Vec::new()).unwrap();
        let error = section.read_at(0..50, &mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn only_regular_files_have_a_length() {
        let directory = tempfile::tempdir().unwrap();
        assert!(FileSection::open(directory.path()).is_err());
        let path = directory.path().join("a");
        std::fs::write(&path, b"abc").unwrap();
        let section = FileSection::open(path).unwrap();
        assert_eq!(section.read_at(1..3, &mut Vec::new()).unwrap(), b"bc");
    }
}
