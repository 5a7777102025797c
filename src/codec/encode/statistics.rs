//! The first pass of lossless coding: statistics of a tensor, and the choice of its codec.

use super::encoder::Encoder;
use crate::codec::dictionary::{DictionaryStatistics, Part};
use crate::codec::planes::{MIN_SAVING, PlaneEncoder, PlaneStatistics};
use crate::codec::repetition::{self, Distinct, Rows};
use crate::dtype::Dtype;

/// Statistics of a tensor: counted chunk by chunk in any order, then merged.
#[derive(Clone)]
pub(crate) struct Statistics {
    planes: PlaneStatistics,
    /// If the sample may be coded with a dictionary.
    dictionary: Option<DictionaryStatistics>,
    /// If rows repeat: the rows, without copies of which all is counted.
    repetition: Option<Rows>,
    /// Bytes of all chunks, and of the runs of copies.
    bytes: u64,
    runs: u64,
}

/// A part of a tensor in pieces of equal length. They start at rows, or where rows are longer at
/// multiples of 256 elements.
#[derive(Default)]
pub(crate) struct Sample {
    pub(crate) bytes: Vec<u8>,
    /// Bytes of a piece.
    pub(crate) piece: usize,
    /// Bytes of a row.
    pub(crate) row: usize,
    /// Another part, with more rows, of a few columns only; it may be empty. Its first row and column
    /// are multiples of 16.
    pub(crate) columns: Vec<u8>,
    /// Bytes of a row of that part.
    pub(crate) columns_row: usize,
}

impl Statistics {
    /// The sample decides which symbols are counted of a tensor of so many `bytes`; an empty sample is
    /// valid.
    ///
    /// `repeated` is the number of bytes of rows that repeat, if there are such.
    pub(crate) fn new(dtype: Dtype, bytes: u64, sample: &Sample, repeated: Option<u32>) -> Self {
        // Of rows that repeat, few may be counted.
        let bytes = if repeated.is_some() { 0 } else { bytes };
        let planes = PlaneStatistics::of_sample(dtype, &sample.bytes, bytes);
        let limit = || {
            let mut planes = PlaneStatistics::of_all(dtype);
            planes.count(0, &sample.bytes);
            planes.entropy_bytes()
        };
        let rows = Part { bytes: &sample.bytes, piece: sample.piece, row: sample.row };
        let (columns, row) = (&sample.columns, sample.columns_row);
        let columns = Part { bytes: columns, piece: columns.len(), row };
        let dictionary = DictionaryStatistics::of_sample(dtype, rows, columns, limit);
        let repetition = repeated.map(|bytes| Rows { bytes, codec: 0 });
        Self { planes, dictionary, repetition, bytes: 0, runs: 0 }
    }

    /// Whether only a part of each chunk is counted.
    pub(crate) fn is_partial(&self) -> bool {
        self.planes.is_partial() && self.dictionary.is_none() && self.repetition.is_none()
    }

    /// Adds the statistics of chunk `number`.
    pub(crate) fn count(&mut self, number: u64, chunk: &[u8]) {
        self.bytes += chunk.len() as u64;
        match self.repetition {
            Some(rows) => {
                let Distinct { runs, rows } = repetition::distinct(rows, chunk);
                self.runs += runs.len() as u64;
                self.count_rows(number, &rows);
            }
            None => self.count_rows(number, chunk),
        }
    }

    fn count_rows(&mut self, number: u64, rows: &[u8]) {
        self.planes.count(number, rows);
        if let Some(dictionary) = &mut self.dictionary {
            dictionary.count(rows);
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.planes.merge(&other.planes);
        self.bytes += other.bytes;
        self.runs += other.runs;
        if let (Some(dictionary), Some(other)) = (&mut self.dictionary, &other.dictionary) {
            dictionary.merge(other);
        }
    }

    /// Estimated bytes of the losslessly coded tensor in `chunks` chunks, each of which takes
    /// `overhead` bytes in the container. Raw, all of them take `raw_overhead`.
    pub(crate) fn estimate(&self, chunks: u64, overhead: u64, raw_overhead: u64) -> u64 {
        self.coded(chunks, overhead).1.min(self.bytes + raw_overhead)
    }

    /// The cheapest encoder for a tensor of `chunks` chunks: raw unless coding saves bytes,
    /// parameters and `overhead` bytes a chunk included.
    pub(crate) fn choose(&self, chunks: u64, overhead: u64) -> Encoder {
        match self.coded(chunks, overhead) {
            (encoder, bytes) if bytes < self.bytes => encoder,
            _ => Encoder::Raw,
        }
    }

    /// The cheapest encoder besides raw, and the bytes it takes.
    fn coded(&self, chunks: u64, overhead: u64) -> (Encoder, u64) {
        let encoder = PlaneEncoder::new(&self.planes);
        let parameters = encoder.parameters().len() as u64;
        let bytes = encoder.cost_bytes(&self.planes, chunks) + parameters;
        let dictionary = self.dictionary.as_ref().and_then(|dictionary| dictionary.encoder(chunks));
        // Second streams make planes faster, and are no reason for a dictionary. It decodes half as fast as
        // planes, and has to save as much of them as coding has to save of a raw plane.
        let most = bytes - encoder.second_streams_bytes(&self.planes, chunks);
        let (encoder, bytes) = match dictionary {
            Some((dictionary, fewer)) if fewer < most - most / MIN_SAVING => {
                (Encoder::Dictionary(Box::new(dictionary)), fewer)
            }
            _ => (Encoder::Planes(Box::new(encoder)), bytes),
        };
        let bytes = bytes + chunks * overhead;
        // The sample shows the starts of rows only: the rest may differ.
        let has_copies = self.planes.bytes() < self.bytes;
        let Some(rows) = self.repetition.filter(|_| has_copies) else { return (encoder, bytes) };
        let distinct = self.planes.bytes() + chunks * overhead;
        let (encoder, bytes) =
            if bytes < distinct { (encoder, bytes) } else { (Encoder::Raw, distinct) };
        let rows = Rows { codec: encoder.codec().id(), ..rows };
        (Encoder::Repetition(rows, Box::new(encoder)), bytes + self.runs + PARAMETERS)
    }
}

/// Bytes of the parameters of repetition besides those of the codec of the rows.
const PARAMETERS: u64 = 5;
