//! Arithmetic on the numbers of 16 rows at once, for each instruction set.
//!
//! All implementations compute the same bits: no operation is fused, and the minimum of numbers of
//! which neither is less is the second one.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;
mod vector;

#[cfg(target_arch = "x86_64")]
pub(super) use avx2::Avx2Rows;
#[cfg(target_arch = "x86_64")]
pub(super) use avx512::Avx512Rows;
pub(super) use portable::PortableRows;
pub(super) use vector::{Indices, Lanes, Line, ROUND, RowVector, WindowTable};
