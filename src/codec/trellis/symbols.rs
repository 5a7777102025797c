//! The symbols of a chunk, and what goes beside them.

use super::reconstruction::{Model, TableNumbers};
use super::row_table::RowTable;
use crate::arch::Kernel;
use crate::codec::entropy::rans::{self, EncodeTables, TableSymbol};
use crate::codec::entropy::{Alphabet, BitWriter, CENTRE, ESCAPE, MagnitudeDistribution};
use crate::codec::transform::BAND;
use crate::error::{Error, Result};
use zerocopy::little_endian::U16;

/// The symbols of a chunk and what goes beside them, in the order of decoding.
pub(super) struct Parts {
    pub(super) escapes: Vec<i16>,
    pub(super) bypass: BitWriter,
    groups: Vec<TableSymbol>,
    /// Where groups of each band end, and how many rows it has.
    bands: Vec<(usize, usize)>,
}

impl Parts {
    /// For about so many symbols.
    pub(super) fn new(symbols: usize) -> Self {
        Self {
            escapes: Vec::new(),
            bypass: BitWriter::default(),
            groups: Vec::with_capacity(symbols),
            bands: Vec::new(),
        }
    }

    /// Puts a byte of each row, where there are several.
    pub(super) fn put_row_bytes(&mut self, table: &RowTable, number: usize, bytes: &[u8]) {
        if let RowTable::Coded(_) = table {
            self.groups.extend(bytes.iter().map(|&symbol| TableSymbol::new(number as u8, symbol)));
        }
    }

    /// Puts an integer of a profile by the table of a number.
    pub(super) fn put_integer(
        &mut self,
        number: usize,
        alphabet: Alphabet,
        profile: &MagnitudeDistribution,
        k: i32,
    ) -> Result<()> {
        let high = k >> alphabet.bypass;
        self.bypass.put((k - (high << alphabet.bypass)) as u32, alphabet.bypass);
        let symbol = if profile.reaches(alphabet, k) {
            alphabet.symbol(k)
        } else {
            let high = i16::try_from(high);
            self.escapes.push(high.map_err(|_| Error::invalid("an integer out of range"))?);
            ESCAPE
        };
        self.groups.push(TableSymbol::new(number as u8, symbol));
        Ok(())
    }

    /// Puts the lattice points of a band, by column, whose rows are of these classes.
    pub(super) fn put_lattice(
        &mut self,
        model: &Model,
        points: &[[i16; BAND]],
        classes: &[u8; BAND],
        lanes: usize,
        kernel: Kernel,
    ) -> Result<()> {
        let parameters = &model.parameters;
        let (trellis, alphabets) = (parameters.trellis, model.alphabets());
        let numbers =
            parameters.classes.of_profiles(classes, |p| TableNumbers::weight(p, 0) as u32);
        let reaches = parameters.classes.of_profiles(classes, |p| model.reach_of(p));
        for (points, &class) in points.iter().zip(model.column_classes()) {
            let class = usize::from(class);
            if lanes == BAND && parameters.bypass == 0 {
                let coded = kernel.run(
                    #[inline(always)]
                    || plain(points, &numbers[class], &reaches[class], trellis.is_scalar()),
                );
                if let Some(coded) = coded {
                    self.groups.extend_from_slice(&coded);
                    continue;
                }
            }
            for (lane, &point) in points[..lanes].iter().enumerate() {
                let half = if trellis.is_scalar() { 0 } else { (point & 1) as usize };
                let profile = parameters.classes.profile_of(classes[lane], class as u8);
                let number = TableNumbers::weight(profile, half as u32);
                let profile = &parameters.profiles[usize::from(profile)];
                self.put_integer(number, alphabets[half], profile, trellis.index(point.into()))?;
            }
        }
        Ok(())
    }

    /// Ends a band of so many rows.
    pub(super) fn end_band(&mut self, lanes: usize) {
        self.bands.push((self.groups.len(), lanes));
    }

    /// Appends the stream of all symbols.
    pub(super) fn write_stream(
        &self,
        tables: &EncodeTables,
        kernel: Kernel,
        buffer: &mut Vec<U16>,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let mut encoder = rans::RansEncoder::new(tables, self.groups.len(), kernel, buffer);
        for (number, &(end, lanes)) in self.bands.iter().enumerate().rev() {
            let start = if number == 0 { 0 } else { self.bands[number - 1].0 };
            encoder.put_groups(lanes, &self.groups[start..end]);
        }
        encoder.finish(out)
    }
}

/// Points that all have symbols of their own, by the first of two tables if they are even;
/// `None` when one has none.
#[inline(always)]
fn plain(
    points: &[i16; BAND],
    numbers: &[u32; BAND],
    reaches: &[u32; BAND],
    scalar: bool,
) -> Option<[TableSymbol; BAND]> {
    let mut beyond = false;
    for (point, reach) in points.iter().zip(reaches) {
        beyond |= u32::from(point.unsigned_abs()) > *reach;
    }
    let coded = |lane: usize| {
        let (point, number) = (points[lane], numbers[lane] as i16);
        let (half, k) = if scalar { (0, point) } else { (point & 1, point >> 1) };
        TableSymbol::new((number + half) as u8, (k + CENTRE as i16) as u8)
    };
    (!beyond).then(|| std::array::from_fn(coded))
}
