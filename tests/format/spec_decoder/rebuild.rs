//! Reconstruction of rows of codec 2 (7.3).

use super::Res;
use super::points::Row;
use super::trellis::{Params, Rotation};

impl Params {
    pub fn rebuild_row(&self, row: &Row, dtype: u8) -> Res<Vec<u8>> {
        let rotated = self.rotation.rotate(&row.points)?;
        let mut bytes = Vec::new();
        for (c, (v, u)) in rotated.into_iter().enumerate() {
            // As written: Rust never fuses, and keeps subnormal numbers.
            let mut f = self.step * u;
            let mut g = self.low.as_ref().map_or(0.0, |low| low.scale);
            if let Some(bytes) = &self.column_scales {
                f *= rho(bytes[c]);
                g *= rho(bytes[c]);
            }
            let mut a = v as f32 * f;
            if let Some(low) = &self.low {
                let along = low.axes.iter().zip(&row.coefficients);
                let sum: i64 = along.map(|(axis, k)| k * axis.entries[c]).sum();
                a += to_i32(low.mean[c] + sum)? as f32 * g;
            }
            if self.row_scales.is_some() {
                a *= rho(row.scale);
            }
            match dtype {
                14 => bytes.extend(narrow(a, 10, -14, 15).to_le_bytes()),
                15 => bytes.extend(narrow(a, 7, -126, 127).to_le_bytes()),
                18 => bytes.extend(a.to_le_bytes()),
                _ => bytes.extend(f64::from(a).to_le_bytes()),
            }
        }
        Ok(bytes)
    }
}

impl Rotation {
    /// v and u of each column.
    fn rotate(&self, points: &[i64]) -> Res<Vec<(i32, f32)>> {
        let mut rotated = Vec::new();
        match self {
            Rotation::Identity => {
                for point in points {
                    rotated.push((to_i32(*point)?, 1.0));
                }
            }
            Rotation::Hadamard { blocks, flips } => {
                for block in blocks {
                    let first = rotated.len();
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
                        let v = if flips[first + c] { -sum } else { sum };
                        rotated.push((to_i32(v)?, u));
                    }
                }
            }
            Rotation::Basis { blocks, unit, rows } => {
                for block in blocks {
                    // As many rows came before as columns did.
                    let first = rotated.len();
                    let rows = &rows[first..first + block];
                    for c in 0..*block {
                        let products = points[first..].iter().zip(rows).map(|(n, row)| n * row[c]);
                        let v = products.sum();
                        rotated.push((to_i32(v)?, *unit));
                    }
                }
            }
        }
        Ok(rotated)
    }
}

fn to_i32(sum: i64) -> Res<i32> {
    i32::try_from(sum).map_err(|_| "a sum leaves 32 bits".into())
}

fn rho(t: u8) -> f32 {
    f32::from(8 + t % 8) * 2f32.powi(i32::from(t / 8) - 19)
}

/// The bits of `a` as a float of 16 bits, so many of them of the fraction, whose normal numbers have exponents
/// from `least` to `largest`; to nearest, ties to even.
fn narrow(a: f32, fraction: u32, least: i32, largest: i32) -> u16 {
    let sign = if a.is_sign_negative() { 1 << 15 } else { 0 };
    let magnitude = f64::from(a.abs());
    let exponent = ((magnitude.to_bits() >> 52) as i32 - 1023).max(least);
    if exponent > largest {
        return sign | ((largest - least + 2) as u16) << fraction;
    }
    // In units of the last place; 2^(fraction + 1) of them carry into the exponent.
    let units = magnitude * 2f64.powi(fraction as i32 - exponent);
    sign | ((((exponent - least) as u16) << fraction) + units.round_ties_even() as u16)
}
