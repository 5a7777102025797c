//! The lossless codec: byte planes, each stored raw, as one constant, or entropy-coded.

use super::Scratch;
use super::split::Split;
use crate::dtype::Dtype;
use crate::entropy::rans::{self, DecodeTable, EncodeTables, LANES, STATES_BYTES};
use crate::entropy::{BitReader, BitWriter, Frequencies, Histogram, entropy_bits};
use crate::error::{Error, Result};
use crate::kernel::Kernel;

/// A plane is entropy-coded when that saves at least this fraction of it: less is a mantissa's
/// noise, and leaving it raw makes decoding much faster.
const WORTHWHILE: u64 = 128;

/// Bytes of a coded plane in every chunk besides its words: its length, and the states.
const STREAM_HEAD: u64 = (size_of::<u32>() + STATES_BYTES) as u64;

/// Words decoded at a time: all planes of a tile stay in the first-level cache.
const TILE: usize = 64 * LANES;

/// Words counted at a time: they stay near, and counts are seldom summed up.
const COUNTED: usize = 1 << 15;

/// How one plane is stored, without its tables.
const MODE_RAW: u8 = 0;
const MODE_CONSTANT: u8 = 1;
const MODE_CODED: u8 = 2;

/// A histogram for every plane.
#[derive(Clone)]
pub(super) struct Survey {
    split: Split,
    planes: Vec<Histogram>,
}

impl Survey {
    pub(super) fn new(dtype: Dtype) -> Self {
        let split = Split::of(dtype);
        Self { split, planes: vec![Histogram::default(); split.width] }
    }

    pub(super) fn count(&mut self, chunk: &[u8]) {
        let (width, kernel) = (self.split.width, Kernel::best());
        let mut buffer = [0; COUNTED];
        for tile in chunk.chunks(width * COUNTED) {
            let symbols = &mut buffer[..tile.len() / width];
            for (plane, histogram) in self.planes.iter_mut().enumerate() {
                self.split.extract(kernel, plane, tile, symbols);
                histogram.count(symbols);
            }
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (histogram, other) in self.planes.iter_mut().zip(&other.planes) {
            histogram.merge(other);
        }
    }

    /// Bytes surveyed.
    pub(super) fn bytes(&self) -> u64 {
        self.planes.iter().map(Histogram::total).sum()
    }
}

/// How one plane is stored.
enum Plane<Table> {
    Raw,
    Constant(u8),
    Coded(Table),
}

impl Plane<(Frequencies, EncodeTables)> {
    /// The cheapest way to store bytes with this histogram.
    fn choose(histogram: &Histogram) -> Self {
        let mut present = histogram.present();
        match (present.next(), present.next()) {
            (None, _) => return Self::Raw,
            (Some(value), None) => return Self::Constant(value),
            _ => {}
        }
        let total = histogram.total();
        let worthwhile = |bits: u64| bits / 8 + STREAM_HEAD < total - total / WORTHWHILE;
        // Asked before a table is made, which takes longer than all else for a small tensor.
        if !worthwhile(entropy_bits(histogram)) {
            return Self::Raw;
        }
        match Frequencies::from_histogram(histogram) {
            Some(frequencies) if worthwhile(frequencies.cost_bits(histogram)) => {
                let table = EncodeTables::new([&frequencies]);
                Self::Coded((frequencies, table))
            }
            _ => Self::Raw,
        }
    }
}

/// Codes chunks with one set of tables.
pub(crate) struct Encoder {
    split: Split,
    planes: Vec<Plane<(Frequencies, EncodeTables)>>,
}

impl Encoder {
    /// Chooses for each plane by cost.
    pub(super) fn new(survey: &Survey) -> Self {
        let planes = survey.planes.iter().map(Plane::choose).collect();
        Self { split: survey.split, planes }
    }

    /// Upper bound on the coded bytes of all chunks of the tensor that was surveyed.
    pub(super) fn cost_bytes(&self, survey: &Survey, chunks: u64) -> u64 {
        let planes = self.planes.iter().zip(&survey.planes);
        planes
            .map(|(plane, histogram)| match plane {
                Plane::Raw => histogram.total(),
                Plane::Constant(_) => 0,
                Plane::Coded((frequencies, _)) => {
                    frequencies.cost_bits(histogram).div_ceil(8) + chunks * STREAM_HEAD
                }
            })
            .sum()
    }

    /// For each plane a mode byte, then the constant or the frequency table.
    pub(super) fn parameters(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for plane in &self.planes {
            match plane {
                Plane::Raw => out.push(MODE_RAW),
                Plane::Constant(value) => out.extend([MODE_CONSTANT, *value]),
                Plane::Coded((frequencies, _)) => {
                    let mut bits = BitWriter::default();
                    frequencies.write(&mut bits);
                    out.push(MODE_CODED);
                    out.extend(bits.finish());
                }
            }
        }
        out
    }

    /// The planes in order: raw bytes, nothing for a constant, or the length (`u32`) of a rANS
    /// stream and the stream.
    pub(super) fn encode(&self, chunk: &[u8], scratch: &mut Scratch) -> Result<Vec<u8>> {
        let (kernel, words) = (Kernel::best(), chunk.len() / self.split.width);
        let mut out = scratch.take_out();
        out.reserve(chunk.len());
        let Scratch { symbols, coder, .. } = scratch;
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
                    let head = out.len();
                    out.extend([0; size_of::<u32>()]);
                    let start = out.len();
                    let mut encoder = rans::Encoder::new(tables, words, kernel, coder);
                    encoder.put(symbols);
                    encoder.finish(&mut out)?;
                    let length = u32::try_from(out.len() - start)
                        .map_err(|_| Error::invalid("a chunk of more than 4 GiB"))?;
                    out[head..start].copy_from_slice(&length.to_le_bytes());
                }
            }
        }
        Ok(out)
    }
}

/// Decodes chunks with one set of tables.
pub(crate) struct Decoder {
    split: Split,
    planes: Vec<Plane<DecodeTable>>,
}

/// Where the bytes of one plane come from while a chunk is decoded.
enum Feed<'a> {
    Raw(&'a [u8]),
    Constant(u8),
    Coded(rans::Decoder<'a>, &'a DecodeTable),
}

impl Decoder {
    /// Reads the parameters of a tensor of this dtype.
    pub(super) fn new(dtype: Dtype, parameters: &[u8]) -> Result<Self> {
        let split = Split::of(dtype);
        let mut rest = parameters;
        let mut planes = Vec::with_capacity(split.width);
        for _ in 0..split.width {
            let mut input = BitReader::new(rest);
            let plane = match input.take(8)? as u8 {
                MODE_RAW => Plane::Raw,
                MODE_CONSTANT => Plane::Constant(input.take(8)? as u8),
                MODE_CODED => Plane::Coded(DecodeTable::new(&Frequencies::read(&mut input)?)),
                _ => return Err(Error::corrupt("an unknown plane mode")),
            };
            rest = input.finish()?;
            planes.push(plane);
        }
        if !rest.is_empty() {
            return Err(Error::corrupt("bytes after the codec parameters"));
        }
        Ok(Self { split, planes })
    }

    pub(super) fn decode(&self, coded: &[u8], out: &mut [u8]) -> Result<()> {
        let width = self.split.width;
        if !out.len().is_multiple_of(width) {
            return Err(Error::corrupt("a chunk that does not hold whole elements"));
        }
        let mut feeds = self.feeds(coded, out.len() / width)?;
        let mut rest = out;
        if let [Feed::Raw(low), Feed::Coded(decoder, table)] = &mut feeds[..] {
            // Halves of floats, mostly: from the stream to their places at once.
            let words = LANES * decoder.decode_words(table, low, self.split.rotate, rest);
            (*low, rest) = (&low[words..], &mut rest[2 * words..]);
        }
        let mut buffer = vec![0; width * TILE];
        for tile in rest.chunks_mut(width * TILE) {
            let words = tile.len() / width;
            let mut planes = [[].as_slice(); 8];
            let buffers = buffer.chunks_mut(TILE);
            for ((feed, plane), buffer) in feeds.iter_mut().zip(&mut planes).zip(buffers) {
                *plane = feed.next(&mut buffer[..words])?;
            }
            self.split.join(Kernel::best(), &planes[..width], tile);
        }
        feeds.into_iter().try_for_each(Feed::finish)
    }

    /// Cuts a coded chunk of `words` words into its planes.
    fn feeds<'a>(&'a self, coded: &'a [u8], words: usize) -> Result<Vec<Feed<'a>>> {
        let short = || Error::corrupt("a coded chunk that is too short");
        let mut rest = coded;
        let mut feeds = Vec::with_capacity(self.planes.len());
        for plane in &self.planes {
            let feed = match plane {
                Plane::Constant(value) => Feed::Constant(*value),
                Plane::Raw => {
                    let (bytes, after) = rest.split_at_checked(words).ok_or_else(short)?;
                    rest = after;
                    Feed::Raw(bytes)
                }
                Plane::Coded(table) => {
                    let (length, after) = rest.split_first_chunk().ok_or_else(short)?;
                    let length = u32::from_le_bytes(*length) as usize;
                    let (stream, after) = after.split_at_checked(length).ok_or_else(short)?;
                    rest = after;
                    Feed::Coded(rans::Decoder::new(stream, Kernel::best())?, table)
                }
            };
            feeds.push(feed);
        }
        if !rest.is_empty() {
            return Err(Error::corrupt("a coded chunk that is too long"));
        }
        Ok(feeds)
    }
}

impl<'a> Feed<'a> {
    /// The plane's next bytes, as many as `buffer` holds: there, or where they lie.
    fn next<'b>(&mut self, buffer: &'b mut [u8]) -> Result<&'b [u8]>
    where
        'a: 'b,
    {
        match self {
            Self::Raw(bytes) => {
                let (next, rest) = bytes.split_at(buffer.len());
                *bytes = rest;
                Ok(next)
            }
            Self::Constant(value) => {
                buffer.fill(*value);
                Ok(buffer)
            }
            Self::Coded(decoder, table) => {
                decoder.decode(table, buffer)?;
                Ok(buffer)
            }
        }
    }

    fn finish(self) -> Result<()> {
        match self {
            Self::Raw(_) | Self::Constant(_) => Ok(()),
            Self::Coded(decoder, _) => decoder.finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn coders(dtype: Dtype, chunks: &[&[u8]]) -> (Survey, Encoder, Decoder) {
        let mut survey = Survey::new(dtype);
        for chunk in chunks {
            let mut part = Survey::new(dtype);
            part.count(chunk);
            survey.merge(&part);
        }
        let encoder = Encoder::new(&survey);
        let decoder = Decoder::new(dtype, &encoder.parameters()).unwrap();
        (survey, encoder, decoder)
    }

    fn dtype() -> impl Strategy<Value = Dtype> {
        prop::sample::select(Dtype::ALL)
    }

    proptest! {
        #[test]
        fn chunks_come_back_at_no_more_than_their_price(
            dtype in dtype(),
            words in prop::collection::vec(prop::array::uniform8(any::<u8>()), 1..3000),
            mask in prop::array::uniform8(any::<u8>()),
            cut in any::<prop::sample::Index>(),
        ) {
            let bytes: Vec<u8> = words.iter().flat_map(|word| {
                word.iter().zip(mask).map(|(byte, mask)| byte & mask).collect::<Vec<_>>()
            }).collect();
            let chunks = bytes.split_at(cut.index(words.len()) * 8);
            let chunks = [chunks.0, chunks.1];
            let (survey, encoder, decoder) = coders(dtype, &chunks);
            let mut total = 0;
            for chunk in chunks {
                let coded = encoder.encode(chunk, &mut Scratch::default()).unwrap();
                let mut out = vec![0x5a; chunk.len()];
                decoder.decode(&coded, &mut out).unwrap();
                prop_assert_eq!(&out, chunk);
                total += coded.len() as u64;
                for cut in [0, coded.len() / 2, coded.len().saturating_sub(1)] {
                    if cut < coded.len() {
                        prop_assert!(decoder.decode(&coded[..cut], &mut out).is_err());
                    }
                }
            }
            // A stream may hold up to one word a lane more than its information.
            let slack = 2 * (survey.split.width * 2 * LANES) as u64;
            prop_assert!(total <= encoder.cost_bytes(&survey, 2) + slack);
        }

        #[test]
        fn arbitrary_parameters_and_chunks_never_panic(
            dtype in dtype(),
            parameters in prop::collection::vec(any::<u8>(), 0..200),
            coded in prop::collection::vec(any::<u8>(), 0..400),
            length in 0usize..500,
        ) {
            if let Ok(decoder) = Decoder::new(dtype, &parameters) {
                let _ = decoder.decode(&coded, &mut vec![0; length]);
            }
        }
    }

    #[test]
    fn noise_stays_raw_and_constants_cost_nothing() {
        let noise: Vec<u8> =
            (0..65536u32).map(|i| (i.wrapping_mul(2654435761) >> 13) as u8).collect();
        let bytes: Vec<u8> = noise.iter().flat_map(|&low| [low, 0x3f]).collect();
        let (survey, encoder, _) = coders(Dtype::U16, &[&bytes]);
        assert_eq!(encoder.parameters(), [MODE_RAW, MODE_CONSTANT, 0x3f]);
        assert_eq!(encoder.cost_bytes(&survey, 1), 65536);
        assert_eq!(encoder.encode(&bytes, &mut Scratch::default()).unwrap(), noise);
    }

    #[test]
    fn values_the_survey_did_not_see_are_refused() {
        let (_, encoder, _) = coders(Dtype::U8, &[&[1; 999], &[2; 999]]);
        assert!(encoder.encode(&[3], &mut Scratch::default()).is_err());
        let (_, encoder, _) = coders(Dtype::U8, &[&[1; 999]]);
        assert!(encoder.encode(&[3], &mut Scratch::default()).is_err());
    }
}
