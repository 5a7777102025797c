//! Weights to chunks.

use super::decoder::{Decoder, MAX_POINT};
use super::reconstruction::Model;

use super::scales::Scales;
use super::symbols::Parts;
use super::training::{RowClassifier, costs};
use crate::arch::Kernel;
use crate::codec::chunk::{EncodedChunk, Scratch, SquaredError};
use crate::codec::entropy::rans::EncodeTables;
use crate::codec::entropy::{Alphabet, Coset};
use crate::codec::quantizer::{CostTables, ROWS, SearchInput, ViterbiSearch};
use crate::codec::transform::{BAND, ForwardTransform, LowRankProjector};
use crate::dtype::Dtype;
use crate::dtype::number;
use crate::error::{Error, Result};
use std::sync::Arc;

/// Codes chunks of one tensor.
pub(crate) struct Encoder {
    dtype: Dtype,
    decoder: Decoder,
    parameters: Vec<u8>,
    transform: ForwardTransform,
    projector: Option<LowRankProjector>,
    tables: EncodeTables,
    costs: CostTables,
    settings: EncoderSettings,
    kernel: Kernel,
}

/// What an encoder goes by and a decoder need not know.
pub(super) struct EncoderSettings {
    pub(super) classifier: RowClassifier,
    pub(super) scales: Arc<Scales>,
    /// What a bit is worth, in squared lattice steps.
    pub(super) lambda: f32,
    /// Weights beyond are stored as they are.
    pub(super) outlier_threshold: f32,
}

impl Encoder {
    pub(super) fn new(dtype: Dtype, model: &Model, settings: EncoderSettings) -> Result<Self> {
        let parameters = model.parameters.to_bytes();
        let (tables, costs) = (model.encode_tables(), costs(model, settings.lambda));
        // What is written is what a decoder makes of it.
        let decoder = Decoder::new(dtype, &parameters)?;
        let model = &decoder.model;
        let transform = ForwardTransform::new(Arc::clone(&model.parameters.transform));
        let projector = model.low_rank().map(|low_rank| LowRankProjector::new(&low_rank.part));
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

    fn model(&self) -> &Model {
        &self.decoder.model
    }

    /// Encodes one chunk of whole rows; `first_element` is the index of its first element in the
    /// tensor.
    ///
    /// Elements that are not finite, or too far out for the lattice, are stored as they are; so
    /// are those whose decoded value would overflow the dtype. Neighbours do not notice.
    pub(crate) fn encode(
        &self,
        first_element: u64,
        chunk: &[u8],
        scratch: &mut Scratch,
    ) -> Result<EncodedChunk> {
        let mut values = Vec::new();
        number::to_f32(self.dtype, chunk, &mut values);
        let columns = self.model().parameters.columns;
        let first_row = (first_element / columns as u64) as usize;
        if !values.len().is_multiple_of(columns) {
            return Err(Error::invalid("a chunk that does not hold whole rows"));
        }
        let original = values.clone();
        let mut outliers = Vec::new();
        take(&mut values, self.settings.outlier_threshold.min(MAX_WEIGHT), 0, &mut outliers);
        let rows = values.chunks_exact_mut(columns).zip(first_row..);
        let scales: Vec<u8> =
            rows.map(|(row, number)| self.settings.scales.divide_row(number, row)).collect();
        self.take_out_of_range(&mut values, &mut outliers);
        outliers.sort_unstable();
        let parts = self.parts(&mut values, &scales)?;
        let mut decoded = vec![0; chunk.len()];
        let mut back = Vec::new();
        loop {
            let bytes = self.assemble(&parts, &outliers, chunk, scratch)?;
            self.decoder.decode(&bytes, &mut decoded)?;
            number::to_f32(self.dtype, &decoded, &mut back);
            let overflowed = |at: &usize| original[*at].is_finite() && !back[*at].is_finite();
            let more: Vec<usize> = (0..back.len()).filter(overflowed).collect();
            if more.is_empty() {
                let squared_error = squared_error(&original, &back);
                let decoded_crc = crc32fast::hash(&decoded);
                return Ok(EncodedChunk { bytes, decoded_crc, squared_error });
            }
            outliers.extend(more);
            outliers.sort_unstable();
        }
    }

    /// Takes weights out of rows with a coordinate beyond the lattice: those that may have led to it.
    fn take_out_of_range(&self, rows: &mut [f32], outliers: &mut Vec<usize>) {
        let parameters = &self.model().parameters;
        let columns = parameters.columns;
        let block = parameters.transform.description().block;
        // Weights up to here cannot add up to a coordinate out of range, in orthogonal axes.
        let safe = 0.9 * MAX_SEARCHED * parameters.step / (block as f32).sqrt();
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
                if largest > MAX_SEARCHED * parameters.step {
                    take(row, safe, (number * BAND + lane) * columns, outliers);
                }
            }
        }
    }

    /// Chooses lattice points, and what codes them.
    fn parts(&self, rows: &mut [f32], scales: &[u8]) -> Result<Parts> {
        let columns = self.model().parameters.columns;
        let mut parts = Parts::new(rows.len() + rows.len() / columns * 4);
        let mut search = ViterbiSearch::new(self.model().parameters.trellis, self.kernel);
        for (band, scales) in rows.chunks_mut(BAND * columns).zip(scales.chunks(BAND)) {
            self.band(band, scales, &mut search, &mut parts)?;
        }
        Ok(parts)
    }

    /// Codes up to 32 rows.
    fn band(
        &self,
        rows: &mut [f32],
        scales: &[u8],
        search: &mut ViterbiSearch,
        parts: &mut Parts,
    ) -> Result<()> {
        let model = self.model();
        let (parameters, numbers) = (&model.parameters, model.numbers());
        let (columns, lanes) = (parameters.columns, scales.len());
        let coefficients = self.to_coordinates(rows);
        if let Some(table) = &parameters.row_scales {
            parts.put_row_bytes(table, numbers.row_scale(), scales);
        }
        let mut classes = [0; BAND];
        if let Some(table) = &parameters.classes.rows {
            for (class, row) in classes.iter_mut().zip(rows.chunks_exact(columns)) {
                *class = table.nearest(self.settings.classifier.class(row));
            }
            parts.put_row_bytes(table, numbers.row_class(), &classes[..lanes]);
        }
        for (axis, (bypass, profile)) in model.coefficients().iter().enumerate() {
            let alphabet = Alphabet { coset: Coset::Whole, bypass: *bypass };
            for row in &coefficients {
                parts.put_integer(
                    numbers.coefficient(axis),
                    alphabet,
                    profile,
                    row[axis].into(),
                )?;
            }
        }
        let points = self.points(rows, &classes, search);
        parts.put_lattice(model, &points, &classes, lanes, self.kernel)?;
        parts.end_band(lanes);
        Ok(())
    }

    /// Turns rows, divided by their scales, into their coordinates; returns coefficients.
    fn to_coordinates(&self, rows: &mut [f32]) -> Vec<Vec<i16>> {
        let low_rank = self.model().low_rank();
        let coefficients = match (low_rank, &self.projector) {
            (Some(low_rank), Some(projector)) => projector.subtract_from(&low_rank.part, rows),
            _ => Vec::new(),
        };
        self.transform.apply(self.kernel, rows);
        coefficients
    }

    /// The lattice points of up to 32 rows, by column.
    fn points(
        &self,
        rows: &[f32],
        classes: &[u8; BAND],
        search: &mut ViterbiSearch,
    ) -> Vec<[i16; BAND]> {
        let parameters = &self.model().parameters;
        let (columns, inverse) = (parameters.columns, 1.0 / parameters.step);
        let mut points = vec![[0; BAND]; columns];
        for (part, first) in rows.chunks(ROWS * columns).zip([0, ROWS]) {
            let values = by_column(part, columns, inverse);
            let mut out = vec![[0; ROWS]; columns];
            let classes: &[u8; ROWS] = match classes[first..].first_chunk() {
                Some(classes) => classes,
                None => unreachable!("two searches make a band"),
            };
            let start = |profile: u8| self.costs.start(profile.into());
            let starts = parameters.classes.of_profiles(classes, start);
            let classes = &parameters.classes.columns;
            let task =
                SearchInput { values: &values, costs: &self.costs, starts: &starts, classes };
            search.run(&task, &mut out);
            for (points, out) in points.iter_mut().zip(&out) {
                points[first..first + ROWS].copy_from_slice(out);
            }
        }
        points
    }

    /// The bytes of a chunk.
    fn assemble(
        &self,
        parts: &Parts,
        outliers: &[usize],
        chunk: &[u8],
        scratch: &mut Scratch,
    ) -> Result<Vec<u8>> {
        let count = |n: usize| {
            u32::try_from(n).map_err(|_| Error::invalid("a chunk of more than 2^32 elements"))
        };
        let mut out = scratch.take_out();
        out.extend(count(parts.escapes.len())?.to_le_bytes());
        out.extend(count(outliers.len())?.to_le_bytes());
        out.extend(parts.escapes.iter().flat_map(|escape| escape.to_le_bytes()));
        let size = self.dtype.bits() as usize / 8;
        for &position in outliers {
            out.extend(count(position)?.to_le_bytes());
            out.extend_from_slice(&chunk[position * size..][..size]);
        }
        out.extend(parts.bypass.clone().finish());
        parts.write_stream(&self.tables, self.kernel, &mut scratch.words, &mut out)?;
        Ok(out)
    }
}

/// Puts zeros in place of what is beyond a limit, or not a number, and adds its positions, counted
/// from `start`.
fn take(weights: &mut [f32], limit: f32, start: usize, positions: &mut Vec<usize>) {
    for (position, value) in weights.iter_mut().enumerate() {
        if value.is_nan() || value.abs() > limit {
            positions.push(start + position);
            *value = 0.0;
        }
    }
}

/// Weights beyond could overflow on their way to coordinates.
const MAX_WEIGHT: f32 = 1e30;

/// The largest coordinate the search is given, in steps.
pub(super) const MAX_SEARCHED: f32 = (MAX_POINT - 4) as f32;

/// Columns that rows are spread over at a time.
const TILE: usize = 64;

/// Rows as columns of 16, in lattice steps; what is missing is zero.
pub(super) fn by_column(rows: &[f32], columns: usize, inverse_step: f32) -> Vec<[f32; ROWS]> {
    let mut values = vec![[0.0; ROWS]; columns];
    // Few columns at a time: they stay in the first-level cache while all rows come by.
    for (number, values) in values.chunks_mut(TILE).enumerate() {
        for (lane, row) in rows.chunks_exact(columns).enumerate() {
            for (out, &value) in values.iter_mut().zip(&row[number * TILE..]) {
                out[lane] = (value * inverse_step).clamp(-MAX_SEARCHED, MAX_SEARCHED);
            }
        }
    }
    values
}

/// Summed in lanes, always the same ones.
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
