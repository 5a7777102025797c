//! Portable decoding. All kernels must produce the same results.

use super::stream::{Stream, slot};
use super::{LANES, PRECISION, PairedBytes, PairedWords, STATE_MIN};
use crate::codec::entropy::low_bits;
use zerocopy::little_endian::U16;

/// Decodes groups of 32 symbols, which alternate between the streams, while at least 32 words of every
/// stream are left. Returns the number of decoded groups, a multiple of the number of streams.
pub(super) fn decode_windows<const S: usize>(
    streams: &mut [Stream<'_>; S],
    table: &[u32; 1 << PRECISION],
    groups: &mut [[u8; LANES]],
) -> usize {
    windows(streams, table, groups.len(), |number, symbols| groups[number] = symbols)
}

/// Decodes as [`decode_windows`] does. Each symbol is the high byte of a word; the low bytes are in
/// `low`. With `rotated`, words are rotated right by one bit.
pub(super) fn decode_words<const S: usize>(
    streams: &mut [Stream<'_>; S],
    table: &[u32; 1 << PRECISION],
    low: &[[u8; LANES]],
    rotated: bool,
    out: &mut [[u8; 2 * LANES]],
) -> usize {
    windows(streams, table, low.len().min(out.len()), |number, high| {
        join(&low[number], &high, rotated, &mut out[number]);
    })
}

/// Decodes as [`decode_words`] does. Each symbol is a pair of high bytes, with `LOW_BITS` low bits each.
pub(super) fn decode_pairs<const S: usize, const N: usize, const LOW_BITS: usize>(
    streams: &mut [Stream<'_>; S],
    table: &[u32; 1 << PRECISION],
    pairs: &PairedBytes<'_>,
    out: &mut [PairedWords<N>],
) -> usize {
    let (parts, count) = pairs.parts::<LOW_BITS>(out.len());
    windows(streams, table, count, |number, symbols| {
        let mut high = pair_bytes(pairs.base, &symbols);
        if LOW_BITS > 0 {
            let stored = parts.low_bits(number);
            low_bits::insert(LOW_BITS as u32, stored, std::slice::from_mut(&mut high));
        }
        let out = out[number].as_flattened_mut();
        let lower = parts.lower.map(|plane| &plane[number]);
        match N {
            4 => join(lower[0], &high, true, out),
            _ => {
                for (i, word) in out.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                    let [a, b, c] = lower.map(|plane| plane[i]);
                    let number = u32::from_le_bytes([a, b, c, high[i]]);
                    *word = number.rotate_right(1).to_le_bytes();
                }
            }
        }
    })
}

/// Decodes at most `count` groups as [`decode_windows`] does and passes the number of each and its
/// symbols to `put`.
#[inline(always)]
fn windows<const S: usize>(
    streams: &mut [Stream<'_>; S],
    table: &[u32; 1 << PRECISION],
    count: usize,
    mut put: impl FnMut(usize, [u8; LANES]),
) -> usize {
    for number in 0..count / S * S {
        if number % S == 0 && streams.iter().any(|stream| stream.words.len() < LANES) {
            return number;
        }
        let stream = &mut streams[number % S];
        let Some(window) = stream.words.first_chunk() else {
            unreachable!("every stream has 32 words")
        };
        let mut symbols = [0; LANES];
        let entry = |_, slot: usize| table[slot];
        let used = decode_window(&mut stream.states, entry, window, &mut symbols);
        stream.words = &stream.words[used..];
        put(number, symbols);
    }
    count / S * S
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
