//! Transposition with AVX2: both 128-bit halves of a vector are transposed independently.
#![allow(unsafe_code)]

use super::BAND;
use crate::arch::Avx2;
use std::arch::x86_64::*;

/// Transposes whole blocks of 16 columns. Returns the number of transposed columns.
pub(super) fn transpose_i16(_: Avx2, columns: &[[i16; BAND]], rows: &mut [i16]) -> usize {
    // SAFETY: the token is proof of AVX2.
    unsafe { blocks_of_16(columns, rows) }
}

/// Transposes whole blocks of 8 columns. Returns the number of transposed columns.
pub(super) fn transpose_i32(_: Avx2, columns: &[[i32; BAND]], rows: &mut [i32]) -> usize {
    // SAFETY: the token is proof of AVX2.
    unsafe { blocks_of_8(columns, rows) }
}

#[target_feature(enable = "avx2")]
fn blocks_of_16(columns: &[[i16; BAND]], rows: &mut [i16]) -> usize {
    let width = columns.len();
    let (blocks, _) = columns.as_chunks::<16>();
    for (number, block) in blocks.iter().enumerate() {
        for lane in (0..BAND).step_by(8) {
            let half = |column: usize| block[column][lane..lane + 8].as_ptr().cast();
            // SAFETY: 16 bytes are read from eight integers each, at any alignment.
            let a: [__m256i; 8] =
                std::array::from_fn(|i| unsafe { _mm256_loadu2_m128i(half(i + 8), half(i)) });
            let b = [
                _mm256_unpacklo_epi16(a[0], a[1]),
                _mm256_unpackhi_epi16(a[0], a[1]),
                _mm256_unpacklo_epi16(a[2], a[3]),
                _mm256_unpackhi_epi16(a[2], a[3]),
                _mm256_unpacklo_epi16(a[4], a[5]),
                _mm256_unpackhi_epi16(a[4], a[5]),
                _mm256_unpacklo_epi16(a[6], a[7]),
                _mm256_unpackhi_epi16(a[6], a[7]),
            ];
            let c = [
                _mm256_unpacklo_epi32(b[0], b[2]),
                _mm256_unpackhi_epi32(b[0], b[2]),
                _mm256_unpacklo_epi32(b[1], b[3]),
                _mm256_unpackhi_epi32(b[1], b[3]),
                _mm256_unpacklo_epi32(b[4], b[6]),
                _mm256_unpackhi_epi32(b[4], b[6]),
                _mm256_unpacklo_epi32(b[5], b[7]),
                _mm256_unpackhi_epi32(b[5], b[7]),
            ];
            for i in 0..4 {
                let transposed =
                    [_mm256_unpacklo_epi64(c[i], c[i + 4]), _mm256_unpackhi_epi64(c[i], c[i + 4])];
                for (odd, transposed) in transposed.into_iter().enumerate() {
                    let start = (lane + 2 * i + odd) * width + 16 * number;
                    let out = rows[start..start + 16].as_mut_ptr();
                    // SAFETY: 32 bytes are written over sixteen integers, at any alignment.
                    unsafe { _mm256_storeu_si256(out.cast(), transposed) }
                }
            }
        }
    }
    blocks.len() * 16
}

#[target_feature(enable = "avx2")]
fn blocks_of_8(columns: &[[i32; BAND]], rows: &mut [i32]) -> usize {
    let width = columns.len();
    let (blocks, _) = columns.as_chunks::<8>();
    for (number, block) in blocks.iter().enumerate() {
        for lane in (0..BAND).step_by(4) {
            let half = |column: usize| block[column][lane..lane + 4].as_ptr().cast();
            // SAFETY: 16 bytes are read from four integers each, at any alignment.
            let a: [__m256i; 4] =
                std::array::from_fn(|i| unsafe { _mm256_loadu2_m128i(half(i + 4), half(i)) });
            let b = [
                _mm256_unpacklo_epi32(a[0], a[1]),
                _mm256_unpackhi_epi32(a[0], a[1]),
                _mm256_unpacklo_epi32(a[2], a[3]),
                _mm256_unpackhi_epi32(a[2], a[3]),
            ];
            for i in 0..2 {
                let transposed =
                    [_mm256_unpacklo_epi64(b[i], b[i + 2]), _mm256_unpackhi_epi64(b[i], b[i + 2])];
                for (odd, transposed) in transposed.into_iter().enumerate() {
                    let start = (lane + 2 * i + odd) * width + 8 * number;
                    let out = rows[start..start + 8].as_mut_ptr();
                    // SAFETY: 32 bytes are written over eight integers, at any alignment.
                    unsafe { _mm256_storeu_si256(out.cast(), transposed) }
                }
            }
        }
    }
    blocks.len() * 8
}
