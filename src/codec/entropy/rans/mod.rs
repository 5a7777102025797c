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

mod alias_table;
#[cfg(target_arch = "x86_64")]
mod alias_vectors;
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
mod sequence;
mod slots;
mod state_machine;
mod stream;

use crate::codec::entropy::low_bits;

pub(crate) use decode_tables::{DecodeTable, DecodeTables, LaneTables};
pub(crate) use decoder::RansDecoder;
#[cfg(feature = "encode")]
pub(crate) use encode::{
    BLOCK, EncodeTables, RansEncoder, SequenceEncoder, StreamCount, TableSymbol, put_sequence,
};
pub(crate) use sequence::SequenceDecoder;
pub(crate) use slots::SlotTable;
pub(crate) use state_machine::{GroupRun, RunStream, StateMachine, decode_runs};

/// Words of two or four bytes whose highest bytes are coded in pairs. They are rotated right by one bit.
///
/// A symbol is a pair of bytes: each nibble is the difference of `base` and a byte. Of each group of
/// 32 symbols, the low nibbles are 32 consecutive bytes, the high nibbles the next 32.
#[derive(Clone, Copy)]
pub(crate) struct PairedBytes<'p> {
    /// The byte from which nibbles are subtracted.
    pub(crate) base: u8,
    /// Number of low bits of the bytes, and these bits; see [`low_bits`](super::low_bits).
    pub(crate) low_bits: (u32, &'p [u8]),
    /// The other bytes of the words, the lowest first.
    pub(crate) lower: &'p [&'p [u8]],
}

/// A group of 32 pairs of bytes: the words that they belong to, as `N` vectors of 32 bytes.
type PairedWords<const N: usize> = [[u8; LANES]; N];

/// What the words of complete groups consist of besides pairs.
struct PairedParts<'p, const LOW_BITS: usize> {
    /// By plane and group; unless there are three planes, the others repeat the first.
    lower: [&'p [[u8; 2 * LANES]]; 3],
    /// The words of low bits of all groups.
    low_bits: &'p [[u8; low_bits::BYTES]],
}

impl<'p> PairedBytes<'p> {
    /// The parts of at most `groups` groups, and the number of groups that have all parts.
    #[inline(always)]
    fn parts<const LOW_BITS: usize>(&self, groups: usize) -> (PairedParts<'p, LOW_BITS>, usize) {
        let first = self.lower[0].as_chunks().0;
        let lower =
            [0, 1, 2].map(|plane| self.lower.get(plane).map_or(first, |it| it.as_chunks().0));
        let low_bits = self.low_bits.1.as_chunks().0;
        let of_low_bits = low_bits.len().checked_div(LOW_BITS).unwrap_or(groups);
        let count = lower.iter().fold(groups.min(of_low_bits), |count, it| count.min(it.len()));
        // Equal lengths remove bounds checks.
        (PairedParts { lower: lower.map(|plane| &plane[..count]), low_bits }, count)
    }
}

impl<'p, const LOW_BITS: usize> PairedParts<'p, LOW_BITS> {
    /// The low bits of a group.
    #[inline(always)]
    fn low_bits(&self, group: usize) -> &'p [[u8; low_bits::BYTES]; LOW_BITS] {
        match self.low_bits[group * LOW_BITS..].first_chunk() {
            Some(low_bits) => low_bits,
            None => unreachable!("every group has its low bits"),
        }
    }
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
