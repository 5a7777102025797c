//! Chunks to weights.

use super::classes::MAX_CLASS;
use super::coding::Coding;
use super::model::{Band, Model, TableNumbers};
use super::parameters::Parameters;
use super::row_table::RowTable;
use super::scales::SCALE_ONE;
use crate::coordinates::{BAND, LowRank};
use crate::dtype::Dtype;
use crate::entropy::rans::{self, DecodeTables, LANES};
use crate::entropy::{Alphabet, BitReader, Coset, ESCAPE};
use crate::error::{Error, Result};
use crate::floats;
use crate::kernel::Kernel;
use zerocopy::FromBytes;
use zerocopy::little_endian::{I16, U32};

const _: () = assert!(BAND == LANES);

/// The largest magnitude of a lattice point: the integers of a rotation then fit 32 bits.
pub(super) const MAX_POINT: i32 = i16::MAX as i32;

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
        if !floats::is_float(dtype) {
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
        let exceptions = chunk.exceptions;
        self.rows(chunk, out.len() / size, |start, values| {
            let bytes = &mut out[start * size..(start + values.len()) * size];
            floats::from_f32(self.dtype, values, bytes);
        })?;
        for (position, value) in self.exceptions(exceptions) {
            out[position * size..][..size].copy_from_slice(value);
        }
        Ok(())
    }

    /// Decodes a chunk to `f32`, without the last rounding.
    pub(crate) fn decode_f32(&self, coded: &[u8], out: &mut [f32]) -> Result<()> {
        let chunk = self.open(coded, out.len())?;
        let exceptions = chunk.exceptions;
        self.rows(chunk, out.len(), |start, values| {
            out[start..start + values.len()].copy_from_slice(values);
        })?;
        let mut single = Vec::new();
        for (position, value) in self.exceptions(exceptions) {
            floats::to_f32(self.dtype, value, &mut single);
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
        let [escapes, exceptions] = head.map(|count| count.get() as usize);
        let (escapes, rest) =
            <[I16]>::ref_from_prefix_with_elems(rest, escapes).map_err(|_| short())?;
        let length = exceptions.checked_mul(size_of::<u32>() + self.element_bytes());
        let (exceptions, rest) =
            length.and_then(|length| rest.split_at_checked(length)).ok_or_else(short)?;
        let mut after = None;
        for (position, _) in self.exceptions(exceptions) {
            if position >= elements || after.is_some_and(|after| position <= after) {
                return Err(Error::corrupt("exceptions out of order"));
            }
            after = Some(position);
        }
        let bits = elements / columns * self.bypass_bits();
        let (bypass, stream) = rest.split_at_checked(bits.div_ceil(8)).ok_or_else(short)?;
        let (bypass, stream) = (BitReader::new(bypass), rans::Decoder::new(stream, self.kernel)?);
        Ok(Chunk { escapes, exceptions, bypass, stream })
    }

    /// Bits beside the symbols of one row.
    fn bypass_bits(&self) -> usize {
        let parameters = &self.model.parameters;
        let coefficients: u32 = self.model.coefficients().iter().map(|(bypass, _)| bypass).sum();
        parameters.columns * parameters.bypass as usize + coefficients as usize
    }

    /// Positions in the chunk and bytes of the elements that are stored as they are.
    fn exceptions<'a>(&self, bytes: &'a [u8]) -> impl Iterator<Item = (usize, &'a [u8])> {
        bytes.chunks_exact(size_of::<u32>() + self.element_bytes()).map(|exception| {
            let (position, value) = exception.split_at(size_of::<u32>());
            (u32::from_le_bytes(position.try_into().unwrap_or_default()) as usize, value)
        })
    }

    /// Decodes band by band, handing weights to `sink` with their position.
    fn rows(
        &self,
        mut chunk: Chunk<'_>,
        elements: usize,
        mut sink: impl FnMut(usize, &[f32]),
    ) -> Result<()> {
        let columns = self.model.parameters.columns;
        let mut band = self.model.band();
        let mut values = vec![0.0; BAND.min(elements / columns) * columns];
        for start in (0..elements).step_by(BAND * columns) {
            let values = &mut values[..(elements - start).min(BAND * columns)];
            if values.len() < BAND * columns {
                // What an earlier band left in lanes without a row could overflow in a rotation.
                band.clear();
            }
            self.read_band(&mut chunk, &mut band, values.len() / columns)?;
            self.model.reconstruct(self.kernel, &mut band, values);
            sink(start, values);
        }
        chunk.finish()
    }

    /// Reads the integers of the next band, of `lanes` rows.
    fn read_band(&self, chunk: &mut Chunk<'_>, band: &mut Band, lanes: usize) -> Result<()> {
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
        band.scales = row_byte(parameters.row_scales.as_ref(), numbers.row_scale(), SCALE_ONE)?;
        let classes = row_byte(parameters.classes.rows.as_ref(), numbers.row_class(), 0)?;
        let axes = self.model.coefficients().iter();
        for (axis, ((bypass, _), out)) in axes.zip(&mut band.coefficients).enumerate() {
            let alphabet = Alphabet { coset: Coset::Whole, bypass: *bypass };
            let bases = [DecodeTables::base(numbers.coefficient(axis)); BAND];
            let mut symbols = [0; BAND];
            chunk.stream.decode_group(&self.tables, &bases, &mut symbols[..lanes])?;
            for (out, &symbol) in out[..lanes].iter_mut().zip(&symbols) {
                *out = chunk.integer(alphabet, symbol)?;
                if out.abs() > LowRank::MAX_COEFFICIENT {
                    return Err(Error::corrupt("a coefficient out of range"));
                }
            }
        }
        self.read_lattice(chunk, &mut band.lattice, &classes, lanes)
    }

    /// Follows the trellis along each row.
    fn read_lattice(
        &self,
        chunk: &mut Chunk<'_>,
        lattice: &mut [[i32; BAND]],
        classes: &[u8; BAND],
        lanes: usize,
    ) -> Result<()> {
        let Parameters { trellis, classes: by_class, .. } = &self.model.parameters;
        let alphabets = self.model.alphabets();
        // By class of column: where the tables of each lane's even half start; odd ones follow.
        let starts: [[u32; BAND]; MAX_CLASS as usize + 1] = std::array::from_fn(|column_class| {
            classes.map(|class| {
                let profile = by_class.profile_of(class, column_class as u8);
                DecodeTables::base(TableNumbers::weight(profile, 0))
            })
        });
        let mut states = [0u32; BAND];
        for (column, out) in lattice.iter_mut().enumerate() {
            let starts = &starts[usize::from(by_class.of_column(column))];
            let bases = std::array::from_fn(|lane| {
                starts[lane] + DecodeTables::base(1) * (states[lane] & 1)
            });
            // Lanes without a row stay at point 0.
            let mut symbols = [alphabets[0].symbol(0); BAND];
            chunk.stream.decode_group(&self.tables, &bases, &mut symbols[..lanes])?;
            // Nearly always there is nothing beside the symbols, and the loop has no branches.
            let plain = alphabets[0].bypass == 0 && !symbols[..lanes].contains(&ESCAPE);
            if plain {
                for ((point, &symbol), state) in out.iter_mut().zip(&symbols).zip(&mut states) {
                    let k = alphabets[0].integer(symbol);
                    *point = trellis.point(*state, k);
                    *state = trellis.next(*state, k);
                }
                continue;
            }
            let rows = out[..lanes].iter_mut().zip(&symbols).zip(&mut states);
            for ((point, &symbol), state) in rows {
                let k = chunk.integer(alphabets[(*state & 1) as usize], symbol)?;
                *point = trellis.point(*state, k);
                if point.abs() > MAX_POINT {
                    return Err(Error::corrupt("a lattice point out of range"));
                }
                *state = trellis.next(*state, k);
            }
        }
        Ok(())
    }
}

/// The parts of a chunk not yet read.
struct Chunk<'a> {
    escapes: &'a [I16],
    exceptions: &'a [u8],
    bypass: BitReader<'a>,
    stream: rans::Decoder<'a>,
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
