//! The first pass of lossless coding: statistics of a tensor, and the choice of its codec.

use super::encoder::Encoder;
use crate::codec::planes::{PlaneEncoder, PlaneStatistics};
use crate::dtype::Dtype;

/// Statistics of a tensor: counted chunk by chunk in any order, then merged.
#[derive(Clone)]
pub(crate) struct Statistics(PlaneStatistics);

impl Statistics {
    /// `sample` is a part of the tensor, in whole elements. It decides which symbols are counted;
    /// an empty sample is valid.
    pub(crate) fn new(dtype: Dtype, sample: &[u8]) -> Self {
        Self(PlaneStatistics::new(dtype, sample))
    }

    /// Adds one chunk's statistics.
    pub(crate) fn count(&mut self, chunk: &[u8]) {
        self.0.count(chunk);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.0.merge(&other.0);
    }

    /// Estimated bytes of the losslessly coded tensor in `chunks` chunks, each of which takes
    /// `overhead` bytes in the container. Raw, all of them take `raw_overhead`.
    pub(crate) fn estimate(&self, chunks: u64, overhead: u64, raw_overhead: u64) -> u64 {
        self.coded(chunks, overhead).1.min(self.0.bytes() + raw_overhead)
    }

    /// The cheapest encoder for a tensor of `chunks` chunks: raw unless coding saves bytes,
    /// parameters and `overhead` bytes a chunk included.
    pub(crate) fn choose(&self, chunks: u64, overhead: u64) -> Encoder {
        match self.coded(chunks, overhead) {
            (encoder, bytes) if bytes < self.0.bytes() => Encoder::Planes(Box::new(encoder)),
            _ => Encoder::Raw,
        }
    }

    /// The encoder into byte planes, and the bytes it takes.
    fn coded(&self, chunks: u64, overhead: u64) -> (PlaneEncoder, u64) {
        let encoder = PlaneEncoder::new(&self.0);
        let frame = encoder.parameters().len() as u64 + chunks * overhead;
        let bytes = encoder.cost_bytes(&self.0, chunks) + frame;
        (encoder, bytes)
    }
}
