//! Entropy coding of bytes: bit fields, frequency tables and the rANS coder.
//!
//! This layer does not depend on tensors, chunks or files. The module `encode` holds what only an
//! encoder needs.

mod alphabet;
mod bit_reader;
#[cfg(feature = "encode")]
mod encode;
mod frequencies;
pub(crate) mod low_bits;
mod magnitude_distribution;
pub(crate) mod rans;

pub(crate) use alphabet::{Alphabet, CENTRE, Coset, ESCAPE};
pub(crate) use bit_reader::BitReader;
#[cfg(feature = "encode")]
pub(crate) use encode::{
    BitWriter, Histogram, MAX_MAGNITUDE, MagnitudeCounts, entropy_bits, scale,
};
pub(crate) use frequencies::Frequencies;
pub(crate) use magnitude_distribution::MagnitudeDistribution;
