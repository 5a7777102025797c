//! Bytes that can be read more than once, from anywhere, by several threads.

use std::fs::File;
use std::io;
use std::ops::Range;

/// A tensor's bytes, in memory or not.
///
/// They are read more than once, in ranges, from several threads: to survey, then to code.
pub trait ReadAt: Sync {
    /// How many bytes there are.
    fn byte_len(&self) -> u64;

    /// The bytes of `range`: borrowed where they lie in memory, else read into `scratch`, whose
    /// contents are replaced.
    ///
    /// # Errors
    /// What the operating system says; `UnexpectedEof` past the end.
    fn bytes<'a>(&'a self, range: Range<u64>, scratch: &'a mut Vec<u8>) -> io::Result<&'a [u8]>;
}

impl ReadAt for [u8] {
    fn byte_len(&self) -> u64 {
        self.len() as u64
    }

    fn bytes<'a>(&'a self, range: Range<u64>, _: &'a mut Vec<u8>) -> io::Result<&'a [u8]> {
        let inside = |offset: u64| usize::try_from(offset).ok();
        inside(range.start)
            .zip(inside(range.end))
            .and_then(|(start, end)| self.get(start..end))
            .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

impl ReadAt for Vec<u8> {
    fn byte_len(&self) -> u64 {
        self.as_slice().byte_len()
    }

    fn bytes<'a>(&'a self, range: Range<u64>, scratch: &'a mut Vec<u8>) -> io::Result<&'a [u8]> {
        self.as_slice().bytes(range, scratch)
    }
}

impl<S: ReadAt + ?Sized> ReadAt for &S {
    fn byte_len(&self) -> u64 {
        (**self).byte_len()
    }

    fn bytes<'a>(&'a self, range: Range<u64>, scratch: &'a mut Vec<u8>) -> io::Result<&'a [u8]> {
        (**self).bytes(range, scratch)
    }
}

/// A part of an open file, read as needed and never mapped, so that its pages do not count
/// against the process.
///
/// ```no_run
/// use occ::{Dtype, FileSection, Plan, TensorSource, WriteOptions, Writer};
/// let file = std::fs::File::open("weights.bin")?;
/// let mut writer = Writer::create("weights.occ", WriteOptions::default())?;
/// let section = FileSection::new(&file, 0..4096 * 4096 * 2);
/// let source = TensorSource::new("w", Dtype::Bf16, &[4096, 4096], &section);
/// writer.add_all(&[source], &Plan::default())?;
/// writer.finish()?;
/// # Ok::<(), occ::Error>(())
/// ```
#[derive(Debug)]
pub struct FileSection<'f> {
    file: &'f File,
    range: Range<u64>,
}

impl<'f> FileSection<'f> {
    /// The bytes of `file` in `range`.
    pub fn new(file: &'f File, range: Range<u64>) -> Self {
        Self { file, range }
    }
}

impl ReadAt for FileSection<'_> {
    fn byte_len(&self) -> u64 {
        self.range.end.saturating_sub(self.range.start)
    }

    fn bytes<'a>(&'a self, range: Range<u64>, scratch: &'a mut Vec<u8>) -> io::Result<&'a [u8]> {
        if range.start > range.end || range.end > self.byte_len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let length = usize::try_from(range.end - range.start)
            .map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        scratch.resize(length, 0);
        read_exact_at(self.file, scratch, self.range.start + range.start)?;
        Ok(scratch)
    }
}

#[cfg(unix)]
fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
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
    fn memory_and_file_agree() {
        let bytes: Vec<u8> = (0..100).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        let section = FileSection::new(&file, 10..90);
        let memory = &bytes[10..90];
        assert_eq!((section.byte_len(), memory.byte_len()), (80, 80));
        let mut scratch = vec![1; 3];
        for range in [0..80, 5..5, 7..80, 0..1] {
            let expected = memory.bytes(range.clone(), &mut Vec::new()).unwrap().to_vec();
            assert_eq!(section.bytes(range, &mut scratch).unwrap(), expected);
        }
        let reversed = Range { start: 9, end: 8 };
        for range in [0..81, 80..81, reversed, 0..u64::MAX] {
            assert!(memory.bytes(range.clone(), &mut Vec::new()).is_err());
            assert!(section.bytes(range, &mut scratch).is_err());
        }
    }
}
