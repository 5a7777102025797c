//! Floats of eight bits, by their definition (OCP OFP8, 2023).

use occ::Dtype;

/// Bits of the mantissa, exponent bias, and the largest finite number without its sign.
fn format(dtype: Dtype) -> (u32, i32, u8) {
    match dtype {
        Dtype::F8_E4M3 => (3, 7, 0x7e),
        Dtype::F8_E5M2 => (2, 15, 0x7b),
        _ => panic!("{dtype}"),
    }
}

/// The value of the number with this magnitude, also of the first one that is too large.
fn magnitude(dtype: Dtype, byte: u8) -> f64 {
    let (mantissa_bits, bias, _) = format(dtype);
    let (exponent, mantissa) = (byte >> mantissa_bits, byte & ((1 << mantissa_bits) - 1));
    let leading = if exponent == 0 { 0.0 } else { 1.0 };
    let fraction = leading + f64::from(mantissa) / f64::from(1 << mantissa_bits);
    fraction * 2f64.powi(i32::from(exponent.max(1)) - bias)
}

pub fn to_f64(dtype: Dtype, byte: u8) -> f64 {
    let largest = format(dtype).2;
    let value = match byte & 0x7f {
        finite if finite <= largest => magnitude(dtype, finite),
        0x7c => f64::INFINITY,
        _ => f64::NAN,
    };
    if byte < 0x80 { value } else { -value }
}

/// To nearest, ties to even. What is too large becomes the number after the largest: infinity, or NaN
/// for F8_E4M3.
pub fn from_f64(dtype: Dtype, value: f64) -> u8 {
    let sign = if value.is_sign_negative() { 0x80 } else { 0 };
    let largest = format(dtype).2;
    if value.is_nan() {
        return sign | 0x7f;
    }
    let rounds_up = |lower: &u8| {
        let middle = (magnitude(dtype, *lower) + magnitude(dtype, lower + 1)) / 2.0;
        value.abs() > middle || value.abs() == middle && lower % 2 == 1
    };
    let numbers: [u8; 128] = std::array::from_fn(|number| number as u8);
    sign | numbers[..=usize::from(largest)].partition_point(rounds_up) as u8
}
