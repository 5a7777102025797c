//! Encoding chunks of byte planes.

use super::pairs::pair_up;
use super::plane_choice::{FrequencyTable, paired_bytes, stored};
use super::statistics::PlaneStatistics;
use crate::arch::Kernel;
use crate::codec::encode::Scratch;
use crate::codec::entropy::rans::{BLOCK, LANES, SequenceEncoder, StreamCount, put_sequence};
use crate::codec::entropy::{Frequencies, low_bits};
use crate::codec::planes::split::Split;
use crate::codec::planes::{
    MODE_CODED, MODE_CONSTANT, MODE_PAIRED, MODE_RAW, PAIR_BLOCK, Pairing, Plane,
};
use crate::error::{Error, Result};
use zerocopy::little_endian::U16;

/// Bytes of a paired plane in every chunk besides those of its stream: the number of outliers.
const OUTLIERS_HEAD_BYTES: u64 = size_of::<u32>() as u64;

/// Encodes chunks of one tensor.
pub(crate) struct PlaneEncoder {
    split: Split,
    pub(super) planes: Vec<Plane<FrequencyTable>>,
}

impl PlaneEncoder {
    /// Chooses the mode of each plane by its cost.
    pub(crate) fn new(statistics: &PlaneStatistics) -> Self {
        let planes =
            (0..statistics.split.width).map(|number| Plane::choose(statistics, number)).collect();
        Self { split: statistics.split, planes }
    }

    /// Upper bound on the coded bytes of all chunks of the tensor that the statistics are of; an
    /// estimate where planes are sampled.
    pub(crate) fn cost_bytes(&self, statistics: &PlaneStatistics, chunks: u64) -> u64 {
        let planes = self.planes.iter().enumerate();
        let planes = planes.map(|(number, plane)| match (plane, statistics.pairs(number)) {
            (Plane::Constant(_), _) => 0,
            (Plane::Coded(table), _) => {
                table.frequencies.cost_bits(&statistics.plane(number)).div_ceil(8)
            }
            (Plane::Paired(_, table), Some(pairs)) => {
                let symbol_bits = table.frequencies.cost_bits(&pairs.histogram);
                let bytes = statistics.scaled(number, paired_bytes(symbol_bits, pairs));
                bytes + chunks * OUTLIERS_HEAD_BYTES
            }
            (Plane::Raw | Plane::Paired(..), _) => statistics.words(),
        });
        let heads = self.streams(statistics, chunks).map(|streams| chunks * streams.head_bytes());
        planes.sum::<u64>() + heads.sum::<u64>()
    }

    /// The part of [`cost_bytes`](Self::cost_bytes) that second streams cause.
    pub(crate) fn second_streams_bytes(&self, statistics: &PlaneStatistics, chunks: u64) -> u64 {
        let [one, two] = [StreamCount::One, StreamCount::Two].map(StreamCount::head_bytes);
        let planes =
            self.streams(statistics, chunks).filter(|&streams| streams == StreamCount::Two);
        chunks * planes.count() as u64 * (two - one)
    }

    /// The streams that each of the coded planes has at most in a chunk.
    fn streams(
        &self,
        statistics: &PlaneStatistics,
        chunks: u64,
    ) -> impl Iterator<Item = StreamCount> {
        // The last of two chunks may be nearly empty: the first one then has twice the mean.
        let longest = 2 * statistics.words() / chunks.max(1);
        self.planes.iter().filter_map(move |plane| match plane {
            Plane::Raw | Plane::Constant(_) => None,
            Plane::Coded(table) => Some(table.streams(longest)),
            Plane::Paired(_, table) => Some(table.streams(longest / 2)),
        })
    }

    /// The codec parameters: for each plane its mode, then the constant, or the base of pairs and the
    /// number of low bits, and the frequency table.
    pub(crate) fn parameters(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for plane in &self.planes {
            let frequencies = match plane {
                Plane::Raw => {
                    out.push(MODE_RAW);
                    continue;
                }
                Plane::Constant(value) => {
                    out.extend([MODE_CONSTANT, *value]);
                    continue;
                }
                Plane::Coded(table) => {
                    out.push(MODE_CODED);
                    &table.frequencies
                }
                Plane::Paired(Pairing { base, low_bits }, table) => {
                    out.extend([MODE_PAIRED, *base, *low_bits as u8]);
                    &table.frequencies
                }
            };
            out.extend(stored(frequencies));
        }
        out
    }

    /// Encodes one chunk; O(bytes).
    ///
    /// The planes follow in order: raw bytes; nothing for a constant; the length (`u32`) of a rANS
    /// stream and the stream. A stream of pairs lies between the number of outliers and the low
    /// bits, which the bytes that are in no pair follow.
    ///
    /// # Errors
    /// `InvalidArgument` when the chunk holds bytes that are not in the statistics.
    pub(crate) fn encode(&self, chunk: &[u8], scratch: &mut Scratch) -> Result<Vec<u8>> {
        let (kernel, words) = (Kernel::best(), chunk.len() / self.split.width);
        let mut out = scratch.take_out();
        out.reserve(chunk.len());
        let Scratch { symbols, pairs, words: coder, .. } = scratch;
        symbols.resize(words, 0);
        for (number, plane) in self.planes.iter().enumerate() {
            let extract = |out: &mut [u8]| self.split.extract(kernel, number, chunk, out);
            match plane {
                Plane::Raw => {
                    let start = out.len();
                    out.resize(start + words, 0);
                    extract(&mut out[start..]);
                }
                Plane::Constant(value) => {
                    extract(symbols);
                    if symbols.iter().any(|symbol| symbol != value) {
                        return Err(Error::invalid("byte plane: a value is not in the statistics"));
                    }
                }
                Plane::Coded(table) => {
                    extract(symbols);
                    let streams = table.streams(symbols.len() as u64);
                    put_sequence(&table.tables, symbols, streams, kernel, coder, &mut out)?;
                }
                Plane::Paired(pairing, table) => {
                    extract(symbols);
                    put_pairs(*pairing, table, symbols, kernel, (pairs, coder), &mut out)?;
                }
            }
        }
        Ok(out)
    }
}

/// Appends the number of outliers, the stream of pairs, the low bits, the bytes after the last whole
/// block, then the outliers' positions and their bytes.
fn put_pairs(
    pairing: Pairing,
    table: &FrequencyTable,
    bytes: &[u8],
    kernel: Kernel,
    (pairs, coder): (&mut Vec<u8>, &mut Vec<U16>),
    out: &mut Vec<u8>,
) -> Result<()> {
    let (blocks, rest) = bytes.as_chunks::<PAIR_BLOCK>();
    pairs.resize(blocks.len() * LANES, 0);
    let pairs = pairs.as_chunks_mut::<LANES>().0;
    let mut outliers = Vec::new();
    kernel.run(
        #[inline(always)]
        || {
            pair_up(pairing, blocks, pairs, |position, byte| {
                outliers.push((position as u32, byte));
            });
        },
    );
    let head = out.len();
    out.extend([0; size_of::<u32>()]);
    let symbols = pairs.as_flattened().len();
    let streams = table.streams(symbols as u64);
    let mut encoder = SequenceEncoder::new(&table.tables, symbols, streams, kernel, coder);
    let mut left = pairs;
    loop {
        let groups = encoder.put(left.as_flattened()) / LANES;
        if groups == 0 {
            break;
        }
        left = &mut left[..groups];
        // The sample does not have all pairs.
        replace_unknown(&table.frequencies, blocks, left, &mut outliers);
    }
    encoder.finish(out)?;
    // Those of unknown pairs follow the others, and some are both.
    outliers.sort_unstable();
    outliers.dedup();
    out[head..][..size_of::<u32>()].copy_from_slice(&(outliers.len() as u32).to_le_bytes());
    kernel.run(
        #[inline(always)]
        || low_bits::extract(pairing.low_bits, blocks, out),
    );
    out.extend_from_slice(rest);
    out.extend(outliers.iter().flat_map(|(position, _)| position.to_le_bytes()));
    out.extend(outliers.iter().map(|(_, byte)| byte));
    Ok(())
}

/// Replaces pairs of frequency 0 in the last groups by the most frequent pair; their bytes become
/// outliers.
fn replace_unknown(
    frequencies: &Frequencies,
    blocks: &[[u8; PAIR_BLOCK]],
    pairs: &mut [[u8; LANES]],
    outliers: &mut Vec<(u32, u8)>,
) {
    let frequencies = frequencies.get();
    let most_frequent = (0..=u8::MAX).max_by_key(|&pair| frequencies[usize::from(pair)]);
    let most_frequent = most_frequent.unwrap_or(0);
    let blocks = blocks.iter().zip(pairs).enumerate().rev().take(BLOCK / LANES);
    for (number, (bytes, pairs)) in blocks {
        for (lane, pair) in pairs.iter_mut().enumerate() {
            if frequencies[usize::from(*pair)] == 0 {
                *pair = most_frequent;
                let place = |at: usize| ((number * PAIR_BLOCK + at) as u32, bytes[at]);
                outliers.extend([lane, LANES + lane].map(place));
            }
        }
    }
}
