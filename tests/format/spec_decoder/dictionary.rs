//! The codec dictionary (7.4).

use super::bits::Bits;
use super::planes::{Plane, decode_planes, read_planes_params, word_of};
use super::rans::{Table, decode_sequence};
use super::reconstruction::narrow;
use super::{Cursor, Res, ensure, to_size};

pub struct Dictionary {
    distance: usize,
    most: u8,
    entries: Entries,
    table: Box<Table>,
    escaped: Vec<Plane>,
}

enum Entries {
    Words(Vec<Vec<u8>>),
    Factors { groups: Groups, rounding: u8, minima: bool, factors: Vec<f32> },
    GroupWords(Groups),
}

#[derive(Clone, Copy)]
struct Groups {
    row: usize,
    rows: usize,
    columns: usize,
}

impl Groups {
    fn read(input: &mut Cursor) -> Res<Self> {
        let mut next = || to_size(input.u32()?.into());
        let groups = Self { row: next()?, rows: next()?, columns: next()? };
        ensure(groups.row > 0 && groups.rows > 0 && groups.columns > 0, "empty groups")?;
        Ok(groups)
    }

    fn count(&self, words: usize) -> usize {
        words.div_ceil(self.row).div_ceil(self.rows) * self.across(words)
    }

    fn across(&self, words: usize) -> usize {
        self.row.min(words).div_ceil(self.columns)
    }

    fn of(&self, word: usize, words: usize) -> usize {
        let (row, column) = (word / self.row, word % self.row);
        row / self.rows * self.across(words) + column / self.columns
    }
}

impl Dictionary {
    pub fn read(params: &[u8], dtype: u8) -> Res<Self> {
        let mut input = Cursor { bytes: params, at: 0 };
        let (kind, most) = (input.u8()?, input.u8()?);
        let distance = to_size(input.u32()?.into())?;
        ensure(most > 0, "a dictionary without entries")?;
        let width = word_of(dtype).0;
        let entries = match (kind, dtype, width) {
            (0, ..) => {
                let words = (0..most).map(|_| input.take(width).map(<[u8]>::to_vec));
                Entries::Words(words.collect::<Res<_>>()?)
            }
            (1, 14 | 15 | 18, _) => {
                let groups = Groups::read(&mut input)?;
                let rounding = input.u8()?;
                let narrower = dtype == 18 && matches!(rounding, 14 | 15);
                ensure(rounding == dtype || narrower, "products of another dtype")?;
                let minima = input.u8()?;
                ensure(minima <= 1, "neither minima nor none")?;
                let factors = (0..most).map(|_| read_f32(&mut input)).collect::<Res<_>>()?;
                Entries::Factors { groups, rounding, minima: minima == 1, factors }
            }
            (2, _, 2 | 4) => Entries::GroupWords(Groups::read(&mut input)?),
            _ => return Err("unknown kind of entries".into()),
        };
        let mut bits = Bits::new(input);
        let table = Box::new(Table::read(&mut bits)?);
        let escaped = read_planes_params(bits.end()?.rest(), dtype)?;
        Ok(Self { distance, most, entries, table, escaped })
    }

    pub fn decode(&self, dtype: u8, coded: &[u8], len: usize) -> Res<Vec<u8>> {
        let width = word_of(dtype).0;
        ensure(len.is_multiple_of(width), "a chunk does not consist of whole words")?;
        let count = len / width;
        let mut input = Cursor { bytes: coded, at: 0 };
        let symbols = decode_sequence(&self.table, &mut input, count)?;
        let (mut scales, mut minima) = (Vec::new(), Vec::new());
        let mut group_words: Vec<Vec<Vec<u8>>> = Vec::new();
        match &self.entries {
            Entries::Words(_) => {}
            Entries::Factors { groups, minima: has_minima, .. } => {
                let mut numbers = |count| (0..count).map(|_| read_f32(&mut input)).collect();
                let groups = groups.count(count);
                let read: Res<Vec<f32>> = numbers(groups);
                scales = read?;
                let read: Res<Vec<f32>> = numbers(if *has_minima { groups } else { 0 });
                minima = read?;
                ensure(scales.iter().all(|scale| scale.is_sign_positive()), "a sign bit")?;
            }
            Entries::GroupWords(groups) => {
                let counts = input.take(groups.count(count))?;
                for &count in counts {
                    ensure(count <= self.most, "too many words in a group")?;
                    let words = (0..count).map(|_| input.take(width).map(<[u8]>::to_vec));
                    group_words.push(words.collect::<Res<_>>()?);
                }
            }
        }
        let mut indices: Vec<u8> = Vec::new();
        for (i, symbol) in symbols.into_iter().enumerate() {
            let previous = match (self.distance, i) {
                (0, _) | (_, 0) => 0,
                (distance, i) if i < distance => indices[i - 1],
                (distance, i) => indices[i - distance],
            };
            indices.push(symbol.wrapping_add(previous));
        }
        let escapes = indices.iter().filter(|&&index| index == self.most).count();
        let escaped = match escapes {
            0 => Vec::new(),
            _ => decode_planes(&self.escaped, dtype, input.rest(), escapes * width)?,
        };
        ensure(escapes > 0 || input.rest().is_empty(), "bytes after a chunk")?;
        let (mut escaped, mut decoded) = (escaped.chunks(width), Vec::new());
        for (i, &index) in indices.iter().enumerate() {
            if index == self.most {
                decoded.extend_from_slice(escaped.next().ok_or("too few words")?);
                continue;
            }
            let at = usize::from(index);
            let word = match &self.entries {
                Entries::Words(words) => words.get(at).cloned(),
                Entries::GroupWords(groups) => group_words[groups.of(i, count)].get(at).cloned(),
                Entries::Factors { groups, rounding, factors, .. } => {
                    let group = groups.of(i, count);
                    let product = |factor: &f32| {
                        let product = factor * scales[group];
                        let sum = minima.get(group).map_or(product, |minimum| product + minimum);
                        rounded(dtype, *rounding, sum)
                    };
                    factors.get(at).map(product)
                }
            };
            decoded.extend(word.ok_or("an index has no entry")?);
        }
        Ok(decoded)
    }
}

fn read_f32(input: &mut Cursor) -> Res<f32> {
    let number = f32::from_le_bytes(input.array()?);
    ensure(number.is_finite(), "a number is not finite")?;
    Ok(number)
}

/// Rounds to a dtype, and converts to that of the tensor.
fn rounded(dtype: u8, rounding: u8, number: f32) -> Vec<u8> {
    match (rounding, dtype) {
        (14, 18) => widen(narrow(number, 10, -14, 15), 10, -14).to_le_bytes().to_vec(),
        (15, 18) => widen(narrow(number, 7, -126, 127), 7, -126).to_le_bytes().to_vec(),
        (14, _) => narrow(number, 10, -14, 15).to_le_bytes().to_vec(),
        (15, _) => narrow(number, 7, -126, 127).to_le_bytes().to_vec(),
        _ => number.to_le_bytes().to_vec(),
    }
}

/// The value of a float of 16 bits with so many bits of the mantissa and this least exponent.
fn widen(word: u16, mantissa_bits: u32, least_exponent: i32) -> f32 {
    let sign = if word >> 15 == 0 { 1.0 } else { -1.0 };
    let exponent = i32::from((word & 0x7fff) >> mantissa_bits);
    let mantissa = f32::from(word & ((1 << mantissa_bits) - 1));
    let scale = |exponent: i32| 2f32.powi(exponent);
    let unit = scale(-(mantissa_bits as i32));
    if exponent == (1 << (15 - mantissa_bits)) - 1 {
        return sign * f32::INFINITY;
    }
    match exponent {
        0 => sign * mantissa * unit * scale(least_exponent),
        _ => sign * (1.0 + mantissa * unit) * scale(exponent - 1 + least_exponent),
    }
}
