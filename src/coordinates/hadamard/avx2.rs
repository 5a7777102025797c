//! The inverse transform with AVX2: sixteen lanes a vector, up to three stages at a time.
#![allow(unsafe_code)]

use super::BAND;
use crate::kernel::Avx2;
use std::arch::x86_64::*;

/// Lanes of a vector.
const WIDTH: usize = 16;

/// As [`inverse_block`](super::inverse_block), of short integers.
pub(super) fn inverse_block(_: Avx2, block: &mut [[i16; BAND]]) {
    // SAFETY: the token is proof of AVX2.
    unsafe { stages(block) }
}

#[target_feature(enable = "avx2")]
fn stages(block: &mut [[i16; BAND]]) {
    let vectors = block.as_flattened_mut().as_chunks_mut().0;
    let mut stride = BAND / WIDTH;
    while 8 * stride <= vectors.len() {
        pass::<8>(vectors, stride);
        stride *= 8;
    }
    match vectors.len() / stride {
        4 => pass::<4>(vectors, stride),
        2 => pass::<2>(vectors, stride),
        _ => {}
    }
}

/// The transforms of `R` vectors each, which are `stride` apart.
#[target_feature(enable = "avx2")]
fn pass<const R: usize>(vectors: &mut [[i16; WIDTH]], stride: usize) {
    for group in vectors.chunks_exact_mut(R * stride) {
        for at in 0..stride {
            let at = |i: usize| i * stride + at;
            // SAFETY: a vector is read from sixteen integers, at any alignment.
            let mut values: [__m256i; R] = std::array::from_fn(|i| unsafe {
                _mm256_loadu_si256(group[at(i)].as_ptr().cast())
            });
            let mut half = 1;
            while half < R {
                for i in (0..R).filter(|i| i & half == 0) {
                    let (a, b) = (values[i], values[i + half]);
                    values[i] = _mm256_add_epi16(a, b);
                    values[i + half] = _mm256_sub_epi16(a, b);
                }
                half *= 2;
            }
            for (i, value) in values.into_iter().enumerate() {
                // SAFETY: a vector is written over sixteen integers, at any alignment.
                unsafe { _mm256_storeu_si256(group[at(i)].as_mut_ptr().cast(), value) };
            }
        }
    }
}
