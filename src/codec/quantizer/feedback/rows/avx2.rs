//! Two vectors of eight rows.
#![allow(unsafe_code)]

use super::vector::{Indices, Lanes, Line, ROUND, RowVector, WindowTable};
use crate::arch::Avx2;
use crate::codec::quantizer::ROWS;
use std::arch::x86_64::*;
use std::ops::{Add, Mul, Sub};

/// [`RowVector`] with AVX2. Values are made from a token only: the processor has AVX2.
#[derive(Clone, Copy)]
pub(in super::super) struct Avx2Rows([__m256; 2]);

/// Rows of a vector.
const WIDTH: usize = 8;

impl Add for Avx2Rows {
    type Output = Self;

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: the values are proof of AVX2.
        Self(unsafe {
            [_mm256_add_ps(self.0[0], other.0[0]), _mm256_add_ps(self.0[1], other.0[1])]
        })
    }
}

impl Sub for Avx2Rows {
    type Output = Self;

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        // SAFETY: the values are proof of AVX2.
        Self(unsafe {
            [_mm256_sub_ps(self.0[0], other.0[0]), _mm256_sub_ps(self.0[1], other.0[1])]
        })
    }
}

impl Mul for Avx2Rows {
    type Output = Self;

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        // SAFETY: the values are proof of AVX2.
        Self(unsafe {
            [_mm256_mul_ps(self.0[0], other.0[0]), _mm256_mul_ps(self.0[1], other.0[1])]
        })
    }
}

impl RowVector for Avx2Rows {
    type Token = Avx2;
    type Mask = [__m256; 2];
    const SUMS: usize = 4;

    #[inline(always)]
    fn run<R>(token: Avx2, work: impl FnOnce() -> R) -> R {
        token.run(work)
    }

    #[inline(always)]
    fn splat(_: Avx2, number: f32) -> Self {
        // SAFETY: the token is proof of AVX2.
        Self([unsafe { _mm256_set1_ps(number) }; 2])
    }

    #[inline(always)]
    fn load(token: Avx2, rows: &Line) -> Self {
        Self::load_unaligned(token, &rows.0)
    }

    #[inline(always)]
    fn load_unaligned(_: Avx2, rows: &Lanes<f32>) -> Self {
        let rows = rows.as_ptr();
        // SAFETY: the token is proof of AVX2; 16 numbers are read, at any alignment.
        Self(unsafe { [_mm256_loadu_ps(rows), _mm256_loadu_ps(rows.add(WIDTH))] })
    }

    #[inline(always)]
    fn store(self, rows: &mut Line) {
        let (rows, [low, high]) = (rows.0.as_mut_ptr(), self.0);
        // SAFETY: the values are proof of AVX2; 16 numbers are written, at any alignment.
        unsafe {
            _mm256_storeu_ps(rows, low);
            _mm256_storeu_ps(rows.add(WIDTH), high);
        }
    }

    #[inline(always)]
    fn store_integers(self, rows: &mut Lanes<i16>) {
        // SAFETY: the values are proof of AVX2; 16 numbers are written, at any alignment.
        unsafe {
            let low = _mm256_cvtps_epi32(self.0[0]);
            let high = _mm256_cvtps_epi32(self.0[1]);
            let packed = _mm256_packs_epi32(low, high);
            let ordered = _mm256_permute4x64_epi64::<0b11_01_10_00>(packed);
            _mm256_storeu_si256(rows.as_mut_ptr().cast(), ordered);
        }
    }

    #[inline(always)]
    fn indices(self, starts: &Lanes<u32>, table: &WindowTable) -> Indices {
        let mut rows = [0u32; ROWS];
        for i in 0..2 {
            let (starts, rows) = (starts[i * WIDTH..].as_ptr(), rows[i * WIDTH..].as_mut_ptr());
            // SAFETY: the values are proof of AVX2; eight numbers are read and written, at any
            // alignment.
            unsafe {
                let round = _mm256_set1_epi32(ROUND.to_bits() as i32);
                let numbers = _mm256_sub_epi32(_mm256_castps_si256(self.0[i]), round);
                let sums = _mm256_add_epi32(_mm256_loadu_si256(starts.cast()), numbers);
                let sums = _mm256_min_epu32(sums, _mm256_set1_epi32(table.last as i32));
                _mm256_storeu_si256(rows.cast(), sums);
            }
        }
        Indices { rows, last: table.last }
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        // SAFETY: the values are proof of AVX2.
        Self(unsafe {
            [_mm256_min_ps(self.0[0], other.0[0]), _mm256_min_ps(self.0[1], other.0[1])]
        })
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        // SAFETY: the values are proof of AVX2.
        Self(unsafe {
            [_mm256_max_ps(self.0[0], other.0[0]), _mm256_max_ps(self.0[1], other.0[1])]
        })
    }

    #[inline(always)]
    fn less(self, other: Self) -> Self::Mask {
        // SAFETY: the values are proof of AVX2.
        unsafe {
            [
                _mm256_cmp_ps::<_CMP_LT_OQ>(self.0[0], other.0[0]),
                _mm256_cmp_ps::<_CMP_LT_OQ>(self.0[1], other.0[1]),
            ]
        }
    }

    #[inline(always)]
    fn is_odd(self) -> Self::Mask {
        // Selections use the highest bit.
        // SAFETY: the values are proof of AVX2.
        unsafe {
            let low = _mm256_slli_epi32::<31>(_mm256_castps_si256(self.0[0]));
            let high = _mm256_slli_epi32::<31>(_mm256_castps_si256(self.0[1]));
            [_mm256_castsi256_ps(low), _mm256_castsi256_ps(high)]
        }
    }

    #[inline(always)]
    fn select(mask: Self::Mask, a: Self, b: Self) -> Self {
        // SAFETY: the values are proof of AVX2.
        Self(unsafe {
            [_mm256_blendv_ps(b.0[0], a.0[0], mask[0]), _mm256_blendv_ps(b.0[1], a.0[1], mask[1])]
        })
    }

    #[inline(always)]
    fn bits(mask: Self::Mask) -> u16 {
        // SAFETY: masks come from values, which are proof of AVX2.
        let [low, high] = unsafe { [_mm256_movemask_ps(mask[0]), _mm256_movemask_ps(mask[1])] };
        (low | high << WIDTH) as u16
    }

    #[inline(always)]
    fn windows(_: Avx2, table: &WindowTable, indices: &Indices) -> [Self; 4] {
        assert!(indices.last <= table.last, "indices of this table");
        let (table, rows) = (table.numbers.as_ptr(), &indices.rows);
        // SAFETY: the token is proof of AVX2; four numbers can be read from `last` on, which indices
        // do not exceed.
        let [a, b] = unsafe { [eight_windows(table, rows, 0), eight_windows(table, rows, WIDTH)] };
        [Self([a[0], b[0]]), Self([a[1], b[1]]), Self([a[2], b[2]]), Self([a[3], b[3]])]
    }
}

/// Four numbers for each of eight rows, from `first` on.
///
/// # Safety
/// Four numbers can be read from each index on.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn eight_windows(table: *const f32, indices: &Lanes<u32>, first: usize) -> [__m256; 4] {
    // Rows i and i + 4 in the halves of a vector.
    // SAFETY: the caller ensures that four numbers can be read.
    let pair = |i: usize| unsafe {
        let low = _mm_loadu_ps(table.add(indices[first + i] as usize));
        let high = _mm_loadu_ps(table.add(indices[first + i + 4] as usize));
        _mm256_insertf128_ps::<1>(_mm256_castps128_ps256(low), high)
    };
    let [a, b, c, d] = [pair(0), pair(1), pair(2), pair(3)];
    let (ab, cd) = (_mm256_unpacklo_ps(a, b), _mm256_unpacklo_ps(c, d));
    let zeroth = _mm256_shuffle_ps::<0b01_00_01_00>(ab, cd);
    let first = _mm256_shuffle_ps::<0b11_10_11_10>(ab, cd);
    let (ab, cd) = (_mm256_unpackhi_ps(a, b), _mm256_unpackhi_ps(c, d));
    let second = _mm256_shuffle_ps::<0b01_00_01_00>(ab, cd);
    let third = _mm256_shuffle_ps::<0b11_10_11_10>(ab, cd);
    [zeroth, first, second, third]
}
