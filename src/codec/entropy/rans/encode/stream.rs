//! The states and words of a stream that is being encoded.

use super::tables::{EncodeEntry, SymbolTables};
use crate::codec::entropy::rans::{LANES, PRECISION, STATE_MIN};
use zerocopy::IntoBytes;
use zerocopy::little_endian::U16;

/// Symbols of a block: two groups, of which each of two streams has one.
pub(crate) const BLOCK: usize = 2 * LANES;

/// Words in front of the last emitted word that a kernel may overwrite.
const MARGIN: usize = 8;

/// A stream that is being encoded.
pub(super) struct Stream<'w> {
    pub(super) states: [u32; LANES],
    /// Each symbol emits at most one word. Words are written from the end backwards.
    pub(super) words: &'w mut [U16],
    /// The index of the last emitted word, at first the length.
    pub(super) cursor: usize,
}

impl<'w> Stream<'w> {
    /// `N` streams of at most `symbols` symbols each. `buffer` is working memory; its content is ignored
    /// and overwritten.
    pub(super) fn new<const N: usize>(symbols: usize, buffer: &'w mut Vec<U16>) -> [Self; N] {
        let needed = MARGIN + symbols;
        if buffer.len() < N * needed {
            buffer.resize(N * needed, U16::ZERO);
        }
        let mut parts = buffer.chunks_exact_mut(needed);
        std::array::from_fn(|_| {
            let words = parts.next().unwrap_or_default();
            Self { states: [STATE_MIN; LANES], cursor: words.len(), words }
        })
    }

    /// Panics unless there is room for so many symbols.
    pub(super) fn check_room(&self, symbols: usize) {
        assert!(symbols <= self.cursor - MARGIN, "more symbols than the encoder was made for");
    }

    /// Encodes one symbol in each of the first lanes, the last one first.
    pub(super) fn put_group<T: SymbolTables>(&mut self, group: &[T::Symbol], tables: T) {
        for (&symbol, state) in group.iter().zip(&mut self.states).rev() {
            push(state, tables.entry(symbol), self.words, &mut self.cursor);
            if T::HAS_SLOTS {
                *state = tables.place(symbol, *state);
            }
        }
    }

    /// Appends the states, then the words.
    pub(super) fn append_to(&self, out: &mut Vec<u8>) {
        out.extend(self.states.iter().flat_map(|state| state.to_le_bytes()));
        out.extend_from_slice(self.words[self.cursor..].as_bytes());
    }
}

/// Encodes one symbol. A word emitted by renormalisation is written before `cursor`.
#[inline(always)]
fn push(state: &mut u32, entry: EncodeEntry, words: &mut [U16], cursor: &mut usize) {
    // Arithmetic instead of a branch, which would be mispredicted half of the time.
    let emits = u32::from(*state >> (32 - PRECISION) >= entry.frequency());
    words[*cursor - 1] = U16::new(*state as u16);
    *cursor -= emits as usize;
    let x = *state >> (16 * emits);
    let remainder = x.wrapping_sub(entry.quotient(x).wrapping_mul(entry.frequency()));
    *state = (entry.quotient(x) << PRECISION).wrapping_add(remainder + entry.cumulative());
}
