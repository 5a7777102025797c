//! Frequency tables (7.2), the rANS stream and sequences (8).

use super::bits::Bits;
use super::{Cursor, Res, ensure, to_size};
use std::rc::Rc;

/// A frequency table.
#[derive(Clone)]
pub struct Table {
    /// *f* of section 8.
    pub frequency: [u32; 256],
    /// The value of each of the 4096 slots, and its rank among those of the value.
    slots: Vec<(u8, u32)>,
    /// The slots in the order of values and ranks.
    order: Rc<[u32]>,
}

/// A decoded symbol, as the encoder of section 8 needs it: the slots of the symbol are in `order` from
/// index `first` on.
pub struct Decoded {
    pub lane: usize,
    pub frequency: u32,
    pub first: u32,
    pub order: Rc<[u32]>,
}

impl Table {
    pub fn new(frequency: [u32; 256]) -> Res<Self> {
        let mut slots = Vec::new();
        for value in 0..=255 {
            slots.extend((0..frequency[usize::from(value)]).map(|rank| (value, rank)));
        }
        ensure(slots.len() == 4096, "the frequencies do not sum to 4096")?;
        Ok(Table { frequency, slots, order: (0..4096).collect() })
    }

    /// The same table by the alias method, if it has at most 64 values.
    pub fn aliased(self) -> Self {
        let occurring = (0..=255).filter(|value| self.frequency[usize::from(*value)] > 0);
        let values: Vec<u8> = occurring.collect();
        if values.len() > 64 {
            return self;
        }
        let mut left = vec![0; 64];
        for (bucket, value) in values.iter().enumerate() {
            left[bucket] = self.frequency[usize::from(*value)];
        }
        let (mut own, mut other) = (vec![64; 64], vec![0; 64]);
        while left.iter().any(|slots| *slots != 64) {
            let (least, most) = (*left.iter().min().unwrap(), *left.iter().max().unwrap());
            let i = left.iter().position(|slots| *slots == least).unwrap();
            let j = left.iter().position(|slots| *slots == most).unwrap();
            (own[i], other[i]) = (least, j);
            (left[i], left[j]) = (64, most - (64 - least));
        }
        let mut slots = vec![(0, 0); 4096];
        for (number, value) in values.iter().enumerate() {
            let in_own = (0..own[number]).map(|slot| 64 * number + slot as usize);
            let in_others = (0..64)
                .filter(|bucket| other[*bucket] == number)
                .flat_map(|bucket| (own[bucket]..64).map(move |slot| 64 * bucket + slot as usize));
            for (rank, slot) in in_own.chain(in_others).enumerate() {
                slots[slot] = (*value, rank as u32);
            }
        }
        let mut order: Vec<u32> = (0..4096).collect();
        order.sort_by_key(|slot| slots[*slot as usize]);
        Table { slots, order: order.into(), ..self }
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
    /// Every decoded symbol.
    pub decoded: Vec<Decoded>,
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
        let slot = (*x % 4096) as usize;
        let (value, rank) = *table.slots.get(slot).ok_or("no such slot")?;
        let frequency = table.frequency[usize::from(value)];
        let first = table.frequency[..usize::from(value)].iter().sum();
        let order = Rc::clone(&table.order);
        self.decoded.push(Decoded { lane, frequency, first, order });
        *x = frequency * (*x / 4096) + rank;
        if *x < 65536 {
            *x = *x * 65536 + u32::from(self.words.u16()?);
        }
        Ok(value)
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
