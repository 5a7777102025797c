//! Rust types of tensor elements.

use crate::dtype::Dtype;
use half::{bf16, f16};
use zerocopy::IntoBytes;

/// A Rust type that represents the elements of one [`Dtype`].
///
/// It is implemented for `u8` to `u64`, `i8` to `i64`, [`half::f16`], [`half::bf16`], `f32` and
/// `f64`, and cannot be implemented outside this crate. Dtypes without such a type (BOOL, complex
/// numbers, floats of up to 8 bits) are decoded to bytes.
pub trait Element: sealed::Plain {
    /// The dtype of these elements.
    const DTYPE: Dtype;
}

mod sealed {
    use zerocopy::{FromBytes, Immutable, IntoBytes};

    /// Any bit pattern is a value, and there is no padding.
    pub trait Plain: FromBytes + IntoBytes + Immutable + Copy + Send + Sync + 'static {}
}

macro_rules! elements {
    ($($element:ty = $dtype:ident),* $(,)?) => {$(
        impl sealed::Plain for $element {}

        impl Element for $element {
            const DTYPE: Dtype = Dtype::$dtype;
        }
    )*};
}

elements! {
    u8 = U8, i8 = I8, u16 = U16, i16 = I16, u32 = U32, i32 = I32, u64 = U64, i64 = I64,
    f16 = F16, bf16 = Bf16, f32 = F32, f64 = F64,
}

/// Converts elements whose bytes were stored in little-endian order to the order of this machine.
pub(super) fn from_little_endian<T: Element>(elements: &mut [T]) {
    if cfg!(target_endian = "big") {
        reverse_bytes(elements);
    }
}

fn reverse_bytes<T: Element>(elements: &mut [T]) {
    for element in elements.as_mut_bytes().chunks_exact_mut(size_of::<T>()) {
        element.reverse();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: Element>() {
        assert_eq!(8 * size_of::<T>(), T::DTYPE.bits() as usize);
    }

    #[test]
    fn sizes_match_dtypes() {
        check::<u8>();
        check::<i8>();
        check::<u16>();
        check::<i16>();
        check::<f16>();
        check::<bf16>();
        check::<u32>();
        check::<i32>();
        check::<f32>();
        check::<u64>();
        check::<i64>();
        check::<f64>();
    }

    #[test]
    fn bytes_are_reversed_within_elements() {
        let mut elements = [0x0102_0304u32, 5];
        reverse_bytes(&mut elements);
        assert_eq!(elements, [0x0403_0201, 0x0500_0000]);
        let mut elements = [1.5f64];
        reverse_bytes(&mut elements);
        assert_eq!(elements[0].to_bits(), 1.5f64.to_bits().swap_bytes());
    }
}
