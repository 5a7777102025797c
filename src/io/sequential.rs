//! Front-to-back reads of a source by position, with a part read ahead.

use super::read_at::ReadAt;
use std::fmt;
use std::io::{self, Read};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

/// Bytes of a part for sources that state none.
const DEFAULT_SPAN_BYTES: u64 = 1 << 20;

/// The largest part: a longer one would delay the first bytes, and saves few requests.
const MAX_SPAN_BYTES: u64 = 16 << 20;

/// Reads a source from its first byte to its last.
///
/// A thread reads the next parts while one is used. Parts have
/// [`span_bytes`](ReadAt::span_bytes) bytes, at most 16 MiB; up to four are in memory.
///
/// ```
/// # let mut file = Vec::new();
/// # let mut w = occ::Writer::new(&mut file, occ::WriteOptions::default())?;
/// # w.add("w", occ::Dtype::U8, &[3], &[1, 2, 3])?;
/// # w.finish()?;
/// let source = std::sync::Arc::new(file); // or a remote file
/// let stream = occ::SequentialReader::new(source)?;
/// assert!(occ::verify(stream, occ::VerifyOptions::default())?.problems.is_empty());
/// # Ok::<(), occ::Error>(())
/// ```
pub struct SequentialReader {
    parts: Receiver<io::Result<Vec<u8>>>,
    part: Vec<u8>,
    /// Bytes of the part that have been read.
    position: usize,
}

impl fmt::Debug for SequentialReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SequentialReader").finish_non_exhaustive()
    }
}

impl SequentialReader {
    /// Starts to read.
    ///
    /// # Errors
    /// Those of the operating system for a new thread.
    pub fn new(source: impl ReadAt + 'static) -> io::Result<Self> {
        // One part waits in the channel, while the thread holds one and reads it into its buffer.
        let (sender, parts) = sync_channel(1);
        let read_parts = move || {
            let step = match source.span_bytes() {
                0 => DEFAULT_SPAN_BYTES,
                bytes => bytes.min(MAX_SPAN_BYTES),
            };
            let (mut start, size, mut buffer) = (0, source.size(), Vec::new());
            while start < size {
                let end = size.min(start + step);
                let part = source.read_at(start..end, &mut buffer).map(<[u8]>::to_vec);
                let failed = part.is_err();
                // The receiver is gone if nobody reads on.
                if sender.send(part).is_err() || failed {
                    return;
                }
                start = end;
            }
        };
        thread::Builder::new().name("occ-read".to_owned()).spawn(read_parts)?;
        Ok(Self { parts, part: Vec::new(), position: 0 })
    }
}

impl Read for SequentialReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.position == self.part.len() {
            // The thread ends after the last part, or after an error.
            let Ok(part) = self.parts.recv() else { return Ok(0) };
            (self.part, self.position) = (part?, 0);
        }
        let mut rest = &self.part[self.position..];
        let read = rest.read(out)?;
        self.position += read;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ops::Range;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// A source that fails from an offset on and counts its reads.
    struct Slow {
        bytes: Vec<u8>,
        fails_at: u64,
        reads: AtomicU64,
    }

    impl ReadAt for Slow {
        fn size(&self) -> u64 {
            self.bytes.size()
        }

        fn read_at<'b>(
            &'b self,
            range: Range<u64>,
            buffer: &'b mut Vec<u8>,
        ) -> io::Result<&'b [u8]> {
            self.reads.fetch_add(1, Ordering::SeqCst);
            if range.end > self.fails_at {
                return Err(io::Error::other("failed"));
            }
            buffer.clear();
            buffer.extend_from_slice(&self.bytes[range.start as usize..range.end as usize]);
            Ok(buffer)
        }

        fn span_bytes(&self) -> u64 {
            7
        }
    }

    fn slow(fails_at: u64) -> Arc<Slow> {
        let bytes = (0..100).collect();
        Arc::new(Slow { bytes, fails_at, reads: AtomicU64::new(0) })
    }

    #[test]
    fn all_bytes_are_read_in_order() {
        let source = slow(100);
        let mut out = Vec::new();
        SequentialReader::new(Arc::clone(&source)).unwrap().read_to_end(&mut out).unwrap();
        assert_eq!(out, source.bytes);
        assert_eq!(source.reads.load(Ordering::SeqCst), 15);
        let (all, mut out) = (vec![3; 3 << 20], Vec::new());
        SequentialReader::new(all.clone()).unwrap().read_to_end(&mut out).unwrap();
        assert!(out == all);
        assert_eq!(SequentialReader::new(Vec::new()).unwrap().read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn bytes_before_an_error_are_read() {
        let mut reader = SequentialReader::new(slow(50)).unwrap();
        let mut out = [0; 49];
        reader.read_exact(&mut out).unwrap();
        assert!(out.iter().copied().eq(0..49));
        assert_eq!(reader.read(&mut out).unwrap_err().to_string(), "failed");
    }

    #[test]
    fn few_parts_are_read_ahead() {
        let source = slow(100);
        let mut reader = SequentialReader::new(Arc::clone(&source)).unwrap();
        reader.read_exact(&mut [0; 7]).unwrap();
        drop(reader);
        // The thread lets go of the source when it finds that nobody reads.
        while Arc::strong_count(&source) > 1 {
            thread::yield_now();
        }
        assert!(source.reads.load(Ordering::SeqCst) <= 4);
    }
}
