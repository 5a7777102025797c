//! The codec planes (7.2).

use super::bits::Bits;
use super::rans::{Table, decode_sequence};
use super::{Cursor, Res, ensure, to_size};

pub enum Plane {
    Raw,
    Constant(u8),
    Coded(Box<Table>),
    /// Base, number of low bits, and table.
    Paired(u8, u8, Box<Table>),
}

/// The width *w* of a word, and whether words are rotated.
pub fn word_of(dtype: u8) -> (usize, bool) {
    match dtype {
        14 | 15 => (2, true),
        18 | 19 => (4, true),
        20 => (8, true),
        12 | 13 => (2, false),
        16 | 17 => (4, false),
        21 | 22 => (8, false),
        _ => (1, false),
    }
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
        3 => {
            let (base, low_bits) = (input.u8()?, input.u8()?);
            ensure(low_bits < 8, "a paired plane has more than seven low bits")?;
            Ok(Plane::Paired(base, low_bits, Box::new(read_table(input)?)))
        }
        _ => Err("unknown plane mode".into()),
    }
}

fn read_table(input: &mut Cursor) -> Res<Table> {
    let mut bits = Bits::new(input.clone());
    let table = Table::read(&mut bits)?;
    input.at = bits.end()?.at;
    Ok(table)
}

pub fn decode_planes(planes: &[Plane], dtype: u8, coded: &[u8], len: usize) -> Res<Vec<u8>> {
    let (width, rotated) = word_of(dtype);
    ensure(len.is_multiple_of(width), "a chunk does not consist of whole words")?;
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
        Plane::Coded(table) => decode_sequence(table, input, count),
        Plane::Paired(base, low, table) => decode_pairs((*base, *low), table, input, count),
    }
}

fn decode_pairs(
    (base, low_bits): (u8, u8),
    table: &Table,
    input: &mut Cursor,
    count: usize,
) -> Res<Vec<u8>> {
    let outliers = to_size(input.u32()?.into())?;
    let blocks = count / 64;
    let pairs = decode_sequence(table, input, 32 * blocks)?;
    let low = input.take(8 * usize::from(low_bits) * blocks)?;
    let paired = (0..64 * blocks).map(|i| {
        let pair = pairs[i / 64 * 32 + i % 32];
        let high = base.wrapping_sub(if i % 64 < 32 { pair % 16 } else { pair / 16 });
        (0..low_bits).fold(high << low_bits, |byte, j| {
            let of_bit = 8 * (i / 64 * usize::from(low_bits) + usize::from(j)) + i % 8;
            byte | ((low[of_bit] >> (i % 64 / 8) & 1) << j)
        })
    });
    let mut bytes: Vec<u8> = paired.collect();
    bytes.extend_from_slice(input.take(count - 64 * blocks)?);
    let mut positions = Vec::new();
    for _ in 0..outliers {
        positions.push(to_size(input.u32()?.into())?);
    }
    ensure(
        positions.windows(2).all(|pair| pair[0] < pair[1]),
        "positions of outliers are not strictly increasing",
    )?;
    ensure(
        positions.iter().all(|&position| position < 64 * blocks),
        "an outlier is outside the blocks",
    )?;
    let values = input.take(outliers)?;
    positions.iter().zip(values).for_each(|(&position, &byte)| bytes[position] = byte);
    Ok(bytes)
}
