//! Sums of squares, products and errors over the elements of two tensors.

use super::results::{Distortion, NonFinite};
use crate::dtype::Dtype;
use crate::dtype::number::{is_number, to_f64};

/// Sums over pairs of elements. They are finite, except that of the squared errors, which is
/// infinite if an error is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct ErrorSums {
    /// ‖W‖².
    a: f64,
    /// ‖Ŵ‖².
    b: f64,
    /// ⟨W, Ŵ⟩.
    product: f64,
    /// ‖W − Ŵ‖².
    error: f64,
    largest_error: f64,
    non_finite: NonFinite,
    /// Whether any byte differs.
    differ: bool,
}

/// Elements decoded at once, so that both sides fit into the cache.
const BLOCK: usize = 4096;

/// 2⁴⁸⁰. The sum of 2⁶⁰ squares of smaller numbers does not overflow.
const LARGE: f64 = f64::from_bits((1023 + 480) << 52);

/// Whether both numbers are finite and their squares cannot overflow.
pub(super) fn in_range(a: f64, b: f64) -> bool {
    a.abs() < LARGE && b.abs() < LARGE
}

/// Relative error and SNR in decibels, from the sums of squares of error and signal.
pub(super) fn relative_error(error: f64, signal: f64) -> (f64, f64) {
    let rel_error = if error == 0.0 { 0.0 } else { error.sqrt() / signal.sqrt() };
    (rel_error, 20.0 * rel_error.recip().log10())
}

impl ErrorSums {
    /// The sums over two arrays with the same number of elements. Compares bytes only, unless both
    /// dtypes are numeric.
    pub(super) fn of(a: (Dtype, &[u8]), b: (Dtype, &[u8])) -> Self {
        let mut sums = Self { differ: a != b, ..Self::default() };
        if !is_number(a.0) || !is_number(b.0) {
            return sums;
        }
        let (mut a_numbers, mut b_numbers) = (Vec::new(), Vec::new());
        let (a_width, b_width) = (a.0.bits() as usize / 8, b.0.bits() as usize / 8);
        let blocks = a.1.chunks(BLOCK * a_width).zip(b.1.chunks(BLOCK * b_width));
        for (a_bytes, b_bytes) in blocks {
            to_f64(a.0, a_bytes, &mut a_numbers);
            to_f64(b.0, b_bytes, &mut b_numbers);
            // Different dtypes have no bits to compare.
            let same_bits = |at: usize| {
                let element = at * a_width..(at + 1) * a_width;
                a.0 != b.0 || a_bytes[element.clone()] == b_bytes[element]
            };
            let mut block = Self::default();
            for (at, (&a, &b)) in a_numbers.iter().zip(&b_numbers).enumerate() {
                if in_range(a, b) {
                    block.add(a, b);
                    continue;
                }
                let differ = a != b && !(a.is_nan() && b.is_nan() && same_bits(at));
                if differ {
                    block.error = f64::INFINITY;
                    block.largest_error = f64::INFINITY;
                }
                block.non_finite.count(a, b, differ);
            }
            sums = sums.merged(block);
        }
        sums
    }

    fn add(&mut self, a: f64, b: f64) {
        let error = a - b;
        self.a += a * a;
        self.b += b * b;
        self.product += a * b;
        self.error += error * error;
        self.largest_error = self.largest_error.max(error.abs());
    }

    pub(super) fn merged(self, next: Self) -> Self {
        Self {
            a: self.a + next.a,
            b: self.b + next.b,
            product: self.product + next.product,
            error: self.error + next.error,
            largest_error: self.largest_error.max(next.largest_error),
            non_finite: self.non_finite.merged(next.non_finite),
            differ: self.differ || next.differ,
        }
    }

    /// Whether all bytes are equal.
    pub(super) fn same_bytes(&self) -> bool {
        !self.differ
    }

    pub(super) fn non_finite(&self) -> NonFinite {
        self.non_finite
    }

    /// Whether the error is infinite.
    pub(super) fn is_infinite(&self) -> bool {
        self.error == f64::INFINITY
    }

    pub(super) fn distortion(&self) -> Distortion {
        let (a, b) = (self.a.sqrt(), self.b.sqrt());
        let (rel_error, snr_db) = relative_error(self.error, self.a);
        let cosine = match (a == 0.0, b == 0.0) {
            (true, true) => 1.0,
            (true, false) | (false, true) => 0.0,
            // The quotient below is not exactly 1 because of rounding.
            _ if self.error == 0.0 => 1.0,
            _ => (self.product / (a * b)).clamp(-1.0, 1.0),
        };
        Distortion { rel_error, snr_db, max_abs_error: self.largest_error, cosine }
    }
}
