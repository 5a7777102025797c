//! The first pass: histograms of each plane.

use super::pairs;
use crate::arch::Kernel;
use crate::codec::entropy::rans::LANES;
use crate::codec::entropy::{Histogram, entropy_bits};
use crate::codec::planes::PAIR_BLOCK;
use crate::codec::planes::split::Split;
use crate::dtype::Dtype;

/// Words that are counted together: they fit the first-level cache, and counts are rarely merged.
const COUNTED: usize = 1 << 15;

/// A histogram of each plane, and one of pairs where these may pay.
#[derive(Clone)]
pub(crate) struct PlaneStatistics {
    pub(super) split: Split,
    planes: Vec<Histogram>,
    pairs: Option<PairStatistics>,
}

/// Statistics of the last plane in pairs. The plane's own histogram then covers the bytes that are
/// in no pair: outliers, and bytes after the last whole block of a chunk.
#[derive(Clone)]
pub(super) struct PairStatistics {
    pub(super) base: u8,
    pub(super) histogram: Histogram,
    pub(super) outliers: u64,
}

impl PlaneStatistics {
    /// `sample` is a part of the tensor, in whole words. With an empty sample, pairs are not
    /// considered.
    pub(crate) fn new(dtype: Dtype, sample: &[u8]) -> Self {
        let split = Split::of(dtype);
        let mut statistics =
            Self { split, planes: vec![Histogram::default(); split.width], pairs: None };
        // Only exponents of floats are concentrated enough.
        if split.rotate && !sample.is_empty() {
            let mut sampled = statistics.clone();
            sampled.count(sample);
            let base = pairs::base(&sampled.planes[split.width - 1]);
            let pairs =
                |base| PairStatistics { base, histogram: Histogram::default(), outliers: 0 };
            statistics.pairs = base.map(pairs);
        }
        statistics
    }

    /// Adds a whole chunk; O(bytes).
    pub(crate) fn count(&mut self, chunk: &[u8]) {
        let (width, kernel) = (self.split.width, Kernel::best());
        let mut buffer = [0; COUNTED];
        for tile in chunk.chunks(width * COUNTED) {
            let symbols = &mut buffer[..tile.len() / width];
            for (plane, histogram) in self.planes.iter_mut().enumerate() {
                self.split.extract(kernel, plane, tile, symbols);
                match &mut self.pairs {
                    Some(pairs) if plane + 1 == width => pairs.count(kernel, symbols, histogram),
                    _ => histogram.count(symbols),
                }
            }
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (histogram, other) in self.planes.iter_mut().zip(&other.planes) {
            histogram.merge(other);
        }
        if let (Some(pairs), Some(other)) = (&mut self.pairs, &other.pairs) {
            pairs.histogram.merge(&other.histogram);
            pairs.outliers += other.outliers;
        }
    }

    /// Bytes that were counted.
    pub(crate) fn bytes(&self) -> u64 {
        let words = self.plane(self.split.width - 1).total();
        self.split.width as u64 * words
    }

    /// A lower bound of the bytes of all planes, without pairs.
    pub(crate) fn entropy_bytes(&self) -> u64 {
        (0..self.split.width).map(|number| entropy_bits(&self.plane(number)) / 8).sum()
    }

    /// The histogram of a plane, its pairs included.
    pub(super) fn plane(&self, number: usize) -> Histogram {
        let mut histogram = self.planes[number].clone();
        if let Some(pairs) = self.pairs_of(number) {
            histogram.merge(&pairs.bytes());
        }
        histogram
    }

    /// The statistics of pairs of a plane, and the number of its bytes after the last whole
    /// blocks of chunks.
    pub(super) fn pairs(&self, number: usize) -> Option<(&PairStatistics, u64)> {
        let pairs = self.pairs_of(number)?;
        Some((pairs, self.planes[number].total() - pairs.outliers))
    }

    fn pairs_of(&self, number: usize) -> Option<&PairStatistics> {
        self.pairs.as_ref().filter(|_| number + 1 == self.split.width)
    }
}

impl PairStatistics {
    /// Counts pairs, and the bytes that are in no pair into `others`.
    fn count(&mut self, kernel: Kernel, bytes: &[u8], others: &mut Histogram) {
        let (blocks, rest) = bytes.as_chunks::<PAIR_BLOCK>();
        let mut buffer = [[0; LANES]; COUNTED / PAIR_BLOCK];
        let pairs = &mut buffer[..blocks.len()];
        let (base, outliers) = (self.base, &mut self.outliers);
        kernel.run(
            #[inline(always)]
            || {
                pairs::pair_up(base, blocks, pairs, |_, byte| {
                    *outliers += 1;
                    others.count(&[byte]);
                });
            },
        );
        self.histogram.count(pairs.as_flattened());
        others.count(rest);
    }

    /// The histogram of the bytes in pairs, without outliers.
    fn bytes(&self) -> Histogram {
        let mut counts = [0; 256];
        for (pair, &count) in self.histogram.counts().iter().enumerate() {
            for nibble in [pair & 0xf, pair >> 4] {
                counts[usize::from(self.base.wrapping_sub(nibble as u8))] += count;
            }
        }
        // Outliers are coded as the base.
        counts[usize::from(self.base)] -= self.outliers;
        Histogram::from_counts(counts)
    }
}
