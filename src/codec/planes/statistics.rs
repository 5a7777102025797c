//! The first pass: how often each byte of each plane occurs.

use super::pairs::{self, BLOCK};
use crate::arch::Kernel;
use crate::codec::entropy::Histogram;
use crate::codec::entropy::rans::LANES;
use crate::codec::planes::split::Split;
use crate::dtype::Dtype;

/// Words counted at a time: they stay near, and counts are seldom summed up.
const COUNTED: usize = 1 << 15;

/// A histogram for every plane, and one of pairs where those may pay.
#[derive(Clone)]
pub(crate) struct PlaneStatistics {
    pub(super) split: Split,
    planes: Vec<Histogram>,
    pairs: Option<Pairs>,
}

/// The last plane in pairs. Its histogram above is that of bytes in no pair: strangers, and those
/// after the last whole block of a chunk.
#[derive(Clone)]
pub(super) struct Pairs {
    pub(super) base: u8,
    pub(super) histogram: Histogram,
    pub(super) outliers: u64,
}

impl PlaneStatistics {
    /// `sample` is of the tensor, in whole words; without one, pairs are not considered.
    pub(crate) fn new(dtype: Dtype, sample: &[u8]) -> Self {
        let split = Split::of(dtype);
        let mut statistics =
            Self { split, planes: vec![Histogram::default(); split.width], pairs: None };
        // Only exponents crowd.
        if split.rotate && !sample.is_empty() {
            let mut sampled = statistics.clone();
            sampled.count(sample);
            let base = pairs::base(&sampled.planes[split.width - 1]);
            let pairs = |base| Pairs { base, histogram: Histogram::default(), outliers: 0 };
            statistics.pairs = base.map(pairs);
        }
        statistics
    }

    /// Counts a whole chunk.
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

    /// Bytes surveyed.
    pub(crate) fn bytes(&self) -> u64 {
        let words = self.plane(self.split.width - 1).total();
        self.split.width as u64 * words
    }

    /// How often each byte of a plane occurs.
    pub(super) fn plane(&self, number: usize) -> Histogram {
        let mut histogram = self.planes[number].clone();
        if let Some(pairs) = self.pairs_of(number) {
            histogram.merge(&pairs.bytes());
        }
        histogram
    }

    /// Pairs of a plane, and how many of its bytes are in none.
    pub(super) fn pairs(&self, number: usize) -> Option<(&Pairs, u64)> {
        let pairs = self.pairs_of(number)?;
        Some((pairs, self.planes[number].total() - pairs.outliers))
    }

    fn pairs_of(&self, number: usize) -> Option<&Pairs> {
        self.pairs.as_ref().filter(|_| number + 1 == self.split.width)
    }
}

impl Pairs {
    /// Counts pairs, and bytes in no pair into `others`.
    fn count(&mut self, kernel: Kernel, bytes: &[u8], others: &mut Histogram) {
        let (blocks, rest) = bytes.as_chunks::<BLOCK>();
        let mut buffer = [[0; LANES]; COUNTED / BLOCK];
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

    /// How often each byte occurs in pairs, strangers left out.
    fn bytes(&self) -> Histogram {
        let mut counts = [0; 256];
        for (pair, &count) in self.histogram.counts().iter().enumerate() {
            for nibble in [pair & 0xf, pair >> 4] {
                counts[usize::from(self.base.wrapping_sub(nibble as u8))] += count;
            }
        }
        // They are coded as the base.
        counts[usize::from(self.base)] -= self.outliers;
        Histogram::from_counts(counts)
    }
}
