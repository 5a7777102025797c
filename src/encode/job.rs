//! A tensor that is ready to be encoded chunk by chunk.

use super::buffers::BufferPool;
use super::options::WriteOptions;
use super::source::{TensorSource, invalid};
use super::{chunk_size, repeated_rows, sample, statistics};
use crate::codec::{Codec, EncodedChunk, Encoder, SquaredError};
use crate::error::{Error, Result};
#[cfg(feature = "convert")]
use crate::format::OverheadCounter;
use crate::format::{CHUNK_OVERHEAD, FrameHeader, Geometry, Object, PayloadLayout};
use crate::parallel;

/// A tensor with its division into chunks and the encoder of these.
pub(super) struct EncodeJob<'s> {
    source: TensorSource<'s>,
    geometry: Geometry,
    encoder: Encoder,
    /// CRC-32 of every chunk when the statistics were collected; empty if there were none, or if they
    /// are partial and the codec is not raw.
    crcs: Vec<u32>,
    /// Whether a later tensor is a reference to this one.
    referenced: bool,
}

/// The result of encoding all chunks.
pub(super) struct Measured {
    /// Bytes of all chunks, and what each of them adds to the file outside of the frame header.
    pub(super) bytes: u64,
    pub(super) error: SquaredError,
    /// The error of outputs, if the encoder measures it.
    pub(super) output_error: SquaredError,
}

impl<'s> EncodeJob<'s> {
    /// The lossless codec that needs the fewest bytes: reads the whole tensor once. Attachments are
    /// text: they are not read before they are encoded.
    pub(super) fn lossless(source: TensorSource<'s>, options: &WriteOptions) -> Result<Self> {
        let target = chunk_size::target(&source, options.chunk_elements);
        if !source.is_tensor() {
            let chunk = chunk_size::lossless(source.dtype, source.shape, target);
            return Ok(Self::new(source, source.geometry(chunk)?, Encoder::Deflate));
        }
        let repeated = repeated_rows::find(&source)?;
        let sample = sample::take(&source)?;
        let (dtype, shape) = (source.dtype, source.shape);
        let longer = |factor| target.saturating_mul(factor);
        let chunk = match repeated {
            Some(_) => chunk_size::lossless(dtype, shape, longer(repeated_rows::CHUNK_FACTOR)),
            None if sample.columns.is_empty() => chunk_size::lossless(dtype, shape, target),
            None => chunk_size::grouped(dtype, shape, longer(sample::COLUMN_CHUNK_FACTOR)),
        };
        let geometry = source.geometry(chunk)?;
        let (statistics, mut crcs) =
            statistics::collect(&geometry, source.data, &sample, repeated)?;
        let encoder = statistics.choose(geometry.chunk_count(), CHUNK_OVERHEAD);
        if statistics.is_partial() && encoder.codec() == Codec::Raw {
            crcs = statistics::checksums(&geometry, source.data)?;
        }
        Ok(Self { crcs, ..Self::new(source, geometry, encoder) })
    }

    /// An encoder for chunks of this geometry, without checksums of them.
    pub(super) fn new(source: TensorSource<'s>, geometry: Geometry, encoder: Encoder) -> Self {
        Self { source, geometry, encoder, crcs: Vec::new(), referenced: false }
    }

    /// Whether a later tensor is a reference to this one.
    pub(super) fn is_referenced(&self) -> bool {
        self.referenced
    }

    pub(super) fn set_referenced(&mut self, referenced: bool) {
        self.referenced = referenced;
    }

    pub(super) fn source(&self) -> TensorSource<'s> {
        self.source
    }

    pub(super) fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    pub(super) fn codec(&self) -> Codec {
        self.encoder.codec()
    }

    pub(super) fn is_lossy(&self) -> bool {
        self.codec() == Codec::Trellis
    }

    /// The header of the frame.
    ///
    /// # Errors
    /// `InvalidArgument` for an attachment with an impossible name.
    pub(super) fn header(&self) -> Result<FrameHeader> {
        let codec = self.codec();
        // The checksums of raw chunks are those of their decoded bytes, which are known already.
        let (layout, chunk_crcs) = match codec {
            Codec::Raw => (PayloadLayout::Contiguous, self.crcs.clone()),
            Codec::Trellis => (PayloadLayout::ChunkedLossy, Vec::new()),
            _ => (PayloadLayout::Chunked, Vec::new()),
        };
        let (kind, name) = (self.source.kind(), self.source.name.to_owned());
        let object = Object::new(kind, name, self.geometry.clone(), codec.id(), layout);
        let object = object.map_err(invalid)?;
        let parameters = self.encoder.parameters();
        Ok(FrameHeader { object, parameters, chunk_crcs, referenced: self.referenced })
    }

    /// Decoded bytes of a chunk.
    pub(super) fn chunk_bytes(&self, number: u64) -> u64 {
        let range = self.geometry.chunk_range(number);
        range.end - range.start
    }

    /// Reads and encodes one chunk.
    ///
    /// # Errors
    /// `Io`; `Corrupt` when the chunk changed since the statistics were collected.
    pub(super) fn encode(&self, number: u64, buffers: &BufferPool) -> Result<EncodedChunk> {
        let (mut bytes, mut scratch) = buffers.take();
        let chunk = self.source.data.read_at(self.geometry.chunk_range(number), &mut bytes)?;
        let first_element = number * self.geometry.chunk_elements();
        let encoded = self.encoder.encode(first_element, chunk, &mut scratch);
        if let Some(&expected) = self.crcs.get(number as usize) {
            let found = match &encoded {
                Ok(encoded) => encoded.decoded_crc,
                Err(_) => crc32fast::hash(chunk),
            };
            if found != expected {
                return Err(Error::corrupt("the source changed while it was read"));
            }
        }
        buffers.give_back((bytes, scratch));
        encoded
    }

    /// Encodes all chunks without keeping them.
    pub(super) fn measure(&self, buffers: &BufferPool) -> Result<Measured> {
        // The checksums of contiguous chunks are in the frame header.
        let overhead = if self.codec() == Codec::Raw { 0 } else { CHUNK_OVERHEAD };
        let mut bytes = 0;
        let (mut error, mut output_error) = (SquaredError::default(), SquaredError::default());
        let chunks = (0..self.geometry.chunk_count()).map(Ok);
        parallel::ordered(
            chunks,
            |number| self.encode(number, buffers),
            |encoded| {
                bytes += encoded.bytes.len() as u64 + overhead;
                error.add(encoded.squared_error);
                output_error.add(encoded.output_error);
                buffers.recycle(encoded);
                Ok(())
            },
        )?;
        Ok(Measured { bytes, error, output_error })
    }
}

/// Bytes that attachments add to a file in which they come first, in this order. Encodes them.
///
/// # Errors
/// `Io`; `InvalidArgument` for an impossible name.
#[cfg(feature = "convert")]
pub(crate) fn attachment_bytes(attachments: &[TensorSource<'_>]) -> Result<u64> {
    let (mut counter, buffers) = (OverheadCounter::default(), BufferPool::default());
    let mut bytes = 0;
    for &attachment in attachments {
        let job = EncodeJob::lossless(attachment, &WriteOptions::default())?;
        bytes += counter.next(&job.header()?)? + job.measure(&buffers)?.bytes;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Statistics;
    use crate::dtype::Dtype;
    use crate::encode::frame_writer::{FrameWriter, Output};
    use crate::encode::lossy_tensor::LossyTensor;
    use crate::encode::{Encoding, Plan};
    use crate::format::{Header, OverheadCounter};
    use std::path::Path;

    fn noise(seed: u64, count: usize) -> Vec<u8> {
        let mut random = fastrand::Rng::with_seed(seed);
        std::iter::repeat_with(|| random.u8(..)).take(count).collect()
    }

    /// Rate control relies on the size of a frame before it is written.
    #[test]
    fn the_size_of_a_frame_is_known_before_it_is_written() {
        let options = WriteOptions { chunk_elements: Some(600), ..WriteOptions::default() };
        let floats: Vec<u8> =
            (0..64 * 200).flat_map(|i| (i as f32 * 0.7).sin().to_le_bytes()).collect();
        let cases: [(&str, Dtype, &[usize], Vec<u8>); 9] = [
            ("layers.0.norm", Dtype::U8, &[5], noise(1, 5)),
            ("layers.1.norm", Dtype::U8, &[5], noise(2, 5)),
            ("layers.1.empty", Dtype::F32, &[0, 7], vec![]),
            ("layers.1.table", Dtype::U8, &[100, 100], noise(3, 10_000)),
            ("layers.1.zeros", Dtype::F64, &[2000], vec![0; 16_000]),
            ("layers.1.weight", Dtype::F32, &[64, 200], floats.clone()),
            ("layers.2.weight", Dtype::F32, &[64, 200], floats.clone()),
            ("layers.2.scalar", Dtype::F32, &[], vec![1, 2, 3, 4]),
            ("layers.2.table", Dtype::U8, &[4096], noise(4, 4096)),
        ];
        let mut file = Vec::new();
        let header = Header::new(128).unwrap();
        let output = Output::Stream(Box::new(&mut file));
        let mut writer = FrameWriter::new(output, Path::new("file"), header).unwrap();
        let (mut counter, buffers) = (OverheadCounter::default(), BufferPool::default());
        let mut padded = 0;
        for (name, dtype, shape, bytes) in &cases {
            let source = TensorSource::new(name, *dtype, shape, bytes);
            let job = if name.ends_with("weight") {
                let plan = Plan::of(&source, &Encoding::snr(20.0)).unwrap();
                let lossy = plan.lossy.as_ref().unwrap();
                let tensor = LossyTensor::new(source, lossy, &plan.learned, &options).unwrap();
                tensor.unwrap().job(lossy.step).unwrap()
            } else {
                EncodeJob::lossless(source, &options).unwrap()
            };
            let (header, before) = (job.header().unwrap(), writer.finished_length());
            let overhead = writer.object_overhead(&header).unwrap();
            let measured = job.measure(&buffers).unwrap().bytes;
            let padding = overhead - counter.next(&header).unwrap();
            assert!(padding < if header.object.is_aligned() { 128 } else { 1 }, "{name}");
            padded += usize::from(padding > 0);
            writer.begin(header).unwrap();
            for number in 0..job.geometry().chunk_count() {
                writer.chunk(&job.encode(number, &buffers).unwrap(), None).unwrap();
            }
            writer.end(SquaredError::default()).unwrap();
            assert_eq!(writer.finished_length() - before, overhead + measured, "{name}");
        }
        assert!(padded > 0);
        let expected = writer.finished_length();
        assert_eq!(writer.finish().unwrap(), expected);
        assert_eq!(file.len() as u64, expected);
    }

    /// The sample shows weights, so that chunks are counted in part, but the rest is noise.
    #[test]
    fn a_sampled_tensor_that_stays_raw_has_checksums() {
        let mut bytes = noise(5, 9 << 17);
        for piece in bytes.chunks_mut(9 << 14) {
            for word in piece[..1 << 13].as_chunks_mut().0 {
                // Noise, but exponents are concentrated.
                let [low, high] = *word;
                let exponent = 120 - (u16::from(high) | 0x80).trailing_zeros() as u16;
                let number = u16::from(low & 0x80) << 8 | exponent << 7 | u16::from(low & 0x7f);
                *word = number.to_le_bytes();
            }
        }
        let source = TensorSource::new("w", Dtype::Bf16, &[9 << 16], &bytes);
        let sample = sample::take(&source).unwrap();
        let statistics = Statistics::new(Dtype::Bf16, 9 << 17, &sample, None);
        assert!(statistics.is_partial());
        let job = EncodeJob::lossless(source, &WriteOptions::default()).unwrap();
        assert_eq!(job.codec(), Codec::Raw);
        let chunks = bytes.chunks(job.chunk_bytes(0) as usize);
        assert_eq!(
            job.header().unwrap().chunk_crcs,
            chunks.map(crc32fast::hash).collect::<Vec<_>>()
        );
    }
}
