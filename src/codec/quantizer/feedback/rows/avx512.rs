//! One vector of 16 rows.
#![allow(unsafe_code)]

use super::vector::{Indices, Lanes, Line, ROUND, RowVector, WindowTable};
use crate::arch::Avx512;
use crate::codec::quantizer::ROWS;
use std::arch::x86_64::*;
use std::ops::{Add, Mul, Sub};

/// [`RowVector`] with AVX-512. Values are made from a token only: the processor has it.
#[derive(Clone, Copy)]
pub(in super::super) struct Avx512Rows(__m512);

impl Add for Avx512Rows {
    type Output = Self;

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: the values are proof of AVX-512.
        Self(unsafe { _mm512_add_ps(self.0, other.0) })
    }
}

impl Sub for Avx512Rows {
    type Output = Self;

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        // SAFETY: the values are proof of AVX-512.
        Self(unsafe { _mm512_sub_ps(self.0, other.0) })
    }
}

impl Mul for Avx512Rows {
    type Output = Self;

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        // SAFETY: the values are proof of AVX-512.
        Self(unsafe { _mm512_mul_ps(self.0, other.0) })
    }
}

impl RowVector for Avx512Rows {
    type Token = Avx512;
    type Mask = __mmask16;
    const SUMS: usize = 8;

    #[inline(always)]
    fn run<R>(token: Avx512, work: impl FnOnce() -> R) -> R {
        token.run(work)
    }

    #[inline(always)]
    fn splat(_: Avx512, number: f32) -> Self {
        // SAFETY: the token is proof of AVX-512.
        Self(unsafe { _mm512_set1_ps(number) })
    }

    #[inline(always)]
    fn load(_: Avx512, rows: &Line) -> Self {
        // SAFETY: the token is proof of AVX-512; 16 aligned numbers are read.
        Self(unsafe { _mm512_load_ps(rows.0.as_ptr()) })
    }

    #[inline(always)]
    fn load_unaligned(_: Avx512, rows: &Lanes<f32>) -> Self {
        // SAFETY: the token is proof of AVX-512; 16 numbers are read, at any alignment.
        Self(unsafe { _mm512_loadu_ps(rows.as_ptr()) })
    }

    #[inline(always)]
    fn store(self, rows: &mut Line) {
        // SAFETY: the values are proof of AVX-512; 16 aligned numbers are written.
        unsafe { _mm512_store_ps(rows.0.as_mut_ptr(), self.0) }
    }

    #[inline(always)]
    fn store_integers(self, rows: &mut Lanes<i16>) {
        // SAFETY: the values are proof of AVX-512; 16 numbers are written, at any alignment.
        unsafe {
            let short = _mm512_cvtsepi32_epi16(_mm512_cvtps_epi32(self.0));
            _mm256_storeu_si256(rows.as_mut_ptr().cast(), short);
        }
    }

    #[inline(always)]
    fn indices(self, starts: &Lanes<u32>, table: &WindowTable) -> Indices {
        let mut rows = [0u32; ROWS];
        // SAFETY: the values are proof of AVX-512; 16 numbers are read and written, at any alignment.
        unsafe {
            let round = _mm512_set1_epi32(ROUND.to_bits() as i32);
            let numbers = _mm512_sub_epi32(_mm512_castps_si512(self.0), round);
            let sums = _mm512_add_epi32(_mm512_loadu_si512(starts.as_ptr().cast()), numbers);
            let sums = _mm512_min_epu32(sums, _mm512_set1_epi32(table.last as i32));
            _mm512_storeu_si512(rows.as_mut_ptr().cast(), sums);
        }
        Indices { rows, last: table.last }
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        // SAFETY: the values are proof of AVX-512.
        Self(unsafe { _mm512_min_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        // SAFETY: the values are proof of AVX-512.
        Self(unsafe { _mm512_max_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn less(self, other: Self) -> __mmask16 {
        // SAFETY: the values are proof of AVX-512.
        unsafe { _mm512_cmp_ps_mask::<_CMP_LT_OQ>(self.0, other.0) }
    }

    #[inline(always)]
    fn is_odd(self) -> __mmask16 {
        // SAFETY: the values are proof of AVX-512.
        unsafe { _mm512_test_epi32_mask(_mm512_castps_si512(self.0), _mm512_set1_epi32(1)) }
    }

    #[inline(always)]
    fn select(mask: __mmask16, a: Self, b: Self) -> Self {
        // SAFETY: the values are proof of AVX-512.
        Self(unsafe { _mm512_mask_blend_ps(mask, b.0, a.0) })
    }

    #[inline(always)]
    fn bits(mask: __mmask16) -> u16 {
        mask
    }

    #[inline(always)]
    fn windows(_: Avx512, table: &WindowTable, indices: &Indices) -> [Self; 4] {
        assert!(indices.last <= table.last, "indices of this table");
        // SAFETY: the token is proof of AVX-512; four numbers can be read from `last` on, which
        // indices do not exceed.
        let [a, b, c, d] = unsafe { all_windows(table.numbers.as_ptr(), &indices.rows) };
        [Self(a), Self(b), Self(c), Self(d)]
    }
}

/// Four numbers for each row.
///
/// # Safety
/// Four numbers can be read from each index on.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx2,popcnt")]
unsafe fn all_windows(table: *const f32, indices: &Lanes<u32>) -> [__m512; 4] {
    // Rows i, i + 4, i + 8 and i + 12 in the quarters of a vector.
    // SAFETY: the caller ensures that four numbers can be read.
    let quad = |i: usize| unsafe {
        let four = |row: usize| _mm_loadu_ps(table.add(indices[row] as usize));
        let low = _mm256_insertf128_ps::<1>(_mm256_castps128_ps256(four(i)), four(i + 4));
        let high = _mm256_insertf128_ps::<1>(_mm256_castps128_ps256(four(i + 8)), four(i + 12));
        let all = _mm512_castpd256_pd512(_mm256_castps_pd(low));
        _mm512_castpd_ps(_mm512_insertf64x4::<1>(all, _mm256_castps_pd(high)))
    };
    let [a, b, c, d] = [quad(0), quad(1), quad(2), quad(3)];
    let (ab, cd) = (_mm512_unpacklo_ps(a, b), _mm512_unpacklo_ps(c, d));
    let zeroth = _mm512_shuffle_ps::<0b01_00_01_00>(ab, cd);
    let first = _mm512_shuffle_ps::<0b11_10_11_10>(ab, cd);
    let (ab, cd) = (_mm512_unpackhi_ps(a, b), _mm512_unpackhi_ps(c, d));
    let second = _mm512_shuffle_ps::<0b01_00_01_00>(ab, cd);
    let third = _mm512_shuffle_ps::<0b11_10_11_10>(ab, cd);
    [zeroth, first, second, third]
}
