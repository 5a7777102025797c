//! The codec deflate (7.4), from RFC 1951.

use super::bits::Bits;
use super::*;

/// The base values and the numbers of extra bits of the symbols for lengths and distances.
const LENGTHS: [(u32, u32); 29] = {
    let mut lengths = [(258, 0); 29];
    let (mut symbol, mut base) = (0, 3);
    while symbol < 28 {
        let extra = if symbol < 8 { 0 } else { symbol as u32 / 4 - 1 };
        lengths[symbol] = (base, extra);
        base += 1 << extra;
        symbol += 1;
    }
    lengths
};
const DISTANCES: [(u32, u32); 30] = {
    let mut distances = [(0, 0); 30];
    let (mut symbol, mut base) = (0, 1);
    while symbol < 30 {
        let extra = if symbol < 4 { 0 } else { symbol as u32 / 2 - 1 };
        distances[symbol] = (base, extra);
        base += 1 << extra;
        symbol += 1;
    }
    distances
};

/// The order in which the lengths of the codes for code lengths are stored.
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

pub fn inflate(coded: &[u8], len: usize) -> Res<Vec<u8>> {
    let (mut input, mut out) = (Bits::new(Cursor { bytes: coded, at: 0 }), Vec::new());
    loop {
        let is_last = input.take(1)? == 1;
        match input.take(2)? {
            0 => stored(&mut input, &mut out)?,
            1 => {
                let lens = [[8; 144].as_slice(), &[9; 112], &[7; 24], &[8; 8]].concat();
                let (literals, distances) = (Code::new(&lens, false)?, Code::new(&[5; 32], false)?);
                block(&mut input, &literals, &distances, &mut out)?;
            }
            2 => {
                let (literals, distances) = codes(&mut input)?;
                block(&mut input, &literals, &distances, &mut out)?;
            }
            _ => return Err("unknown block of a DEFLATE stream".into()),
        }
        ensure(out.len() <= len, "a chunk is too long")?;
        if is_last {
            break;
        }
    }
    input.align();
    input.end()?.finish("a DEFLATE stream")?;
    ensure(out.len() == len, "a chunk is too short")?;
    Ok(out)
}

fn stored(input: &mut Bits, out: &mut Vec<u8>) -> Res<()> {
    input.align();
    let (len, complement) = (input.take(16)?, input.take(16)?);
    ensure(len ^ complement == 0xffff, "wrong length of a stored block")?;
    for _ in 0..len {
        out.push(input.take(8)? as u8);
    }
    Ok(())
}

/// Reads the codes of a block.
fn codes(input: &mut Bits) -> Res<(Code, Code)> {
    let [literals, distances, count] =
        [input.take(5)? + 257, input.take(5)? + 1, input.take(4)? + 4];
    ensure(literals <= 286 && distances <= 30, "too many code lengths")?;
    let mut lens = [0; 19];
    for symbol in &ORDER[..count as usize] {
        lens[*symbol] = input.take(3)? as u8;
    }
    let code = Code::new(&lens, false)?;
    let total = (literals + distances) as usize;
    let mut lens: Vec<u8> = Vec::new();
    while lens.len() < total {
        let (len, times) = match code.read(input)? {
            16 => (*lens.last().ok_or("no length to repeat")?, 3 + input.take(2)?),
            17 => (0, 3 + input.take(3)?),
            18 => (0, 11 + input.take(7)?),
            len => (len as u8, 1),
        };
        lens.extend(vec![len; times as usize]);
    }
    ensure(lens.len() == total, "too many code lengths")?;
    let (literals, distances) = lens.split_at(literals as usize);
    Ok((Code::new(literals, true)?, Code::new(distances, true)?))
}

fn block(input: &mut Bits, literals: &Code, distances: &Code, out: &mut Vec<u8>) -> Res<()> {
    let number = |(base, extra): (u32, u32), input: &mut Bits| -> Res<usize> {
        Ok((base + input.take(extra)?) as usize)
    };
    loop {
        match literals.read(input)? {
            256 => return Ok(()),
            byte @ 0..256 => out.push(byte as u8),
            symbol => {
                let len = *LENGTHS.get(symbol - 257).ok_or("no such length")?;
                let len = number(len, input)?;
                let distance = *DISTANCES.get(distances.read(input)?).ok_or("no such distance")?;
                let distance = number(distance, input)?;
                let start = out.len().checked_sub(distance).ok_or("a distance is too large")?;
                (start..start + len).for_each(|at| out.push(out[at]));
            }
        }
    }
}

/// A canonical Huffman code.
struct Code {
    /// The number of codes of each length.
    counts: [usize; 16],
    /// The symbols that have a code, by its length and their value.
    symbols: Vec<usize>,
}

impl Code {
    /// An incomplete code has one symbol or none, if any.
    fn new(lens: &[u8], may_be_incomplete: bool) -> Res<Self> {
        let mut counts = [0; 16];
        lens.iter().for_each(|len| counts[usize::from(*len)] += 1);
        counts[0] = 0;
        let mut symbols: Vec<usize> = (0..lens.len()).filter(|&symbol| lens[symbol] > 0).collect();
        symbols.sort_by_key(|&symbol| lens[symbol]);
        let used: usize = (1..16).map(|len| counts[len] << (15 - len)).sum();
        let is_empty = symbols.is_empty() || (symbols.len() == 1 && counts[1] == 1);
        let valid = used == 1 << 15 || (may_be_incomplete && is_empty);
        ensure(valid, "a code is not complete")?;
        Ok(Self { counts, symbols })
    }

    fn read(&self, input: &mut Bits) -> Res<usize> {
        let (mut code, mut first, mut before) = (0, 0, 0);
        for count in &self.counts[1..] {
            code += input.take(1)? as usize;
            if code - first < *count {
                return Ok(self.symbols[before + code - first]);
            }
            before += count;
            first = 2 * (first + count);
            code *= 2;
        }
        Err("no symbol has this code".into())
    }
}
