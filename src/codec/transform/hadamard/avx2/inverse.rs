//! The transform of bands of 16-bit integers: sixteen lanes in a vector.
#![allow(unsafe_code)]

use crate::arch::Avx2;
use crate::codec::transform::BAND;
use std::arch::x86_64::*;

/// Computes [`inverse_block`](crate::codec::transform::hadamard::inverse_block) of 16-bit integers.
pub(in crate::codec::transform::hadamard) fn inverse_block(_: Avx2, block: &mut [[i16; BAND]]) {
    // SAFETY: the token is proof of AVX2.
    unsafe { short_stages(block.as_flattened_mut().as_chunks_mut().0, BAND / 16) }
}

butterfly_stages! {
    short_stages, short_pass, [i16; 16], __m256i,
    _mm256_loadu_si256, _mm256_storeu_si256, _mm256_add_epi16, _mm256_sub_epi16
}
