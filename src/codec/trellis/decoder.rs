//! Decoding chunks of a lossy tensor.
//!
//! A chunk holds whole rows, 32 of which are decoded side by side, one in each lane, tile by tile:
//! O(columns · block) for a basis, O(columns · log block) for Hadamard matrices, for each row.

use super::classes::COLUMN_CLASSES;
use super::parameters::Parameters;
use super::reconstruction::{Reconstruction, RowSideInfo, TableLayout, TileBuffers};
use super::row_table::RowTable;
use super::scales::SCALE_ONE;
use crate::arch::Kernel;
use crate::codec::Coding;
use crate::codec::entropy::rans::{self, DecodeTables, GroupRun, LANES, StateMachine};
use crate::codec::entropy::{Alphabet, BitReader, Coset, ESCAPE};
use crate::codec::transform::{BAND, LowRank, StoredBasis, Transform};
use crate::dtype::{Dtype, number};
use crate::error::{Error, Result};
use crate::limits::Limits;
use std::ops::Range;
use zerocopy::FromBytes;
use zerocopy::little_endian::{I16, U32};

const _: () = assert!(BAND == LANES);

/// The largest magnitude of a lattice point. The integers of the inverse transform then fit 32
/// bits.
pub(super) const MAX_POINT: i16 = i16::MAX;

/// Decodes chunks of one tensor.
pub(crate) struct TrellisDecoder {
    dtype: Dtype,
    pub(super) reconstruction: Reconstruction,
    tables: DecodeTables,
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
        let tables = reconstruction.decode_tables();
        Ok(Self { dtype, reconstruction, tables, kernel: Kernel::best() })
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
        self.tables.bytes() + basis + low_rank
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
        let outliers = chunk.outliers;
        self.decode_rows(chunk, length / size, &part, |start, values| {
            // A row may lie partly outside.
            let (from, to) = (start.max(part.start), (start + values.len()).min(part.end));
            if from < to {
                let bytes = &mut out[(from - part.start) * size..(to - part.start) * size];
                number::from_f32(self.kernel, self.dtype, &values[from - start..to - start], bytes);
            }
        })?;
        for (position, value) in self.outliers(outliers) {
            if part.contains(&position) {
                out[(position - part.start) * size..][..size].copy_from_slice(value);
            }
        }
        Ok(())
    }

    /// Decodes a chunk to `f32`, without rounding to the tensor's dtype.
    pub(crate) fn decode_f32(&self, coded: &[u8], out: &mut [f32]) -> Result<()> {
        let chunk = self.open(coded, out.len())?;
        let outliers = chunk.outliers;
        self.decode_rows(chunk, out.len(), &(0..out.len()), |start, values| {
            out[start..start + values.len()].copy_from_slice(values);
        })?;
        let mut single = Vec::new();
        for (position, value) in self.outliers(outliers) {
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
        let short = || Error::corrupt("trellis chunk: too short");
        let (head, rest) = <[U32; 2]>::ref_from_prefix(coded).map_err(|_| short())?;
        let [escapes, outliers] = head.map(|count| count.get() as usize);
        let (escapes, rest) =
            <[I16]>::ref_from_prefix_with_elems(rest, escapes).map_err(|_| short())?;
        let length = outliers.checked_mul(size_of::<u32>() + self.element_bytes());
        let (outliers, rest) =
            length.and_then(|length| rest.split_at_checked(length)).ok_or_else(short)?;
        let mut after = None;
        for (position, _) in self.outliers(outliers) {
            if position >= elements || after.is_some_and(|after| position <= after) {
                return Err(Error::corrupt(
                    "trellis chunk: outlier positions are not ascending or out of range",
                ));
            }
            after = Some(position);
        }
        let bits = (elements / columns) as u64 * self.bypass_bits() as u64;
        let bytes = usize::try_from(bits.div_ceil(8)).map_err(|_| short())?;
        let (bypass, stream) = rest.split_at_checked(bytes).ok_or_else(short)?;
        let (bypass, stream) =
            (BitReader::new(bypass), rans::RansDecoder::new(stream, self.kernel)?);
        Ok(TrellisChunk { escapes, outliers, bypass, stream })
    }

    /// Bypass bits of one row.
    fn bypass_bits(&self) -> usize {
        let parameters = &self.reconstruction.parameters;
        let coefficients: u32 =
            self.reconstruction.coefficients().iter().map(|(bypass, _)| bypass).sum();
        parameters.columns * parameters.bypass as usize + coefficients as usize
    }

    /// Positions in the chunk and bytes of the outliers, which are stored unchanged.
    fn outliers<'a>(&self, bytes: &'a [u8]) -> impl Iterator<Item = (usize, &'a [u8])> {
        bytes.chunks_exact(size_of::<u32>() + self.element_bytes()).map(|outlier| {
            let (position, value) = outlier.split_at(size_of::<u32>());
            (u32::from_le_bytes(position.try_into().unwrap_or_default()) as usize, value)
        })
    }

    /// Decodes up to 32 rows at a time, tile by tile. `sink` receives pieces of the rows that overlap
    /// `part`, with the positions of their first weights.
    fn decode_rows(
        &self,
        mut chunk: TrellisChunk<'_>,
        elements: usize,
        part: &Range<usize>,
        mut sink: impl FnMut(usize, &[f32]),
    ) -> Result<()> {
        let columns = self.reconstruction.parameters.columns;
        let widest = self.reconstruction.tiles().iter().map(Range::len).max();
        let mut buffers = TileBuffers::new(widest.unwrap_or(0));
        // Words of the stream belong to all lanes, so bands are decoded from the first one on.
        let end = part.end.next_multiple_of(BAND * columns).min(elements);
        for start in (0..end).step_by(BAND * columns) {
            let lanes = ((elements - start) / columns).min(BAND);
            let wanted = part.start.saturating_sub(start) / columns
                ..(part.end - start).div_ceil(columns).min(lanes);
            let info = self.read_side_info(&mut chunk, lanes)?;
            let classes = &self.reconstruction.parameters.classes;
            let starts = classes.of_profiles(&info.classes, |profile| {
                DecodeTables::base(TableLayout::weight(profile, 0))
            });
            let mut states = [0; BAND];
            for tile in self.reconstruction.tiles() {
                self.read_points(&mut chunk, &info, &starts, tile, &mut states, &mut buffers)?;
                if wanted.is_empty() {
                    continue;
                }
                self.reconstruction.reconstruct(
                    self.kernel,
                    &info,
                    tile,
                    &wanted,
                    &mut buffers,
                    |lane, values| {
                        sink(start + lane * columns + tile.start, values);
                    },
                );
            }
        }
        if end == elements { chunk.finish() } else { Ok(()) }
    }

    /// Reads the side information of `lanes` rows, which precedes their points.
    fn read_side_info(&self, chunk: &mut TrellisChunk<'_>, lanes: usize) -> Result<RowSideInfo> {
        let (parameters, layout) =
            (&self.reconstruction.parameters, self.reconstruction.table_layout());
        let mut row_byte = |table: Option<&RowTable>, number, absent| match table {
            None => Ok([absent; BAND]),
            Some(RowTable::Constant(byte)) => Ok([*byte; BAND]),
            Some(RowTable::Coded(_)) => {
                let mut bytes = [absent; BAND];
                let bases = [DecodeTables::base(number); BAND];
                chunk.stream.decode_group(&self.tables, &bases, &mut bytes[..lanes])?;
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
            chunk.stream.decode_group(&self.tables, &bases, &mut symbols[..lanes])?;
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
    fn read_points(
        &self,
        chunk: &mut TrellisChunk<'_>,
        info: &RowSideInfo,
        starts: &Starts,
        tile: &Range<usize>,
        states: &mut [u8; BAND],
        buffers: &mut TileBuffers,
    ) -> Result<()> {
        let trellis = self.reconstruction.parameters.trellis;
        let points = &mut buffers.points[..tile.len()];
        buffers.largest = self.reconstruction.reach();
        let classes = &self.reconstruction.column_classes()[tile.clone()];
        let machine = StateMachine { generators: trellis.generators() };
        let mut at = 0;
        while at < points.len() {
            // The usual case: full lanes and no bypass bits.
            if info.lanes == BAND && self.reconstruction.parameters.bypass == 0 {
                let run = GroupRun { machine, starts, classes: &classes[at..] };
                let points = &mut points[at..];
                let done = chunk.stream.decode_run(&self.tables, &run, states, points);
                if trellis.is_scalar() {
                    points[..done].iter_mut().flatten().for_each(|point| *point >>= 1);
                }
                at += done;
            }
            if let Some(points) = points.get_mut(at) {
                let starts = &starts[usize::from(classes[at])];
                self.read_column(chunk, info.lanes, starts, states, points)?;
                let largest = points.iter().map(|point| point.unsigned_abs()).max();
                buffers.largest = buffers.largest.max(largest.unwrap_or(0).into());
                at += 1;
            }
        }
        Ok(())
    }

    /// Decodes the points of a column that may have escapes or bypass bits.
    fn read_column(
        &self,
        chunk: &mut TrellisChunk<'_>,
        lanes: usize,
        starts: &[u32; BAND],
        states: &mut [u8; BAND],
        points: &mut [i16; BAND],
    ) -> Result<()> {
        let (trellis, alphabets) =
            (self.reconstruction.parameters.trellis, self.reconstruction.alphabets());
        let bases = std::array::from_fn(|lane| {
            starts[lane] + DecodeTables::base(1) * u32::from(states[lane] & 1)
        });
        let mut symbols = [0; BAND];
        chunk.stream.decode_group(&self.tables, &bases, &mut symbols[..lanes])?;
        // The transform also runs on lanes without a row; their points must be in range.
        *points = [0; BAND];
        for lane in 0..lanes {
            let state = u32::from(states[lane]);
            let k = chunk.integer(alphabets[(state & 1) as usize], symbols[lane])?;
            let point = i16::try_from(trellis.point(state, k)).ok();
            let valid = point.filter(|&point| point >= -MAX_POINT);
            points[lane] = valid
                .ok_or_else(|| Error::corrupt("trellis chunk: a lattice point is out of range"))?;
            states[lane] = trellis.next(state, k) as u8;
        }
        Ok(())
    }
}

/// By class of column and lane: the start of the table of the lattice's even half, which the table
/// of the odd half follows.
type Starts = [[u32; BAND]; COLUMN_CLASSES];

/// The parts of a chunk that are not yet decoded.
struct TrellisChunk<'a> {
    escapes: &'a [I16],
    outliers: &'a [u8],
    bypass: BitReader<'a>,
    stream: rans::RansDecoder<'a>,
}

impl TrellisChunk<'_> {
    /// The integer of a symbol and its bypass bits.
    #[inline]
    fn integer(&mut self, alphabet: Alphabet, symbol: u8) -> Result<i32> {
        let high = if symbol == ESCAPE {
            let Some((value, rest)) = self.escapes.split_first() else {
                return Err(Error::corrupt("trellis chunk: an escape has no integer"));
            };
            self.escapes = rest;
            i32::from(value.get()) << alphabet.bypass
        } else {
            alphabet.integer(symbol)
        };
        match alphabet.bypass {
            0 => Ok(high),
            bits => Ok(high | self.bypass.take(bits)? as i32),
        }
    }

    fn finish(self) -> Result<()> {
        if !self.escapes.is_empty() {
            return Err(Error::corrupt("trellis chunk: more escaped integers than escapes"));
        }
        if !self.bypass.finish()?.is_empty() {
            return Err(Error::corrupt("trellis chunk: trailing bypass bits"));
        }
        self.stream.finish()
    }
}
