//! Encoding chunks of a lossy tensor.

use super::outliers::mask_outliers;
use super::row_classifier::RowClassifier;
use super::scaling::Scales;
use super::search_input::{MAX_COORDINATE, search_columns};
use super::sensitivity::Sensitivity;
use super::symbols::SegmentSymbols;
use super::table_training::costs;
use crate::arch::Kernel;
use crate::codec::encode::{EncodedChunk, Scratch};
use crate::codec::entropy::rans::EncodeTables;
use crate::codec::entropy::{Alphabet, Coset};
use crate::codec::quantizer::{
    CostTables, Feedback, FeedbackSearch, ROWS, RowGroup, SearchInput, ViterbiSearch,
};
use crate::codec::squared_error::SquaredError;
use crate::codec::transform::{BAND, ForwardTransform, LowRankProjector, Transform};
use crate::codec::trellis::chunk::{TWO_SEGMENTS, first_segment_rows};
use crate::codec::trellis::classes::COLUMN_CLASSES;
use crate::codec::trellis::decoder::TrellisDecoder;
use crate::codec::trellis::reconstruction::Reconstruction;
use crate::dtype::{Dtype, number};
use crate::error::{Error, Result};
use crate::limits::Limits;
use std::sync::Arc;

/// Encodes chunks of one tensor.
pub(crate) struct TrellisEncoder {
    dtype: Dtype,
    decoder: TrellisDecoder,
    parameters: Vec<u8>,
    transform: ForwardTransform,
    projector: Option<LowRankProjector>,
    tables: EncodeTables,
    costs: CostTables,
    settings: EncoderSettings,
    kernel: Kernel,
}

/// Settings of an encoder that are not stored.
pub(super) struct EncoderSettings {
    pub(super) classifier: RowClassifier,
    pub(super) scales: Arc<Scales>,
    /// The Lagrange multiplier: the squared error, in squared lattice steps, that equals one bit.
    pub(super) lambda: f32,
    /// Weights of larger magnitude are outliers: they are stored unchanged.
    pub(super) outlier_threshold: f32,
    /// The feedback of errors in the search.
    pub(super) feedback: Option<Arc<Feedback>>,
    /// Measures errors of outputs.
    pub(super) outputs: Option<Arc<Sensitivity>>,
}

/// Up to 32 rows in coordinates, with what is coded beside their lattice points.
struct Band<'r> {
    rows: &'r [f32],
    scales: &'r [u8],
    /// The classes of rows.
    classes: [u8; BAND],
    /// The low-rank coefficients of each row.
    coefficients: Vec<Vec<i16>>,
}

impl TrellisEncoder {
    pub(super) fn new(
        dtype: Dtype,
        reconstruction: &Reconstruction,
        settings: EncoderSettings,
    ) -> Result<Self> {
        let parameters = reconstruction.parameters.to_bytes();
        let (tables, costs) = (
            EncodeTables::of_slots(&reconstruction.slot_tables()),
            costs(reconstruction, settings.lambda),
        );
        // The encoder uses the parameters as a decoder with the usual limits reads them.
        let decoder = TrellisDecoder::new(dtype, &parameters, &Limits::default())?;
        let stored = &decoder.reconstruction;
        let transform = ForwardTransform::new(Arc::clone(&stored.parameters.transform));
        let projector = stored.low_rank().map(|low_rank| LowRankProjector::new(&low_rank.part));
        let kernel = Kernel::best();
        Ok(Self {
            dtype,
            decoder,
            parameters,
            transform,
            projector,
            tables,
            costs,
            settings,
            kernel,
        })
    }

    pub(crate) fn parameters(&self) -> &[u8] {
        &self.parameters
    }

    fn reconstruction(&self) -> &Reconstruction {
        &self.decoder.reconstruction
    }

    /// Encodes one chunk of whole rows; `first_element` is the index of its first element in the
    /// tensor.
    ///
    /// Elements that are not finite, or out of the range of the lattice, are outliers: they are
    /// stored unchanged and coded as 0. So are elements whose decoded value would overflow the
    /// dtype. The lattice search takes O(columns · states) for each row.
    ///
    /// # Errors
    /// `InvalidArgument` when the chunk does not hold whole rows.
    pub(crate) fn encode(
        &self,
        first_element: u64,
        chunk: &[u8],
        scratch: &mut Scratch,
    ) -> Result<EncodedChunk> {
        let mut values = Vec::new();
        number::to_f32(self.dtype, chunk, &mut values);
        let columns = self.reconstruction().parameters.columns;
        let first_row = (first_element / columns as u64) as usize;
        if !values.len().is_multiple_of(columns) {
            return Err(Error::invalid("trellis codec: a chunk does not hold whole rows"));
        }
        let original = values.clone();
        let mut outliers = Vec::new();
        let threshold = self.settings.outlier_threshold.min(MAX_WEIGHT);
        mask_outliers(&mut values, threshold, |position| outliers.push(position));
        let rows = values.chunks_exact_mut(columns).zip(first_row..);
        let scales: Vec<u8> =
            rows.map(|(row, number)| self.settings.scales.divide_row(number, row)).collect();
        self.mask_out_of_range_rows(&mut values, &mut outliers);
        outliers.sort_unstable();
        let symbols = self.symbols(&mut values, &scales, &mut outliers)?;
        let mut decoded = vec![0; chunk.len()];
        let mut back = Vec::new();
        loop {
            let bytes = self.assemble(&symbols, &outliers, chunk, scratch)?;
            self.decoder.decode(&bytes, &mut decoded)?;
            number::to_f32(self.dtype, &decoded, &mut back);
            let overflowed = |at: &usize| original[*at].is_finite() && !back[*at].is_finite();
            let more: Vec<usize> = (0..back.len()).filter(overflowed).collect();
            if more.is_empty() {
                let squared_error = squared_error(&original, &back);
                let decoded_crc = crc32fast::hash(&decoded);
                let output_error = self.output_error(&original, &back);
                return Ok(EncodedChunk { bytes, decoded_crc, squared_error, output_error });
            }
            outliers.extend(more);
            outliers.sort_unstable();
        }
    }

    /// Zero if errors of outputs are not measured. Elements that are not finite do not count.
    fn output_error(&self, original: &[f32], back: &[f32]) -> SquaredError {
        let Some(outputs) = &self.settings.outputs else { return SquaredError::default() };
        let finite = |x: f32| if x.is_finite() { x } else { 0.0 };
        let signal: Vec<f32> = original.iter().map(|&x| finite(x)).collect();
        let noise: Vec<f32> = original.iter().zip(back).map(|(a, b)| finite(a - b)).collect();
        SquaredError {
            signal: outputs.undamped_energy(&signal),
            noise: outputs.undamped_energy(&noise),
        }
    }

    /// In rows with a coordinate out of the range of the lattice, masks the weights that may have
    /// caused it.
    fn mask_out_of_range_rows(&self, rows: &mut [f32], outliers: &mut Vec<usize>) {
        let parameters = &self.reconstruction().parameters;
        let columns = parameters.columns;
        let block = parameters.transform.description().block;
        // An orthogonal transform maps weights up to this limit to coordinates in range.
        let safe = 0.9 * MAX_COORDINATE * parameters.step / (block as f32).sqrt();
        if parameters.low_rank.is_none() && rows.iter().all(|value| value.abs() <= safe) {
            return;
        }
        for (number, band) in rows.chunks_mut(BAND * columns).enumerate() {
            let mut coordinates = band.to_vec();
            self.to_coordinates(&mut coordinates);
            let rows = band.chunks_exact_mut(columns).zip(coordinates.chunks_exact(columns));
            for (lane, (row, coordinates)) in rows.enumerate() {
                let largest =
                    coordinates.iter().fold(0.0, |most: f32, value| most.max(value.abs()));
                if largest > MAX_COORDINATE * parameters.step {
                    let start = (number * BAND + lane) * columns;
                    mask_outliers(row, safe, |position| outliers.push(start + position));
                }
            }
        }
    }

    /// Searches the lattice points of all rows; returns the symbols of each segment. Adds weights to
    /// `outliers` that the feedback of errors made too large for the lattice.
    fn symbols(
        &self,
        rows: &mut [f32],
        scales: &[u8],
        outliers: &mut Vec<usize>,
    ) -> Result<Vec<SegmentSymbols>> {
        let columns = self.reconstruction().parameters.columns;
        let count = rows.len() / columns;
        let sizes = segment_sizes(count, columns);
        let capacities = sizes.iter().map(|rows| rows * (columns + 4));
        let mut symbols: Vec<_> = capacities.map(SegmentSymbols::new).collect();
        let of_band = |band: usize| usize::from(band * BAND >= sizes[0]);
        let bands = rows.chunks_mut(BAND * columns).zip(scales.chunks(BAND));
        let bands = bands.map(|(rows, scales)| self.band(rows, scales));
        if let Some(feedback) = &self.settings.feedback {
            let bands: Vec<Band<'_>> = bands.collect();
            let points = self.points_with_feedback(feedback, &bands, outliers);
            for (number, (band, points)) in bands.iter().zip(&points).enumerate() {
                self.put_band(band, points, &mut symbols[of_band(number)])?;
            }
        } else {
            let trellis = self.reconstruction().parameters.trellis;
            let mut search = ViterbiSearch::new(trellis, self.kernel);
            for (number, band) in bands.enumerate() {
                let points = self.points(&band, &mut search);
                self.put_band(&band, &points, &mut symbols[of_band(number)])?;
            }
        }
        Ok(symbols)
    }

    /// Transforms up to 32 rows, divided by their scales, to coordinates, and classifies them.
    fn band<'r>(&self, rows: &'r mut [f32], scales: &'r [u8]) -> Band<'r> {
        let parameters = &self.reconstruction().parameters;
        let coefficients = self.to_coordinates(rows);
        let mut classes = [0; BAND];
        if let Some(table) = &parameters.classes.rows {
            for (class, row) in classes.iter_mut().zip(rows.chunks_exact(parameters.columns)) {
                *class = table.nearest(self.settings.classifier.class(row));
            }
        }
        Band { rows, scales, classes, coefficients }
    }

    /// Appends the symbols of a band.
    fn put_band(
        &self,
        band: &Band<'_>,
        points: &[[i16; BAND]],
        symbols: &mut SegmentSymbols,
    ) -> Result<()> {
        let reconstruction = self.reconstruction();
        let (parameters, layout) = (&reconstruction.parameters, reconstruction.table_layout());
        let lanes = band.scales.len();
        if let Some(table) = &parameters.row_scales {
            symbols.put_row_bytes(table, layout.row_scale(), band.scales);
        }
        if let Some(table) = &parameters.classes.rows {
            symbols.put_row_bytes(table, layout.row_class(), &band.classes[..lanes]);
        }
        for (vector, (bypass, profile)) in reconstruction.coefficients().iter().enumerate() {
            let alphabet = Alphabet { coset: Coset::Whole, bypass: *bypass };
            for row in &band.coefficients {
                symbols.put_integer(
                    layout.coefficient(vector),
                    alphabet,
                    profile,
                    row[vector].into(),
                )?;
            }
        }
        symbols.put_lattice(reconstruction, points, &band.classes, lanes, self.kernel)?;
        symbols.end_band(lanes);
        Ok(())
    }

    /// Transforms rows, divided by their scales, to coordinates in place; returns the low-rank
    /// coefficients of each row.
    fn to_coordinates(&self, rows: &mut [f32]) -> Vec<Vec<i16>> {
        let low_rank = self.reconstruction().low_rank();
        let coefficients = match (low_rank, &self.projector) {
            (Some(low_rank), Some(projector)) => projector.subtract_from(&low_rank.part, rows),
            _ => Vec::new(),
        };
        self.transform.apply(self.kernel, rows);
        coefficients
    }

    /// The lattice points of a band, by column.
    fn points(&self, band: &Band<'_>, search: &mut ViterbiSearch) -> Vec<[i16; BAND]> {
        let parameters = &self.reconstruction().parameters;
        let (columns, inverse) = (parameters.columns, 1.0 / parameters.step);
        let mut points = vec![[0; BAND]; columns];
        for (part, first) in band.rows.chunks(ROWS * columns).zip([0, ROWS]) {
            let values = search_columns(part, columns, inverse);
            let mut out = vec![[0; ROWS]; columns];
            let starts = self.starts(band, first);
            let classes = &parameters.classes.columns;
            let input =
                SearchInput { values: &values, costs: &self.costs, starts: &starts, classes };
            search.run(&input, &mut out);
            copy_lanes(&out, first, &mut points);
        }
        points
    }

    /// By class of column and row: the starts of the cost tables of 16 rows of a band.
    fn starts(&self, band: &Band<'_>, first: usize) -> [[u32; ROWS]; COLUMN_CLASSES] {
        let classes: &[u8; ROWS] = match band.classes[first..].first_chunk() {
            Some(classes) => classes,
            None => unreachable!("a band has the rows of two searches"),
        };
        let start = |profile: u8| self.costs.start(profile.into());
        self.reconstruction().parameters.classes.of_profiles(classes, start)
    }

    /// The lattice points of all bands of a chunk, by column, with feedback of errors. The weights
    /// at `outliers` are coded with any point.
    fn points_with_feedback(
        &self,
        feedback: &Feedback,
        bands: &[Band<'_>],
        outliers: &mut Vec<usize>,
    ) -> Vec<Vec<[i16; BAND]>> {
        let parameters = &self.reconstruction().parameters;
        let (columns, inverse) = (parameters.columns, 1.0 / parameters.step);
        // In other coordinates an error cannot be attributed to one weight.
        let by_weight = matches!(*parameters.transform, Transform::Identity(_));
        let mut groups = Vec::with_capacity(2 * bands.len());
        let mut rest = outliers.iter().copied().filter(|_| by_weight).peekable();
        for (number, band) in bands.iter().enumerate() {
            for (part, first) in band.rows.chunks(ROWS * columns).zip([0, ROWS]) {
                let mut values = search_columns(part, columns, inverse);
                let start = (number * BAND + first) * columns;
                while let Some(at) = rest.next_if(|&at| at < start + part.len()) {
                    values[(at - start) % columns][(at - start) / columns] = f32::NAN;
                }
                let starts = self.starts(band, first).to_vec();
                groups.push(RowGroup::new(values, starts, part.len() / columns));
            }
        }
        drop(rest);
        let search = FeedbackSearch::new(feedback, parameters.trellis, self.kernel);
        search.run(&mut groups, &self.costs, &parameters.classes.columns);
        let mut found = vec![vec![[0; BAND]; columns]; bands.len()];
        let mut groups = groups.iter();
        for (number, (band, points)) in bands.iter().zip(&mut found).enumerate() {
            for first in [0, ROWS].into_iter().take(band.scales.len().div_ceil(ROWS)) {
                let Some(group) = groups.next() else { break };
                copy_lanes(&group.points, first, points);
                let position = |&(column, row): &(usize, usize)| {
                    (number * BAND + first + row) * columns + column
                };
                outliers.extend(group.outliers.iter().filter(|_| by_weight).map(position));
            }
        }
        outliers.sort_unstable();
        found
    }

    /// The bytes of a chunk: outliers, then the segments.
    fn assemble(
        &self,
        symbols: &[SegmentSymbols],
        outliers: &[usize],
        chunk: &[u8],
        scratch: &mut Scratch,
    ) -> Result<Vec<u8>> {
        let count = |n: usize| {
            let count = u32::try_from(n).ok().filter(|count| count & TWO_SEGMENTS == 0);
            count.ok_or_else(|| Error::invalid("trellis codec: a chunk exceeds 2^31 elements"))
        };
        let mut out = scratch.take_out();
        let has_two = if symbols.len() > 1 { TWO_SEGMENTS } else { 0 };
        out.extend((count(outliers.len())? | has_two).to_le_bytes());
        let size = self.dtype.bits() as usize / 8;
        for &position in outliers {
            out.extend(count(position)?.to_le_bytes());
            out.extend_from_slice(&chunk[position * size..][..size]);
        }
        for (number, segment) in symbols.iter().enumerate() {
            let is_last = number + 1 == symbols.len();
            let start = out.len();
            if !is_last {
                out.extend([0; size_of::<u32>()]);
            }
            segment.write(&self.tables, self.kernel, &mut scratch.words, &mut out)?;
            if !is_last {
                let (length, coded) = out[start..].split_at_mut(size_of::<u32>());
                length.copy_from_slice(&count(coded.len())?.to_le_bytes());
            }
        }
        Ok(out)
    }
}

/// Elements of a chunk from which on it has two segments; a segment takes about 100 bytes.
const MIN_ELEMENTS_OF_TWO: usize = 1 << 17;

/// The number of rows of each segment of a chunk.
fn segment_sizes(rows: usize, columns: usize) -> Vec<usize> {
    if rows <= BAND || rows * columns < MIN_ELEMENTS_OF_TWO {
        return vec![rows];
    }
    let first = first_segment_rows(rows);
    vec![first, rows - first]
}

/// Bytes of a chunk that carry no information on its weights: the numbers of outliers and escapes, the
/// length of the first of two segments, and three of the four bytes of each of 32 states. The logarithm
/// of a state is uniform in 16 to 32 bits, of which the first 16 carry nothing.
pub(crate) fn overhead_bytes(rows: usize, columns: usize) -> usize {
    let segments = segment_sizes(rows, columns).len();
    segments * (2 * size_of::<u32>() + 3 * BAND)
}

/// Copies the points of 16 rows into a band.
fn copy_lanes(points: &[[i16; ROWS]], first: usize, band: &mut [[i16; BAND]]) {
    for (band, points) in band.iter_mut().zip(points) {
        band[first..first + ROWS].copy_from_slice(points);
    }
}

/// The transform of larger weights could overflow.
const MAX_WEIGHT: f32 = 1e30;

/// Sums in a fixed order, eight lanes of them.
fn squared_error(original: &[f32], back: &[f32]) -> SquaredError {
    let mut sums = [SquaredError::default(); 8];
    for (original, back) in original.chunks(8).zip(back.chunks(8)) {
        for ((sum, &original), &back) in sums.iter_mut().zip(original).zip(back) {
            let finite = original.is_finite();
            let (original, back) = (f64::from(original), f64::from(back));
            sum.signal += if finite { original * original } else { 0.0 };
            sum.noise += if finite { (original - back) * (original - back) } else { 0.0 };
        }
    }
    let mut total = SquaredError::default();
    sums.into_iter().for_each(|sum| total.add(sum));
    total
}
