//! The tensors of a stream.

use super::decode_stream::{Extent, Step, Work, decode_stream};
use super::frame_decoder::{FrameDecoder, check_floats};
use super::stream::{FrameStart, StreamReader};
use crate::codec::Codec;
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::format::{Object, ObjectKind};
use std::fmt;
use std::io::{Read, Write};
use std::sync::Arc;

impl<R: Read> StreamReader<R> {
    /// The next tensor, to be read by chunks or whole; `None` after the last. Chunks of the
    /// previous tensor that were not read are skipped, unchecked.
    ///
    /// A tensor whose codec or codec parameters this crate does not support is returned too. To
    /// decode it is an error, to call `next_tensor` again skips it.
    ///
    /// # Errors
    /// `Io`, `Truncated`, `ChecksumMismatch`, `Corrupt`, `Unsupported`, `LimitExceeded`. The
    /// stream ends with the first of them.
    pub fn next_tensor(&mut self) -> Result<Option<StreamTensor<'_, R>>> {
        while let Some((header, target)) = self.next_frame()? {
            if header.object.kind == ObjectKind::Tensor {
                return StreamTensor::new(self, (header, target)).map(Some);
            }
        }
        Ok(None)
    }

    /// The remaining tensors, each decoded whole.
    ///
    /// An item is an error if its tensor cannot be decoded, for example because its codec is not
    /// supported; the tensors after it follow. If the structure of the file is damaged or reading
    /// fails, that error is the last item.
    pub fn tensors(mut self) -> impl Iterator<Item = Result<DecodedTensor>> {
        std::iter::from_fn(move || {
            if self.has_failed() {
                return None;
            }
            let tensor = self.next_tensor();
            tensor.and_then(|tensor| tensor.map(StreamTensor::into_decoded).transpose()).transpose()
        })
    }
}

/// A tensor that was decoded whole.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DecodedTensor {
    /// Its name.
    pub name: String,
    /// The type of its elements.
    pub dtype: Dtype,
    /// Its dimensions, outermost first.
    pub shape: Vec<usize>,
    /// Its elements in row-major order, little-endian.
    pub bytes: Vec<u8>,
}

/// A tensor of a stream whose chunks come next.
pub struct StreamTensor<'s, R> {
    stream: &'s mut StreamReader<R>,
    shape: Vec<usize>,
    decoder: Arc<FrameDecoder>,
}

impl<R> fmt::Debug for StreamTensor<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let object = &self.decoder.header().object;
        f.debug_struct("StreamTensor")
            .field("name", &object.name)
            .field("dtype", &object.geometry.dtype())
            .field("shape", &self.shape)
            .finish_non_exhaustive()
    }
}

impl<'s, R: Read> StreamTensor<'s, R> {
    fn new(stream: &'s mut StreamReader<R>, (header, target): FrameStart) -> Result<Self> {
        let shape = header.object.native_shape()?;
        let decoder = FrameDecoder::new(header, target.as_deref(), stream.limits());
        let decoder = Arc::new(decoder);
        Ok(Self { stream, shape, decoder })
    }

    fn object(&self) -> &Object {
        &self.decoder.header().object
    }

    /// The tensor's name.
    pub fn name(&self) -> &str {
        &self.object().name
    }

    /// The type of its elements.
    pub fn dtype(&self) -> Dtype {
        self.object().geometry.dtype()
    }

    /// Its dimensions, outermost first; empty for a scalar.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The codec, or `None` if this crate does not implement it.
    pub fn stored(&self) -> Option<Codec> {
        Codec::from_id(self.object().codec)
    }

    /// Bytes of the decoded tensor.
    pub fn decoded_bytes(&self) -> u64 {
        self.object().geometry.decoded_len()
    }

    /// Decodes the next chunk: the next bytes of the tensor; `None` after the last.
    ///
    /// # Errors
    /// `Io`, `Truncated`, `ChecksumMismatch`, `Corrupt`, `LimitExceeded`, `Unsupported`.
    pub fn next_chunk(&mut self) -> Result<Option<Vec<u8>>> {
        self.decoder.check_supported()?;
        let Self { stream, decoder, .. } = self;
        let name = &decoder.header().object.name;
        let chunk = stream.next_chunk().map_err(|error| error.in_tensor(name))?;
        chunk.map(|chunk| decoder.decode(&chunk)).transpose()
    }

    /// Decodes the remaining chunks of the tensor to `output`, in parallel, a few per thread at a
    /// time.
    ///
    /// If these are all chunks, the checksum of the decoded tensor is compared too.
    ///
    /// # Errors
    /// As [`next_chunk`](Self::next_chunk).
    pub fn copy_to(self, output: &mut impl Write) -> Result<()> {
        self.decode_to(Work::Decode, &mut |bytes, _| Ok(output.write_all(bytes)?))
    }

    /// Decodes the remaining chunks and calls `sink` with their bytes, in order, and the numbers of
    /// elements that a conversion made infinite.
    fn decode_to(self, work: Work, sink: &mut dyn FnMut(&[u8], u64) -> Result<()>) -> Result<()> {
        self.decoder.check_supported()?;
        let extent = Extent::Frame(self.decoder);
        decode_stream(self.stream, extent, work, &mut |step| match step {
            Step::Chunk { result, overflowed, .. } => sink(result?, overflowed),
            Step::FrameEnd { check, .. } => check.unwrap_or(Ok(())),
            Step::Frame(..) | Step::Index(_) => Ok(()),
        })
    }

    /// Decodes the remaining chunks of the tensor: all of it, unless chunks were read before.
    ///
    /// # Errors
    /// As [`next_chunk`](Self::next_chunk); `LimitExceeded` beyond
    /// [`Limits::tensor_bytes`](crate::Limits).
    pub fn decode(self) -> Result<Vec<u8>> {
        let length = self.decoded_bytes();
        Ok(self.collect(Work::Decode, length)?.0)
    }

    /// Decodes the remaining chunks as another float type, as
    /// [`Tensor::decode_as`](crate::Tensor::decode_as) does. The checksum of the whole tensor is not
    /// compared.
    ///
    /// # Errors
    /// As [`decode`](Self::decode); `InvalidArgument` unless both types are floats.
    pub fn decode_as(self, dtype: Dtype) -> Result<Vec<u8>> {
        Ok(self.decode_counting(dtype)?.0)
    }

    /// [`decode_as`](Self::decode_as), and the number of finite elements that were too large for
    /// `dtype`.
    ///
    /// # Errors
    /// As [`decode_as`](Self::decode_as).
    pub fn decode_counting(self, dtype: Dtype) -> Result<(Vec<u8>, u64)> {
        if dtype == self.dtype() {
            return Ok((self.decode()?, 0));
        }
        check_floats(self.dtype(), dtype).map_err(|error| error.in_tensor(self.name()))?;
        let length = dtype.byte_len(self.object().geometry.elements()).unwrap_or(u64::MAX);
        self.collect(Work::DecodeAs(dtype), length)
    }

    /// The bytes of the remaining chunks, at most `length`, and how many elements became infinite.
    fn collect(self, work: Work, length: u64) -> Result<(Vec<u8>, u64)> {
        let limit = self.stream.limits().tensor_bytes;
        Error::check_limit("a tensor", length, limit)
            .map_err(|error| error.in_tensor(self.name()))?;
        let (mut bytes, mut overflowed) = (Vec::new(), 0);
        self.decode_to(work, &mut |chunk, more| {
            bytes.extend_from_slice(chunk);
            overflowed += more;
            Ok(())
        })?;
        Ok((bytes, overflowed))
    }

    fn into_decoded(self) -> Result<DecodedTensor> {
        let (name, dtype, shape) = (self.name().to_owned(), self.dtype(), self.shape.clone());
        Ok(DecodedTensor { name, dtype, shape, bytes: self.decode()? })
    }
}
