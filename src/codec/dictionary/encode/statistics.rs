//! The first pass: histograms of the indices of a dictionary, and of the words without an entry.

use super::candidates::{Part, candidates};
use super::encoder::DictionaryEncoder;
use super::entries::Entries;
use super::indexed::{Indexed, differences};
use crate::codec::entropy::rans::StreamCount;
use crate::codec::entropy::{Frequencies, Histogram, entropy_bits};
use crate::codec::planes::split::Split;
use crate::codec::planes::{PlaneEncoder, PlaneStatistics};
use crate::dtype::Dtype;
use std::sync::Arc;

/// With at most this many words, indices may be coded as differences: larger dictionaries have no
/// runs.
const MAX_DIFFERENCED: usize = 32;

/// With at most this many words in the sample, a dictionary is tried whatever the sample says: it
/// shows runs badly.
const FEW_WORDS: usize = 16;

/// A dictionary, and statistics of the indices of a tensor.
#[derive(Clone)]
pub(crate) struct DictionaryStatistics {
    width: usize,
    entries: Arc<Entries>,
    /// Histograms of the indices for each distance.
    histograms: Vec<(u32, Histogram)>,
    /// Bytes that are stored for groups.
    groups: u64,
    escaped: PlaneStatistics,
}

impl DictionaryStatistics {
    /// Chooses the dictionary of a tensor with rows of `row` bytes from a part of the tensor: pieces
    /// that start at rows, or at multiples of the sizes of groups. `columns` is another part, with
    /// rows of a few columns, and may be empty. `None` if no dictionary takes fewer than `limit` bytes
    /// for the first part.
    pub(crate) fn of_sample(
        dtype: Dtype,
        sample: Part<'_>,
        columns: Part<'_>,
        limit: impl FnOnce() -> u64,
    ) -> Option<Self> {
        if sample.bytes.is_empty() {
            return None;
        }
        let width = Split::of(dtype).width;
        let row = sample.row.is_multiple_of(width).then_some(sample.row / width);
        let made = candidates(dtype, sample, columns).into_iter().map(|(entries, part)| {
            let few = matches!(entries, Entries::Words(_)) && entries.count() <= FEW_WORDS;
            let mut statistics = Self::new(dtype, Some(part.row / width), entries);
            part.pieces().for_each(|piece| statistics.count(piece));
            let (_, bytes) = statistics.least_bytes();
            // As many bytes for the whole sample.
            let bytes = bytes.saturating_mul(sample.bytes.len() as u64) / part.bytes.len() as u64;
            (bytes, few && statistics.escaped.bytes() == 0, statistics.entries)
        });
        let (bytes, few, entries) = made.min_by_key(|(bytes, ..)| *bytes)?;
        if bytes > limit() && !few {
            return None;
        }
        let mut entries = Arc::into_inner(entries)?;
        entries.set_row(row.unwrap_or(1));
        Some(Self::new(dtype, row, entries))
    }

    fn new(dtype: Dtype, row: Option<usize>, entries: Entries) -> Self {
        let mut distances = vec![0];
        if matches!(entries, Entries::Words(_)) && entries.count() <= MAX_DIFFERENCED {
            let rows = row.and_then(|row| u32::try_from(row).ok()).filter(|&row| row < u32::MAX);
            distances.push(1);
            distances.extend(rows.into_iter().flat_map(|row| [row, row + 1]));
            distances.dedup();
        }
        let histograms = distances.into_iter().map(|distance| (distance, Histogram::default()));
        let (width, histograms) = (Split::of(dtype).width, histograms.collect());
        let escaped = PlaneStatistics::of_all(dtype);
        Self { width, entries: Arc::new(entries), histograms, groups: 0, escaped }
    }

    /// Adds a whole chunk.
    pub(crate) fn count(&mut self, chunk: &[u8]) {
        let mut indexed = Indexed::default();
        self.entries.index(self.width, chunk, &mut indexed);
        let mut buffer = Vec::new();
        for (distance, histogram) in &mut self.histograms {
            histogram.count(differences(&indexed.indices, *distance as usize, &mut buffer));
        }
        self.groups += indexed.groups.len() as u64;
        self.escaped.count(0, &indexed.escaped);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for ((_, histogram), (_, other)) in self.histograms.iter_mut().zip(&other.histograms) {
            histogram.merge(other);
        }
        self.groups += other.groups;
        self.escaped.merge(&other.escaped);
    }

    /// The number of the histogram with the least entropy, and a lower bound of the coded bytes.
    fn least_bytes(&self) -> (usize, u64) {
        let bits = self.histograms.iter().map(|(_, histogram)| entropy_bits(histogram));
        let (number, bits) = bits.enumerate().min_by_key(|&(_, bits)| bits).unwrap_or_default();
        (number, bits / 8 + self.groups + self.escaped.entropy_bytes())
    }

    /// The encoder, and an upper bound of its parameters and the coded bytes of all chunks; `None`
    /// when all indices are the same.
    pub(crate) fn encoder(&self, chunks: u64) -> Option<(DictionaryEncoder, u64)> {
        let (distance, histogram) = &self.histograms[self.least_bytes().0];
        let frequencies = Frequencies::from_histogram(histogram)?;
        let bits = frequencies.cost_bits(histogram);
        let entries = Arc::clone(&self.entries);
        let escaped = PlaneEncoder::new(&self.escaped);
        let escaped_bytes = match self.escaped.bytes() {
            0 => 0,
            _ => escaped.cost_bytes(&self.escaped, chunks),
        };
        let encoder = DictionaryEncoder::new(self.width, entries, *distance, frequencies, escaped);
        let bytes = encoder.parameters().len() as u64
            + bits.div_ceil(8)
            + self.groups
            + escaped_bytes
            + chunks * StreamCount::One.head_bytes();
        Some((encoder, bytes))
    }
}
