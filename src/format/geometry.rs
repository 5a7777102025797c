//! Dtype, shape and division into chunks.

use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::limits::Limits;
use std::ops::Range;

/// A dtype, a shape and a chunk size that are consistent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    dtype: Dtype,
    shape: Vec<u64>,
    /// Elements in every chunk but the last; at most all, and at least one.
    chunk_elements: u64,
    elements: u64,
    decoded_len: u64,
    /// Decoded bytes of every chunk but the last.
    chunk_bytes: u64,
}

impl Geometry {
    /// # Errors
    /// `Corrupt` if the size in bytes overflows or is not whole; `LimitExceeded` if a chunk is too
    /// large.
    pub(crate) fn new(
        dtype: Dtype,
        shape: Vec<u64>,
        chunk_elements: u64,
        limits: &Limits,
    ) -> Result<Self> {
        let elements = match shape.contains(&0) {
            true => Some(0), // even if the product of the others overflows
            false => shape.iter().try_fold(1u64, |product, &size| product.checked_mul(size)),
        };
        let sizes = elements.and_then(|n| Some((n, dtype.byte_len(n)?)));
        let Some((elements, decoded_len)) = sizes else {
            return Err(Error::corrupt("shape: size overflows or is not whole bytes"));
        };
        if chunk_elements == 0 {
            return Err(Error::corrupt("chunk size: no elements"));
        }
        let Some(chunk_bytes) = dtype.byte_len(chunk_elements.min(elements)) else {
            return Err(Error::corrupt("chunk size: not whole bytes"));
        };
        // No allocation is larger than `isize::MAX`.
        Error::check_limit("a chunk", chunk_bytes, limits.chunk_bytes.min(isize::MAX as u64))?;
        // All numbers from that of the elements on divide alike.
        let chunk_elements = chunk_elements.min(elements.max(1));
        Ok(Self { dtype, shape, chunk_elements, elements, decoded_len, chunk_bytes })
    }

    /// [`new`](Self::new) with the chunk elements as the file stores them: 0 for at most one chunk.
    ///
    /// # Errors
    /// As [`new`](Self::new); `Corrupt` for a chunk size that another one replaces.
    pub(crate) fn from_stored(
        dtype: Dtype,
        shape: Vec<u64>,
        stored_chunk_elements: u64,
        limits: &Limits,
    ) -> Result<Self> {
        let chunk_elements = match stored_chunk_elements {
            0 => u64::MAX,
            several => several,
        };
        let geometry = Self::new(dtype, shape, chunk_elements, limits)?;
        if geometry.stored_chunk_elements() != stored_chunk_elements {
            return Err(Error::corrupt("chunk size: not less than the tensor"));
        }
        Ok(geometry)
    }

    /// The chunk elements as the file stores them: 0 for at most one chunk.
    pub(crate) fn stored_chunk_elements(&self) -> u64 {
        if self.chunk_count() > 1 { self.chunk_elements } else { 0 }
    }

    pub(crate) fn dtype(&self) -> Dtype {
        self.dtype
    }

    pub(crate) fn shape(&self) -> &[u64] {
        &self.shape
    }

    pub(crate) fn chunk_elements(&self) -> u64 {
        self.chunk_elements
    }

    /// The product of the shape.
    pub(crate) fn elements(&self) -> u64 {
        self.elements
    }

    /// Bytes of all elements.
    pub(crate) fn decoded_len(&self) -> u64 {
        self.decoded_len
    }

    pub(crate) fn chunk_count(&self) -> u64 {
        self.elements.div_ceil(self.chunk_elements)
    }

    /// Decoded bytes of every chunk but the last.
    pub(crate) fn chunk_bytes(&self) -> u64 {
        self.chunk_bytes
    }

    /// The range of chunk `number` in the decoded bytes.
    pub(crate) fn chunk_range(&self, number: u64) -> Range<u64> {
        let start = number * self.chunk_bytes;
        start..start.saturating_add(self.chunk_bytes).min(self.decoded_len)
    }

    /// CRC-32 of the decoded bytes, from those of all decoded chunks in order.
    pub(crate) fn combine_crcs(&self, crcs: impl IntoIterator<Item = u32>) -> u32 {
        let mut crcs = crcs.into_iter();
        if self.chunk_count() == 1 {
            // Most tensors of a model are small; combining takes as long as decoding them.
            return crcs.next().unwrap_or_default();
        }
        let mut whole = crc32fast::Hasher::new();
        for (number, crc) in (0..).zip(crcs) {
            let range = self.chunk_range(number);
            let length = range.end - range.start;
            whole.combine(&crc32fast::Hasher::new_with_initial_len(crc, length));
        }
        whole.finalize()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn geometry(dtype: Dtype, shape: &[u64], chunk_elements: u64) -> Result<Geometry> {
        Geometry::new(dtype, shape.to_vec(), chunk_elements, &Limits::tight())
    }

    #[test]
    fn chunks_partition_the_tensor() {
        let geometry = geometry(Dtype::F32, &[3, 5], 4).unwrap();
        assert_eq!(geometry.chunk_count(), 4);
        let ranges: Vec<_> = (0..4).map(|chunk| geometry.chunk_range(chunk)).collect();
        assert_eq!(ranges, [0..16, 16..32, 32..48, 48..60]);
    }

    #[test]
    fn the_largest_sizes_do_not_overflow() {
        let limits = Limits { chunk_bytes: u64::MAX, ..Limits::tight() };
        let largest = isize::MAX as u64;
        for chunk_elements in [1 << 28, largest] {
            let shape = vec![u64::MAX];
            let geometry = Geometry::new(Dtype::U8, shape, chunk_elements, &limits).unwrap();
            assert_eq!(geometry.chunk_range(geometry.chunk_count() - 1).end, u64::MAX);
        }
        let geometry = Geometry::new(Dtype::F4, vec![2 * largest], u64::MAX, &limits).unwrap();
        assert_eq!(geometry.chunk_range(0), 0..largest);
        assert!(Geometry::new(Dtype::U8, vec![largest + 1], u64::MAX, &limits).is_err());
    }

    #[test]
    fn chunk_crcs_combine_to_the_crc_of_the_tensor() {
        let bytes: Vec<u8> = (0..=255).cycle().take(1001).collect();
        let geometry = geometry(Dtype::U8, &[1001], 100).unwrap();
        let crcs: Vec<u32> = bytes.chunks(100).map(crc32fast::hash).collect();
        assert_eq!(geometry.combine_crcs(crcs), crc32fast::hash(&bytes));
    }

    #[test]
    fn scalars_have_one_chunk_and_empty_tensors_none() {
        let scalar = geometry(Dtype::F64, &[], 100).unwrap();
        assert_eq!((scalar.elements(), scalar.chunk_count(), scalar.chunk_range(0)), (1, 1, 0..8));
        let empty = geometry(Dtype::F64, &[7, 0], 100).unwrap();
        assert_eq!((empty.elements(), empty.chunk_count(), empty.decoded_len()), (0, 0, 0));
    }

    #[test]
    fn the_stored_chunk_size_is_unique() {
        let stored = |shape: &[u64], elements| {
            Geometry::from_stored(Dtype::U8, shape.to_vec(), elements, &Limits::tight())
        };
        for chunk_elements in [15, 16, u64::MAX] {
            let geometry = geometry(Dtype::U8, &[3, 5], chunk_elements).unwrap();
            assert_eq!((geometry.stored_chunk_elements(), geometry.chunk_count()), (0, 1));
            assert_eq!(stored(&[3, 5], 0).unwrap(), geometry);
        }
        assert_eq!(stored(&[3, 5], 14).unwrap(), geometry(Dtype::U8, &[3, 5], 14).unwrap());
        assert_eq!(stored(&[0], 0).unwrap().chunk_count(), 0);
        for (shape, elements) in [(&[3, 5][..], 15), (&[3, 5], u64::MAX), (&[0], 1), (&[], 1)] {
            assert!(stored(shape, elements).is_err(), "{shape:?} {elements}");
        }
    }

    #[test]
    fn invalid_sizes_are_rejected() {
        assert!(geometry(Dtype::F4, &[3], 8).is_err());
        assert!(geometry(Dtype::F4, &[6], 3).is_err());
        assert!(geometry(Dtype::F4, &[6], 8).is_ok());
        assert!(geometry(Dtype::U8, &[1 << 40, 1 << 40], 8).is_err());
        assert!(geometry(Dtype::U64, &[1 << 62], 8).is_err());
        assert!(geometry(Dtype::U8, &[4], 0).is_err());
        assert!(geometry(Dtype::U8, &[1 << 40], 1 << 40).is_err());
        assert!(geometry(Dtype::U8, &[1 << 40, 1 << 40, 0], 8).is_ok());
        assert!(geometry(Dtype::U8, &[0, 1 << 40, 1 << 40], 8).is_ok());
    }
}
