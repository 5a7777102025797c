//! Symbols to bytes and back: histograms, frequency tables, bit I/O and the rANS coder.
//!
//! Knows nothing of tensors, chunks or files.

mod bits;
mod frequencies;
mod histogram;
mod profile;
pub(crate) mod rans;

pub(crate) use bits::{BitReader, BitWriter};
pub(crate) use frequencies::{Frequencies, entropy_bits};
pub(crate) use histogram::Histogram;
pub(crate) use profile::{
    Alphabet, CENTRE, Coset, ESCAPE, MAX_MAGNITUDE, MagnitudeCounts, Profile,
};
