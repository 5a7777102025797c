//! Conversion of all real dtypes of whole bytes to double precision.

use super::float8::{E4M3, E5M2};
use super::{bf16_to_f32, each, widen_f16};
use crate::dtype::Dtype;

/// Whether this is a real number of whole bytes, which [`to_f64`] converts.
pub(crate) const fn is_number(dtype: Dtype) -> bool {
    !matches!(dtype, Dtype::F4 | Dtype::F6_E2M3 | Dtype::F6_E3M2 | Dtype::C64)
}

/// Converts elements of a real dtype and replaces the content of `out`. O(n).
///
/// Exact except for 64-bit integers, which are rounded to nearest. BOOL has the value of its byte.
pub(crate) fn to_f64(dtype: Dtype, bytes: &[u8], out: &mut Vec<f64>) {
    out.clear();
    match dtype {
        Dtype::F16 => {
            let mut singles = Vec::with_capacity(bytes.len() / 2);
            widen_f16(bytes, &mut singles);
            out.extend(singles.into_iter().map(f64::from));
        }
        Dtype::Bf16 => each(bytes, out, |b| f64::from(bf16_to_f32(b))),
        Dtype::F32 => each(bytes, out, |b| f64::from(f32::from_le_bytes(b))),
        Dtype::F64 => each(bytes, out, f64::from_le_bytes),
        Dtype::Bool | Dtype::U8 => each(bytes, out, |[b]| f64::from(b)),
        Dtype::I8 => each(bytes, out, |b| f64::from(i8::from_le_bytes(b))),
        Dtype::I16 => each(bytes, out, |b| f64::from(i16::from_le_bytes(b))),
        Dtype::U16 => each(bytes, out, |b| f64::from(u16::from_le_bytes(b))),
        Dtype::I32 => each(bytes, out, |b| f64::from(i32::from_le_bytes(b))),
        Dtype::U32 => each(bytes, out, |b| f64::from(u32::from_le_bytes(b))),
        Dtype::I64 => each(bytes, out, |b| i64::from_le_bytes(b) as f64),
        Dtype::U64 => each(bytes, out, |b| u64::from_le_bytes(b) as f64),
        Dtype::F8_E4M3 => each(bytes, out, |[b]| f64::from(E4M3.value(b))),
        Dtype::F8_E5M2 => each(bytes, out, |[b]| f64::from(E5M2.value(b))),
        Dtype::F8_E8M0 | Dtype::F8_E4M3Fnuz | Dtype::F8_E5M2Fnuz => {
            let table: [f64; 256] = std::array::from_fn(|byte| float8(dtype, byte as u8));
            each(bytes, out, |[b]| table[usize::from(b)]);
        }
        Dtype::F4 | Dtype::F6_E2M3 | Dtype::F6_E3M2 | Dtype::C64 => {
            unreachable!("callers check is_number")
        }
    }
}

/// The value of a float of E8M0 (OCP MX, 2023), or of a FNUZ type (Noune et al., 2022).
fn float8(dtype: Dtype, byte: u8) -> f64 {
    match (dtype, byte) {
        (Dtype::F8_E8M0, 0xff) => f64::NAN,
        (Dtype::F8_E8M0, _) => 2f64.powi(i32::from(byte) - 127),
        // FNUZ types have a NaN in place of the negative zero.
        (_, 0x80) => f64::NAN,
        (Dtype::F8_E4M3Fnuz, _) => minifloat(byte, 3, 8),
        _ => minifloat(byte, 2, 16),
    }
}

/// The value of a finite float with a sign, an exponent and `mantissa_bits`.
fn minifloat(byte: u8, mantissa_bits: u32, bias: i32) -> f64 {
    let exponent = (byte & 0x7f) >> mantissa_bits;
    let mantissa = byte & ((1 << mantissa_bits) - 1);
    // Subnormals have the exponent of the smallest normals and no leading one.
    let leading = u8::from(exponent > 0) << mantissa_bits;
    let scale = i32::from(exponent.max(1)) - bias - mantissa_bits as i32;
    let magnitude = f64::from(leading | mantissa) * 2f64.powi(scale);
    if byte & 0x80 == 0 { magnitude } else { -magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::number::{is_float, to_f32};

    fn doubles(dtype: Dtype, bytes: &[u8]) -> Vec<f64> {
        let mut out = vec![9.0; 3];
        to_f64(dtype, bytes, &mut out);
        out
    }

    fn singles(dtype: Dtype, bytes: &[u8]) -> Vec<f32> {
        let mut out = vec![9.0; 3];
        to_f32(dtype, bytes, &mut out);
        out
    }

    #[test]
    fn known_numbers() {
        assert_eq!(
            doubles(Dtype::F16, &[0, 0x3c, 1, 0, 0xff, 0x7b]),
            [1.0, 0.5f64.powi(24), 65504.0]
        );
        assert_eq!(doubles(Dtype::Bf16, &[0x80, 0x3f, 0x49, 0xc0]), [1.0, -3.140625]);
        assert_eq!(doubles(Dtype::F32, &0.1f32.to_le_bytes()), [f64::from(0.1f32)]);
        assert_eq!(doubles(Dtype::F64, &0.1f64.to_le_bytes()), [0.1]);
        assert_eq!(doubles(Dtype::Bool, &[0, 1, 255]), [0.0, 1.0, 255.0]);
        assert_eq!(doubles(Dtype::I8, &[0x80]), [-128.0]);
        assert_eq!(doubles(Dtype::I16, &[0, 0x80]), [-32768.0]);
        assert_eq!(doubles(Dtype::U16, &[0, 0x80]), [32768.0]);
        assert_eq!(doubles(Dtype::I32, &(-7i32).to_le_bytes()), [-7.0]);
        assert_eq!(doubles(Dtype::U32, &u32::MAX.to_le_bytes()), [4294967295.0]);
        assert_eq!(doubles(Dtype::I64, &i64::MIN.to_le_bytes()), [-(2f64.powi(63))]);
        assert_eq!(doubles(Dtype::U64, &u64::MAX.to_le_bytes()), [2f64.powi(64)]);
    }

    /// Smallest, one, largest and NaN, from the definitions.
    #[test]
    fn known_floats_of_eight_bits() {
        let power = |exponent| 2f64.powi(exponent);
        let e4m3 = doubles(Dtype::F8_E4M3, &[0x01, 0x08, 0x38, 0xb8, 0x7e]);
        assert_eq!(e4m3, [power(-9), power(-6), 1.0, -1.0, 448.0]);
        let e5m2 = doubles(Dtype::F8_E5M2, &[0x01, 0x04, 0x3c, 0x7b, 0x7c, 0xfc]);
        let infinity = f64::INFINITY;
        assert_eq!(e5m2, [power(-16), power(-14), 1.0, 57344.0, infinity, -infinity]);
        assert_eq!(doubles(Dtype::F8_E8M0, &[0, 127, 254]), [power(-127), 1.0, power(127)]);
        let fnuz = doubles(Dtype::F8_E4M3Fnuz, &[0x01, 0x40, 0x7f]);
        assert_eq!(fnuz, [power(-10), 1.0, 240.0]);
        let fnuz = doubles(Dtype::F8_E5M2Fnuz, &[0x01, 0x40, 0x7f]);
        assert_eq!(fnuz, [power(-17), 1.0, 57344.0]);
        let bytes: Vec<u8> = (0..=255).collect();
        for (dtype, expected) in [
            (Dtype::F8_E4M3, 2),
            (Dtype::F8_E5M2, 6),
            (Dtype::F8_E8M0, 1),
            (Dtype::F8_E4M3Fnuz, 1),
            (Dtype::F8_E5M2Fnuz, 1),
        ] {
            let nans = doubles(dtype, &bytes).iter().filter(|value| value.is_nan()).count();
            assert_eq!(nans, expected, "{dtype}");
        }
    }

    /// E5M2 is the upper byte of an F16.
    #[test]
    fn e5m2_agrees_with_f16() {
        for byte in 0..=255 {
            let short = doubles(Dtype::F8_E5M2, &[byte])[0];
            let long = doubles(Dtype::F16, &[0, byte])[0];
            assert!(short == long || (short.is_nan() && long.is_nan()), "{byte:#x}");
        }
    }

    #[test]
    fn every_real_dtype_converts() {
        for &dtype in Dtype::ALL {
            assert!(is_number(dtype) || !is_float(dtype));
            let bytes = vec![0; 3 * dtype.bits() as usize];
            if is_number(dtype) {
                assert_eq!(doubles(dtype, &bytes).len(), 24, "{dtype}");
            }
            if is_float(dtype) {
                assert_eq!(singles(dtype, &bytes).len(), 24, "{dtype}");
            }
        }
    }

    /// All values of 16 bits, against the conversion to single precision.
    #[test]
    fn halves_agree_with_single_precision() {
        let bytes: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
        for dtype in [Dtype::F16, Dtype::Bf16] {
            let wide: Vec<u64> = doubles(dtype, &bytes).iter().map(|x| x.to_bits()).collect();
            let expected = singles(dtype, &bytes).into_iter().map(|x| f64::from(x).to_bits());
            assert!(wide.into_iter().eq(expected));
        }
    }
}
