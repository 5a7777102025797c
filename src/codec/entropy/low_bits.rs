//! Low bits of bytes, stored apart from the bits above them, which are coded.
//!
//! The low bits of a block of 64 bytes are words of 64 bits, one for each of them, the lowest first. Bit
//! `8 i + j` of a word is that of byte `8 j + i` of the block, so that a shift and a mask extract the
//! bits of eight bytes.

/// Bytes whose low bits are stored together.
const BLOCK: usize = 64;

/// Bytes of a word of low bits.
pub(crate) const BYTES: usize = 8;

/// The lowest bit of each byte of a word.
const LOWEST: u64 = 0x0101_0101_0101_0101;

/// Bytes of the low bits of `blocks` blocks.
pub(crate) const fn stored_bytes(low_bits: u32, blocks: usize) -> usize {
    low_bits as usize * BYTES * blocks
}

/// Shifts each byte left and inserts its low bits, from as many words for each block.
#[inline(always)]
pub(crate) fn insert(low_bits: u32, stored: &[[u8; BYTES]], blocks: &mut [[u8; BLOCK]]) {
    // Bits that a shift moves into the next byte are masked.
    let kept = u64::from(u8::MAX >> low_bits) * LOWEST;
    for (words, block) in stored.chunks_exact(low_bits as usize).zip(blocks) {
        let mut low = [0; BYTES];
        for (bit, &word) in words.iter().enumerate() {
            let word = u64::from_le_bytes(word);
            for (j, low) in low.iter_mut().enumerate() {
                *low |= (word >> j & LOWEST) << bit;
            }
        }
        for (bytes, low) in block.as_chunks_mut().0.iter_mut().zip(low) {
            let high = (u64::from_le_bytes(*bytes) & kept) << low_bits;
            *bytes = (high | low).to_le_bytes();
        }
    }
}

/// Appends the low bits of all blocks.
#[cfg(feature = "encode")]
#[inline(always)]
pub(crate) fn extract(low_bits: u32, blocks: &[[u8; BLOCK]], stored: &mut Vec<u8>) {
    let start = stored.len();
    stored.resize(start + stored_bytes(low_bits, blocks.len()), 0);
    let stored = stored[start..].as_chunks_mut::<BYTES>().0;
    for (block, stored) in blocks.iter().zip(stored.chunks_exact_mut(low_bits.max(1) as usize)) {
        let mut bytes = [0; BYTES];
        for (out, bytes) in bytes.iter_mut().zip(block.as_chunks().0) {
            *out = u64::from_le_bytes(*bytes);
        }
        for (bit, stored) in stored.iter_mut().enumerate() {
            let mut word = 0;
            for (j, bytes) in bytes.iter().enumerate() {
                word |= (bytes >> bit & LOWEST) << j;
            }
            *stored = word.to_le_bytes();
        }
    }
}

#[cfg(all(test, feature = "encode"))]
mod tests {
    use super::*;
    use crate::arch::Kernel;
    use proptest::prelude::*;

    #[test]
    fn a_bit_has_its_place() {
        let mut block = [0; BLOCK];
        block[8 * 5 + 3] = 0b10;
        let mut stored = Vec::new();
        extract(2, &[block], &mut stored);
        assert_eq!(stored.len(), stored_bytes(2, 1));
        let mut expected = [0; 16];
        expected[8 + 3] = 1 << 5;
        assert_eq!(stored, expected);
    }

    proptest! {
        #[test]
        fn inserted_bits_are_those_that_were_extracted(
            low_bits in 1u32..8,
            bytes in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let blocks = bytes.as_chunks::<BLOCK>().0;
            let mut stored = Vec::new();
            extract(low_bits, blocks, &mut stored);
            for kernel in Kernel::all() {
                let mut out = blocks.to_vec();
                out.as_flattened_mut().iter_mut().for_each(|byte| *byte >>= low_bits);
                let stored = stored.as_chunks().0;
                kernel.run(
                    #[inline(always)]
                    || insert(low_bits, stored, &mut out),
                );
                prop_assert_eq!(&out[..], blocks);
            }
        }
    }
}
