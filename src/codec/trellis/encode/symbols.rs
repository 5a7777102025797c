//! The symbols of a segment, its escapes and its bypass bits.

use crate::arch::Kernel;
use crate::codec::entropy::rans::{self, EncodeTables, TableSymbol};
use crate::codec::entropy::{Alphabet, BitWriter, CENTRE, ESCAPE, MagnitudeDistribution};
use crate::codec::transform::BAND;
use crate::codec::trellis::reconstruction::{Reconstruction, TableLayout};
use crate::codec::trellis::row_table::RowTable;
use crate::error::{Error, Result};
use zerocopy::little_endian::U16;

/// The symbols, escapes and bypass bits of a segment, in the order of decoding.
pub(super) struct SegmentSymbols {
    escapes: Vec<i16>,
    bypass: BitWriter,
    groups: Vec<TableSymbol>,
    /// For each band of up to 32 rows: the end of its groups, and its number of rows.
    bands: Vec<(usize, usize)>,
}

impl SegmentSymbols {
    /// No symbols; reserves memory for `capacity` of them.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            escapes: Vec::new(),
            bypass: BitWriter::default(),
            groups: Vec::with_capacity(capacity),
            bands: Vec::new(),
        }
    }

    /// Appends a byte of each row, unless it is the same for all rows.
    pub(super) fn put_row_bytes(&mut self, table: &RowTable, number: usize, bytes: &[u8]) {
        if let RowTable::Coded(_) = table {
            self.groups.extend(bytes.iter().map(|&symbol| TableSymbol::new(number as u8, symbol)));
        }
    }

    /// Appends an integer, coded by table `number`, which is one of `profile`.
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
            self.escapes.push(
                high.map_err(|_| Error::invalid("trellis codec: an integer is out of range"))?,
            );
            ESCAPE
        };
        self.groups.push(TableSymbol::new(number as u8, symbol));
        Ok(())
    }

    /// Appends the lattice points of a band, by column; `classes` are those of its rows.
    pub(super) fn put_lattice(
        &mut self,
        reconstruction: &Reconstruction,
        points: &[[i16; BAND]],
        classes: &[u8; BAND],
        lanes: usize,
        kernel: Kernel,
    ) -> Result<()> {
        let parameters = &reconstruction.parameters;
        let (trellis, alphabets) = (parameters.trellis, reconstruction.alphabets());
        let numbers = parameters.classes.of_profiles(classes, |p| TableLayout::weight(p, 0) as u32);
        let reaches = parameters.classes.of_profiles(classes, |p| reconstruction.reach_of(p));
        for (points, &class) in points.iter().zip(reconstruction.column_classes()) {
            let class = usize::from(class);
            if lanes == BAND && parameters.bypass == 0 {
                let coded = kernel.run(
                    #[inline(always)]
                    || {
                        column_symbols(
                            points,
                            &numbers[class],
                            &reaches[class],
                            trellis.is_scalar(),
                        )
                    },
                );
                if let Some(coded) = coded {
                    self.groups.extend_from_slice(&coded);
                    continue;
                }
            }
            for (lane, &point) in points[..lanes].iter().enumerate() {
                let half = trellis.half(point.into());
                let profile = parameters.classes.profile_of(classes[lane], class as u8);
                let number = TableLayout::weight(profile, half as u32);
                let profile = &parameters.profiles[usize::from(profile)];
                self.put_integer(number, alphabets[half], profile, trellis.index(point.into()))?;
            }
        }
        Ok(())
    }

    /// Ends a band of `lanes` rows.
    pub(super) fn end_band(&mut self, lanes: usize) {
        self.bands.push((self.groups.len(), lanes));
    }

    /// Appends the bytes of the segment to `out`: the number of escapes, escapes, bypass bits, and the
    /// rANS stream of all symbols.
    pub(super) fn write(
        &self,
        tables: &EncodeTables,
        kernel: Kernel,
        buffer: &mut Vec<U16>,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let escapes = u32::try_from(self.escapes.len());
        let escapes =
            escapes.map_err(|_| Error::invalid("trellis codec: a chunk exceeds 2^32 elements"))?;
        out.extend(escapes.to_le_bytes());
        out.extend(self.escapes.iter().flat_map(|escape| escape.to_le_bytes()));
        out.extend(self.bypass.clone().finish());
        let mut encoder = rans::RansEncoder::new(tables, self.groups.len(), kernel, buffer);
        for (number, &(end, lanes)) in self.bands.iter().enumerate().rev() {
            let start = if number == 0 { 0 } else { self.bands[number - 1].0 };
            encoder.put_groups(lanes, &self.groups[start..end]);
        }
        encoder.finish(out)
    }
}

/// The symbols of a column of points without bypass bits; `None` when one of the points needs an
/// escape. Even points use the first of two tables.
#[inline(always)]
fn column_symbols(
    points: &[i16; BAND],
    numbers: &[u32; BAND],
    reaches: &[u32; BAND],
    scalar: bool,
) -> Option<[TableSymbol; BAND]> {
    let mut escaped = false;
    for (point, reach) in points.iter().zip(reaches) {
        escaped |= u32::from(point.unsigned_abs()) > *reach;
    }
    let coded = |lane: usize| {
        let (point, number) = (points[lane], numbers[lane] as i16);
        let (half, k) = if scalar { (0, point) } else { (point & 1, point >> 1) };
        TableSymbol::new((number + half) as u8, (k + CENTRE as i16) as u8)
    };
    (!escaped).then(|| std::array::from_fn(coded))
}
