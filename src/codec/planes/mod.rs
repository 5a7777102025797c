//! The lossless codec: byte planes, each stored raw, as a constant, or entropy-coded, byte by byte
//! or in pairs of nibbles.
//!
//! Imports `codec::entropy` and the ground layers (`arch`, `dtype`, `error`); nothing of the lossy
//! codec or the container. Start reading with `split.rs` (elements to planes), then `decoder.rs`.
//! `encode` holds what only an encoder needs: statistics, the choice of a mode for each plane, and
//! the encoder.
//!
//! Nibble pairs: the exponents of a tensor's weights are concentrated below the largest; each
//! exponent further down is about half as frequent. A nibble from 0 to 15 is the distance of a byte
//! below a base. Two nibbles make one symbol, so that decoding takes half the steps. Bytes at
//! another distance are outliers: they are coded as the base and stored separately. If an exponent has
//! fewer than eight bits, the bits below it in its byte are stored unchanged.

mod decoder;
#[cfg(feature = "encode")]
mod encode;
pub(crate) mod split;

pub(crate) use decoder::PlaneDecoder;
#[cfg(feature = "encode")]
pub(crate) use encode::{MIN_SAVING, PlaneEncoder, PlaneStatistics};

use crate::codec::entropy::rans::LANES;

/// The byte that stores a plane's mode.
const MODE_RAW: u8 = 0;
const MODE_CONSTANT: u8 = 1;
const MODE_CODED: u8 = 2;
const MODE_PAIRED: u8 = 3;

/// How one plane is stored.
enum Plane<Table> {
    Raw,
    Constant(u8),
    Coded(Table),
    Paired(Pairing, Table),
}

/// The bytes that nibbles represent: nibble `n` and low bits `l` are `(base - n) << low_bits | l`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pairing {
    base: u8,
    /// The number of low bits, less than eight.
    low_bits: u32,
}

/// Bytes that become a group of pairs: the first half are their low nibbles, the second half their
/// high ones.
const PAIR_BLOCK: usize = 2 * LANES;
