//! Planes (7.2) and rANS (8).

use super::{Cursor, Res, ensure, to_size};

pub enum Plane {
    Raw,
    Constant(u8),
    Coded(Box<Table>),
}

pub struct Table {
    /// f and c of section 8.
    frequency: [u32; 256],
    cumulative: [u32; 256],
    /// The value of each of the 4096 slots.
    values: Vec<u8>,
}

/// The width w of a word, and whether words are rotated.
fn word_of(dtype: u8) -> (usize, bool) {
    match dtype {
        15 => (2, true),
        18 | 19 => (4, true),
        20 => (8, true),
        12..=14 => (2, false),
        16 | 17 => (4, false),
        21 | 22 => (8, false),
        _ => (1, false),
    }
}

pub fn no_planes(params: &[u8]) -> Res<Vec<Plane>> {
    ensure(params.is_empty(), "parameters for the raw codec")?;
    Ok(Vec::new())
}

pub fn read_planes_params(params: &[u8], dtype: u8) -> Res<Vec<Plane>> {
    let mut input = Cursor { bytes: params, at: 0 };
    let (width, _) = word_of(dtype);
    let planes = (0..width).map(|_| read_plane_params(&mut input)).collect::<Res<Vec<_>>>()?;
    input.finish("the codec parameters")?;
    Ok(planes)
}

fn read_plane_params(input: &mut Cursor) -> Res<Plane> {
    match input.u8()? {
        0 => Ok(Plane::Raw),
        1 => Ok(Plane::Constant(input.u8()?)),
        2 => Ok(Plane::Coded(Box::new(read_table(input)?))),
        _ => Err("unknown plane mode".into()),
    }
}

fn read_table(input: &mut Cursor) -> Res<Table> {
    let mut bits = Bits { input, byte: 0, left: 0 };
    let (first, last) = (bits.take(8)? as u8, bits.take(8)? as u8);
    ensure(first < last, "a frequency table without a range")?;
    let mut table = Table { frequency: [0; 256], cumulative: [0; 256], values: Vec::new() };
    for value in first..=last {
        let f = match bits.take(4)? {
            0 => 0,
            len @ 1..=12 => (1 << (len - 1)) | bits.take(len - 1)?,
            _ => return Err("a frequency of more than 12 bits".into()),
        };
        ensure(f != 0 || (value != first && value != last), "no frequency at an end of the range")?;
        table.frequency[usize::from(value)] = f;
        table.cumulative[usize::from(value)] = table.values.len() as u32;
        table.values.extend((0..f).map(|_| value));
    }
    ensure(bits.byte == 0, "a frequency table is not padded with zeros")?;
    ensure(table.values.len() == 4096, "the frequencies do not sum to 4096")?;
    Ok(table)
}

pub fn decode_planes(planes: &[Plane], dtype: u8, coded: &[u8], len: usize) -> Res<Vec<u8>> {
    let (width, rotated) = word_of(dtype);
    ensure(len.is_multiple_of(width), "a chunk is not of whole words")?;
    let mut input = Cursor { bytes: coded, at: 0 };
    let mut decoded = vec![0; len];
    for (i, plane) in planes.iter().enumerate() {
        let plane = decode_plane(plane, &mut input, len / width)?;
        let places = decoded.iter_mut().skip(i).step_by(width);
        places.zip(plane).for_each(|(place, byte)| *place = byte);
    }
    input.finish("the coded bytes of a chunk")?;
    if rotated {
        decoded.chunks_exact_mut(width).for_each(rotate_back);
    }
    Ok(decoded)
}

/// Rotates a little-endian word right by one bit.
fn rotate_back(word: &mut [u8]) {
    let x = word.iter().rev().fold(0u64, |x, byte| (x << 8) | u64::from(*byte));
    let x = (x >> 1) | ((x & 1) << (8 * word.len() - 1));
    word.iter_mut().zip(x.to_le_bytes()).for_each(|(place, byte)| *place = byte);
}

fn decode_plane(plane: &Plane, input: &mut Cursor, count: usize) -> Res<Vec<u8>> {
    match plane {
        Plane::Raw => Ok(input.take(count)?.to_vec()),
        Plane::Constant(value) => Ok(vec![*value; count]),
        Plane::Coded(table) => {
            let len = to_size(input.u32()?.into())?;
            decode_rans(table, input.take(len)?, count)
        }
    }
}

/// Section 8. No step overflows: f < 4096, and x div 4096 < 2^20.
fn decode_rans(table: &Table, stream: &[u8], count: usize) -> Res<Vec<u8>> {
    let mut words = Cursor { bytes: stream, at: 0 };
    let mut states = [0; 32];
    for state in &mut states {
        *state = words.u32()?;
        ensure(*state >= 65536, "a rANS state is below 2^16")?;
    }
    let mut symbols = Vec::new();
    for i in 0..count {
        let x = &mut states[i % 32];
        let slot = *x % 4096;
        let symbol = *table.values.get(slot as usize).ok_or("no such slot")?;
        symbols.push(symbol);
        let s = usize::from(symbol);
        *x = table.frequency[s] * (*x / 4096) + slot - table.cumulative[s];
        if *x < 65536 {
            *x = *x * 65536 + u32::from(words.u16()?);
        }
    }
    ensure(states.iter().all(|x| *x == 65536), "a rANS stream does not end in its first state")?;
    words.finish("a rANS stream")?;
    Ok(symbols)
}

/// The bits of a frequency table (7.2): lowest bits first, of bytes and of values.
struct Bits<'a, 'b> {
    input: &'a mut Cursor<'b>,
    byte: u8,
    left: u32,
}

impl Bits<'_, '_> {
    fn take(&mut self, count: u32) -> Res<u32> {
        let mut value = 0;
        for i in 0..count {
            if self.left == 0 {
                (self.byte, self.left) = (self.input.u8()?, 8);
            }
            value |= u32::from(self.byte & 1) << i;
            self.byte >>= 1;
            self.left -= 1;
        }
        Ok(value)
    }
}
