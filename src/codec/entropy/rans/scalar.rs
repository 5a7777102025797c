//! The portable coder. It is the truth that every kernel must agree with.

use super::tables::EncodeEntry;
use super::{LANES, PRECISION, PairedBytes, STATE_MIN};
use crate::error::{Error, Result};
use zerocopy::little_endian::U16;

/// Puts a symbol, and the word that it sheds, if it does, before those at `cursor`.
#[inline(always)]
pub(super) fn put(state: &mut u32, entry: EncodeEntry, words: &mut [U16], cursor: &mut usize) {
    // Mask arithmetic: as a branch this is mispredicted half the time.
    let shed = u32::from(*state >> (32 - PRECISION) >= entry.frequency());
    words[*cursor - 1] = U16::new(*state as u16);
    *cursor -= shed as usize;
    let x = *state >> (16 * shed);
    let remainder = x.wrapping_sub(entry.quotient(x).wrapping_mul(entry.frequency()));
    *state = (entry.quotient(x) << PRECISION).wrapping_add(remainder + entry.cumulative());
}

/// A state's slot in a table.
#[inline(always)]
pub(super) fn slot(state: u32) -> usize {
    (state & ((1 << PRECISION) - 1)) as usize
}

/// Decodes groups while there are words enough for any; returns how many, and the words taken.
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

/// As [`decode_windows`], where each symbol is the high byte of a word whose low byte is in `low`;
/// words are rotated right by one bit if asked to.
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

/// As [`decode_words`], where each symbol is a pair of high bytes.
pub(super) fn decode_pairs(
    states: &mut [u32; LANES],
    words: &[U16],
    table: &[u32; 1 << PRECISION],
    pairs: &PairedBytes<'_>,
    out: &mut [[u8; 4 * LANES]],
) -> (usize, usize) {
    let (mut done, mut used) = (0, 0);
    for (low, out) in pairs.low.iter().zip(out) {
        let Some(window) = words[used..].first_chunk() else { break };
        let mut symbols = [0; LANES];
        used += decode_window(states, |_, slot| table[slot], window, &mut symbols);
        let high = pair_bytes(pairs.base, &symbols);
        join(low, &high, pairs.rotated, out);
        done += 1;
    }
    (done, used)
}

/// The bytes that pairs stand for: first those of low nibbles, then those of high ones.
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

/// Puts words of low bytes and high ones.
#[inline(always)]
fn join(low: &[u8], high: &[u8], rotated: bool, out: &mut [u8]) {
    for ((out, &low), &high) in out.as_chunks_mut::<2>().0.iter_mut().zip(low).zip(high) {
        let word = u16::from_le_bytes([low, high]);
        *out = word.rotate_right(rotated.into()).to_le_bytes();
    }
}

/// Decodes 32 symbols with at least 32 words at hand; returns how many were taken.
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

/// Updates and renormalises all lanes by their table entries; returns how many words were taken.
#[inline(always)]
pub(super) fn advance(
    states: &mut [u32; LANES],
    entries: [u32; LANES],
    window: &[U16; LANES],
) -> usize {
    // All updates, then all renormalisations: loops without a branch. LLVM would turn
    // `if x < STATE_MIN` into one that is mispredicted.
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

/// Decodes up to 32 symbols where fewer than 32 words may be left; takes words as it goes.
///
/// # Errors
/// `Corrupt` when the words run out.
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
