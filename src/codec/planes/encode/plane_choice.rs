//! The choice of a plane's mode, by its cost over the whole tensor.

use super::statistics::{PairStatistics, PlaneStatistics};
use crate::codec::entropy::rans::{EncodeTables, StreamCount};
use crate::codec::entropy::{BitWriter, Frequencies, Histogram, entropy_bits};
use crate::codec::planes::Plane;

/// A plane is entropy-coded when that saves at least 1/64 of it: smaller savings are typical of
/// mantissa bits, and raw planes decode much faster. For the same reason pairs may take 1/64 more
/// than single bytes.
pub(crate) const MIN_SAVING: u64 = 64;

/// Bytes from which on a plane's symbols have two streams: the second one takes less than 0.4 % more.
const MIN_BYTES_OF_TWO: u64 = 1 << 15;

/// Bytes of an outlier: its position and its value.
const OUTLIER_BYTES: u64 = (size_of::<u32>() + 1) as u64;

/// Frequencies, and what an encoder derives from them.
pub(super) struct FrequencyTable {
    pub(super) frequencies: Frequencies,
    pub(super) tables: EncodeTables,
    /// The fewest symbols in two streams.
    two_streams_from: u64,
}

impl FrequencyTable {
    /// `None` when fewer than two values occur.
    fn new(histogram: &Histogram) -> Option<Self> {
        let frequencies = Frequencies::from_histogram(histogram)?;
        let tables = EncodeTables::new([&frequencies]);
        let two_streams_from = frequencies.symbols_of_bits(8 * MIN_BYTES_OF_TWO);
        Some(Self { frequencies, tables, two_streams_from })
    }

    /// The streams of so many symbols.
    pub(super) fn streams(&self, symbols: u64) -> StreamCount {
        match symbols < self.two_streams_from {
            true => StreamCount::One,
            false => StreamCount::Two,
        }
    }
}

impl Plane<FrequencyTable> {
    /// The cheapest mode of a plane; of modes of nearly equal cost, the fastest to decode. Of a sampled
    /// plane, one that codes any byte: raw, with all bytes in the table, or in pairs.
    pub(super) fn choose(statistics: &PlaneStatistics, number: usize) -> Self {
        let histogram = &statistics.plane(number);
        let is_sampled = statistics.is_sampled(number);
        let mut present = histogram.present();
        match (present.next(), present.next()) {
            (None, _) => return Self::Raw,
            (Some(_), None) if is_sampled => return Self::Raw,
            (Some(value), None) => return Self::Constant(value),
            _ => {}
        }
        let total = histogram.total();
        let head = StreamCount::One.head_bytes();
        let saving = total / MIN_SAVING;
        let worthwhile = |bits: u64| bits / 8 + head < total - saving;
        // Tested first: for a small tensor, making a table takes longer than everything else.
        let entropy = entropy_bits(histogram);
        if !worthwhile(entropy) {
            return Self::Raw;
        }
        // The entropy is a lower bound: pairs that compare well with it need no other table.
        let mut pairs = Self::paired(statistics, number);
        if let Some((paired, _)) = pairs.take_if(|(_, cost)| *cost <= entropy / 8 + saving) {
            return paired;
        }
        let table = match is_sampled {
            true => FrequencyTable::new(&histogram.with_all()),
            false => FrequencyTable::new(histogram),
        };
        match table {
            Some(coded) if worthwhile(coded.frequencies.cost_bits(histogram)) => {
                let frequencies = &coded.frequencies;
                let bytes = frequencies.cost_bits(histogram) / 8 + stored(frequencies).len() as u64;
                let pairs = pairs.filter(|(_, cost)| *cost <= bytes + saving);
                pairs.map_or(Self::Coded(coded), |(paired, _)| paired)
            }
            _ => Self::Raw,
        }
    }

    /// Whether the plane of a large tensor is probably best in pairs, from a sample of it: an estimate
    /// without tables, which take few bytes of the tensor but much time.
    pub(super) fn seems_paired(sample: &PlaneStatistics, number: usize) -> bool {
        let Some(pairs) = sample.pairs(number) else { return false };
        let plane = sample.plane(number);
        let (single, saving) = (entropy_bits(&plane) / 8, plane.total() / MIN_SAVING);
        let paired = paired_bytes(entropy_bits(&pairs.histogram), pairs);
        single < plane.total() - saving && paired <= single + saving
    }

    /// The plane in pairs, if there is a pairing, and the bytes that it takes with its table.
    fn paired(statistics: &PlaneStatistics, number: usize) -> Option<(Self, u64)> {
        let pairs = statistics.pairs(number)?;
        let table = FrequencyTable::new(&pairs.histogram)?;
        let symbol_bits = table.frequencies.cost_bits(&pairs.histogram);
        let bytes = statistics.scaled(number, paired_bytes(symbol_bits, pairs));
        let bytes = bytes + stored(&table.frequencies).len() as u64;
        Some((Self::Paired(pairs.pairing, table), bytes))
    }
}

/// Frequencies as the format stores them.
pub(super) fn stored(frequencies: &Frequencies) -> Vec<u8> {
    let mut bits = BitWriter::default();
    frequencies.write(&mut bits);
    bits.finish()
}

/// Bytes of a plane in pairs without the constant bytes of each chunk, if the pairs take so many bits
/// without their low bits.
pub(super) fn paired_bytes(symbol_bits: u64, pairs: &PairStatistics) -> u64 {
    let low_bits = 2 * pairs.histogram.total() * u64::from(pairs.pairing.low_bits);
    (symbol_bits + low_bits).div_ceil(8) + pairs.rest + pairs.outliers * OUTLIER_BYTES
}
