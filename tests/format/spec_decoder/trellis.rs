//! Codec 2: parameters (7.3).

use super::bits::Bits;
use super::rans::Table;
use super::{Cursor, Res, ensure};

const TWO_TO_56: f32 = 72_057_594_037_927_936.0;

pub struct Params {
    pub columns: usize,
    pub step: f32,
    pub log_states: u32,
    pub bypass: u32,
    pub transform: Transform,
    pub low_rank: Option<LowRank>,
    pub row_scales: Option<RowTable>,
    pub column_scales: Option<Vec<u8>>,
    pub column_classes: Vec<i64>,
    pub row_classes: RowTable,
    /// The number of the profile of each class sum.
    pub profile_of: [usize; 31],
    /// For each profile, the tables of even-numbered and odd-numbered states, by the alias method.
    pub tables: Vec<[Table; 2]>,
}

/// The transform of rows.
pub enum Transform {
    Identity,
    /// `sign_changes` states which columns change their sign.
    Hadamard {
        blocks: Vec<usize>,
        sign_changes: Vec<bool>,
    },
    /// The rows of the bases of all blocks, block by block.
    Klt {
        blocks: Vec<usize>,
        unit: f32,
        rows: Vec<Vec<i64>>,
    },
}

/// The low-rank part.
pub struct LowRank {
    pub scale: f32,
    pub mean: Vec<i64>,
    pub vectors: Vec<BasisVector>,
}

/// A basis vector of the low-rank part, and how its coefficients are coded.
pub struct BasisVector {
    pub entries: Vec<i64>,
    pub bypass: u32,
    pub table: Table,
}

/// The code of a byte that every row has.
pub enum RowTable {
    Constant(u8),
    Coded(Box<Table>),
}

impl Params {
    pub fn read(params: &[u8], dtype: u8) -> Res<Self> {
        ensure(
            matches!(dtype, 7 | 8 | 14 | 15 | 18 | 20),
            "the codec trellis does not support this dtype",
        )?;
        let mut bits = Bits::new(Cursor { bytes: params, at: 0 });
        let columns = bits.take(16)? as usize + 1;
        let step = bits.positive(TWO_TO_56)?;
        let log_states = bits.take(4)?;
        ensure(matches!(log_states, 0 | 2..=8), "invalid number of states")?;
        let bypass = read_bypass(&mut bits)?;
        bits.take(11 + 3 + 2)?; // gain and statistics are informative
        let transform = Transform::read(&mut bits, columns)?;
        let low_rank = if bits.flag()? { Some(LowRank::read(&mut bits, columns)?) } else { None };
        let row_scales = if bits.flag()? { Some(RowTable::read(&mut bits, 255)?) } else { None };
        let column_scales =
            if bits.flag()? { Some(read_column_scales(&mut bits, columns)?) } else { None };
        let column_classes = read_column_classes(&mut bits, columns)?;
        let row_classes =
            if bits.flag()? { RowTable::read(&mut bits, 15)? } else { RowTable::Constant(0) };
        let profiles = bits.take(4)? as usize + 1;
        let profile_of = read_profile_map(&mut bits, profiles)?;
        let mut tables = Vec::new();
        for _ in 0..profiles {
            let profile = Profile::read(&mut bits)?;
            let halves = if log_states == 0 { [Set::Whole; 2] } else { [Set::Even, Set::Odd] };
            let [even, odd] = halves.map(|set| profile.table(set, bypass));
            tables.push([even?.aliased(), odd?.aliased()]);
        }
        bits.end()?.finish("the codec parameters")?;
        #[rustfmt::skip]
        let params = Params {
            columns, step, log_states, bypass, transform, low_rank, row_scales, column_scales,
            column_classes, row_classes, profile_of, tables,
        };
        Ok(params)
    }
}

fn read_column_scales(bits: &mut Bits, columns: usize) -> Res<Vec<u8>> {
    let mut byte = 128;
    let mut bytes = Vec::new();
    for difference in bits.list(columns)? {
        byte += difference;
        ensure((64..=191).contains(&byte), "the scale of a column is out of range")?;
        bytes.push(byte as u8);
    }
    Ok(bytes)
}

fn read_bypass(bits: &mut Bits) -> Res<u32> {
    let bypass = bits.take(4)?;
    ensure(bypass <= 8, "a bypass exceeds 8 bits")?;
    Ok(bypass)
}

impl Transform {
    fn read(bits: &mut Bits, columns: usize) -> Res<Self> {
        match bits.take(2)? {
            0 => Ok(Transform::Identity),
            1 => {
                let log = bits.take(4)?;
                ensure(log <= 8, "a Hadamard block exceeds 256 columns")?;
                let signs = bits.flag()?;
                let sign_change = |_| if signs { bits.flag() } else { Ok(false) };
                let sign_changes = (0..columns).map(sign_change).collect::<Res<_>>()?;
                let mut blocks = Vec::new();
                let mut left = columns;
                while left > 0 {
                    let fits = (0..=log).rev().map(|log| 1 << log).find(|block| *block <= left);
                    blocks.push(fits.unwrap());
                    left -= fits.unwrap();
                }
                Ok(Transform::Hadamard { blocks, sign_changes })
            }
            2 => {
                let width = bits.take(16)? as usize + 1;
                ensure(width <= 2048, "a KLT block exceeds 2048 columns")?;
                let unit = bits.positive(65536.0)?;
                let (mut blocks, mut rows) = (Vec::new(), Vec::new());
                let mut left = columns;
                while left > 0 {
                    let block = width.min(left);
                    let first = rows.len();
                    for _ in 0..block {
                        rows.push(bits.list(block)?);
                    }
                    check_columns(&rows[first..])?;
                    blocks.push(block);
                    left -= block;
                }
                Ok(Transform::Klt { blocks, unit, rows })
            }
            _ => Err("unknown transform".into()),
        }
    }
}

/// The sum of the magnitudes of each column must not exceed 65,535.
fn check_columns(rows: &[Vec<i64>]) -> Res<()> {
    let columns = rows.first().map_or(0, Vec::len);
    let sum = |column: usize| rows.iter().map(|row| row[column].abs()).sum::<i64>();
    let valid = (0..columns).all(|column| sum(column) <= 65_535);
    ensure(valid, "the magnitudes of a column sum to more than 65535")
}

impl LowRank {
    fn read(bits: &mut Bits, columns: usize) -> Res<Self> {
        let count = bits.take(8)?;
        ensure(count <= 128, "more than 128 basis vectors")?;
        let has_mean = bits.flag()?;
        let scale = bits.positive(TWO_TO_56)?;
        let mean = if has_mean { bits.list(columns)? } else { vec![0; columns] };
        let mut rows = vec![mean];
        for _ in 0..count {
            rows.push(bits.list(columns)?);
        }
        check_columns(&rows)?;
        let mut rows = rows.into_iter();
        let mean = rows.next().unwrap();
        let mut vectors = Vec::new();
        for entries in rows {
            let bypass = read_bypass(bits)?;
            let table = Profile::read(bits)?.table(Set::Whole, bypass)?;
            vectors.push(BasisVector { entries, bypass, table });
        }
        Ok(LowRank { scale, mean, vectors })
    }
}

impl RowTable {
    fn read(bits: &mut Bits, largest: u8) -> Res<Self> {
        let too_large = "a byte of a row is too large";
        if bits.flag()? {
            let table = Table::read(bits)?;
            let above = &table.frequency[usize::from(largest) + 1..];
            ensure(above.iter().all(|f| *f == 0), too_large)?;
            return Ok(RowTable::Coded(Box::new(table)));
        }
        let value = bits.take(8)? as u8;
        ensure(value <= largest, too_large)?;
        Ok(RowTable::Constant(value))
    }
}

fn read_column_classes(bits: &mut Bits, columns: usize) -> Res<Vec<i64>> {
    if !bits.flag()? {
        return Ok(vec![0; columns]);
    }
    let mut classes = Vec::new();
    let mut class = 0;
    for difference in bits.list(columns)? {
        class += difference;
        ensure((0..=15).contains(&class), "the class of a column is out of range")?;
        classes.push(class);
    }
    Ok(classes)
}

fn read_profile_map(bits: &mut Bits, profiles: usize) -> Res<[usize; 31]> {
    let mut profile_of = [0; 31];
    if profiles > 1 {
        for sum in 1..31 {
            profile_of[sum] = profile_of[sum - 1] + bits.take(1)? as usize;
        }
        ensure(profile_of[30] == profiles - 1, "a profile has no class sum")?;
    }
    Ok(profile_of)
}

/// The sets of indices that a profile is used for.
#[derive(Clone, Copy)]
pub enum Set {
    Whole,
    Even,
    Odd,
}

struct Profile {
    escape: i64,
    /// One for each magnitude from 0 to *M*.
    levels: Vec<i64>,
}

impl Profile {
    fn read(bits: &mut Bits) -> Res<Self> {
        let largest = bits.take(8)?;
        ensure((1..=254).contains(&largest), "a profile with an invalid number of magnitudes")?;
        let escape = bits.take(7)?.into();
        let r = bits.take(3)?;
        let mut levels = Vec::new();
        let (mut last, mut second_last) = (0, 0);
        for _ in 0..=largest {
            let level = bits.rice(r)? + 2 * last - second_last;
            ensure((0..=127).contains(&level), "a level is out of range")?;
            levels.push(level);
            (last, second_last) = (level, last);
        }
        Ok(Profile { escape, levels })
    }

    /// The frequencies of the symbols, for a set of indices and a bypass.
    fn table(&self, set: Set, bypass: u32) -> Res<Table> {
        let mut weights = vec![(0, weight(self.escape))];
        for q in -127i64..=127 {
            let magnitude = match set {
                _ if bypass > 0 => q.max(-1 - q),
                Set::Whole => q.abs(),
                Set::Even => (2 * q).abs(),
                Set::Odd => (2 * q + 1).abs(),
            };
            if let Some(level) = self.levels.get(magnitude as usize) {
                weights.push(((128 + q) as usize, weight(*level)));
            }
        }
        let total: u64 = weights.iter().map(|(_, weight)| weight).sum();
        let rest = 4096 - weights.len() as u64;
        let mut frequency = [0; 256];
        let mut sum = 0;
        for (symbol, weight) in weights {
            let f = 1 + (rest * (sum + weight)) / total - (rest * sum) / total;
            frequency[symbol] = f as u32;
            sum += weight;
        }
        Table::new(frequency)
    }
}

fn weight(level: i64) -> u64 {
    const R: [u64; 8] =
        [16777216, 15384775, 14107901, 12937002, 11863283, 10878679, 9975792, 9147842];
    R[level as usize % 8] / (1 << (level / 8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frequencies_match_the_worked_example() {
        let bytes = [0x04, 0x3c, 0x21, 0x72, 0x24];
        let profile = Profile::read(&mut Bits::new(Cursor { bytes: &bytes, at: 0 })).unwrap();
        assert_eq!((profile.escape, profile.levels.as_slice()), (60, &[0, 2, 7, 16, 28][..]));
        let any = (Set::Odd, 1, 5, 123, vec![67, 188, 409, 631, 750, 750, 631, 409, 188, 68]);
        for (set, bypass, escape, first, expected) in [
            (Set::Whole, 0, 6, 124, vec![82, 230, 501, 772, 919, 772, 501, 230, 83]),
            (Set::Even, 0, 10, 126, vec![160, 983, 1800, 982, 161]),
            (Set::Odd, 0, 11, 126, vec![468, 1574, 1574, 469]),
            (Set::Whole, 1, 5, 123, any.4.clone()),
            (Set::Even, 1, 5, 123, any.4.clone()),
            any,
        ] {
            let mut frequency = [0; 256];
            frequency[0] = escape;
            frequency[first..first + expected.len()].copy_from_slice(&expected);
            assert_eq!(profile.table(set, bypass).unwrap().frequency, frequency);
        }
    }
}
