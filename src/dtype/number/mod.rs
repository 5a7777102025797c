//! Conversion between the elements of tensors and numbers in memory.

mod float8;
#[cfg(feature = "convert")]
mod real;

use crate::arch::Kernel;
use crate::dtype::Dtype;
use float8::{E4M3, E5M2};
use half::f16;
use half::slice::HalfFloatSliceExt;

#[cfg(feature = "convert")]
pub(crate) use real::{is_number, to_f64};

/// Whether this is a binary float that [`to_f32`] and [`from_f32`] convert: one of at least 16 bits,
/// F8_E4M3 or F8_E5M2.
pub(crate) const fn is_float(dtype: Dtype) -> bool {
    matches!(
        dtype,
        Dtype::F8_E4M3 | Dtype::F8_E5M2 | Dtype::F16 | Dtype::Bf16 | Dtype::F32 | Dtype::F64
    )
}

/// Converts elements of a float dtype and replaces the content of `out`. O(n).
///
/// F64 is rounded to nearest. The other types are exact, except that signalling NaNs may become
/// quiet.
pub(crate) fn to_f32(dtype: Dtype, bytes: &[u8], out: &mut Vec<f32>) {
    out.clear();
    match dtype {
        Dtype::F8_E4M3 => each(bytes, out, |[b]| E4M3.value(b)),
        Dtype::F8_E5M2 => each(bytes, out, |[b]| E5M2.value(b)),
        Dtype::F16 => widen_f16(bytes, out),
        Dtype::Bf16 => each(bytes, out, bf16_to_f32),
        Dtype::F32 => each(bytes, out, f32::from_le_bytes),
        Dtype::F64 => each(bytes, out, |b| f64::from_le_bytes(b) as f32),
        _ => unreachable!("callers check is_float"),
    }
}

/// Converts `values` to elements of a float dtype, rounding to nearest, ties to even. O(n).
///
/// `out` must have the size of as many elements. Overflow yields infinity, or NaN for F8_E4M3, which
/// has no infinities; NaN stays NaN.
pub(crate) fn from_f32(kernel: Kernel, dtype: Dtype, values: &[f32], out: &mut [u8]) {
    debug_assert_eq!(dtype.byte_len(values.len() as u64), Some(out.len() as u64));
    match dtype {
        Dtype::F8_E4M3 => kernel.run(
            #[inline(always)]
            || store(values, out, |value| [E4M3.round(value)]),
        ),
        Dtype::F8_E5M2 => kernel.run(
            #[inline(always)]
            || store(values, out, |value| [E5M2.round(value)]),
        ),
        Dtype::F16 => narrow_f16(values, out),
        Dtype::Bf16 => kernel.run(
            #[inline(always)]
            || store(values, out, f32_to_bf16),
        ),
        Dtype::F32 => store(values, out, f32::to_le_bytes),
        Dtype::F64 => store(values, out, |value| f64::from(value).to_le_bytes()),
        _ => unreachable!("callers check is_float"),
    }
}

/// The number of elements of a float dtype that are neither infinite nor NaN. O(n).
pub(crate) fn count_finite(dtype: Dtype, bytes: &[u8]) -> u64 {
    if dtype == Dtype::F64 {
        // Not all of them are finite in single precision.
        let elements = bytes.as_chunks().0.iter();
        return elements.filter(|&&element| f64::from_le_bytes(element).is_finite()).count() as u64;
    }
    let mut values = Vec::new();
    to_f32(dtype, bytes, &mut values);
    values.iter().filter(|value| value.is_finite()).count() as u64
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

/// Rounds to nearest, ties to even, without a branch.
#[inline(always)]
fn f32_to_bf16(value: f32) -> [u8; 2] {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1));
    // Rounding could change a NaN to infinity. A quiet NaN stays a NaN.
    let nan = bits | 0x0040_0000;
    let bits = if value.is_nan() { nan } else { rounded };
    ((bits >> 16) as u16).to_le_bytes()
}

/// F16 elements that are converted together. Conversion of slices detects the instruction set once
/// for all elements.
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn singles(dtype: Dtype, bytes: &[u8]) -> Vec<f32> {
        let mut out = vec![9.0; 3];
        to_f32(dtype, bytes, &mut out);
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
    fn every_half_round_trips() {
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
        }
    }

    /// Between two neighbours, the midpoint rounds to the even one and all others to the nearer one.
    #[test]
    fn halves_round_to_nearest_even() {
        for (dtype, largest) in [(Dtype::F16, 0x7bff), (Dtype::Bf16, 0x7f7f)] {
            for sign in [0, 0x8000] {
                for lower in 0..largest {
                    let [a, b] = [lower | sign, (lower + 1) | sign].map(u16::to_le_bytes);
                    let value = |half| f64::from(singles(dtype, half)[0]);
                    // The midpoint of two halves is a binary32.
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
    fn kernels_agree_for_every_length_at_every_alignment() {
        let values: Vec<f32> = (0..65u32)
            .map(|i| f32::from_bits(i.wrapping_mul(0x9e37_79b9)))
            .chain([f32::NAN, f32::INFINITY, -0.0])
            .collect();
        for &dtype in Dtype::ALL.iter().filter(|&&dtype| is_float(dtype)) {
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

    proptest! {
        #[test]
        fn singles_round_trip(bits in prop::collection::vec(any::<u32>(), 0..600)) {
            let values: Vec<f32> = bits.iter().map(|&bits| f32::from_bits(bits)).collect();
            let bytes: Vec<u8> = bits.iter().flat_map(|bits| bits.to_le_bytes()).collect();
            prop_assert_eq!(rounded(Dtype::F32, &values), bytes);
            let back = singles(Dtype::F64, &rounded(Dtype::F64, &values));
            for (back, value) in back.iter().zip(&values) {
                prop_assert!(back == value || (back.is_nan() && value.is_nan()));
            }
        }

        /// Conversion of slices and of single elements.
        #[test]
        fn slices_and_elements_convert_alike(values in prop::collection::vec(any::<f32>(), 0..600)) {
            for dtype in [Dtype::F8_E4M3, Dtype::F8_E5M2, Dtype::F16, Dtype::Bf16] {
                let bytes = rounded(dtype, &values);
                let single: Vec<u8> = values.iter().flat_map(|&x| rounded(dtype, &[x])).collect();
                prop_assert_eq!(&bytes, &single);
                let size = dtype.bits() as usize / 8;
                let wide = bytes.chunks(size).flat_map(|half| singles(dtype, half));
                prop_assert!(singles(dtype, &bytes).into_iter().map(f32::to_bits).eq(wide.map(f32::to_bits)));
            }
        }
    }
}
