//! Codec 2: reconstruction of rows (7.3).

use super::Res;
use super::chunk::Row;
use super::trellis::{Params, Transform};

impl Params {
    /// The decoded bytes of a row, before outliers are stored.
    pub fn reconstruct_row(&self, row: &Row, dtype: u8) -> Res<Vec<u8>> {
        let integers = self.transform.inverse(&row.points)?;
        let mut bytes = Vec::new();
        for (c, (v, u)) in integers.into_iter().enumerate() {
            // Rust does not fuse operations and keeps subnormal numbers, as 7.3 requires.
            let mut f = self.step * u;
            let mut g = self.low_rank.as_ref().map_or(0.0, |part| part.scale);
            if let Some(bytes) = &self.column_scales {
                f *= rho(bytes[c]);
                g *= rho(bytes[c]);
            }
            let mut a = v as f32 * f;
            if let Some(part) = &self.low_rank {
                let products = part.vectors.iter().zip(&row.coefficients);
                let sum: i64 = products.map(|(vector, k)| k * vector.entries[c]).sum();
                a += to_i32(part.mean[c] + sum)? as f32 * g;
            }
            if self.row_scales.is_some() {
                a *= rho(row.scale);
            }
            match dtype {
                7 => bytes.push(to_byte(narrow(a, 2, -14, 15), 0x7c)),
                8 => bytes.push(to_byte(narrow(a, 3, -6, 8), 0x7f)),
                14 => bytes.extend(narrow(a, 10, -14, 15).to_le_bytes()),
                15 => bytes.extend(narrow(a, 7, -126, 127).to_le_bytes()),
                18 => bytes.extend(a.to_le_bytes()),
                _ => bytes.extend(f64::from(a).to_le_bytes()),
            }
        }
        Ok(bytes)
    }
}

impl Transform {
    /// *v* and *u* of each column.
    fn inverse(&self, points: &[i64]) -> Res<Vec<(i32, f32)>> {
        let mut integers = Vec::new();
        match self {
            Transform::Identity => {
                for point in points {
                    integers.push((to_i32(*point)?, 1.0));
                }
            }
            Transform::Hadamard { blocks, sign_changes } => {
                for block in blocks {
                    let first = integers.len();
                    let u = [
                        1.0,
                        f32::from_bits(0x3F35_04F3),
                        0.5,
                        f32::from_bits(0x3EB5_04F3),
                        0.25,
                        f32::from_bits(0x3E35_04F3),
                        0.125,
                        f32::from_bits(0x3DB5_04F3),
                        0.0625,
                    ][block.ilog2() as usize];
                    for c in 0..*block {
                        let sign = |j: usize| if (j & c).count_ones() % 2 == 1 { -1 } else { 1 };
                        let sum: i64 = (0..*block).map(|j| sign(j) * points[first + j]).sum();
                        let v = if sign_changes[first + c] { -sum } else { sum };
                        integers.push((to_i32(v)?, u));
                    }
                }
            }
            Transform::Klt { blocks, unit, rows } => {
                for block in blocks {
                    // Blocks are square, so their first row has the number of their first column.
                    let first = integers.len();
                    let rows = &rows[first..first + block];
                    for c in 0..*block {
                        let products = points[first..].iter().zip(rows).map(|(n, row)| n * row[c]);
                        let v = products.sum();
                        integers.push((to_i32(v)?, *unit));
                    }
                }
            }
        }
        Ok(integers)
    }
}

fn to_i32(sum: i64) -> Res<i32> {
    i32::try_from(sum).map_err(|_| "a sum exceeds 32 bits".into())
}

fn rho(t: u8) -> f32 {
    f32::from(8 + t % 8) * 2f32.powi(i32::from(t / 8) - 19)
}

/// A float of 8 bits from one whose sign is bit 15. What is too large becomes `overflow`.
fn to_byte(bits: u16, overflow: u16) -> u8 {
    (bits >> 8 & 0x80 | (bits & 0x7fff).min(overflow)) as u8
}

/// The bits of `a`, rounded to nearest, ties to even, to a float of 16 bits with `fraction` bits of
/// fraction and normal exponents from `least` to `largest`.
pub fn narrow(a: f32, fraction: u32, least: i32, largest: i32) -> u16 {
    let sign = if a.is_sign_negative() { 1 << 15 } else { 0 };
    let magnitude = f64::from(a.abs());
    let exponent = ((magnitude.to_bits() >> 52) as i32 - 1023).max(least);
    if exponent > largest {
        return sign | ((largest - least + 2) as u16) << fraction;
    }
    // In units of the last place. Rounding up to 2^(fraction + 1) units carries into the exponent.
    let units = magnitude * 2f64.powi(fraction as i32 - exponent);
    sign | ((((exponent - least) as u16) << fraction) + units.round_ties_even() as u16)
}
