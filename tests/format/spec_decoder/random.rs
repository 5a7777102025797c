//! Random valid parameters and chunks of codec 2 (7.3), including those that the writer of the
//! crate does not produce.

use super::bits::Bits;
use super::chunk::{Streams, first_segment_rows};
use super::rans::{Decoded, Rans};
use super::trellis::Params;
use super::{Cursor, Res, dtype_bits};

/// Random numbers from a generator of 64-bit numbers.
pub struct RandomSource<'a>(pub &'a mut dyn FnMut() -> u64);

impl RandomSource<'_> {
    /// A number below `bound`.
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

    /// An integer from `-largest` to `largest`; the limits and 0 are frequent.
    fn integer(&mut self, largest: i64) -> i64 {
        match self.below(8) {
            0 => 0,
            1 => largest,
            2 => -largest,
            _ => self.below(2 * largest as u64 + 1) as i64 - largest,
        }
    }
}

/// Writes a bit sequence for `Bits`.
#[derive(Default)]
struct BitWriter {
    bytes: Vec<u8>,
    used: u32,
}

impl BitWriter {
    fn put(&mut self, value: u64, count: u32) {
        for i in 0..count {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            *self.bytes.last_mut().unwrap() |= ((value >> i & 1) as u8) << (self.used % 8);
            self.used += 1;
        }
    }

    /// A Rice code, sometimes in its long form although the short form is possible.
    fn rice(&mut self, integer: i64, r: u32, random: &mut RandomSource) {
        let z = if integer >= 0 { 2 * integer } else { -2 * integer - 1 } as u64;
        let q = z >> r;
        if q >= 24 || random.one_in(50) {
            self.put(0xff_ffff, 24);
            self.put(z, 32);
        } else {
            self.put((1 << q) - 1, q as u32 + 1);
            self.put(z, r);
        }
    }

    fn list(&mut self, integers: &[i64], random: &mut RandomSource) {
        let r = random.below(16);
        self.put(r, 4);
        for integer in integers {
            self.rice(*integer, r as u32, random);
        }
    }

    /// A positive F32 up to `largest`.
    fn positive(&mut self, largest: f32, random: &mut RandomSource) {
        let bits = match random.below(12) {
            0 => 1,
            1 => largest.to_bits().into(),
            2..5 => 1 + random.below(largest.to_bits().into()),
            // Powers of two cause ties in rounding.
            5..8 => (1 + random.below((largest.to_bits() >> 23).into())) << 23,
            _ => (0.5f32.to_bits() as u64 - (6 << 23)) + random.below(8 << 23),
        };
        self.put(bits, 32);
    }

    fn transform(&mut self, columns: usize, random: &mut RandomSource) {
        match random.below(3) {
            0 => self.put(0, 2),
            1 => {
                self.put(1, 2);
                let largest = random.below(9).max(random.below(9));
                self.put(largest, 4);
                let signs = random.below(2);
                self.put(signs, 1);
                for _ in 0..columns as u64 * signs {
                    self.put(random.below(2), 1);
                }
            }
            _ => {
                self.put(2, 2);
                let width = if random.one_in(4) { 2048 } else { 1 + random.below(40) as usize };
                self.put(width as u64 - 1, 16);
                self.positive(65536.0, random);
                let mut left = columns;
                while left > 0 {
                    let block = width.min(left);
                    self.matrix(block, block, random);
                    left -= block;
                }
            }
        }
    }

    /// Lists whose magnitudes sum to at most 65,535 in each column, sometimes to exactly 65,535.
    fn matrix(&mut self, rows: usize, columns: usize, random: &mut RandomSource) {
        let (first, second) =
            (random.below(rows as u64) as usize, random.below(rows as u64) as usize);
        let extreme = random.one_in(2);
        for row in 0..rows {
            let entry = |_| match () {
                () if !extreme => random.integer((65_535 / rows as i64).min(32_767)),
                () if row == first => -32_768,
                () if row == second => [-32_767, 32_767][random.below(2) as usize],
                () => 0,
            };
            let entries: Vec<i64> = (0..columns).map(entry).collect();
            self.list(&entries, random);
        }
    }

    fn low_rank(&mut self, columns: usize, random: &mut RandomSource) {
        let vectors = if random.one_in(30) { 128 } else { random.below(5) };
        let mean = random.below(2);
        self.put(vectors, 8);
        self.put(mean, 1);
        self.positive(2f32.powi(56), random);
        if vectors + mean > 0 {
            self.matrix((vectors + mean) as usize, columns, random);
        }
        for _ in 0..vectors {
            self.put(random.below(9), 4);
            self.profile(254, random);
        }
    }

    fn row_table(&mut self, largest: u64, random: &mut RandomSource) {
        if random.one_in(3) {
            self.put(random.below(largest + 1) << 1, 9);
            return;
        }
        self.put(1, 1);
        let first = random.below(largest);
        let last = first + 1 + random.below(largest - first);
        self.put(first, 8);
        self.put(last, 8);
        let mut left = 4096;
        for value in first..=last {
            // At least 1 is left for the last value, and no frequency exceeds 12 bits.
            let f = match value {
                _ if value == last => left,
                _ if value == first => 1 + random.below(4095),
                _ => random.below(2) * random.below(left),
            };
            left -= f;
            let length = 64 - f.leading_zeros();
            self.put(length.into(), 4);
            self.put(f, length.max(1) - 1);
        }
    }

    fn column_scales(&mut self, columns: usize, random: &mut RandomSource) {
        let bytes: Vec<i64> = (0..columns).map(|_| 64 + random.below(128) as i64).collect();
        let before = [128].iter().chain(&bytes);
        let differences: Vec<i64> = bytes.iter().zip(before).map(|(a, b)| a - b).collect();
        self.list(&differences, random);
    }

    /// Classes. Returns the number of profiles.
    fn classes(&mut self, columns: usize, random: &mut RandomSource) -> u64 {
        let columns_have_classes = random.below(2);
        self.put(columns_have_classes, 1);
        if columns_have_classes == 1 {
            let classes: Vec<i64> = (0..columns).map(|_| random.below(16) as i64).collect();
            let before = [0].iter().chain(&classes);
            let differences: Vec<i64> = classes.iter().zip(before).map(|(a, b)| a - b).collect();
            self.list(&differences, random);
        }
        let rows_have_classes = random.below(2);
        self.put(rows_have_classes, 1);
        if rows_have_classes == 1 {
            self.row_table(15, random);
        }
        let profiles = 1 + random.below(16);
        self.put(profiles - 1, 4);
        if profiles > 1 {
            let mut left = profiles - 1;
            for sum in 0..30 {
                let next = u64::from(random.below(30 - sum) < left);
                self.put(next, 1);
                left -= next;
            }
        }
        profiles
    }

    fn profile(&mut self, largest: u64, random: &mut RandomSource) {
        let largest = 1 + random.below(largest);
        self.put(largest, 8);
        self.put(random.below(128), 7);
        let r = random.below(8);
        self.put(r, 3);
        let largest_change = 1 + random.below(127);
        let (mut last, mut second_last) = (0, 0);
        for _ in 0..=largest {
            let level = (last + random.integer(largest_change as i64)).clamp(0, 127);
            self.rice(level - 2 * last + second_last, r as u32, random);
            (last, second_last) = (level, last);
        }
    }
}

/// Random parameters. Returns their bytes and the number of columns.
pub fn random_params(random: &mut RandomSource) -> (Vec<u8>, usize) {
    let mut writer = BitWriter::default();
    let most = random.one_of(&[8, 80, 600]);
    let columns = 1 + random.below(most) as usize;
    writer.put(columns as u64 - 1, 16);
    writer.positive(2f32.powi(56), random);
    writer.put(random.one_of(&[0, 2, 3, 4, 5, 6, 7, 8]), 4);
    let bypass = random.below(2) * random.below(9);
    writer.put(bypass, 4);
    writer.put(random.below(1 << 16), 16);
    writer.transform(columns, random);
    let low_rank = random.below(2);
    writer.put(low_rank, 1);
    if low_rank == 1 {
        writer.low_rank(columns, random);
    }
    let row_scales = random.below(2);
    writer.put(row_scales, 1);
    if row_scales == 1 {
        writer.row_table(255, random);
    }
    let column_scales = random.below(2);
    writer.put(column_scales, 1);
    if column_scales == 1 {
        writer.column_scales(columns, random);
    }
    for _ in 0..writer.classes(columns, random) {
        // With a bypass of 8, points of larger symbols would be out of range.
        writer.profile(if bypass == 8 { 63 } else { 254 }, random);
    }
    (writer.bytes, columns)
}

/// A random chunk of `rows` rows. Random bytes are decoded as a stream, and the decoded symbols are
/// encoded again so that the stream ends as section 8 requires.
pub fn random_chunk(
    params: &[u8],
    dtype: u8,
    rows: usize,
    random: &mut RandomSource,
) -> Res<Vec<u8>> {
    let params = Params::read(params, dtype)?;
    let width = dtype_bits(dtype)? as usize / 8;
    let mut outliers = Vec::new();
    for position in 0..(rows * params.columns) as u32 {
        if random.one_in(40) {
            outliers.extend(position.to_le_bytes());
            outliers.extend(random.bytes(width));
        }
    }
    let has_two = rows > 32 && random.one_in(2);
    let head = (outliers.len() / (4 + width)) as u32 | u32::from(has_two) << 31;
    let mut chunk = [&head.to_le_bytes(), &outliers[..]].concat();
    let mut first = 0;
    if has_two {
        first = first_segment_rows(rows);
        let segment = random_segment(&params, first, random)?;
        chunk.extend((segment.len() as u32).to_le_bytes());
        chunk.extend(segment);
    }
    chunk.extend(random_segment(&params, rows - first, random)?);
    Ok(chunk)
}

fn random_segment(params: &Params, rows: usize, random: &mut RandomSource) -> Res<Vec<u8>> {
    let symbols = rows * (params.columns + 130);
    let mut noise = random.bytes(128 + 4 * symbols);
    noise[..128].chunks_mut(4).for_each(|state| state[2] |= 1);
    let largest = 16_383 >> params.bypass.max(if params.low_rank.is_some() { 8 } else { 0 });
    let integers = (0..symbols).map(|_| random.integer(largest) as i16);
    let escaped: Vec<u8> = integers.flat_map(i16::to_le_bytes).collect();
    let bit_count = rows * params.low_bits_per_row() as usize;
    let mut low_bits = random.bytes(bit_count.div_ceil(8));
    let padding = low_bits.len() * 8 - bit_count;
    if let Some(last) = low_bits.last_mut() {
        *last &= 0xff >> padding;
    }
    let mut streams = Streams {
        rans: Rans::new(&noise)?,
        escaped: Cursor { bytes: &escaped, at: 0 },
        low_bits: Bits::new(Cursor { bytes: &low_bits, at: 0 }),
    };
    for first in (0..rows).step_by(32) {
        params.read_band(&mut streams, (rows - first).min(32))?;
    }
    let used = streams.escaped.at;
    let stream = encode(&streams.rans.decoded);
    Ok([&(used as u32 / 2).to_le_bytes(), &escaped[..used], &low_bits, &stream].concat())
}

/// The encoder of section 8.
fn encode(symbols: &[Decoded]) -> Vec<u8> {
    let mut states = [65536u32; 32];
    let mut words = Vec::new();
    for Decoded { lane, frequency: f, first, order } in symbols.iter().rev() {
        let x = &mut states[*lane];
        if *x >> 20 >= *f {
            words.push(*x as u16);
            *x >>= 16;
        }
        *x = *x / f * 4096 + order[(first + *x % f) as usize];
    }
    let states = states.iter().flat_map(|x| x.to_le_bytes());
    states.chain(words.iter().rev().flat_map(|word| word.to_le_bytes())).collect()
}
