//! The numbers that a tensor's bytes stand for, and back.

use crate::arch::Kernel;
use crate::dtype::Dtype;
use half::f16;
use half::slice::HalfFloatSliceExt;

/// Whether these are binary floats of at least 16 bits: what [`to_f32`] and [`from_f32`] convert.
pub(crate) const fn is_float(dtype: Dtype) -> bool {
    matches!(dtype, Dtype::F16 | Dtype::Bf16 | Dtype::F32 | Dtype::F64)
}

/// Whether these are real numbers of whole bytes: what [`to_f64`] converts.
pub(crate) const fn is_number(dtype: Dtype) -> bool {
    !matches!(dtype, Dtype::F4 | Dtype::F6_E2M3 | Dtype::F6_E3M2 | Dtype::C64)
}

/// Puts the elements in `bytes`, of a float dtype, in place of what `out` holds.
///
/// F64 is rounded to the nearest F32; the others are exact, but signalling NaNs may turn quiet.
pub(crate) fn to_f32(dtype: Dtype, bytes: &[u8], out: &mut Vec<f32>) {
    out.clear();
    match dtype {
        Dtype::F16 => widen_f16(bytes, out),
        Dtype::Bf16 => each(bytes, out, bf16_to_f32),
        Dtype::F32 => each(bytes, out, f32::from_le_bytes),
        Dtype::F64 => each(bytes, out, |b| f64::from_le_bytes(b) as f32),
        _ => unreachable!("callers ask is_float"),
    }
}

/// Writes `values` over `out`, which has room for exactly as many elements of a float dtype,
/// rounding to nearest, ties to even. What is too large becomes infinite; NaN stays NaN.
pub(crate) fn from_f32(kernel: Kernel, dtype: Dtype, values: &[f32], out: &mut [u8]) {
    debug_assert_eq!(dtype.byte_len(values.len() as u64), Some(out.len() as u64));
    match dtype {
        Dtype::F16 => narrow_f16(values, out),
        Dtype::Bf16 => kernel.run(
            #[inline(always)]
            || store(values, out, f32_to_bf16),
        ),
        Dtype::F32 => store(values, out, f32::to_le_bytes),
        Dtype::F64 => store(values, out, |value| f64::from(value).to_le_bytes()),
        _ => unreachable!("callers ask is_float"),
    }
}

/// Puts the elements in `bytes`, of a number dtype, in place of what `out` holds.
///
/// Exact but for 64-bit integers, which are rounded to nearest. BOOL is the value of its byte.
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
        Dtype::F8_E4M3
        | Dtype::F8_E5M2
        | Dtype::F8_E8M0
        | Dtype::F8_E4M3Fnuz
        | Dtype::F8_E5M2Fnuz => {
            let table: [f64; 256] = std::array::from_fn(|byte| float8(dtype, byte as u8));
            each(bytes, out, |[b]| table[usize::from(b)]);
        }
        Dtype::F4 | Dtype::F6_E2M3 | Dtype::F6_E3M2 | Dtype::C64 => {
            unreachable!("callers ask is_number")
        }
    }
}

/// Appends the value of each `N` bytes.
fn each<const N: usize, T>(bytes: &[u8], out: &mut Vec<T>, value: impl Fn([u8; N]) -> T) {
    out.extend(bytes.as_chunks().0.iter().map(|&element| value(element)));
}

/// Writes the `N` bytes of each value.
#[inline(always)]
fn store<const N: usize>(values: &[f32], out: &mut [u8], bytes: impl Fn(f32) -> [u8; N]) {
    for (element, &value) in out.as_chunks_mut().0.iter_mut().zip(values) {
        *element = bytes(value);
    }
}

/// A BF16 is the upper half of an F32.
fn bf16_to_f32(bytes: [u8; 2]) -> f32 {
    f32::from_bits(u32::from(u16::from_le_bytes(bytes)) << 16)
}

/// Rounded to nearest, ties to even, without a branch.
#[inline(always)]
fn f32_to_bf16(value: f32) -> [u8; 2] {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1));
    // Rounding could turn a NaN into an infinity; a quiet one stays a NaN.
    let nan = bits | 0x0040_0000;
    let bits = if value.is_nan() { nan } else { rounded };
    ((bits >> 16) as u16).to_le_bytes()
}

/// F16 elements converted at once: by slices, since only those use the processor's instructions
/// without asking for each element whether it has them.
const BLOCK: usize = 256;

/// Appends F16 elements.
fn widen_f16(bytes: &[u8], out: &mut Vec<f32>) {
    let mut halves = [f16::ZERO; BLOCK];
    for block in bytes.as_chunks().0.chunks(BLOCK) {
        for (half, &element) in halves.iter_mut().zip(block) {
            *half = f16::from_le_bytes(element);
        }
        let start = out.len();
        out.resize(start + block.len(), 0.0);
        halves[..block.len()].convert_to_f32_slice(&mut out[start..]);
    }
}

/// Writes F16 elements.
fn narrow_f16(values: &[f32], out: &mut [u8]) {
    let mut halves = [f16::ZERO; BLOCK];
    for (block, out) in values.chunks(BLOCK).zip(out.chunks_mut(2 * BLOCK)) {
        halves[..block.len()].convert_from_f32_slice(block);
        for (element, half) in out.as_chunks_mut().0.iter_mut().zip(&halves) {
            *element = half.to_le_bytes();
        }
    }
}

/// The value of an 8-bit float: E4M3, E5M2 and E8M0 as the OCP defines them, FNUZ as Graphcore,
/// AMD and Qualcomm do.
fn float8(dtype: Dtype, byte: u8) -> f64 {
    match (dtype, byte) {
        (Dtype::F8_E8M0, 0xff) => f64::NAN,
        (Dtype::F8_E8M0, _) => 2f64.powi(i32::from(byte) - 127),
        (Dtype::F8_E4M3, 0x7f | 0xff) => f64::NAN,
        (Dtype::F8_E4M3, _) => minifloat(byte, 3, 7),
        (Dtype::F8_E5M2, 0x7c) => f64::INFINITY,
        (Dtype::F8_E5M2, 0xfc) => f64::NEG_INFINITY,
        (Dtype::F8_E5M2, 0x7d..=0x7f | 0xfd..=0xff) => f64::NAN,
        (Dtype::F8_E5M2, _) => minifloat(byte, 2, 15),
        // What would be the negative zero.
        (_, 0x80) => f64::NAN,
        (Dtype::F8_E4M3Fnuz, _) => minifloat(byte, 3, 8),
        _ => minifloat(byte, 2, 16),
    }
}

/// A sign, an exponent and `mantissa_bits`, all of it finite.
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
    use proptest::prelude::*;

    fn singles(dtype: Dtype, bytes: &[u8]) -> Vec<f32> {
        let mut out = vec![9.0; 3];
        to_f32(dtype, bytes, &mut out);
        out
    }

    fn doubles(dtype: Dtype, bytes: &[u8]) -> Vec<f64> {
        let mut out = vec![9.0; 3];
        to_f64(dtype, bytes, &mut out);
        out
    }

    fn rounded(dtype: Dtype, values: &[f32]) -> Vec<u8> {
        let mut all = Kernel::all().into_iter().map(|kernel| {
            let mut out = vec![9; values.len() * dtype.bits() as usize / 8];
            from_f32(kernel, dtype, values, &mut out);
            out
        });
        let out = all.next().unwrap();
        assert!(all.all(|other| other == out));
        out
    }

    fn all_halves() -> Vec<u8> {
        (0..=u16::MAX).flat_map(u16::to_le_bytes).collect()
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

    /// Smallest, one, largest, and what is not a number, from the definitions.
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
    fn every_half_comes_back() {
        for dtype in [Dtype::F16, Dtype::Bf16] {
            let bytes = all_halves();
            let values = singles(dtype, &bytes);
            assert_eq!(values.len(), 1 << 16);
            let back = rounded(dtype, &values);
            let halves = bytes.as_chunks::<2>().0.iter().zip(back.as_chunks::<2>().0);
            for (value, (half, back)) in values.iter().zip(halves) {
                let back_value = singles(dtype, back)[0];
                assert!(half == back || (value.is_nan() && back_value.is_nan()), "{half:?}");
            }
            let wide: Vec<u64> = doubles(dtype, &bytes).iter().map(|x| x.to_bits()).collect();
            let expected = values.iter().map(|&x| f64::from(x).to_bits());
            assert!(wide.into_iter().eq(expected));
        }
    }

    /// Between every two neighbours: the middle goes to the even one, what is off it to the nearer.
    #[test]
    fn halves_round_to_nearest_even() {
        for (dtype, largest) in [(Dtype::F16, 0x7bff), (Dtype::Bf16, 0x7f7f)] {
            for sign in [0, 0x8000] {
                for lower in 0..largest {
                    let [a, b] = [lower | sign, (lower + 1) | sign].map(u16::to_le_bytes);
                    let value = |half| doubles(dtype, half)[0];
                    // A binary32 has room for the middle of any two halves.
                    let middle = ((value(&a) + value(&b)) / 2.0) as f32;
                    let away = f32::from_bits(middle.to_bits() + 1);
                    let back = f32::from_bits(middle.to_bits() - 1);
                    let even = if lower % 2 == 0 { a } else { b };
                    let expected = [a, even, b].concat();
                    assert_eq!(rounded(dtype, &[back, middle, away]), expected, "{lower:#x}");
                }
            }
            let infinity = (largest + 1).to_le_bytes();
            assert_eq!(rounded(dtype, &[f32::MAX, f32::INFINITY]), [infinity, infinity].concat());
        }
    }

    #[test]
    fn every_length_at_any_alignment() {
        let values: Vec<f32> = (0..65u32)
            .map(|i| f32::from_bits(i.wrapping_mul(0x9e37_79b9)))
            .chain([f32::NAN, f32::INFINITY, -0.0])
            .collect();
        for dtype in [Dtype::F16, Dtype::Bf16, Dtype::F32, Dtype::F64] {
            for length in 0..=values.len() {
                let one = |&value: &f32| rounded(dtype, &[value]);
                let expected: Vec<u8> = values[..length].iter().flat_map(one).collect();
                for write in 0..64 {
                    let read = (write + length) % 16;
                    let values = [&values[..read], &values[..length]].concat();
                    for kernel in Kernel::all() {
                        let mut out = vec![9; write + expected.len()];
                        from_f32(kernel, dtype, &values[read..], &mut out[write..]);
                        assert_eq!(out[write..], expected, "{dtype} {length} {write}");
                    }
                }
            }
        }
    }

    #[test]
    fn doubles_round_to_nearest_even() {
        let one = 1f64;
        let tie = one + f64::from(f32::EPSILON) / 2.0;
        let bytes: Vec<u8> = [tie, tie + f64::EPSILON, 1e300, -0.0].map(f64::to_le_bytes).concat();
        let expected = [1.0, 1.0 + f32::EPSILON, f32::INFINITY, -0.0f32].map(f32::to_bits);
        let values: Vec<u32> = singles(Dtype::F64, &bytes).into_iter().map(f32::to_bits).collect();
        assert_eq!(values, expected);
    }

    #[test]
    fn what_is_a_number_converts() {
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

    proptest! {
        #[test]
        fn singles_survive(bits in prop::collection::vec(any::<u32>(), 0..600)) {
            let values: Vec<f32> = bits.iter().map(|&bits| f32::from_bits(bits)).collect();
            let bytes: Vec<u8> = bits.iter().flat_map(|bits| bits.to_le_bytes()).collect();
            prop_assert_eq!(rounded(Dtype::F32, &values), bytes);
            let back = singles(Dtype::F64, &rounded(Dtype::F64, &values));
            for (back, value) in back.iter().zip(&values) {
                prop_assert!(back == value || (back.is_nan() && value.is_nan()));
            }
        }

        /// In blocks or one by one, with or without the processor's help.
        #[test]
        fn blocks_do_not_matter(values in prop::collection::vec(any::<f32>(), 0..600)) {
            for dtype in [Dtype::F16, Dtype::Bf16] {
                let bytes = rounded(dtype, &values);
                let single: Vec<u8> = values.iter().flat_map(|&x| rounded(dtype, &[x])).collect();
                prop_assert_eq!(&bytes, &single);
                let wide = bytes.chunks(2).flat_map(|half| singles(dtype, half));
                prop_assert!(singles(dtype, &bytes).into_iter().map(f32::to_bits).eq(wide.map(f32::to_bits)));
            }
        }
    }
}
