//! The transform of rows of floats: eight columns in a vector.
#![allow(unsafe_code)]

use crate::arch::Avx2;
use std::arch::x86_64::*;

/// Computes [`butterflies`](crate::codec::transform::hadamard::forward::butterflies) of at least eight
/// columns.
pub(in crate::codec::transform::hadamard) fn forward_block(_: Avx2, block: &mut [f32]) {
    // SAFETY: the token is proof of AVX2.
    unsafe {
        let vectors = block.as_chunks_mut().0;
        within_vectors(vectors);
        float_stages(vectors, 1);
    }
}

butterfly_stages! {
    float_stages, float_pass, [f32; 8], __m256,
    _mm256_loadu_ps, _mm256_storeu_ps, _mm256_add_ps, _mm256_sub_ps
}

/// The first three stages, within vectors.
#[target_feature(enable = "avx2")]
fn within_vectors(vectors: &mut [[f32; 8]]) {
    for vector in vectors {
        // SAFETY: a vector is read from eight floats, at any alignment.
        let mut x = unsafe { _mm256_loadu_ps(vector.as_ptr()) };
        // Swap partners; then sums in the lower place, differences in the upper place.
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
