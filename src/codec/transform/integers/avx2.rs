//! Matrix products with AVX2: two products for each lane in one instruction.
#![allow(unsafe_code)]

use super::BAND;
use crate::arch::Avx2;
use std::arch::x86_64::*;

/// Lanes of a vector.
const WIDTH: usize = 8;

/// Columns that are computed together.
const COLUMNS: usize = 2;

/// Computes [`combine`](super::IntegerMatrix::combine) with the weights of pairs of rows. `entries`
/// holds the entries of pairs of rows, column by column.
pub(super) fn combine(
    _: Avx2,
    weights: &[[[i16; 2]; BAND]],
    entries: &[[i16; 2]],
    out: &mut [[i32; BAND]],
) {
    assert_eq!(entries.len(), weights.len() * out.len());
    if weights.is_empty() {
        return out.fill([0; BAND]);
    }
    let (pairs, rest) = out.as_chunks_mut::<COLUMNS>();
    let (first, last) = entries.split_at(pairs.len() * COLUMNS * weights.len());
    for (out, entries) in pairs.iter_mut().zip(first.chunks_exact(COLUMNS * weights.len())) {
        // SAFETY: the token is proof of AVX2.
        unsafe { sums(weights, entries, out) }
    }
    if let [out] = rest {
        // SAFETY: the token is proof of AVX2.
        unsafe { sums(weights, last, std::array::from_mut(out)) }
    }
}

#[target_feature(enable = "avx2")]
fn sums<const C: usize>(
    weights: &[[[i16; 2]; BAND]],
    entries: &[[i16; 2]],
    out: &mut [[i32; BAND]; C],
) {
    let columns: [&[[i16; 2]]; C] =
        std::array::from_fn(|column| &entries[column * weights.len()..][..weights.len()]);
    let mut sums = [[_mm256_setzero_si256(); BAND / WIDTH]; C];
    for (number, weights) in weights.iter().enumerate() {
        let entries = columns.map(|column| {
            let [first, second] = column[number];
            _mm256_set1_epi32(i32::from(first as u16) | i32::from(second) << 16)
        });
        for (vector, weights) in weights.as_chunks::<WIDTH>().0.iter().enumerate() {
            // SAFETY: 32 bytes are read from eight pairs of integers, at any alignment.
            let weights = unsafe { _mm256_loadu_si256(weights.as_ptr().cast()) };
            for (sums, &entries) in sums.iter_mut().zip(&entries) {
                let products = _mm256_madd_epi16(weights, entries);
                sums[vector] = _mm256_add_epi32(sums[vector], products);
            }
        }
    }
    for (out, sums) in out.iter_mut().zip(sums) {
        for (out, sums) in out.as_chunks_mut::<WIDTH>().0.iter_mut().zip(sums) {
            // SAFETY: 32 bytes are written over eight integers, at any alignment.
            unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), sums) }
        }
    }
}
