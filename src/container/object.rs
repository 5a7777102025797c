//! What a frame holds: a tensor or an attachment, described alike in frame and index.

use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::limits::Limits;
use std::ops::Range;

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub(crate) enum Kind {
    Tensor = 1,
    /// The JSON header of a safetensors file; the object's name is the file's.
    SafetensorsHeader = 2,
    /// A small file that belongs to the checkpoint, byte for byte.
    File = 3,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tensor => "tensor",
            Self::SafetensorsHeader => "safetensors_header",
            Self::File => "file",
        }
    }

    pub(crate) fn from_id(id: u8) -> Result<Self> {
        match id {
            1 => Ok(Self::Tensor),
            2 => Ok(Self::SafetensorsHeader),
            3 => Ok(Self::File),
            _ => Err(Error::unsupported(format!("frame kind {id}"))),
        }
    }
}

/// How chunks lie in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Layout {
    /// Each behind a head with its length and CRC.
    Chunked = 0,
    /// End to end from an aligned offset, each of its decoded length; CRCs in the frame header.
    Contiguous = 1,
}

impl Layout {
    pub(crate) fn from_id(id: u8) -> Result<Self> {
        match id {
            0 => Ok(Self::Chunked),
            1 => Ok(Self::Contiguous),
            _ => Err(Error::unsupported(format!("frame layout {id}"))),
        }
    }
}

/// A tensor or an attachment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Object {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<u64>,
    pub(crate) codec: u8,
    pub(crate) layout: Layout,
    /// Elements in every chunk but the last.
    pub(crate) chunk_elements: u64,
    /// CRC32 of the decoded bytes.
    pub(crate) decoded_crc: u32,
    /// Product of `shape`.
    elements: u64,
    /// Bytes of all elements.
    decoded_len: u64,
}

impl Object {
    /// Checks that the sizes fit together.
    ///
    /// # Errors
    /// `Corrupt` when the shape overflows or leaves part of a byte, `LimitExceeded` when a chunk
    /// is too large.
    #[allow(clippy::too_many_arguments)] // one per field
    pub(crate) fn new(
        kind: Kind,
        name: String,
        dtype: Dtype,
        shape: Vec<u64>,
        codec: u8,
        layout: Layout,
        chunk_elements: u64,
        decoded_crc: u32,
        limits: &Limits,
    ) -> Result<Self> {
        let elements = match shape.contains(&0) {
            true => Some(0), // whatever the others multiply to
            false => shape.iter().try_fold(1u64, |product, &size| product.checked_mul(size)),
        };
        let sizes = elements.and_then(|n| Some((n, dtype.byte_len(n)?)));
        let Some((elements, decoded_len)) = sizes else {
            return Err(Error::corrupt("a shape that overflows or leaves part of a byte"));
        };
        let chunk = chunk_elements.min(elements);
        if chunk_elements == 0 {
            return Err(Error::corrupt("chunks of no elements"));
        }
        if kind != Kind::Tensor && (dtype != Dtype::U8 || shape.len() != 1) {
            return Err(Error::corrupt("an attachment that is not a row of bytes"));
        }
        if kind != Kind::Tensor {
            check_file_name(&name)?;
        }
        let Some(chunk_bytes) = dtype.byte_len(chunk) else {
            return Err(Error::corrupt("chunks that leave part of a byte"));
        };
        Error::check_limit("a chunk", chunk_bytes, limits.chunk_bytes)?;
        Ok(Self {
            kind,
            name,
            dtype,
            shape,
            codec,
            layout,
            chunk_elements,
            decoded_crc,
            elements,
            decoded_len,
        })
    }

    /// The shape in this machine's integers.
    ///
    /// # Errors
    /// `Corrupt` when they are too small for it.
    pub(crate) fn native_shape(&self) -> Result<Vec<usize>> {
        let sizes = self.shape.iter().map(|&size| usize::try_from(size));
        sizes
            .collect::<Result<_, _>>()
            .map_err(|_| Error::corrupt("a shape beyond this machine").in_tensor(&self.name))
    }

    pub(crate) fn elements(&self) -> u64 {
        self.elements
    }

    /// Decoded bytes.
    pub(crate) fn decoded_len(&self) -> u64 {
        self.decoded_len
    }

    /// Decoded bytes of every chunk but the last.
    pub(crate) fn chunk_bytes(&self) -> u64 {
        let bits = self.chunk_elements.min(self.elements) * u64::from(self.dtype.bits());
        bits / 8
    }

    pub(crate) fn chunk_count(&self) -> u64 {
        self.elements.div_ceil(self.chunk_elements)
    }

    /// CRC32 of the decoded bytes, from those of the chunks in order.
    pub(crate) fn combine_crcs(&self, crcs: impl IntoIterator<Item = u32>) -> u32 {
        let mut whole = crc32fast::Hasher::new();
        for (number, crc) in (0..).zip(crcs) {
            let range = self.chunk_range(number);
            let length = range.end - range.start;
            whole.combine(&crc32fast::Hasher::new_with_initial_len(crc, length));
        }
        whole.finalize()
    }

    /// Where chunk `number` lies in the decoded bytes.
    pub(crate) fn chunk_range(&self, number: u64) -> Range<u64> {
        let start = number * self.chunk_bytes();
        start..(start + self.chunk_bytes()).min(self.decoded_len)
    }
}

/// Refuses names of files that lead out of a folder.
///
/// # Errors
/// `Corrupt`.
pub(crate) fn check_file_name(name: &str) -> Result<()> {
    if matches!(name, "" | "." | "..") || name.contains(['/', '\\', ':', '\0']) {
        return Err(Error::corrupt(format!("`{}` is not a plain file name", name.escape_debug())));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_file_names_pass() {
        for name in ["a", "model-00001-of-00002.safetensors", ".hidden", "é", "..."] {
            check_file_name(name).unwrap();
        }
        for name in ["", ".", "..", "/a", "a/b", "../a", "a/", "a\\b", "c:a", "a\0"] {
            assert!(check_file_name(name).is_err(), "{name:?}");
        }
    }

    fn object(dtype: Dtype, shape: &[u64], chunk_elements: u64) -> Result<Object> {
        let name = String::from("w");
        let layout = Layout::Chunked;
        let limits = Limits::tight();
        Object::new(
            Kind::Tensor,
            name,
            dtype,
            shape.to_vec(),
            0,
            layout,
            chunk_elements,
            0,
            &limits,
        )
    }

    #[test]
    fn chunks_tile_the_tensor() {
        let object = object(Dtype::F32, &[3, 5], 4).unwrap();
        assert_eq!(object.chunk_count(), 4);
        let ranges: Vec<_> = (0..4).map(|chunk| object.chunk_range(chunk)).collect();
        assert_eq!(ranges, [0..16, 16..32, 32..48, 48..60]);
    }

    #[test]
    fn crcs_combine() {
        let bytes: Vec<u8> = (0..=255).cycle().take(1001).collect();
        let object = object(Dtype::U8, &[1001], 100).unwrap();
        let crcs: Vec<u32> = bytes.chunks(100).map(crc32fast::hash).collect();
        assert_eq!(object.combine_crcs(crcs), crc32fast::hash(&bytes));
    }

    #[test]
    fn scalars_and_empty_tensors() {
        let scalar = object(Dtype::F64, &[], 100).unwrap();
        assert_eq!((scalar.elements(), scalar.chunk_count(), scalar.chunk_range(0)), (1, 1, 0..8));
        let empty = object(Dtype::F64, &[7, 0], 100).unwrap();
        assert_eq!((empty.elements(), empty.chunk_count(), empty.decoded_len()), (0, 0, 0));
    }

    #[test]
    fn impossible_sizes_are_refused() {
        assert!(object(Dtype::F4, &[3], 8).is_err());
        assert!(object(Dtype::F4, &[6], 3).is_err());
        assert!(object(Dtype::F4, &[6], 8).is_ok());
        assert!(object(Dtype::U8, &[1 << 40, 1 << 40], 8).is_err());
        assert!(object(Dtype::U64, &[1 << 62], 8).is_err());
        assert!(object(Dtype::U8, &[4], 0).is_err());
        assert!(object(Dtype::U8, &[1 << 40], 1 << 40).is_err());
        assert!(object(Dtype::U8, &[1 << 40, 1 << 40, 0], 8).is_ok());
        assert!(object(Dtype::U8, &[0, 1 << 40, 1 << 40], 8).is_ok());
    }
}
