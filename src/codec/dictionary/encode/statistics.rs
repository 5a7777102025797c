//! The first pass: the choice of a dictionary from a sample, and histograms of its indices.

use super::encoder::DictionaryEncoder;
use super::entries::Entries;
use super::factors::{Factors, Search};
use super::indexed::{Indexed, differences, each_word};
use super::levels::Levels;
use super::words::Words;
use crate::codec::dictionary::has_factors;
use crate::codec::entropy::rans::STATES_BYTES;
use crate::codec::entropy::{Frequencies, Histogram, entropy_bits};
use crate::codec::planes::split::Split;
use crate::dtype::Dtype;
use std::sync::Arc;

/// With at most this many words, indices may be coded as differences: larger dictionaries have no
/// runs.
const MAX_DIFFERENCED: usize = 32;

/// With at most this many words in the sample, a dictionary is tried whatever the sample says: it
/// shows runs badly.
const FEW_WORDS: usize = 16;

/// Sizes of groups that are tried besides whole rows, the smallest first.
const GROUPS: [usize; 4] = [16, 32, 64, 128];

/// Groups that are looked at first, evenly spaced in the sample.
const PROBES: usize = 8;

/// Bytes of a chunk besides its words, scales and escaped words.
const CHUNK_HEAD: u64 = (size_of::<u32>() + STATES_BYTES) as u64;

/// A dictionary, and statistics of the indices of a tensor.
#[derive(Clone)]
pub(crate) struct DictionaryStatistics {
    width: usize,
    entries: Arc<Entries>,
    /// Histograms of the indices for each distance.
    histograms: Vec<(u32, Histogram)>,
    scales: u64,
    escaped: u64,
}

impl DictionaryStatistics {
    /// Chooses the dictionary of a tensor with rows of `row` bytes. `sample` is a part of the tensor
    /// in pieces of `piece` bytes that start at rows, or at multiples of the sizes of groups. `None`
    /// if no dictionary takes fewer than `limit` bytes for the sample.
    pub(crate) fn of_sample(
        dtype: Dtype,
        row: usize,
        (sample, piece): (&[u8], usize),
        limit: impl FnOnce() -> u64,
    ) -> Option<Self> {
        if sample.is_empty() {
            return None;
        }
        let width = Split::of(dtype).width;
        let words = Words::of_sample(width, sample).map(Entries::Words);
        let few = words.as_ref().is_some_and(|words| words.count() <= FEW_WORDS);
        let factors = factors(dtype, row, sample, piece).map(Entries::Factors);
        let row = row.is_multiple_of(width).then_some(row / width);
        let made = words.into_iter().chain(factors).map(|entries| {
            let mut statistics = Self::new(width, row, entries);
            sample.chunks(piece).for_each(|piece| statistics.count(piece));
            let (_, bytes) = statistics.least_bytes();
            (bytes, statistics)
        });
        let (bytes, mut best) = made.min_by_key(|(bytes, _)| *bytes)?;
        if bytes > limit() && !few {
            return None;
        }
        best.clear();
        Some(best)
    }

    fn new(width: usize, row: Option<usize>, entries: Entries) -> Self {
        let mut distances = vec![0];
        if matches!(entries, Entries::Words(_)) && entries.count() <= MAX_DIFFERENCED {
            let rows = row.and_then(|row| u32::try_from(row).ok()).filter(|&row| row < u32::MAX);
            distances.push(1);
            distances.extend(rows.into_iter().flat_map(|row| [row, row + 1]));
            distances.dedup();
        }
        let histograms = distances.into_iter().map(|distance| (distance, Histogram::default()));
        let histograms = histograms.collect();
        Self { width, entries: Arc::new(entries), histograms, scales: 0, escaped: 0 }
    }

    fn clear(&mut self) {
        self.histograms.iter_mut().for_each(|(_, histogram)| *histogram = Histogram::default());
        (self.scales, self.escaped) = (0, 0);
    }

    /// Adds a whole chunk.
    pub(crate) fn count(&mut self, chunk: &[u8]) {
        let mut indexed = Indexed::default();
        self.entries.index(self.width, chunk, &mut indexed);
        let mut buffer = Vec::new();
        for (distance, histogram) in &mut self.histograms {
            histogram.count(differences(&indexed.indices, *distance as usize, &mut buffer));
        }
        self.scales += indexed.scales.len() as u64;
        self.escaped += indexed.escaped.len() as u64;
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for ((_, histogram), (_, other)) in self.histograms.iter_mut().zip(&other.histograms) {
            histogram.merge(other);
        }
        self.scales += other.scales;
        self.escaped += other.escaped;
    }

    /// The number of the histogram with the least entropy, and a lower bound of the coded bytes.
    fn least_bytes(&self) -> (usize, u64) {
        let bits = self.histograms.iter().map(|(_, histogram)| entropy_bits(histogram));
        let (number, bits) = bits.enumerate().min_by_key(|&(_, bits)| bits).unwrap_or_default();
        (number, bits / 8 + 4 * self.scales + self.escaped)
    }

    /// The encoder, and an upper bound of its parameters and the coded bytes of all chunks; `None`
    /// when all indices are the same.
    pub(crate) fn encoder(&self, chunks: u64) -> Option<(DictionaryEncoder, u64)> {
        let (distance, histogram) = &self.histograms[self.least_bytes().0];
        let frequencies = Frequencies::from_histogram(histogram)?;
        let bits = frequencies.cost_bits(histogram);
        let entries = Arc::clone(&self.entries);
        let encoder = DictionaryEncoder::new(self.width, entries, *distance, frequencies);
        let bytes = encoder.parameters().len() as u64
            + bits.div_ceil(8)
            + 4 * self.scales
            + self.escaped
            + chunks * CHUNK_HEAD;
        Some((encoder, bytes))
    }
}

/// The levels and the groups that explain a sample with the fewest bits; `None` if there are none.
fn factors(dtype: Dtype, row: usize, sample: &[u8], piece: usize) -> Option<Factors> {
    if !has_factors(dtype) {
        return None;
    }
    let width = dtype.bits() as usize / 8;
    let formats = [Levels::integers(), Levels::e4m3(), Levels::nf4(None), Levels::nf4(Some(4))];
    let found = formats.into_iter().filter_map(|levels| {
        let probe = |group: usize| explains(dtype, &levels, sample, piece, group * width);
        // A scale of a large group is one of the small groups in it.
        if !probe(GROUPS[0]) {
            return None;
        }
        let row = row / width;
        let whole = GROUPS.into_iter().filter(|group| row.is_multiple_of(*group) && *group < row);
        let group = std::iter::once(row).chain(whole.rev()).find(|&group| probe(group))?;
        Some(Factors::of_sample(dtype, group, levels, sample.chunks(piece)))
    });
    let bytes = |factors: &Factors| {
        let (mut indexed, mut histogram) = (Indexed::default(), Histogram::default());
        sample.chunks(piece).for_each(|piece| factors.index_all(piece, &mut indexed));
        histogram.count(&indexed.indices);
        entropy_bits(&histogram) / 8 + (4 * indexed.scales.len() + indexed.escaped.len()) as u64
    };
    found.map(|factors| (bytes(&factors), factors)).min_by_key(|(bytes, _)| *bytes).map(|(_, f)| f)
}

/// Whether most of the groups that are looked at have a scale. Groups of zeros do not count.
fn explains(dtype: Dtype, levels: &Levels, sample: &[u8], piece: usize, group: usize) -> bool {
    let pieces = sample.chunks(piece).step_by(sample.len().div_ceil(piece * PROBES).max(1));
    let (mut tried, mut found) = (0, 0);
    for bytes in pieces {
        let bytes = &bytes[..group.min(bytes.len())];
        if bytes.iter().all(|&byte| byte == bytes[0]) {
            continue;
        }
        let mut words = Vec::new();
        each_word(dtype.bits() as usize / 8, bytes, |word| words.push(word as u32));
        tried += 1;
        found += usize::from(Search::default().scale(dtype, levels, &words).is_some());
    }
    tried > 0 && 2 * found > tried
}
