//! The operations on the numbers of 16 rows.

use crate::codec::quantizer::ROWS;
use std::ops::{Add, Mul, Sub};

/// A value for each row.
pub(in super::super) type Lanes<T> = [T; ROWS];

/// A number for each row, in a cache line.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(in super::super) struct Line(pub(in super::super) Lanes<f32>);

impl Line {
    pub(in super::super) const ZERO: Self = Self([0.0; ROWS]);
}

/// Adding this number to one of magnitude below 2^22 rounds it to an integer, which the low bits
/// then hold.
pub(in super::super) const ROUND: f32 = 12_582_912.0;

/// A number for each row, in registers.
pub(in super::super) trait RowVector:
    Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self>
{
    /// Proof that the processor has the instructions.
    type Token: Copy;
    /// A condition for each row.
    type Mask: Copy;
    /// Vectors that are summed up at once: as many as there are registers for.
    const SUMS: usize;

    /// Runs `work`, compiled for these instructions together with everything inlined into it.
    fn run<R>(token: Self::Token, work: impl FnOnce() -> R) -> R;

    fn splat(token: Self::Token, number: f32) -> Self;
    fn load(token: Self::Token, rows: &Line) -> Self;
    fn load_unaligned(token: Self::Token, rows: &Lanes<f32>) -> Self;
    fn store(self, rows: &mut Line);
    /// Stores integers of 16 bits.
    fn store_integers(self, rows: &mut Lanes<i16>);
    /// The sums of integers and of `starts`, but at most the last index of a window of the table.
    /// [`ROUND`] was added to the integers.
    fn indices(self, starts: &Lanes<u32>, table: &WindowTable) -> Indices;

    /// The lesser number; the other one where neither is less.
    fn min(self, other: Self) -> Self;
    /// The greater number; the other one where neither is greater.
    fn max(self, other: Self) -> Self;
    fn less(self, other: Self) -> Self::Mask;
    /// Whether an integer to which [`ROUND`] was added is odd.
    fn is_odd(self) -> Self::Mask;
    /// `a` where the condition holds, else `b`.
    fn select(mask: Self::Mask, a: Self, b: Self) -> Self;
    /// A bit for each row.
    fn bits(mask: Self::Mask) -> u16;

    /// Four numbers for each row: those of the table from an index on.
    ///
    /// # Panics
    /// When the indices are those of a longer table.
    fn windows(token: Self::Token, table: &WindowTable, indices: &Indices) -> [Self; 4];
}

/// A table of which four numbers in a row are looked up.
pub(in super::super) struct WindowTable {
    pub(super) numbers: Vec<f32>,
    /// The last index of four numbers.
    pub(super) last: u32,
}

impl WindowTable {
    /// A table of at least four numbers.
    pub(in super::super) fn new(numbers: Vec<f32>) -> Self {
        let last = numbers.len().checked_sub(4).and_then(|last| u32::try_from(last).ok());
        let Some(last) = last else { unreachable!("a table has 4 to 2^32 numbers") };
        Self { numbers, last }
    }
}

/// Indices into a [`WindowTable`].
#[derive(Clone, Copy)]
pub(in super::super) struct Indices {
    /// At most `last`.
    pub(super) rows: Lanes<u32>,
    /// The last index of the table.
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "kernels need it"))]
    pub(super) last: u32,
}

impl Indices {
    pub(in super::super) const ZERO: Self = Self { rows: [0; ROWS], last: 0 };
}
