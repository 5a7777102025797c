//! Loops that the compiler vectorises.
#![allow(clippy::needless_range_loop, reason = "such loops are vectorised")]

use super::vector::{Indices, Lanes, Line, ROUND, RowVector, WindowTable};
use crate::arch::Kernel;
use crate::codec::quantizer::ROWS;
use crate::codec::quantizer::viterbi::ROW_BITS;
use std::ops::{Add, Mul, Sub};

/// [`RowVector`] in portable code.
#[derive(Clone, Copy)]
pub(in super::super) struct PortableRows(Lanes<f32>);

/// All bits set, or none.
type Mask = Lanes<u32>;

impl PortableRows {
    #[inline(always)]
    fn zip(self, other: Self, operation: impl Fn(f32, f32) -> f32) -> Self {
        let mut numbers = self.0;
        for row in 0..ROWS {
            numbers[row] = operation(numbers[row], other.0[row]);
        }
        Self(numbers)
    }
}

impl Add for PortableRows {
    type Output = Self;

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }
}

impl Sub for PortableRows {
    type Output = Self;

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.zip(other, |a, b| a - b)
    }
}

impl Mul for PortableRows {
    type Output = Self;

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.zip(other, |a, b| a * b)
    }
}

impl RowVector for PortableRows {
    type Token = Kernel;
    type Mask = Mask;
    const SUMS: usize = 4;

    #[inline(always)]
    fn run<R>(kernel: Kernel, work: impl FnOnce() -> R) -> R {
        kernel.run(work)
    }

    #[inline(always)]
    fn splat(_: Kernel, number: f32) -> Self {
        Self([number; ROWS])
    }

    #[inline(always)]
    fn load(_: Kernel, rows: &Line) -> Self {
        Self(rows.0)
    }

    #[inline(always)]
    fn load_unaligned(_: Kernel, rows: &Lanes<f32>) -> Self {
        Self(*rows)
    }

    #[inline(always)]
    fn store(self, rows: &mut Line) {
        rows.0 = self.0;
    }

    #[inline(always)]
    fn store_integers(self, rows: &mut Lanes<i16>) {
        for row in 0..ROWS {
            // Unlike `as`, it needs no checks.
            rows[row] = (self.0[row] + ROUND).to_bits().wrapping_sub(ROUND.to_bits()) as i16;
        }
    }

    #[inline(always)]
    fn indices(self, starts: &Lanes<u32>, table: &WindowTable) -> Indices {
        let mut rows = *starts;
        for row in 0..ROWS {
            let number = self.0[row].to_bits().wrapping_sub(ROUND.to_bits());
            rows[row] = rows[row].wrapping_add(number).min(table.last);
        }
        Indices { rows, last: table.last }
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        self.zip(other, |a, b| if a < b { a } else { b })
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        self.zip(other, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn less(self, other: Self) -> Mask {
        let mut mask = [0; ROWS];
        for row in 0..ROWS {
            mask[row] = if self.0[row] < other.0[row] { u32::MAX } else { 0 };
        }
        mask
    }

    #[inline(always)]
    fn is_odd(self) -> Mask {
        let mut mask = [0; ROWS];
        for row in 0..ROWS {
            mask[row] = (self.0[row].to_bits() & 1).wrapping_neg();
        }
        mask
    }

    #[inline(always)]
    fn select(mask: Mask, a: Self, b: Self) -> Self {
        let mut numbers = [0.0; ROWS];
        for row in 0..ROWS {
            let (a, b) = (a.0[row].to_bits(), b.0[row].to_bits());
            numbers[row] = f32::from_bits((a & mask[row]) | (b & !mask[row]));
        }
        Self(numbers)
    }

    #[inline(always)]
    fn bits(mask: Mask) -> u16 {
        let mut bits = 0;
        for row in 0..ROWS {
            bits |= mask[row] & ROW_BITS[row];
        }
        bits as u16
    }

    #[inline(always)]
    fn windows(_: Kernel, table: &WindowTable, indices: &Indices) -> [Self; 4] {
        let mut numbers = [[0.0; ROWS]; 4];
        for (row, &index) in indices.rows.iter().enumerate() {
            let window = &table.numbers[index as usize..][..4];
            for (rows, &number) in numbers.iter_mut().zip(window) {
                rows[row] = number;
            }
        }
        let [a, b, c, d] = numbers;
        [Self(a), Self(b), Self(c), Self(d)]
    }
}
