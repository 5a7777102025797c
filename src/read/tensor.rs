//! Handles of tensors in an open file.

use super::decode_object::{decode_as, decode_range};
use super::element::{Element, from_little_endian};
use super::frame_decoder::check_floats;
use super::stored_object::StoredObject;
use crate::codec::{Codec, Coding};
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::format::ObjectKind;
use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use zerocopy::IntoBytes;

/// A tensor in an open file.
///
/// The handle shares the open file with the [`Reader`](crate::Reader) and may outlive it. Clones
/// are cheap and share the decoding tables, which are built when the tensor is first decoded: keep
/// a handle to decode many ranges of rows.
///
/// ```
/// # let mut file = Vec::new();
/// # let mut w = occ::Writer::new(&mut file, occ::WriteOptions::default())?;
/// # w.add("w", occ::Dtype::F32, &[2, 2], &[0, 0, 128, 63, 0, 0, 0, 64, 0, 0, 64, 64, 0, 0, 128, 64])?;
/// # w.finish()?;
/// let tensor = occ::Reader::new(&file)?.tensor("w")?;
/// assert_eq!(tensor.shape(), [2, 2]);
/// assert_eq!(tensor.decode_vec::<f32>()?, [1.0, 2.0, 3.0, 4.0]);
/// assert_eq!(tensor.decode_rows(1..2)?, [0, 0, 64, 64, 0, 0, 128, 64]);
/// # Ok::<(), occ::Error>(())
/// ```
#[derive(Clone)]
pub struct Tensor<'a>(Arc<StoredObject<'a>>);

impl fmt::Debug for Tensor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tensor")
            .field("name", &self.name())
            .field("dtype", &self.dtype())
            .field("shape", &self.shape())
            .finish_non_exhaustive()
    }
}

impl<'a> Tensor<'a> {
    pub(super) fn new(object: StoredObject<'a>) -> Self {
        Self(Arc::new(object))
    }

    pub(super) fn stored_object(&self) -> &StoredObject<'a> {
        &self.0
    }

    pub(super) fn kind(&self) -> ObjectKind {
        self.0.object().kind
    }

    /// The tensor's name.
    pub fn name(&self) -> &str {
        &self.0.object().name
    }

    /// The type of its elements.
    pub fn dtype(&self) -> Dtype {
        self.0.object().geometry.dtype()
    }

    /// Its dimensions, outermost first; empty for a scalar.
    pub fn shape(&self) -> &[usize] {
        self.0.shape()
    }

    /// The number of elements.
    pub fn elements(&self) -> u64 {
        self.0.object().geometry.elements()
    }

    /// The codec, or `None` if this crate does not implement it.
    pub fn stored(&self) -> Option<Codec> {
        Codec::from_id(self.0.object().codec)
    }

    /// Bytes of the encoded chunks in the file, with their heads.
    pub fn coded_bytes(&self) -> u64 {
        self.0.payload().length
    }

    /// Bytes of the frame before the chunks: name, shape, codec parameters, checksums, padding.
    pub fn header_bytes(&self) -> u64 {
        self.0.payload().offset - self.0.payload().frame_offset
    }

    /// The number of elements of each chunk but the last.
    #[cfg(feature = "candle")]
    pub(crate) fn chunk_elements(&self) -> u64 {
        self.0.object().geometry.chunk_elements()
    }

    /// Bytes of the decoded tensor.
    pub fn decoded_bytes(&self) -> u64 {
        self.0.object().geometry.decoded_len()
    }

    /// The number of chunks.
    pub fn chunks(&self) -> u64 {
        self.0.object().geometry.chunk_count()
    }

    /// The stored CRC-32 of the decoded bytes.
    pub fn decoded_crc(&self) -> u32 {
        self.0.payload().decoded_crc
    }

    /// The bytes of a tensor that is stored raw, without a copy. Tensors of at least 4096 bytes
    /// start at a multiple of the file's [alignment](crate::Reader::alignment); smaller ones may
    /// start anywhere.
    ///
    /// `None` unless the tensor is stored raw and the file is mapped ([`Reader::map`]) or in
    /// memory. Checksums are not compared.
    ///
    /// [`Reader::map`]: crate::Reader::map
    pub fn as_raw(&self) -> Option<&[u8]> {
        match self.stored() {
            Some(Codec::Raw) => self.0.contiguous_payload(),
            _ => None,
        }
    }

    /// Decodes the whole tensor: its elements in row-major order, little-endian.
    ///
    /// Chunks are decoded in parallel on the current rayon pool. The checksum of the decoded tensor is
    /// compared; if it does not match, those of the chunks tell which one is damaged. Damage in the
    /// checksum of a lossless chunk alone does no harm and is not noticed; [`verify`](crate::verify)
    /// reports it.
    ///
    /// # Errors
    /// `ChecksumMismatch`, `Corrupt`, `Truncated`, `Unsupported`, `LimitExceeded`, `Io`.
    pub fn decode(&self) -> Result<Vec<u8>> {
        self.decode_bytes(0..self.decoded_bytes())
    }

    /// [`decode`](Self::decode) into `out`.
    ///
    /// # Errors
    /// As [`decode`](Self::decode); `InvalidArgument` unless the length of `out` is
    /// [`decoded_bytes`](Self::decoded_bytes). After an error the content of `out` is unspecified.
    pub fn decode_into(&self, out: &mut [u8]) -> Result<()> {
        self.check_buffer(out.len(), self.decoded_bytes(), "bytes")?;
        self.located(decode_range(&self.0, 0, out))
    }

    /// Decodes the whole tensor to elements of its dtype, in row-major order.
    ///
    /// # Errors
    /// As [`decode`](Self::decode); `InvalidArgument` if `T` is not the type of the elements.
    pub fn decode_vec<T: Element>(&self) -> Result<Vec<T>> {
        self.check_dtype::<T>()?;
        let mut out = self.zeroed(self.elements())?;
        self.decode_into_slice(&mut out)?;
        Ok(out)
    }

    /// [`decode_vec`](Self::decode_vec) into `out`.
    ///
    /// # Errors
    /// As [`decode_vec`](Self::decode_vec) and [`decode_into`](Self::decode_into).
    pub fn decode_into_slice<T: Element>(&self, out: &mut [T]) -> Result<()> {
        self.check_dtype::<T>()?;
        self.check_buffer(out.len(), self.elements(), "elements")?;
        self.located(decode_range(&self.0, 0, out.as_mut_bytes()))?;
        from_little_endian(out);
        Ok(())
    }

    /// Decodes the whole tensor as another float type: F32, BF16, F16, F64, F8_E4M3 or F8_E5M2.
    ///
    /// A lossy tensor is rounded once, from its reconstruction in F32 to `dtype`, and not to its
    /// own dtype in between. A lossless one is converted by way of F32. What is too large for `dtype`
    /// becomes infinity, or NaN for F8_E4M3. Scales of quantised weights, which are other tensors, are
    /// not multiplied in.
    ///
    /// # Errors
    /// As [`decode`](Self::decode); `InvalidArgument` unless both types are such floats.
    pub fn decode_as(&self, dtype: Dtype) -> Result<Vec<u8>> {
        Ok(self.decode_counting(dtype)?.0)
    }

    /// [`decode_as`](Self::decode_as), and the number of finite elements that were too large for
    /// `dtype`.
    ///
    /// # Errors
    /// As [`decode_as`](Self::decode_as).
    pub fn decode_counting(&self, dtype: Dtype) -> Result<(Vec<u8>, u64)> {
        if dtype == self.dtype() {
            return Ok((self.decode()?, 0));
        }
        self.located(check_floats(self.dtype(), dtype))?;
        let mut out = self.zeroed(dtype.byte_len(self.elements()).unwrap_or(u64::MAX))?;
        let overflowed = self.located(decode_as(&self.0, dtype, 0, &mut out))?;
        Ok((out, overflowed))
    }

    /// [`decode_as`](Self::decode_as) to elements of a float type, without a second copy. `T` may also
    /// be the type of the elements, whatever it is.
    ///
    /// ```
    /// # let mut file = Vec::new();
    /// # let mut w = occ::Writer::new(&mut file, occ::WriteOptions::default())?;
    /// # w.add("w", occ::Dtype::Bf16, &[2, 1], &[128, 63, 0, 64])?;
    /// # w.finish()?;
    /// let tensor = occ::Reader::new(&file)?.tensor("w")?;
    /// assert_eq!(tensor.decode_vec_as::<f32>()?, [1.0, 2.0]);
    /// assert_eq!(tensor.decode_rows_as::<f32>(1..2)?, [2.0]);
    /// # Ok::<(), occ::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`decode`](Self::decode); `InvalidArgument` unless `T` is the type of the elements or both
    /// types are floats.
    pub fn decode_vec_as<T: Element>(&self) -> Result<Vec<T>> {
        self.decode_elements_as(0..self.elements())
    }

    /// [`decode_vec_as`](Self::decode_vec_as) for rows of the outermost dimension: the same elements.
    /// Reads only the chunks that contain them.
    ///
    /// # Errors
    /// As [`decode_vec_as`](Self::decode_vec_as); `InvalidArgument` for a scalar or a range out of
    /// bounds.
    pub fn decode_rows_as<T: Element>(&self, rows: Range<usize>) -> Result<Vec<T>> {
        self.decode_elements_as(self.located(self.0.row_elements(rows))?)
    }

    fn decode_elements_as<T: Element>(&self, elements: Range<u64>) -> Result<Vec<T>> {
        if T::DTYPE != self.dtype() {
            self.located(check_floats(self.dtype(), T::DTYPE))?;
        }
        let mut out = self.zeroed(elements.end - elements.start)?;
        let start = elements.start.checked_mul(size_of::<T>() as u64);
        let start = start.ok_or_else(|| Error::invalid("rows: beyond 2^64 bytes"));
        let start = self.located(start)?;
        self.located(match T::DTYPE == self.dtype() {
            true => decode_range(&self.0, start, out.as_mut_bytes()),
            false => decode_as(&self.0, T::DTYPE, start, out.as_mut_bytes()).map(|_| ()),
        })?;
        from_little_endian(&mut out);
        Ok(out)
    }

    /// The parameters of the lossy codec and the error it made; `None` for a lossless tensor.
    ///
    /// Reads the frame's header and footer, no chunk.
    ///
    /// # Errors
    /// `ChecksumMismatch`, `Corrupt`, `Truncated`, `Unsupported`, `Io`.
    pub fn coding(&self) -> Result<Option<Coding>> {
        self.located(self.0.coding())
    }

    /// Decodes rows of the outermost dimension. Reads only the chunks that contain them, and decodes no
    /// more of these than the rows need: their checksums are compared, but what follows the rows in a
    /// chunk may not be checked. All rows together are checked as by [`decode`](Self::decode).
    ///
    /// One row of a vocabulary takes about as long as decoding 32 rows, if the handle is kept.
    ///
    /// # Errors
    /// As [`decode`](Self::decode); `InvalidArgument` for a scalar, a range out of bounds, or
    /// rows of a sub-byte dtype that do not start and end on whole bytes.
    pub fn decode_rows(&self, rows: Range<usize>) -> Result<Vec<u8>> {
        self.decode_bytes(self.located(self.0.row_bytes(rows))?)
    }

    /// [`decode_rows`](Self::decode_rows) into `out`, which must have the length of the rows.
    ///
    /// # Errors
    /// As [`decode_rows`](Self::decode_rows) and [`decode_into`](Self::decode_into).
    pub fn decode_rows_into(&self, rows: Range<usize>, out: &mut [u8]) -> Result<()> {
        let range = self.located(self.0.row_bytes(rows))?;
        self.check_buffer(out.len(), range.end - range.start, "bytes")?;
        self.located(decode_range(&self.0, range.start, out))
    }

    /// Decodes a range of the tensor's bytes. Reads only the chunks that contain them.
    pub(crate) fn decode_bytes(&self, range: Range<u64>) -> Result<Vec<u8>> {
        let mut out = self.zeroed(range.end - range.start)?;
        self.located(decode_range(&self.0, range.start, &mut out))?;
        Ok(out)
    }

    /// Adds the tensor and the file to an error.
    fn located<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| self.0.locate(error))
    }

    fn check_dtype<T: Element>(&self) -> Result<()> {
        if T::DTYPE == self.dtype() {
            return Ok(());
        }
        let what = format!("elements of type {} for a tensor of {}", T::DTYPE, self.dtype());
        self.located(Err(Error::invalid(what)))
    }

    pub(super) fn check_buffer(&self, length: usize, expected: u64, unit: &str) -> Result<()> {
        if length as u64 == expected {
            return Ok(());
        }
        let what = format!("buffer of {length} {unit} for {expected}");
        self.located(Err(Error::invalid(what)))
    }

    /// Zeroed elements, as many as the limits admit.
    pub(crate) fn zeroed<T: Element>(&self, length: u64) -> Result<Vec<T>> {
        self.located(self.0.check_length(length.saturating_mul(size_of::<T>() as u64)))?;
        let out_of_memory = || Err(io::Error::from(io::ErrorKind::OutOfMemory).into());
        match usize::try_from(length).map(T::new_vec_zeroed) {
            Ok(Ok(out)) => Ok(out),
            _ => self.located(out_of_memory()),
        }
    }
}
