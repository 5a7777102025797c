//! Chunks to weights.

use super::classes::COLUMN_CLASSES;
use super::coding::Coding;
use super::parameters::Parameters;
use super::reconstruction::{Band, Model, Scratch, TableNumbers};
use super::row_table::RowTable;
use super::scales::SCALE_ONE;
use crate::arch::Kernel;
use crate::codec::entropy::rans::{self, DecodeTables, GroupRun, LANES, StateMachine};
use crate::codec::entropy::{Alphabet, BitReader, Coset, ESCAPE};
use crate::codec::transform::{BAND, LowRank};
use crate::dtype::Dtype;
use crate::dtype::number;
use crate::error::{Error, Result};
use std::ops::Range;
use zerocopy::FromBytes;
use zerocopy::little_endian::{I16, U32};

const _: () = assert!(BAND == LANES);

/// The largest magnitude of a lattice point: the integers of a rotation then fit 32 bits.
pub(super) const MAX_POINT: i16 = i16::MAX;

/// Decodes chunks of one tensor.
pub(crate) struct Decoder {
    dtype: Dtype,
    pub(super) model: Model,
    tables: DecodeTables,
    kernel: Kernel,
}

impl Decoder {
    /// # Errors
    /// `Corrupt` or `Truncated`.
    pub(crate) fn new(dtype: Dtype, parameters: &[u8]) -> Result<Self> {
        if !number::is_float(dtype) {
            return Err(Error::corrupt("a lossy codec for what are not floats"));
        }
        let model = Model::new(Parameters::read(parameters)?);
        let tables = model.decode_tables();
        Ok(Self { dtype, model, tables, kernel: Kernel::best() })
    }

    /// Decodes a chunk in the tensor's own dtype.
    pub(crate) fn decode(&self, coded: &[u8], out: &mut [u8]) -> Result<()> {
        let size = self.element_bytes();
        let chunk = self.open(coded, out.len() / size)?;
        let outliers = chunk.outliers;
        self.rows(chunk, out.len() / size, |start, values| {
            let bytes = &mut out[start * size..(start + values.len()) * size];
            number::from_f32(self.kernel, self.dtype, values, bytes);
        })?;
        for (position, value) in self.outliers(outliers) {
            out[position * size..][..size].copy_from_slice(value);
        }
        Ok(())
    }

    /// Decodes a chunk to `f32`, without the last rounding.
    pub(crate) fn decode_f32(&self, coded: &[u8], out: &mut [f32]) -> Result<()> {
        let chunk = self.open(coded, out.len())?;
        let outliers = chunk.outliers;
        self.rows(chunk, out.len(), |start, values| {
            out[start..start + values.len()].copy_from_slice(values);
        })?;
        let mut single = Vec::new();
        for (position, value) in self.outliers(outliers) {
            number::to_f32(self.dtype, value, &mut single);
            out[position] = single[0];
        }
        Ok(())
    }

    /// What people may want to know; the loss is known elsewhere.
    pub(crate) fn coding(&self) -> Coding {
        Coding::of(&self.model.parameters)
    }

    fn element_bytes(&self) -> usize {
        self.dtype.bits() as usize / 8
    }

    /// Cuts a coded chunk of `elements` weights into its parts.
    fn open<'a>(&self, coded: &'a [u8], elements: usize) -> Result<Chunk<'a>> {
        let columns = self.model.parameters.columns;
        if !elements.is_multiple_of(columns) {
            return Err(Error::corrupt("a chunk that does not hold whole rows"));
        }
        let short = || Error::corrupt("a coded chunk that is too short");
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
                return Err(Error::corrupt("exceptions out of order"));
            }
            after = Some(position);
        }
        let bits = elements / columns * self.bypass_bits();
        let (bypass, stream) = rest.split_at_checked(bits.div_ceil(8)).ok_or_else(short)?;
        let (bypass, stream) =
            (BitReader::new(bypass), rans::RansDecoder::new(stream, self.kernel)?);
        Ok(Chunk { escapes, outliers, bypass, stream })
    }

    /// Bits beside the symbols of one row.
    fn bypass_bits(&self) -> usize {
        let parameters = &self.model.parameters;
        let coefficients: u32 = self.model.coefficients().iter().map(|(bypass, _)| bypass).sum();
        parameters.columns * parameters.bypass as usize + coefficients as usize
    }

    /// Positions in the chunk and bytes of the elements that are stored as they are.
    fn outliers<'a>(&self, bytes: &'a [u8]) -> impl Iterator<Item = (usize, &'a [u8])> {
        bytes.chunks_exact(size_of::<u32>() + self.element_bytes()).map(|outlier| {
            let (position, value) = outlier.split_at(size_of::<u32>());
            (u32::from_le_bytes(position.try_into().unwrap_or_default()) as usize, value)
        })
    }

    /// Decodes band by band and tile by tile, handing pieces of rows to `sink` with the positions
    /// of their first weights.
    fn rows(
        &self,
        mut chunk: Chunk<'_>,
        elements: usize,
        mut sink: impl FnMut(usize, &[f32]),
    ) -> Result<()> {
        let columns = self.model.parameters.columns;
        let widest = self.model.tiles().iter().map(Range::len).max();
        let mut scratch = Scratch::new(widest.unwrap_or(0));
        for start in (0..elements).step_by(BAND * columns) {
            let lanes = ((elements - start) / columns).min(BAND);
            let band = self.read_band(&mut chunk, lanes)?;
            let classes = &self.model.parameters.classes;
            let starts = classes.of_profiles(&band.classes, |profile| {
                DecodeTables::base(TableNumbers::weight(profile, 0))
            });
            let mut states = [0; BAND];
            for tile in self.model.tiles() {
                self.read_points(&mut chunk, &band, &starts, tile, &mut states, &mut scratch)?;
                self.model.reconstruct(self.kernel, &band, tile, &mut scratch, |lane, values| {
                    sink(start + lane * columns + tile.start, values);
                });
            }
        }
        chunk.finish()
    }

    /// Reads what goes before the points of a band of so many rows.
    fn read_band(&self, chunk: &mut Chunk<'_>, lanes: usize) -> Result<Band> {
        let (parameters, numbers) = (&self.model.parameters, self.model.numbers());
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
        let scales = row_byte(parameters.row_scales.as_ref(), numbers.row_scale(), SCALE_ONE)?;
        let classes = row_byte(parameters.classes.rows.as_ref(), numbers.row_class(), 0)?;
        let mut coefficients = Vec::with_capacity(self.model.coefficients().len());
        for (axis, (bypass, _)) in self.model.coefficients().iter().enumerate() {
            let alphabet = Alphabet { coset: Coset::Whole, bypass: *bypass };
            let bases = [DecodeTables::base(numbers.coefficient(axis)); BAND];
            let mut symbols = [0; BAND];
            chunk.stream.decode_group(&self.tables, &bases, &mut symbols[..lanes])?;
            let mut of_axis = [0; BAND];
            for (out, &symbol) in of_axis[..lanes].iter_mut().zip(&symbols) {
                let integer = i16::try_from(chunk.integer(alphabet, symbol)?);
                let valid = integer.ok().filter(|&k| k >= -LowRank::MAX_COEFFICIENT);
                *out = valid.ok_or_else(|| Error::corrupt("a coefficient out of range"))?;
            }
            coefficients.push(of_axis);
        }
        Ok(Band { lanes, scales, classes, coefficients })
    }

    /// Reads the points of a tile, following the trellis along each row.
    fn read_points(
        &self,
        chunk: &mut Chunk<'_>,
        band: &Band,
        starts: &Starts,
        tile: &Range<usize>,
        states: &mut [u8; BAND],
        scratch: &mut Scratch,
    ) -> Result<()> {
        let trellis = self.model.parameters.trellis;
        let points = &mut scratch.points[..tile.len()];
        scratch.largest = self.model.reach();
        let classes = &self.model.column_classes()[tile.clone()];
        let machine = StateMachine { generators: trellis.generators() };
        let mut at = 0;
        while at < points.len() {
            // Nearly always there is nothing beside the symbols.
            if band.lanes == BAND && self.model.parameters.bypass == 0 {
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
                self.read_column(chunk, band.lanes, starts, states, points)?;
                let largest = points.iter().map(|point| point.unsigned_abs()).max();
                scratch.largest = scratch.largest.max(largest.unwrap_or(0).into());
                at += 1;
            }
        }
        Ok(())
    }

    /// Reads the points of a column that may have more to them than symbols.
    fn read_column(
        &self,
        chunk: &mut Chunk<'_>,
        lanes: usize,
        starts: &[u32; BAND],
        states: &mut [u8; BAND],
        points: &mut [i16; BAND],
    ) -> Result<()> {
        let (trellis, alphabets) = (self.model.parameters.trellis, self.model.alphabets());
        let bases = std::array::from_fn(|lane| {
            starts[lane] + DecodeTables::base(1) * u32::from(states[lane] & 1)
        });
        let mut symbols = [0; BAND];
        chunk.stream.decode_group(&self.tables, &bases, &mut symbols[..lanes])?;
        // Lanes without a row have points, too, which must not make others overflow.
        *points = [0; BAND];
        for lane in 0..lanes {
            let state = u32::from(states[lane]);
            let k = chunk.integer(alphabets[(state & 1) as usize], symbols[lane])?;
            let point = i16::try_from(trellis.point(state, k)).ok();
            let valid = point.filter(|&point| point >= -MAX_POINT);
            points[lane] = valid.ok_or_else(|| Error::corrupt("a lattice point out of range"))?;
            states[lane] = trellis.next(state, k) as u8;
        }
        Ok(())
    }
}

/// By class of column and lane: where the first of two tables starts, that of the even half.
type Starts = [[u32; BAND]; COLUMN_CLASSES];

/// The parts of a chunk not yet read.
struct Chunk<'a> {
    escapes: &'a [I16],
    outliers: &'a [u8],
    bypass: BitReader<'a>,
    stream: rans::RansDecoder<'a>,
}

impl Chunk<'_> {
    /// The integer that a symbol and the low bits beside it make.
    #[inline]
    fn integer(&mut self, alphabet: Alphabet, symbol: u8) -> Result<i32> {
        let high = if symbol == ESCAPE {
            let Some((value, rest)) = self.escapes.split_first() else {
                return Err(Error::corrupt("an escape without its integer"));
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
            return Err(Error::corrupt("more escaped integers than escapes"));
        }
        if !self.bypass.finish()?.is_empty() {
            return Err(Error::corrupt("low bits beside no symbol"));
        }
        self.stream.finish()
    }
}
