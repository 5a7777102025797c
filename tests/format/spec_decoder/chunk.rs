//! Chunks of codec 2: points and coefficients (7.3).

use super::bits::Bits;
use super::rans::{Rans, Table};
use super::trellis::{Params, RowTable};
use super::{Cursor, Res, dtype_bits, ensure, to_size};

/// *h*1 and *h*0 for 2^2, 2^3 … 2^8 states.
const POLYNOMIALS: [(u32, u32); 7] = [
    (0o2, 0o5),
    (0o4, 0o13),
    (0o4, 0o23),
    (0o10, 0o45),
    (0o24, 0o103),
    (0o126, 0o235),
    (0o362, 0o515),
];

/// The decoded integers of one row of a band.
#[derive(Default)]
pub struct Row {
    pub scale: u8,
    pub coefficients: Vec<i64>,
    pub points: Vec<i64>,
    class: u8,
    state: u32,
}

/// The parts of a chunk that row bytes and indices are read from.
pub struct Streams<'a> {
    pub rans: Rans<'a>,
    pub escaped: Cursor<'a>,
    pub low_bits: Bits<'a>,
}

/// The number of rows in the first of two segments.
pub fn first_segment_rows(rows: usize) -> usize {
    32 * rows.div_ceil(32).div_ceil(2)
}

impl Params {
    /// Decodes the coded bytes of a chunk to its `len` decoded bytes.
    pub fn decode(&self, dtype: u8, coded: &[u8], len: usize) -> Res<Vec<u8>> {
        let width = to_size(dtype_bits(dtype)? / 8)?;
        let elements = len / width;
        ensure(elements.is_multiple_of(self.columns), "a chunk does not consist of whole rows")?;
        let rows = elements / self.columns;
        let mut input = Cursor { bytes: coded, at: 0 };
        let head = input.u32()?;
        let outliers = input.part((head % (1 << 31)).into(), 4 + width as u64)?;
        let mut decoded = Vec::new();
        let mut segments = Vec::new();
        let mut rest = rows;
        if head >> 31 == 1 {
            ensure(rows > 32, "two segments of one band")?;
            let length = input.u32()?;
            segments.push((input.part(length.into(), 1)?, first_segment_rows(rows)));
            rest -= first_segment_rows(rows);
        }
        segments.push((Cursor { bytes: input.rest(), at: 0 }, rest));
        for (segment, rows) in segments {
            for row in self.read_segment(segment, rows)? {
                decoded.extend(self.reconstruct_row(&row, dtype)?);
            }
        }
        put_outliers(outliers, width, &mut decoded)?;
        Ok(decoded)
    }

    /// Reads a segment of `rows` rows.
    fn read_segment(&self, mut input: Cursor, rows: usize) -> Res<Vec<Row>> {
        let escapes = input.u32()?;
        let escaped = input.part(escapes.into(), 2)?;
        let low_bits = input.part((rows as u64 * self.low_bits_per_row()).div_ceil(8), 1)?;
        let rans = Rans::new(input.rest())?;
        let mut streams = Streams { rans, escaped, low_bits: Bits::new(low_bits) };
        let mut all = Vec::new();
        for first in (0..rows).step_by(32) {
            all.extend(self.read_band(&mut streams, (rows - first).min(32))?);
        }
        streams.escaped.finish("the escaped integers")?;
        streams.low_bits.end()?.finish("the low bits")?;
        streams.rans.end()?;
        Ok(all)
    }

    /// *β*: the number of low bits of one row.
    pub fn low_bits_per_row(&self) -> u64 {
        let vectors = self.low_rank.iter().flat_map(|part| &part.vectors);
        let coefficients: u64 = vectors.map(|vector| u64::from(vector.bypass)).sum();
        self.columns as u64 * u64::from(self.bypass) + coefficients
    }

    /// Reads the groups of a band of `lanes` rows.
    pub fn read_band(&self, streams: &mut Streams, lanes: usize) -> Res<Vec<Row>> {
        let mut band: Vec<Row> = (0..lanes).map(|_| Row::default()).collect();
        if let Some(scales) = &self.row_scales {
            for (lane, row) in band.iter_mut().enumerate() {
                row.scale = streams.row_byte(lane, scales)?;
            }
        }
        for (lane, row) in band.iter_mut().enumerate() {
            row.class = streams.row_byte(lane, &self.row_classes)?;
        }
        for vector in self.low_rank.iter().flat_map(|part| &part.vectors) {
            for (lane, row) in band.iter_mut().enumerate() {
                let index = streams.index(lane, &vector.table, vector.bypass)?;
                ensure(index.abs() <= 32_767, "a coefficient is out of range")?;
                row.coefficients.push(index);
            }
        }
        for column_class in &self.column_classes {
            for (lane, row) in band.iter_mut().enumerate() {
                let class = usize::from(row.class) + *column_class as usize;
                let half = row.state % 2;
                let table = &self.tables[self.profile_of[class]][half as usize];
                let k = streams.index(lane, table, self.bypass)?;
                let point = if self.log_states == 0 { k } else { 2 * k + i64::from(half) };
                ensure(point.abs() <= 32_767, "a point is out of range")?;
                row.points.push(point);
                row.state = self.next_state(row.state, k);
            }
        }
        Ok(band)
    }

    fn next_state(&self, s: u32, k: i64) -> u32 {
        if self.log_states == 0 {
            return 0;
        }
        let (h1, h0) = POLYNOMIALS[self.log_states as usize - 2];
        let of_state = if s % 2 == 1 { h0 / 2 } else { 0 };
        let of_index = if k.rem_euclid(2) == 1 { h1 / 2 } else { 0 };
        (s / 2) ^ of_state ^ of_index
    }
}

impl Streams<'_> {
    fn row_byte(&mut self, lane: usize, table: &RowTable) -> Res<u8> {
        match table {
            RowTable::Constant(value) => Ok(*value),
            RowTable::Coded(table) => self.rans.symbol(lane, table),
        }
    }

    fn index(&mut self, lane: usize, table: &Table, bypass: u32) -> Res<i64> {
        let q = match self.rans.symbol(lane, table)? {
            0 => i64::from(self.escaped.u16()?.cast_signed()),
            symbol => i64::from(symbol) - 128,
        };
        Ok(q * (1 << bypass) + i64::from(self.low_bits.take(bypass)?))
    }
}

/// Stores the outliers of a chunk at their positions.
fn put_outliers(mut outliers: Cursor, width: usize, decoded: &mut [u8]) -> Res<()> {
    let mut least = 0;
    while !outliers.rest().is_empty() {
        let position = to_size(outliers.u32()?.into())?;
        ensure(position >= least, "positions of outliers are not strictly increasing")?;
        let element = decoded.chunks_exact_mut(width).nth(position);
        let element = element.ok_or("an outlier is outside its chunk")?;
        element.copy_from_slice(outliers.take(width)?);
        least = position + 1;
    }
    Ok(())
}
