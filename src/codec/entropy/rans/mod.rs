//! Range asymmetric numeral systems (Duda, 2013): 32 interleaved lanes, one word stream.
//!
//! Symbol `i` belongs to lane `i mod 32`. A lane is a `u32` state in `[2^16, 2^32)`; it sheds and
//! takes `u16` words, all lanes from one shared stream, in lane order within a group of 32
//! symbols. Probabilities have 12 bits. A stream is the 32 states, then the words, little-endian;
//! after the last symbol every state is back at 2^16 and no word is left.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod decoder;
mod encoder;
#[cfg(target_arch = "aarch64")]
mod neon;
mod scalar;
mod state_machine;
mod tables;

pub(crate) use decoder::Decoder;
pub(crate) use encoder::{Coded, Encoder};
pub(crate) use state_machine::{Run, StateMachine};
pub(crate) use tables::{DecodeTable, DecodeTables, EncodeTables};

/// What pairs of bytes become part of. A symbol is a pair: a nibble stands for the byte that is so
/// far below a base. Of every 32 symbols the low nibbles are 32 bytes in a row, the high ones the
/// next 32.
pub(crate) struct PairedBytes<'p> {
    /// What nibbles are taken from.
    pub(crate) base: u8,
    /// The low bytes of words whose high bytes these are.
    pub(crate) low: &'p [[u8; 2 * LANES]],
    /// Whether words are rotated right by one bit.
    pub(crate) rotated: bool,
}

/// Interleaved states.
pub(crate) const LANES: usize = 32;

/// Bits of a probability.
pub(crate) const PRECISION: u32 = 12;

/// Where every state starts (encoding) and ends (decoding); states stay at or above it.
const STATE_MIN: u32 = 1 << 16;

/// Bytes of the states at the head of a stream.
pub(crate) const STATES_BYTES: usize = LANES * 4;

#[cfg(test)]
mod tests;
