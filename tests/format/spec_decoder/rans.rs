//! Frequency tables (7.2), the rANS stream and sequences (8).

use super::bits::Bits;
use super::{Cursor, Res, ensure, to_size};

/// A frequency table.
pub struct Table {
    /// *f* and *c* of section 8.
    pub frequency: [u32; 256],
    cumulative: [u32; 256],
    /// The value of each of the 4096 slots.
    values: Vec<u8>,
}

impl Table {
    pub fn new(frequency: [u32; 256]) -> Res<Self> {
        let mut table = Table { frequency, cumulative: [0; 256], values: Vec::new() };
        for value in 0..=255 {
            table.cumulative[usize::from(value)] = table.values.len() as u32;
            table.values.extend((0..frequency[usize::from(value)]).map(|_| value));
        }
        ensure(table.values.len() == 4096, "the frequencies do not sum to 4096")?;
        Ok(table)
    }

    /// Steps 1 and 2 of a frequency table in 7.2.
    pub fn read(bits: &mut Bits) -> Res<Self> {
        let (first, last) = (bits.take(8)? as usize, bits.take(8)? as usize);
        ensure(first < last, "the range of a frequency table is empty")?;
        let mut frequency = [0; 256];
        for f in &mut frequency[first..=last] {
            *f = match bits.take(4)? {
                0 => 0,
                len @ 1..=12 => (1 << (len - 1)) | bits.take(len - 1)?,
                _ => return Err("a frequency exceeds 12 bits".into()),
            };
        }
        let ends = frequency[first] != 0 && frequency[last] != 0;
        ensure(ends, "a frequency at an end of the range is zero")?;
        Table::new(frequency)
    }
}

/// The decoder of section 8.
pub struct Rans<'a> {
    states: [u32; 32],
    words: Cursor<'a>,
    /// Lane, *f* and *c* of every decoded symbol.
    pub decoded: Vec<(usize, u32, u32)>,
}

impl<'a> Rans<'a> {
    pub fn new(stream: &'a [u8]) -> Res<Self> {
        let mut words = Cursor { bytes: stream, at: 0 };
        let mut states = [0; 32];
        for state in &mut states {
            *state = words.u32()?;
            ensure(*state >= 65536, "a rANS state is below 2^16")?;
        }
        Ok(Rans { states, words, decoded: Vec::new() })
    }

    /// The next symbol of a lane. No operation overflows: *f* < 4096 and *x* div 4096 < 2^20.
    pub fn symbol(&mut self, lane: usize, table: &Table) -> Res<u8> {
        let x = &mut self.states[lane];
        let slot = *x % 4096;
        let symbol = *table.values.get(slot as usize).ok_or("no such slot")?;
        let s = usize::from(symbol);
        let (f, c) = (table.frequency[s], table.cumulative[s]);
        self.decoded.push((lane, f, c));
        *x = f * (*x / 4096) + slot - c;
        if *x < 65536 {
            *x = *x * 65536 + u32::from(self.words.u16()?);
        }
        Ok(symbol)
    }

    pub fn end(self) -> Res<()> {
        let initial = self.states.iter().all(|x| *x == 65536);
        ensure(initial, "a final rANS state is not 2^16")?;
        self.words.finish("a rANS stream")
    }
}

/// A sequence of section 8.
pub fn decode_sequence(table: &Table, input: &mut Cursor, count: usize) -> Res<Vec<u8>> {
    let first = input.u32()?;
    let mut streams = vec![Rans::new(input.take(to_size((first & 0x7fff_ffff).into())?)?)?];
    if first >> 31 == 1 {
        let length = to_size(input.u32()?.into())?;
        streams.push(Rans::new(input.take(length)?)?);
    }
    let number = streams.len();
    let symbols = (0..count).map(|i| streams[i / 32 % number].symbol(i % 32, table));
    let symbols = symbols.collect::<Res<Vec<_>>>()?;
    streams.into_iter().try_for_each(Rans::end)?;
    Ok(symbols)
}
