//! Both transforms with AVX2, up to three stages at a time: of bands of short integers, sixteen
//! lanes a vector, and of rows of floats, eight columns a vector.
#![allow(unsafe_code)]

use super::BAND;
use crate::arch::Avx2;
use std::arch::x86_64::*;

/// As [`inverse_block`](super::inverse_block), of short integers.
pub(super) fn inverse_block(_: Avx2, block: &mut [[i16; BAND]]) {
    // SAFETY: the token is proof of AVX2.
    unsafe { short_stages(block.as_flattened_mut().as_chunks_mut().0, BAND / 16) }
}

/// As [`butterflies`](super::butterflies), of at least eight columns.
pub(super) fn forward_block(_: Avx2, block: &mut [f32]) {
    // SAFETY: the token is proof of AVX2.
    unsafe {
        let vectors = block.as_chunks_mut().0;
        within_vectors(vectors);
        float_stages(vectors, 1);
    }
}

/// Stages whose numbers lie `stride` vectors apart or more, in order, for one type of vector.
macro_rules! stages {
    ($stages:ident, $pass:ident, [$number:ty; $width:literal], $vector:ty,
     $load:ident, $store:ident, $add:ident, $sub:ident) => {
        #[target_feature(enable = "avx2")]
        fn $stages(vectors: &mut [[$number; $width]], mut stride: usize) {
            while 8 * stride <= vectors.len() {
                $pass::<8>(vectors, stride);
                stride *= 8;
            }
            match vectors.len() / stride {
                4 => $pass::<4>(vectors, stride),
                2 => $pass::<2>(vectors, stride),
                _ => {}
            }
        }

        /// The transforms of `R` vectors each, which are `stride` apart.
        #[target_feature(enable = "avx2")]
        fn $pass<const R: usize>(vectors: &mut [[$number; $width]], stride: usize) {
            for group in vectors.chunks_exact_mut(R * stride) {
                for at in 0..stride {
                    let at = |i: usize| i * stride + at;
                    let mut values: [$vector; R] = std::array::from_fn(|i| {
                        // SAFETY: a vector is read from as many numbers, at any alignment.
                        unsafe { $load(group[at(i)].as_ptr().cast()) }
                    });
                    let mut half = 1;
                    while half < R {
                        for i in (0..R).filter(|i| i & half == 0) {
                            let (a, b) = (values[i], values[i + half]);
                            values[i] = $add(a, b);
                            values[i + half] = $sub(a, b);
                        }
                        half *= 2;
                    }
                    for (i, value) in values.into_iter().enumerate() {
                        // SAFETY: a vector is written over as many numbers, at any alignment.
                        unsafe { $store(group[at(i)].as_mut_ptr().cast(), value) };
                    }
                }
            }
        }
    };
}

stages! {
    short_stages, short_pass, [i16; 16], __m256i,
    _mm256_loadu_si256, _mm256_storeu_si256, _mm256_add_epi16, _mm256_sub_epi16
}

stages! {
    float_stages, float_pass, [f32; 8], __m256,
    _mm256_loadu_ps, _mm256_storeu_ps, _mm256_add_ps, _mm256_sub_ps
}

/// The first three stages: numbers within a vector.
#[target_feature(enable = "avx2")]
fn within_vectors(vectors: &mut [[f32; 8]]) {
    for vector in vectors {
        // SAFETY: a vector is read from eight floats, at any alignment.
        let mut x = unsafe { _mm256_loadu_ps(vector.as_ptr()) };
        // Each with its partner: sums below, differences above.
        let other = _mm256_permute_ps::<0b10_11_00_01>(x);
        x = _mm256_blend_ps::<0b1010_1010>(_mm256_add_ps(x, other), _mm256_sub_ps(other, x));
        let other = _mm256_permute_ps::<0b01_00_11_10>(x);
        x = _mm256_blend_ps::<0b1100_1100>(_mm256_add_ps(x, other), _mm256_sub_ps(other, x));
        let other = _mm256_permute2f128_ps::<0b0000_0001>(x, x);
        x = _mm256_blend_ps::<0b1111_0000>(_mm256_add_ps(x, other), _mm256_sub_ps(other, x));
        // SAFETY: a vector is written over eight floats, at any alignment.
        unsafe { _mm256_storeu_ps(vector.as_mut_ptr(), x) };
    }
}
