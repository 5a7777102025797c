//! Makes up parameters and chunks of codec 2 that are valid, whatever a writer would choose (7.3).

use super::bits::Bits;
use super::points::Streams;
use super::rans::Rans;
use super::trellis::Params;
use super::{Cursor, Res, dtype_bits};

/// Random numbers, given.
pub struct Dice<'a>(pub &'a mut dyn FnMut() -> u64);

impl Dice<'_> {
    pub fn below(&mut self, bound: u64) -> u64 {
        (self.0)() % bound
    }

    fn one_of(&mut self, numbers: &[u64]) -> u64 {
        numbers[self.below(numbers.len() as u64) as usize]
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| (self.0)() as u8).collect()
    }

    /// From `-largest` to `largest`, often an end or 0.
    fn integer(&mut self, largest: i64) -> i64 {
        match self.below(8) {
            0 => 0,
            1 => largest,
            2 => -largest,
            _ => self.below(2 * largest as u64 + 1) as i64 - largest,
        }
    }
}

/// Bits to be read by `Bits`.
#[derive(Default)]
struct Draft {
    bytes: Vec<u8>,
    used: u32,
}

impl Draft {
    fn put(&mut self, value: u64, count: u32) {
        for i in 0..count {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            *self.bytes.last_mut().unwrap() |= ((value >> i & 1) as u8) << (self.used % 8);
            self.used += 1;
        }
    }

    /// A Rice code, now and then in its long form where the short one would do.
    fn rice(&mut self, integer: i64, r: u32, dice: &mut Dice) {
        let z = if integer >= 0 { 2 * integer } else { -2 * integer - 1 } as u64;
        let q = z >> r;
        if q >= 24 || dice.one_in(50) {
            self.put(0xff_ffff, 24);
            self.put(z, 32);
        } else {
            self.put((1 << q) - 1, q as u32 + 1);
            self.put(z, r);
        }
    }

    fn list(&mut self, integers: &[i64], dice: &mut Dice) {
        let r = dice.below(16);
        self.put(r, 4);
        for integer in integers {
            self.rice(*integer, r as u32, dice);
        }
    }

    /// The bits of an F32 of any magnitude that is allowed.
    fn positive(&mut self, largest: f32, dice: &mut Dice) {
        let bits = match dice.below(12) {
            0 => 1,
            1 => largest.to_bits().into(),
            2..5 => 1 + dice.below(largest.to_bits().into()),
            // Powers of two lead to ties.
            5..8 => (1 + dice.below((largest.to_bits() >> 23).into())) << 23,
            _ => (0.5f32.to_bits() as u64 - (6 << 23)) + dice.below(8 << 23),
        };
        self.put(bits, 32);
    }

    fn rotation(&mut self, columns: usize, dice: &mut Dice) {
        match dice.below(3) {
            0 => self.put(0, 2),
            1 => {
                self.put(1, 2);
                let largest = dice.below(9).max(dice.below(9));
                self.put(largest, 4);
                let signs = dice.below(2);
                self.put(signs, 1);
                for _ in 0..columns as u64 * signs {
                    self.put(dice.below(2), 1);
                }
            }
            _ => {
                self.put(2, 2);
                let width = if dice.one_in(4) { 2048 } else { 1 + dice.below(40) as usize };
                self.put(width as u64 - 1, 16);
                self.positive(65536.0, dice);
                let mut left = columns;
                while left > 0 {
                    let block = width.min(left);
                    self.matrix(block, block, dice);
                    left -= block;
                }
            }
        }
    }

    /// Lists whose magnitudes sum to at most 65,535 in each column, now and then just so.
    fn matrix(&mut self, rows: usize, columns: usize, dice: &mut Dice) {
        let (first, second) = (dice.below(rows as u64) as usize, dice.below(rows as u64) as usize);
        let extreme = dice.one_in(2);
        for row in 0..rows {
            let entry = |_| match () {
                () if !extreme => dice.integer((65_535 / rows as i64).min(32_767)),
                () if row == first => -32_768,
                () if row == second => [-32_767, 32_767][dice.below(2) as usize],
                () => 0,
            };
            let entries: Vec<i64> = (0..columns).map(entry).collect();
            self.list(&entries, dice);
        }
    }

    fn low_part(&mut self, columns: usize, dice: &mut Dice) {
        let axes = if dice.one_in(30) { 128 } else { dice.below(5) };
        let mean = dice.below(2);
        self.put(axes, 8);
        self.put(mean, 1);
        self.positive(2f32.powi(56), dice);
        if axes + mean > 0 {
            self.matrix((axes + mean) as usize, columns, dice);
        }
        for _ in 0..axes {
            self.put(dice.below(9), 4);
            self.profile(254, dice);
        }
    }

    fn row_table(&mut self, largest: u64, dice: &mut Dice) {
        if dice.one_in(3) {
            self.put(dice.below(largest + 1) << 1, 9);
            return;
        }
        self.put(1, 1);
        let first = dice.below(largest);
        let last = first + 1 + dice.below(largest - first);
        self.put(first, 8);
        self.put(last, 8);
        let mut left = 4096;
        for value in first..=last {
            // One is kept for the last value, and no frequency has more than 12 bits.
            let f = match value {
                _ if value == last => left,
                _ if value == first => 1 + dice.below(4095),
                _ => dice.below(2) * dice.below(left),
            };
            left -= f;
            let length = 64 - f.leading_zeros();
            self.put(length.into(), 4);
            self.put(f, length.max(1) - 1);
        }
    }

    fn column_scales(&mut self, columns: usize, dice: &mut Dice) {
        let bytes: Vec<i64> = (0..columns).map(|_| 64 + dice.below(128) as i64).collect();
        let before = [128].iter().chain(&bytes);
        let steps: Vec<i64> = bytes.iter().zip(before).map(|(a, b)| a - b).collect();
        self.list(&steps, dice);
    }

    fn classes(&mut self, columns: usize, dice: &mut Dice) -> u64 {
        let of_columns = dice.below(2);
        self.put(of_columns, 1);
        if of_columns == 1 {
            let classes: Vec<i64> = (0..columns).map(|_| dice.below(16) as i64).collect();
            let before = [0].iter().chain(&classes);
            let steps: Vec<i64> = classes.iter().zip(before).map(|(a, b)| a - b).collect();
            self.list(&steps, dice);
        }
        let of_rows = dice.below(2);
        self.put(of_rows, 1);
        if of_rows == 1 {
            self.row_table(15, dice);
        }
        let profiles = 1 + dice.below(16);
        self.put(profiles - 1, 4);
        if profiles > 1 {
            let mut left = profiles - 1;
            for sum in 0..30 {
                let next = u64::from(dice.below(30 - sum) < left);
                self.put(next, 1);
                left -= next;
            }
        }
        profiles
    }

    fn profile(&mut self, largest: u64, dice: &mut Dice) {
        let largest = 1 + dice.below(largest);
        self.put(largest, 8);
        self.put(dice.below(128), 7);
        let r = dice.below(8);
        self.put(r, 3);
        let steep = 1 + dice.below(127);
        let (mut last, mut last_but_one) = (0, 0);
        for _ in 0..=largest {
            let level = (last + dice.integer(steep as i64)).clamp(0, 127);
            self.rice(level - 2 * last + last_but_one, r as u32, dice);
            (last, last_but_one) = (level, last);
        }
    }
}

/// Parameters, and the number of columns in them.
pub fn make_params(dice: &mut Dice) -> (Vec<u8>, usize) {
    let mut draft = Draft::default();
    let most = dice.one_of(&[8, 80, 600]);
    let columns = 1 + dice.below(most) as usize;
    draft.put(columns as u64 - 1, 16);
    draft.positive(2f32.powi(56), dice);
    draft.put(dice.one_of(&[0, 2, 3, 4, 5, 6, 7, 8]), 4);
    let bypass = dice.below(2) * dice.below(9);
    draft.put(bypass, 4);
    draft.put(dice.below(1 << 16), 16);
    draft.rotation(columns, dice);
    let low = dice.below(2);
    draft.put(low, 1);
    if low == 1 {
        draft.low_part(columns, dice);
    }
    let row_scales = dice.below(2);
    draft.put(row_scales, 1);
    if row_scales == 1 {
        draft.row_table(255, dice);
    }
    let column_scales = dice.below(2);
    draft.put(column_scales, 1);
    if column_scales == 1 {
        draft.column_scales(columns, dice);
    }
    for _ in 0..draft.classes(columns, dice) {
        // Points of larger symbols would not fit.
        draft.profile(if bypass == 8 { 63 } else { 254 }, dice);
    }
    (draft.bytes, columns)
}

/// A chunk of so many rows: what noise decodes to, coded anew so that it ends as it must.
pub fn make_chunk(params: &[u8], dtype: u8, rows: usize, dice: &mut Dice) -> Res<Vec<u8>> {
    let params = Params::read(params, dtype)?;
    let elements = rows * params.columns;
    let symbols = rows * (params.columns + 130);
    let mut noise = dice.bytes(128 + 4 * symbols);
    noise[..128].chunks_mut(4).for_each(|state| state[2] |= 1);
    let largest = 16_383 >> params.bypass.max(if params.low.is_some() { 8 } else { 0 });
    let integers = (0..symbols).map(|_| dice.integer(largest) as i16);
    let escaped: Vec<u8> = integers.flat_map(i16::to_le_bytes).collect();
    let low_bits = rows * params.bits_beside() as usize;
    let mut low = dice.bytes(low_bits.div_ceil(8));
    let padding = low.len() * 8 - low_bits;
    if let Some(last) = low.last_mut() {
        *last &= 0xff >> padding;
    }
    let mut streams = Streams {
        rans: Rans::new(&noise)?,
        escaped: Cursor { bytes: &escaped, at: 0 },
        low: Bits::new(Cursor { bytes: &low, at: 0 }),
    };
    for first in (0..rows).step_by(32) {
        params.read_band(&mut streams, (rows - first).min(32))?;
    }
    let used = streams.escaped.at;
    let width = dtype_bits(dtype)? as usize / 8;
    let mut exceptions = Vec::new();
    for position in 0..elements as u32 {
        if dice.one_in(40) {
            exceptions.extend(position.to_le_bytes());
            exceptions.extend(dice.bytes(width));
        }
    }
    let counts = [used / 2, exceptions.len() / (4 + width)].map(|n| (n as u32).to_le_bytes());
    let stream = encode(&streams.rans.taken);
    Ok([counts.as_flattened(), &escaped[..used], &exceptions, &low, &stream].concat())
}

/// The encoder of section 8, for lanes, frequencies and their sums.
fn encode(taken: &[(usize, u32, u32)]) -> Vec<u8> {
    let mut states = [65536u32; 32];
    let mut words = Vec::new();
    for (lane, f, c) in taken.iter().rev() {
        let x = &mut states[*lane];
        if *x >> 20 >= *f {
            words.push(*x as u16);
            *x >>= 16;
        }
        *x = *x / f * 4096 + *x % f + c;
    }
    let states = states.iter().flat_map(|x| x.to_le_bytes());
    states.chain(words.iter().rev().flat_map(|word| word.to_le_bytes())).collect()
}
