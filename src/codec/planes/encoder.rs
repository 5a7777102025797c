//! From the words of a chunk to its planes.

use super::pairs::{BLOCK, pair_up};
use super::statistics::{Pairs, PlaneStatistics};
use super::{
    MODE_CODED, MODE_CONSTANT, MODE_PAIRED, MODE_RAW, OUTLIER_BYTES, OUTLIERS_HEAD_BYTES, Plane,
    STREAM_HEAD_BYTES,
};
use crate::arch::Kernel;
use crate::codec::chunk::Scratch;
use crate::codec::entropy::rans::{self, EncodeTables, LANES};
use crate::codec::entropy::{BitWriter, Frequencies, Histogram, entropy_bits};
use crate::codec::planes::split::Split;
use crate::error::{Error, Result};
use zerocopy::little_endian::U16;

/// A plane is entropy-coded when that saves at least this fraction of it: less is a mantissa's
/// noise, and leaving it raw makes decoding much faster. Pairs may take as much more than single
/// bytes, for the same reason.
const WORTHWHILE: u64 = 128;

/// Frequencies, and what codes by them.
type Table = (Frequencies, EncodeTables);

impl Plane<Table> {
    /// How to store a plane: by its cost, and faster where the cost is nearly the same.
    fn choose(statistics: &PlaneStatistics, number: usize) -> Self {
        let histogram = &statistics.plane(number);
        let mut present = histogram.present();
        match (present.next(), present.next()) {
            (None, _) => return Self::Raw,
            (Some(value), None) => return Self::Constant(value),
            _ => {}
        }
        let total = histogram.total();
        let worthwhile = |bits: u64| bits / 8 + STREAM_HEAD_BYTES < total - total / WORTHWHILE;
        // Asked before a table is made, which takes longer than all else for a small tensor.
        if !worthwhile(entropy_bits(histogram)) {
            return Self::Raw;
        }
        match table(histogram) {
            Some(coded) if worthwhile(coded.0.cost_bits(histogram)) => {
                let bytes = coded.0.cost_bits(histogram) / 8 + stored(&coded.0).len() as u64;
                let paired = Self::paired(statistics, number, bytes + total / WORTHWHILE);
                paired.unwrap_or(Self::Coded(coded))
            }
            _ => Self::Raw,
        }
    }

    /// A plane in pairs, if that and its table take no more than so many bytes.
    fn paired(statistics: &PlaneStatistics, number: usize, limit: u64) -> Option<Self> {
        let (pairs, rest) = statistics.pairs(number)?;
        let table = table(&pairs.histogram)?;
        let bytes = paired_bytes(&table, pairs, rest) + stored(&table.0).len() as u64;
        (bytes <= limit).then_some(Self::Paired(pairs.base, table))
    }
}

fn table(histogram: &Histogram) -> Option<Table> {
    let frequencies = Frequencies::from_histogram(histogram)?;
    let tables = EncodeTables::new([&frequencies]);
    Some((frequencies, tables))
}

/// Frequencies as a decoder reads them.
fn stored(frequencies: &Frequencies) -> Vec<u8> {
    let mut bits = BitWriter::default();
    frequencies.write(&mut bits);
    bits.finish()
}

/// Bytes of a plane in pairs, besides what every chunk takes.
fn paired_bytes((frequencies, _): &Table, pairs: &Pairs, rest: u64) -> u64 {
    frequencies.cost_bits(&pairs.histogram).div_ceil(8) + rest + pairs.outliers * OUTLIER_BYTES
}

/// Codes chunks with one set of tables.
pub(crate) struct Encoder {
    split: Split,
    pub(super) planes: Vec<Plane<Table>>,
}

impl Encoder {
    /// Chooses for each plane by cost.
    pub(crate) fn new(statistics: &PlaneStatistics) -> Self {
        let planes =
            (0..statistics.split.width).map(|number| Plane::choose(statistics, number)).collect();
        Self { split: statistics.split, planes }
    }

    /// Upper bound on the coded bytes of all chunks of the tensor that was surveyed.
    pub(crate) fn cost_bytes(&self, statistics: &PlaneStatistics, chunks: u64) -> u64 {
        let planes = self.planes.iter().enumerate();
        planes
            .map(|(number, plane)| match (plane, statistics.pairs(number)) {
                (Plane::Constant(_), _) => 0,
                (Plane::Coded((frequencies, _)), _) => {
                    let cost = frequencies.cost_bits(&statistics.plane(number)).div_ceil(8);
                    cost + chunks * STREAM_HEAD_BYTES
                }
                (Plane::Paired(_, table), Some((pairs, rest))) => {
                    paired_bytes(table, pairs, rest)
                        + chunks * (STREAM_HEAD_BYTES + OUTLIERS_HEAD_BYTES)
                }
                (Plane::Raw | Plane::Paired(..), _) => statistics.plane(number).total(),
            })
            .sum()
    }

    /// For each plane a mode byte, then the constant, or the base of pairs, and the frequency table.
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
                Plane::Coded((frequencies, _)) => {
                    out.push(MODE_CODED);
                    frequencies
                }
                Plane::Paired(base, (frequencies, _)) => {
                    out.extend([MODE_PAIRED, *base]);
                    frequencies
                }
            };
            out.extend(stored(frequencies));
        }
        out
    }

    /// The planes in order: raw bytes, nothing for a constant, or the length (`u32`) of a rANS
    /// stream and the stream; around a stream of pairs what is in none.
    pub(crate) fn encode(&self, chunk: &[u8], scratch: &mut Scratch) -> Result<Vec<u8>> {
        let (kernel, words) = (Kernel::best(), chunk.len() / self.split.width);
        let mut out = scratch.take_out();
        out.reserve(chunk.len());
        let Scratch { symbols, words: coder, .. } = scratch;
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
                        return Err(Error::invalid("a value that the survey did not see"));
                    }
                }
                Plane::Coded((_, tables)) => {
                    extract(symbols);
                    put_stream(tables, symbols, kernel, coder, &mut out)?;
                }
                Plane::Paired(base, (_, tables)) => {
                    extract(symbols);
                    put_pairs(*base, tables, symbols, kernel, coder, &mut out)?;
                }
            }
        }
        Ok(out)
    }
}

/// Appends the length of a stream of symbols, and the stream.
fn put_stream(
    tables: &EncodeTables,
    symbols: &[u8],
    kernel: Kernel,
    coder: &mut Vec<U16>,
    out: &mut Vec<u8>,
) -> Result<()> {
    let head = out.len();
    out.extend([0; size_of::<u32>()]);
    let start = out.len();
    let mut encoder = rans::RansEncoder::new(tables, symbols.len(), kernel, coder);
    encoder.put(symbols);
    encoder.finish(out)?;
    let length = u32::try_from(out.len() - start)
        .map_err(|_| Error::invalid("a chunk of more than 4 GiB"))?;
    out[head..start].copy_from_slice(&length.to_le_bytes());
    Ok(())
}

/// Appends how many strangers there are, pairs as a stream, bytes after the last whole block, then
/// the strangers' places and what they are.
fn put_pairs(
    base: u8,
    tables: &EncodeTables,
    bytes: &[u8],
    kernel: Kernel,
    coder: &mut Vec<U16>,
    out: &mut Vec<u8>,
) -> Result<()> {
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    let mut pairs = vec![[0; LANES]; blocks.len()];
    let (mut places, mut outliers) = (Vec::new(), Vec::new());
    kernel.run(
        #[inline(always)]
        || {
            pair_up(base, blocks, &mut pairs, |place, byte| {
                places.extend((place as u32).to_le_bytes());
                outliers.push(byte);
            });
        },
    );
    out.extend((outliers.len() as u32).to_le_bytes());
    put_stream(tables, pairs.as_flattened(), kernel, coder, out)?;
    out.extend_from_slice(rest);
    out.extend(places);
    out.extend(outliers);
    Ok(())
}
