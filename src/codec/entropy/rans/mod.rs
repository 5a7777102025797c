//! Range asymmetric numeral systems (Duda, 2013) with 32 interleaved lanes and one stream of words.
//!
//! Symbol `i` belongs to lane `i mod 32`. The state of a lane is a `u32` in `[2^16, 2^32)`.
//! Renormalisation reads and writes `u16` words. All lanes share one stream of words, in the order
//! of lanes within a group of 32 symbols. Probabilities have 12 bits. A stream consists of the 32
//! states, then the words, little-endian. After the last symbol all states are 2^16 and no word is
//! left.
//!
//! The portable code in `scalar` and `state_machine` defines the results. The other modules are
//! kernels for single instruction sets; see [`crate::arch`].

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod decode_tables;
mod decoder;
#[cfg(feature = "encode")]
mod encode;
#[cfg(target_arch = "aarch64")]
mod neon;
mod scalar;
mod state_machine;

pub(crate) use decode_tables::{DecodeTable, DecodeTables};
pub(crate) use decoder::RansDecoder;
#[cfg(feature = "encode")]
pub(crate) use encode::{EncodeTables, RansEncoder, TableSymbol};
pub(crate) use state_machine::{GroupRun, StateMachine};

/// Words whose high bytes are coded in pairs.
///
/// A symbol is a pair of bytes: each nibble is the difference of `base` and a byte. Of each group of
/// 32 symbols, the low nibbles are 32 consecutive bytes, the high nibbles the next 32.
pub(crate) struct PairedBytes<'p> {
    /// The byte from which nibbles are subtracted.
    pub(crate) base: u8,
    /// The low bytes of the words.
    pub(crate) low: &'p [[u8; 2 * LANES]],
    /// Whether words are rotated right by one bit.
    pub(crate) rotated: bool,
}

/// Number of interleaved states.
pub(crate) const LANES: usize = 32;

/// Bits of a probability.
pub(crate) const PRECISION: u32 = 12;

/// The least state: the initial state of the encoder and the final state of the decoder.
const STATE_MIN: u32 = 1 << 16;

/// Bytes of the states at the start of a stream.
pub(crate) const STATES_BYTES: usize = LANES * 4;

#[cfg(all(test, feature = "encode"))]
mod tests;
