//! Decoding chunks of a lossy tensor.
//!
//! A chunk holds whole rows, 32 of which are decoded side by side, one in each lane, tile by tile:
//! O(columns · block) for a basis, O(columns · log block) for Hadamard matrices, for each row.

use super::chunk::{Segment, TrellisChunk};
use super::parameters::Parameters;
use super::reconstruction::{Reconstruction, RowSideInfo, TableLayout, TileBuffers, TilePoints};
use super::row_table::RowTable;
use super::scales::SCALE_ONE;
use crate::arch::Kernel;
use crate::codec::Coding;
use crate::codec::entropy::rans::{
    self, DecodeTables, GroupRun, LANES, LaneTables, RunStream, StateMachine,
};
use crate::codec::entropy::{Alphabet, Coset};
use crate::codec::transform::{BAND, LowRank, StoredBasis, Transform};
use crate::dtype::{Dtype, number};
use crate::error::{Error, Result};
use crate::limits::Limits;
use std::ops::Range;
use std::sync::OnceLock;

const _: () = assert!(BAND == LANES);

/// The largest magnitude of a lattice point. The integers of the inverse transform then fit 32
/// bits.
pub(super) const MAX_POINT: i16 = i16::MAX;

/// Decodes chunks of one tensor.
pub(crate) struct TrellisDecoder {
    dtype: Dtype,
    pub(super) reconstruction: Reconstruction,
    /// Made when the first chunk is decoded.
    tables: OnceLock<DecodeTables>,
    kernel: Kernel,
}

impl TrellisDecoder {
    /// Reads the codec parameters.
    ///
    /// # Errors
    /// `Corrupt`, `Truncated` or `LimitExceeded`.
    pub(crate) fn new(dtype: Dtype, parameters: &[u8], limits: &Limits) -> Result<Self> {
        if !number::is_float(dtype) {
            return Err(Error::corrupt("trellis codec: the dtype is not a float"));
        }
        let reconstruction = Reconstruction::new(Parameters::read(parameters, limits)?);
        Ok(Self { dtype, reconstruction, tables: OnceLock::new(), kernel: Kernel::best() })
    }

    fn tables(&self) -> &DecodeTables {
        self.tables.get_or_init(|| self.reconstruction.decode_tables())
    }

    /// Bytes of the tables and stored matrices in memory, approximately.
    pub(crate) fn table_bytes(&self) -> u64 {
        let parameters = &self.reconstruction.parameters;
        let basis = match &*parameters.transform {
            Transform::StoredBasis(basis) => StoredBasis::bytes(parameters.columns, basis.block()),
            Transform::Identity(_) | Transform::Hadamard(_) => 0,
        };
        let low_rank = parameters.low_rank.as_ref().map_or(0, |low_rank| {
            let part = &low_rank.part;
            LowRank::bytes(part.rank() + usize::from(part.has_mean()), parameters.columns)
        });
        self.reconstruction.decode_table_bytes() + basis + low_rank
    }

    /// Decodes a chunk to the tensor's dtype.
    pub(crate) fn decode(&self, coded: &[u8], out: &mut [u8]) -> Result<()> {
        self.decode_part(coded, out.len(), 0, out)
    }

    /// Decodes part of a chunk of `length` decoded bytes: those from byte `skip` on, as many as `out`
    /// has. Both must be whole elements. Bands after the part are not decoded, and bands before it
    /// only as far as the rANS stream requires.
    pub(crate) fn decode_part(
        &self,
        coded: &[u8],
        length: usize,
        skip: usize,
        out: &mut [u8],
    ) -> Result<()> {
        let size = self.element_bytes();
        let part = skip / size..(skip + out.len()) / size;
        let chunk = self.open(coded, length / size)?;
        // A row may lie partly outside.
        let within =
            |start: usize, length: usize| (start.max(part.start), (start + length).min(part.end));
        let columns = self.reconstruction.parameters.columns;
        self.decode_rows(chunk.segments, &part, |band, buffers, tile, start| {
            if self.rounds_columns(band) {
                self.reconstruct_16(band, buffers, tile, |lane, row| {
                    let start = start + lane * columns;
                    let (from, to) = within(start, row.len() / size);
                    if from < to {
                        out[(from - part.start) * size..(to - part.start) * size]
                            .copy_from_slice(&row[(from - start) * size..(to - start) * size]);
                    }
                });
            } else {
                self.reconstruct(band, buffers, tile, |lane, values| {
                    let start = start + lane * columns;
                    let (from, to) = within(start, values.len());
                    if from < to {
                        let bytes = &mut out[(from - part.start) * size..(to - part.start) * size];
                        let values = &values[from - start..to - start];
                        number::from_f32(self.kernel, self.dtype, values, bytes);
                    }
                });
            }
        })?;
        for (position, value) in chunk.outliers.iter() {
            if part.contains(&position) {
                out[(position - part.start) * size..][..size].copy_from_slice(value);
            }
        }
        Ok(())
    }

    /// Decodes a chunk to `f32`, without rounding to the tensor's dtype.
    pub(crate) fn decode_f32(&self, coded: &[u8], out: &mut [f32]) -> Result<()> {
        let chunk = self.open(coded, out.len())?;
        let columns = self.reconstruction.parameters.columns;
        self.decode_rows(chunk.segments, &(0..out.len()), |band, buffers, tile, start| {
            self.reconstruct(band, buffers, tile, |lane, values| {
                out[start + lane * columns..][..values.len()].copy_from_slice(values);
            });
        })?;
        let mut single = Vec::new();
        for (position, value) in chunk.outliers.iter() {
            number::to_f32(self.dtype, value, &mut single);
            out[position] = single[0];
        }
        Ok(())
    }

    /// The parameters in readable form; signal and noise are 0, as the container stores them.
    pub(crate) fn coding(&self) -> Coding {
        self.reconstruction.parameters.coding()
    }

    /// Whether a position in a chunk and a length, in bytes, are whole elements.
    pub(crate) fn are_elements(&self, skip: usize, length: usize) -> bool {
        let size = self.element_bytes();
        skip.is_multiple_of(size) && length.is_multiple_of(size)
    }

    fn element_bytes(&self) -> usize {
        self.dtype.bits() as usize / 8
    }

    /// Splits a coded chunk of `elements` weights into its parts.
    fn open<'a>(&self, coded: &'a [u8], elements: usize) -> Result<TrellisChunk<'a>> {
        let columns = self.reconstruction.parameters.columns;
        if !elements.is_multiple_of(columns) {
            return Err(Error::corrupt("trellis chunk: does not hold whole rows"));
        }
        let size = [elements / columns, columns];
        TrellisChunk::open(coded, size, self.element_bytes(), self.bypass_bits())
    }

    /// Bypass bits of one row.
    fn bypass_bits(&self) -> usize {
        let parameters = &self.reconstruction.parameters;
        let coefficients: u32 =
            self.reconstruction.coefficients().iter().map(|(bypass, _)| bypass).sum();
        parameters.columns * parameters.bypass as usize + coefficients as usize
    }

    /// Decodes up to 32 rows of each segment at a time, tile by tile. `sink` receives the points of bands
    /// that overlap `part` in a tile, and the position of the weight of lane 0 in its first column.
    fn decode_rows(
        &self,
        segments: Vec<Segment<'_>>,
        part: &Range<usize>,
        mut sink: impl FnMut(&mut Band<'_, '_>, &mut TileBuffers, &Range<usize>, usize),
    ) -> Result<()> {
        let columns = self.reconstruction.parameters.columns;
        let widest = self.reconstruction.tiles().iter().map(Range::len).max().unwrap_or(0);
        let wanted = part.start / columns..part.end.div_ceil(columns);
        let mut segments: Vec<_> = segments
            .into_iter()
            .map(|segment| {
                // Words of a stream belong to all lanes, so bands are decoded from the first one on.
                let is_wanted = wanted.start < segment.rows.end && !part.is_empty();
                let end = if is_wanted { wanted.end.min(segment.rows.end) } else { 0 };
                let bands = end.saturating_sub(segment.rows.start).div_ceil(BAND);
                (segment, bands, TilePoints::new(if bands > 0 { widest } else { 0 }))
            })
            .collect();
        let bands = segments.iter().map(|&(_, bands, _)| bands).max().unwrap_or(0);
        let mut buffers = TileBuffers::default();
        for number in 0..bands {
            let mut bands = Vec::with_capacity(2);
            for (segment, count, points) in &mut segments {
                if number < *count {
                    bands.push(self.read_band(segment, number, &wanted, points)?);
                }
            }
            for tile in self.reconstruction.tiles() {
                self.read_points(&mut bands, tile)?;
                for band in bands.iter_mut().filter(|band| !band.wanted.is_empty()) {
                    let start = band.first_row * columns + tile.start;
                    sink(band, &mut buffers, tile, start);
                }
            }
        }
        for (segment, bands, _) in segments {
            if bands == segment.rows.len().div_ceil(BAND) {
                segment.finish()?;
            }
        }
        Ok(())
    }

    fn reconstruct(
        &self,
        band: &mut Band<'_, '_>,
        buffers: &mut TileBuffers,
        tile: &Range<usize>,
        sink: impl FnMut(usize, &[f32]),
    ) {
        let Band { info, wanted, points, .. } = band;
        let part = [tile, &*wanted];
        self.reconstruction.reconstruct(self.kernel, info, part, points, buffers, sink);
    }

    fn reconstruct_16(
        &self,
        band: &mut Band<'_, '_>,
        buffers: &mut TileBuffers,
        tile: &Range<usize>,
        sink: impl FnMut(usize, &[u8]),
    ) {
        let (Band { info, wanted, points, .. }, how) = (band, (self.kernel, self.dtype));
        let part = [tile, &*wanted];
        self.reconstruction.reconstruct_16(how, info, part, points, buffers, sink);
    }

    /// Whether columns are rounded before they become rows. Of few rows that takes longer.
    fn rounds_columns(&self, band: &Band<'_, '_>) -> bool {
        self.element_bytes() == 2
            && self.reconstruction.low_rank().is_none()
            && band.wanted.len() > BAND / 2
    }

    /// Reads what precedes the points of band `number` of a segment.
    fn read_band<'b, 'a>(
        &self,
        segment: &'b mut Segment<'a>,
        number: usize,
        wanted: &Range<usize>,
        points: &'b mut TilePoints,
    ) -> Result<Band<'b, 'a>> {
        let first_row = segment.rows.start + number * BAND;
        let lanes = (segment.rows.end - first_row).min(BAND);
        let wanted =
            wanted.start.saturating_sub(first_row)..wanted.end.saturating_sub(first_row).min(lanes);
        let info = self.read_side_info(segment, lanes)?;
        let classes = &self.reconstruction.parameters.classes;
        let firsts =
            classes.of_profiles(&info.classes, |profile| TableLayout::weight(profile, 0) as u8);
        let firsts = &firsts[..self.reconstruction.column_class_count];
        let tables = LaneTables::new(self.tables(), firsts);
        Ok(Band { segment, first_row, wanted, info, tables, states: [0; BAND], points })
    }

    /// Reads the side information of `lanes` rows, which precedes their points.
    fn read_side_info(&self, chunk: &mut Segment<'_>, lanes: usize) -> Result<RowSideInfo> {
        let (parameters, layout) =
            (&self.reconstruction.parameters, self.reconstruction.table_layout());
        let mut row_byte = |table: Option<&RowTable>, number, absent| match table {
            None => Ok([absent; BAND]),
            Some(RowTable::Constant(byte)) => Ok([*byte; BAND]),
            Some(RowTable::Coded(_)) => {
                let mut bytes = [absent; BAND];
                let bases = [DecodeTables::base(number); BAND];
                chunk.stream.decode_group(self.tables(), &bases, &mut bytes[..lanes])?;
                Ok::<_, Error>(bytes)
            }
        };
        let scales = row_byte(parameters.row_scales.as_ref(), layout.row_scale(), SCALE_ONE)?;
        let classes = row_byte(parameters.classes.rows.as_ref(), layout.row_class(), 0)?;
        let mut coefficients = Vec::with_capacity(self.reconstruction.coefficients().len());
        for (vector, (bypass, _)) in self.reconstruction.coefficients().iter().enumerate() {
            let alphabet = Alphabet { coset: Coset::Whole, bypass: *bypass };
            let bases = [DecodeTables::base(layout.coefficient(vector)); BAND];
            let mut symbols = [0; BAND];
            chunk.stream.decode_group(self.tables(), &bases, &mut symbols[..lanes])?;
            let mut of_vector = [0; BAND];
            for (out, &symbol) in of_vector[..lanes].iter_mut().zip(&symbols) {
                let integer = i16::try_from(chunk.integer(alphabet, symbol)?);
                let valid = integer.ok().filter(|&k| k >= -LowRank::MAX_COEFFICIENT);
                *out = valid.ok_or_else(|| {
                    Error::corrupt("trellis chunk: a low-rank coefficient is out of range")
                })?;
            }
            coefficients.push(of_vector);
        }
        Ok(RowSideInfo { lanes, scales, classes, coefficients })
    }

    /// Decodes the points of a tile along the trellis path of each row.
    fn read_points(&self, bands: &mut [Band<'_, '_>], tile: &Range<usize>) -> Result<()> {
        let bypass = self.reconstruction.parameters.bypass;
        let are_full = bands.iter().all(|band| band.info.lanes == BAND);
        if !are_full && bands.len() > 1 {
            return bands.chunks_mut(1).try_for_each(|band| self.read_points(band, tile));
        }
        let classes = &self.reconstruction.column_classes()[tile.clone()];
        for band in &mut *bands {
            band.points.largest = self.reconstruction.reach();
        }
        let mut at = 0;
        while at < classes.len() {
            // The usual case: full lanes and no bypass bits.
            if are_full && bypass == 0 {
                at += self.read_run(bands, &classes[at..], at);
            }
            if let Some(&class) = classes.get(at) {
                for band in &mut *bands {
                    self.read_column(band, class, at)?;
                }
                at += 1;
            }
        }
        Ok(())
    }

    /// Decodes columns of the points of a tile from column `at` on. Stops where a column has an escape.
    /// Returns the number of columns.
    fn read_run(&self, bands: &mut [Band<'_, '_>], classes: &[u8], at: usize) -> usize {
        let trellis = self.reconstruction.parameters.trellis;
        let run = GroupRun { machine: StateMachine { generators: trellis.generators() }, classes };
        let done = match bands {
            [band] => {
                rans::decode_runs(self.kernel, self.tables(), &run, [band.run(at, classes.len())])
            }
            [a, b] => {
                let streams = [a.run(at, classes.len()), b.run(at, classes.len())];
                rans::decode_runs(self.kernel, self.tables(), &run, streams)
            }
            _ => 0,
        };
        if trellis.is_scalar() {
            for band in bands {
                let points = band.points.columns[at..][..done].iter_mut().flatten();
                points.for_each(|point| *point >>= 1);
            }
        }
        done
    }

    /// Decodes the points of a column that may have escapes or bypass bits.
    fn read_column(&self, band: &mut Band<'_, '_>, class: u8, at: usize) -> Result<()> {
        let (trellis, alphabets) =
            (self.reconstruction.parameters.trellis, self.reconstruction.alphabets());
        let (lanes, states) = (band.info.lanes, &mut band.states);
        let bases = band.tables.of_group(class, states);
        let mut symbols = [0; BAND];
        band.segment.stream.decode_group(self.tables(), &bases, &mut symbols[..lanes])?;
        // The transform also runs on lanes without a row; their points must be in range.
        let points = &mut band.points.columns[at];
        *points = [0; BAND];
        for lane in 0..lanes {
            let state = u32::from(states[lane]);
            let k = band.segment.integer(alphabets[(state & 1) as usize], symbols[lane])?;
            let point = i16::try_from(trellis.point(state, k)).ok();
            let valid = point.filter(|&point| point >= -MAX_POINT);
            points[lane] = valid
                .ok_or_else(|| Error::corrupt("trellis chunk: a lattice point is out of range"))?;
            states[lane] = trellis.next(state, k) as u8;
        }
        let largest = points.iter().map(|point| point.unsigned_abs()).max();
        band.points.largest = band.points.largest.max(largest.unwrap_or(0).into());
        Ok(())
    }
}

/// Up to 32 rows of a segment that are decoded side by side.
struct Band<'b, 'a> {
    segment: &'b mut Segment<'a>,
    /// The first row of the band in its chunk, and the lanes whose rows are reconstructed.
    first_row: usize,
    wanted: Range<usize>,
    info: RowSideInfo,
    tables: LaneTables,
    /// The state of the trellis in each lane.
    states: [u8; BAND],
    points: &'b mut TilePoints,
}

impl<'a> Band<'_, 'a> {
    /// The stream, with the points of `length` columns of the tile from column `at` on.
    fn run(&mut self, at: usize, length: usize) -> RunStream<'_, 'a> {
        let out = &mut self.points.columns[at..][..length];
        self.segment.stream.run(&self.tables, &mut self.states, out)
    }
}
