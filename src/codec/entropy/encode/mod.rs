//! The encoder's part of entropy coding: counting symbols, choosing tables, writing bits.

mod bit_writer;
mod frequencies;
mod histogram;
mod magnitudes;

pub(crate) use super::magnitude_distribution::MAX_MAGNITUDE;
pub(crate) use bit_writer::BitWriter;
pub(crate) use frequencies::entropy_bits;
pub(crate) use histogram::{Histogram, scale};
pub(crate) use magnitudes::MagnitudeCounts;
