//! Portable decoding. All kernels must produce the same results.

use super::{LANES, PRECISION, PairedBytes, PairedWords, STATE_MIN};
use crate::codec::entropy::low_bits;
use crate::error::{Error, Result};
use zerocopy::little_endian::U16;

/// The slot of a state.
#[inline(always)]
pub(super) fn slot(state: u32) -> usize {
    (state & ((1 << PRECISION) - 1)) as usize
}

/// Decodes groups of 32 symbols while at least 32 words are left. Returns the numbers of decoded
/// groups and of consumed words.
pub(super) fn decode_windows(
    states: &mut [u32; LANES],
    words: &[U16],
    table: &[u32; 1 << PRECISION],
    groups: &mut [[u8; LANES]],
) -> (usize, usize) {
    let (mut done, mut used) = (0, 0);
    for group in groups {
        let Some(window) = words[used..].first_chunk() else { break };
        used += decode_window(states, |_, slot| table[slot], window, group);
        done += 1;
    }
    (done, used)
}

/// Decodes as [`decode_windows`] does. Each symbol is the high byte of a word; the low bytes are in
/// `low`. With `rotated`, words are rotated right by one bit.
pub(super) fn decode_words(
    states: &mut [u32; LANES],
    words: &[U16],
    table: &[u32; 1 << PRECISION],
    low: &[[u8; LANES]],
    rotated: bool,
    out: &mut [[u8; 2 * LANES]],
) -> (usize, usize) {
    let (mut done, mut used) = (0, 0);
    for (low, out) in low.iter().zip(out) {
        let Some(window) = words[used..].first_chunk() else { break };
        let mut high = [0; LANES];
        used += decode_window(states, |_, slot| table[slot], window, &mut high);
        join(low, &high, rotated, out);
        done += 1;
    }
    (done, used)
}

/// Decodes as [`decode_words`] does. Each symbol is a pair of high bytes, with `LOW_BITS` low bits each.
pub(super) fn decode_pairs<const N: usize, const LOW_BITS: usize>(
    states: &mut [u32; LANES],
    words: &[U16],
    table: &[u32; 1 << PRECISION],
    pairs: &PairedBytes<'_>,
    out: &mut [PairedWords<N>],
) -> (usize, usize) {
    let (mut done, mut used) = (0, 0);
    for (parts, out) in pairs.groups(out) {
        let Some(window) = words[used..].first_chunk() else { break };
        let mut symbols = [0; LANES];
        used += decode_window(states, |_, slot| table[slot], window, &mut symbols);
        let mut high = pair_bytes(pairs.base, &symbols);
        if LOW_BITS > 0 {
            let stored = parts.low_bits.as_chunks().0;
            low_bits::insert(LOW_BITS as u32, stored, std::slice::from_mut(&mut high));
        }
        let out = out.as_flattened_mut();
        match N {
            4 => join(parts.lower[0], &high, true, out),
            _ => {
                for (i, word) in out.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                    let [a, b, c] = parts.lower.map(|plane| plane[i]);
                    let number = u32::from_le_bytes([a, b, c, high[i]]);
                    *word = number.rotate_right(1).to_le_bytes();
                }
            }
        }
        done += 1;
    }
    (done, used)
}

/// The bytes of 32 pairs: first those of the low nibbles, then those of the high nibbles.
#[inline(always)]
pub(super) fn pair_bytes(base: u8, pairs: &[u8; LANES]) -> [u8; 2 * LANES] {
    let mut bytes = [0; 2 * LANES];
    let (low, high) = bytes.split_at_mut(LANES);
    for ((low, high), pair) in low.iter_mut().zip(high).zip(pairs) {
        *low = base.wrapping_sub(pair & 0xf);
        *high = base.wrapping_sub(pair >> 4);
    }
    bytes
}

/// Interleaves low and high bytes to words.
#[inline(always)]
fn join(low: &[u8], high: &[u8], rotated: bool, out: &mut [u8]) {
    for ((out, &low), &high) in out.as_chunks_mut::<2>().0.iter_mut().zip(low).zip(high) {
        let word = u16::from_le_bytes([low, high]);
        *out = word.rotate_right(rotated.into()).to_le_bytes();
    }
}

/// Decodes 32 symbols from at least 32 words. Returns the number of consumed words.
#[inline(always)]
fn decode_window(
    states: &mut [u32; LANES],
    entry: impl Fn(usize, usize) -> u32,
    window: &[U16; LANES],
    group: &mut [u8; LANES],
) -> usize {
    let entries: [u32; LANES] = std::array::from_fn(|lane| entry(lane, slot(states[lane])));
    *group = entries.map(|entry| entry as u8);
    advance(states, entries, window)
}

/// Updates and renormalises the states of all lanes. Returns the number of consumed words.
#[inline(always)]
pub(super) fn advance(
    states: &mut [u32; LANES],
    entries: [u32; LANES],
    window: &[U16; LANES],
) -> usize {
    // Two loops without branches. LLVM would compile `if x < STATE_MIN` to a branch, which would
    // often be mispredicted.
    for (x, entry) in states.iter_mut().zip(entries) {
        *x = (entry >> 20) * (*x >> PRECISION) + (entry >> 8 & 0xfff);
    }
    let mut used = 0;
    for x in states {
        let takes = u32::from(*x < STATE_MIN);
        let word = u32::from(window[used % LANES].get());
        *x = *x << (16 * takes) | word & takes.wrapping_neg();
        used += takes as usize;
    }
    used
}

/// Decodes up to 32 symbols when fewer than 32 words may be left.
///
/// # Errors
/// `Corrupt` when no words are left.
pub(super) fn decode_near_end(
    states: &mut [u32; LANES],
    entry: impl Fn(usize, usize) -> u32,
    words: &mut &[U16],
    group: &mut [u8],
) -> Result<()> {
    for (lane, (symbol, x)) in group.iter_mut().zip(states).enumerate() {
        let entry = entry(lane, slot(*x));
        *symbol = entry as u8;
        *x = (entry >> 20) * (*x >> PRECISION) + (entry >> 8 & 0xfff);
        if *x < STATE_MIN {
            let Some((word, rest)) = words.split_first() else {
                return Err(Error::corrupt("a rANS stream ends too early"));
            };
            *x = *x << 16 | u32::from(word.get());
            *words = rest;
        }
    }
    Ok(())
}
