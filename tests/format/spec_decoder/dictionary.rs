//! The codec dictionary (7.4).

use super::bits::Bits;
use super::planes::{decode_rans, word_of};
use super::rans::Table;
use super::reconstruction::narrow;
use super::{Cursor, Res, ensure, to_size};

pub struct Dictionary {
    distance: usize,
    entries: Entries,
    table: Box<Table>,
}

enum Entries {
    Words(Vec<Vec<u8>>),
    Factors(usize, Vec<f32>),
}

impl Dictionary {
    pub fn read(params: &[u8], dtype: u8) -> Res<Self> {
        let mut input = Cursor { bytes: params, at: 0 };
        let (kind, count) = (input.u8()?, input.u8()?);
        let distance = to_size(input.u32()?.into())?;
        ensure(count > 0, "a dictionary without entries")?;
        let entries = match (kind, dtype) {
            (0, _) => {
                let width = word_of(dtype).0;
                let words = (0..count).map(|_| input.take(width).map(<[u8]>::to_vec));
                Entries::Words(words.collect::<Res<_>>()?)
            }
            (1, 14 | 15 | 18) => {
                let group = to_size(input.u32()?.into())?;
                ensure(group > 0, "groups without words")?;
                let factors = (0..count).map(|_| read_f32(&mut input)).collect::<Res<_>>()?;
                Entries::Factors(group, factors)
            }
            _ => return Err("unknown kind of entries".into()),
        };
        let mut bits = Bits::new(input);
        let table = Box::new(Table::read(&mut bits)?);
        bits.end()?.finish("the codec parameters")?;
        Ok(Self { distance, entries, table })
    }

    pub fn decode(&self, dtype: u8, coded: &[u8], len: usize) -> Res<Vec<u8>> {
        let width = word_of(dtype).0;
        ensure(len.is_multiple_of(width), "a chunk does not consist of whole words")?;
        let count = len / width;
        let mut input = Cursor { bytes: coded, at: 0 };
        let stream = to_size(input.u32()?.into())?;
        let symbols = decode_rans(&self.table, input.take(stream)?, count)?;
        let scales = match &self.entries {
            Entries::Words(_) => Vec::new(),
            Entries::Factors(group, _) => {
                (0..count.div_ceil(*group)).map(|_| read_f32(&mut input)).collect::<Res<_>>()?
            }
        };
        ensure(scales.iter().all(|scale| scale.is_sign_positive()), "a scale with a sign bit")?;
        let mut indices: Vec<u8> = Vec::new();
        let mut decoded = Vec::new();
        for (i, symbol) in symbols.into_iter().enumerate() {
            let previous = match (self.distance, i) {
                (0, _) | (_, 0) => 0,
                (distance, i) if i < distance => indices[i - 1],
                (distance, i) => indices[i - distance],
            };
            let index = symbol.wrapping_add(previous);
            indices.push(index);
            let at = usize::from(index);
            let (word, entries) = match &self.entries {
                Entries::Words(words) => (words.get(at).cloned(), words.len()),
                Entries::Factors(group, factors) => {
                    let factor = factors.get(at);
                    let word = factor.map(|factor| rounded(dtype, factor * scales[i / group]));
                    (word, factors.len())
                }
            };
            match word {
                Some(word) => decoded.extend(word),
                None if at == entries => decoded.extend_from_slice(input.take(width)?),
                None => return Err("an index has no entry".into()),
            }
        }
        input.finish("the coded bytes of a chunk")?;
        Ok(decoded)
    }
}

fn read_f32(input: &mut Cursor) -> Res<f32> {
    let number = f32::from_le_bytes(input.array()?);
    ensure(number.is_finite(), "a number is not finite")?;
    Ok(number)
}

fn rounded(dtype: u8, number: f32) -> Vec<u8> {
    match dtype {
        14 => narrow(number, 10, -14, 15).to_le_bytes().to_vec(),
        15 => narrow(number, 7, -126, 127).to_le_bytes().to_vec(),
        _ => number.to_le_bytes().to_vec(),
    }
}
