//! Positioned reads from memory or files, by several threads at once.

use std::io;
use std::ops::Range;
use std::sync::Arc;

/// A sequence of bytes of fixed length that is read by position.
///
/// It is the source of tensors to write ([`TensorSource`](crate::TensorSource)) and of
/// `.occ` files to read ([`Reader::from_source`](crate::Reader::from_source)). Implementations
/// exist for byte slices and vectors, for parts of files ([`FileSection`](crate::FileSection)),
/// and for references to them. An implementation for a remote object store needs two methods:
///
/// ```
/// use std::io;
/// use std::ops::Range;
///
/// struct Remote; // a connection
/// # impl Remote { fn get(&self, _: Range<u64>, out: &mut [u8]) -> io::Result<()> { out.fill(7); Ok(()) } }
///
/// impl occ::ReadAt for Remote {
///     fn size(&self) -> u64 {
///         1000
///     }
///
///     fn read_at<'b>(&'b self, range: Range<u64>, buffer: &'b mut Vec<u8>) -> io::Result<&'b [u8]> {
///         if range.start > range.end || range.end > self.size() {
///             return Err(io::ErrorKind::UnexpectedEof.into());
///         }
///         buffer.resize((range.end - range.start) as usize, 0);
///         self.get(range, buffer)?;
///         Ok(buffer)
///     }
/// }
/// # use occ::ReadAt;
/// # assert_eq!(Remote.read_at(5..7, &mut Vec::new()).unwrap(), [7, 7]);
/// ```
pub trait ReadAt: Send + Sync {
    /// The number of bytes, which does not change.
    fn size(&self) -> u64;

    /// The bytes at `range`, all of them: borrowed if they lie in memory, else read into `buffer`.
    ///
    /// The content and the length of `buffer` are unspecified before and after the call.
    /// Implementations may grow it and need not shrink it, so that a buffer that is used for many
    /// reads is allocated once. Every read of the same range must give the same bytes.
    ///
    /// # Errors
    /// `UnexpectedEof` if the range is reversed, exceeds [`size`](Self::size), or the underlying
    /// file has become shorter; the errors of the operating system. There are no short reads.
    fn read_at<'b>(&'b self, range: Range<u64>, buffer: &'b mut Vec<u8>) -> io::Result<&'b [u8]>;

    /// All bytes, if they lie in memory. [`Tensor::as_raw`](crate::Tensor::as_raw) needs it.
    fn in_memory(&self) -> Option<&[u8]> {
        None
    }

    /// How many bytes of the file are read at once where neighbouring ones are needed; 0 to read each
    /// chunk by itself.
    ///
    /// The default is 0, for sources whose reads cost little, such as files and memory. If a read takes
    /// long however short it is, as from a server, a source returns what it transfers in a multiple of
    /// that time. The frame header and the chunks of a tensor are then read together, in spans of up to
    /// this many bytes, and further spans while one is decoded. At most three times as many bytes are
    /// in memory for one call, or two chunks with their frame header if these are larger.
    fn span_bytes(&self) -> u64 {
        0
    }
}

impl ReadAt for [u8] {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read_at<'b>(&'b self, range: Range<u64>, _: &'b mut Vec<u8>) -> io::Result<&'b [u8]> {
        let position = |offset: u64| usize::try_from(offset).ok();
        position(range.start)
            .zip(position(range.end))
            .and_then(|(start, end)| self.get(start..end))
            .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn in_memory(&self) -> Option<&[u8]> {
        Some(self)
    }
}

impl ReadAt for Vec<u8> {
    fn size(&self) -> u64 {
        self.as_slice().size()
    }

    fn read_at<'b>(&'b self, range: Range<u64>, buffer: &'b mut Vec<u8>) -> io::Result<&'b [u8]> {
        self.as_slice().read_at(range, buffer)
    }

    fn in_memory(&self) -> Option<&[u8]> {
        Some(self)
    }
}

impl<S: ReadAt + ?Sized> ReadAt for &S {
    fn size(&self) -> u64 {
        (**self).size()
    }

    fn read_at<'b>(&'b self, range: Range<u64>, buffer: &'b mut Vec<u8>) -> io::Result<&'b [u8]> {
        (**self).read_at(range, buffer)
    }

    fn in_memory(&self) -> Option<&[u8]> {
        (**self).in_memory()
    }

    fn span_bytes(&self) -> u64 {
        (**self).span_bytes()
    }
}

impl<S: ReadAt + ?Sized> ReadAt for Arc<S> {
    fn size(&self) -> u64 {
        (**self).size()
    }

    fn read_at<'b>(&'b self, range: Range<u64>, buffer: &'b mut Vec<u8>) -> io::Result<&'b [u8]> {
        (**self).read_at(range, buffer)
    }

    fn in_memory(&self) -> Option<&[u8]> {
        (**self).in_memory()
    }

    fn span_bytes(&self) -> u64 {
        (**self).span_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &dyn ReadAt, expected: &[u8]) {
        assert_eq!(source.size(), expected.len() as u64);
        assert_eq!(source.in_memory(), Some(expected));
        let mut buffer = vec![9; 3];
        assert_eq!(source.read_at(1..3, &mut buffer).unwrap(), &expected[1..3]);
        assert!(source.read_at(3..3, &mut buffer).unwrap().is_empty());
        let reversed = Range { start: 3, end: 2 };
        for range in [2..5, 5..5, reversed, 0..u64::MAX] {
            let error = source.read_at(range, &mut buffer).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
    }

    #[test]
    fn memory_is_borrowed_and_ranges_are_checked() {
        let bytes = vec![1, 2, 3, 4];
        check(&bytes, &bytes);
        check(&bytes.as_slice(), &bytes);
        check(&&bytes, &bytes);
        check(&Arc::new(bytes.clone()), &bytes);
        check(&Arc::<[u8]>::from(bytes.clone()), &bytes);
    }
}
