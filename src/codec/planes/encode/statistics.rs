//! The first pass: histograms of each plane.

use super::pairs;
use crate::arch::Kernel;
use crate::codec::entropy::rans::LANES;
use crate::codec::entropy::{Histogram, entropy_bits, scale};
use crate::codec::planes::split::Split;
use crate::codec::planes::{PAIR_BLOCK, Pairing};
use crate::dtype::Dtype;

/// Words of a part of a chunk, which are counted together: they fit the first-level cache, and counts
/// are rarely merged.
const PART: usize = 1 << 13;

/// A histogram of each plane, and one of pairs where these may pay.
///
/// In large tensors of floats with exponents in pairs, these and the planes of noise are sampled: the
/// choice of their mode, and the table of pairs, do not need all of them. Counting takes longer than
/// encoding.
#[derive(Clone)]
pub(crate) struct PlaneStatistics {
    pub(super) split: Split,
    planes: Vec<Histogram>,
    pairs: Option<PairStatistics>,
    /// One in so many parts of a chunk is counted of each plane: other ones in the next chunk, since rows
    /// may differ with the same period as chunks.
    one_in: Vec<u64>,
    /// The words of all chunks, and those of which each plane is counted.
    words: u64,
    counted: Vec<u64>,
}

/// Statistics of the last plane in pairs. Without low bits, the plane's own histogram covers only the
/// bytes that are in no pair: outliers, and bytes after the last whole block of a chunk.
#[derive(Clone)]
pub(super) struct PairStatistics {
    pub(super) pairing: Pairing,
    pub(super) histogram: Histogram,
    pub(super) outliers: u64,
    /// Bytes after the last whole blocks of chunks.
    pub(super) rest: u64,
}

impl PlaneStatistics {
    /// Counts all planes, of each one in so many parts of a chunk; the last plane in pairs if there is
    /// a pairing.
    pub(super) fn new(split: Split, pairing: Option<Pairing>, one_in: Vec<u64>) -> Self {
        let planes = vec![Histogram::default(); split.width];
        let pairs = pairing.map(PairStatistics::new);
        Self { split, planes, pairs, one_in, words: 0, counted: vec![0; split.width] }
    }

    /// Counts all planes of a tensor, without pairs.
    pub(crate) fn of_all(dtype: Dtype) -> Self {
        let split = Split::of(dtype);
        Self::new(split, None, vec![1; split.width])
    }

    /// Adds the whole chunk `number`; O(bytes).
    pub(crate) fn count(&mut self, number: u64, chunk: &[u8]) {
        self.words += (chunk.len() / self.split.width) as u64;
        let mut buffer = [0; PART];
        for (number, part) in (number..).zip(chunk.chunks(self.split.width * PART)) {
            for plane in 0..self.split.width {
                if number.is_multiple_of(self.one_in[plane]) {
                    self.count_part(plane, part, &mut buffer);
                }
            }
        }
    }

    /// Adds one plane of a whole chunk.
    pub(super) fn count_plane(&mut self, plane: usize, chunk: &[u8]) {
        for part in chunk.chunks(self.split.width * PART) {
            self.count_part(plane, part, &mut [0; PART]);
        }
    }

    /// Counts one plane of a part of a chunk.
    fn count_part(&mut self, plane: usize, part: &[u8], buffer: &mut [u8; PART]) {
        let (width, kernel) = (self.split.width, Kernel::best());
        let symbols = &mut buffer[..part.len() / width];
        self.split.extract(kernel, plane, part, symbols);
        self.counted[plane] += symbols.len() as u64;
        let histogram = &mut self.planes[plane];
        match &mut self.pairs {
            Some(pairs) if plane + 1 == width => pairs.count(kernel, symbols, histogram),
            _ => histogram.count(symbols),
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.words += other.words;
        self.counted.iter_mut().zip(&other.counted).for_each(|(sum, counted)| *sum += counted);
        for (histogram, other) in self.planes.iter_mut().zip(&other.planes) {
            histogram.merge(other);
        }
        if let (Some(pairs), Some(other)) = (&mut self.pairs, &other.pairs) {
            pairs.histogram.merge(&other.histogram);
            pairs.outliers += other.outliers;
            pairs.rest += other.rest;
        }
    }

    /// The words of all chunks.
    pub(super) fn words(&self) -> u64 {
        self.words
    }

    /// The bytes of all chunks.
    pub(crate) fn bytes(&self) -> u64 {
        self.split.width as u64 * self.words
    }

    /// Whether only a part of a plane was counted: other bytes than those of its histogram may occur.
    pub(super) fn is_sampled(&self, number: usize) -> bool {
        self.one_in[number] > 1
    }

    /// Whether only a part of each chunk is counted.
    pub(crate) fn is_partial(&self) -> bool {
        (0..self.split.width).all(|number| self.is_sampled(number))
    }

    /// A lower bound of the bytes of all planes, without pairs.
    pub(crate) fn entropy_bytes(&self) -> u64 {
        (0..self.split.width).map(|number| entropy_bits(&self.plane(number)) / 8).sum()
    }

    /// The histogram of a plane, its pairs included; of a sampled plane an estimate.
    pub(super) fn plane(&self, number: usize) -> Histogram {
        let mut histogram = self.planes[number].clone();
        if let Some(pairs) = self.pairs(number).filter(|pairs| pairs.pairing.low_bits == 0) {
            histogram.merge(&pairs.bytes());
        }
        match self.is_sampled(number) {
            true => histogram.scaled(self.words, self.counted[number]),
            false => histogram,
        }
    }

    /// The statistics of pairs of a plane.
    pub(super) fn pairs(&self, number: usize) -> Option<&PairStatistics> {
        self.pairs.as_ref().filter(|_| number + 1 == self.split.width)
    }

    /// An estimate of the bytes of a plane from those of its counted part.
    pub(super) fn scaled(&self, number: usize, bytes: u64) -> u64 {
        match self.is_sampled(number) {
            true => scale(bytes, self.words, self.counted[number]),
            false => bytes,
        }
    }
}

impl PairStatistics {
    fn new(pairing: Pairing) -> Self {
        Self { pairing, histogram: Histogram::default(), outliers: 0, rest: 0 }
    }

    /// Counts pairs, and into `others` the bytes that are in no pair, or all if they have low bits.
    fn count(&mut self, kernel: Kernel, bytes: &[u8], others: &mut Histogram) {
        // Pairs do not tell the low bits.
        let split = self.pairing.low_bits > 0;
        let (blocks, rest) = bytes.as_chunks::<PAIR_BLOCK>();
        let mut buffer = [[0; LANES]; PART / PAIR_BLOCK];
        let pairs = &mut buffer[..blocks.len()];
        let (pairing, outliers) = (self.pairing, &mut self.outliers);
        kernel.run(
            #[inline(always)]
            || {
                pairs::pair_up(pairing, blocks, pairs, |_, byte| {
                    *outliers += 1;
                    if !split {
                        others.count_byte(byte);
                    }
                });
            },
        );
        self.histogram.count(pairs.as_flattened());
        self.rest += rest.len() as u64;
        others.count(if split { bytes } else { rest });
    }

    /// The histogram of the bytes in pairs, without outliers, if they have no low bits.
    fn bytes(&self) -> Histogram {
        let mut counts = [0; 256];
        for (pair, &count) in self.histogram.counts().iter().enumerate() {
            for nibble in [pair & 0xf, pair >> 4] {
                counts[usize::from(self.pairing.base.wrapping_sub(nibble as u8))] += count;
            }
        }
        // Outliers are coded as the base.
        counts[usize::from(self.pairing.base)] -= self.outliers;
        Histogram::from_counts(counts)
    }
}
