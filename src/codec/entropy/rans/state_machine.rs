//! Lanes that switch between two tables, as a machine in each of them says.

use super::scalar::{advance, slot};
use super::{LANES, PRECISION};
use crate::codec::entropy::{CENTRE, ESCAPE};
use zerocopy::little_endian::U16;

/// What takes a lane's state to the next: a linear machine of up to eight bits.
///
/// A state whose lowest bit is 0 takes its symbol from the first of the lane's two tables, else
/// from the second. The next state is this one, a bit further right, where `taps[0]` flips bits if
/// the lowest bit was 1, and `taps[1]` if the symbol was odd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StateMachine {
    pub(crate) generators: [u8; 2],
}

/// Groups to decode, and by what.
pub(crate) struct Run<'r> {
    pub(crate) machine: StateMachine,
    /// By class and lane: where the first of two tables starts.
    pub(crate) starts: &'r [[u32; LANES]],
    /// The class of each group.
    pub(crate) classes: &'r [u8],
}

/// Decodes groups until one has an escape, or fewer words are left than any might take; returns
/// how many, and the words taken.
///
/// Of each lane with symbol `s` and lowest bit `b`, `out` gets `2 (s − 128) + b`.
pub(super) fn decode_run(
    states: &mut [u32; LANES],
    words: &[U16],
    tables: &[u32],
    run: &Run<'_>,
    trellis_states: &mut [u8; LANES],
    out: &mut [[i16; LANES]],
) -> (usize, usize) {
    let (mut done, mut used) = (0, 0);
    for (&class, out) in run.classes.iter().zip(out) {
        let Some(window) = words[used..].first_chunk() else { break };
        let starts = &run.starts[usize::from(class)];
        let entries: [u32; LANES] = std::array::from_fn(|lane| {
            let table = starts[lane] + (u32::from(trellis_states[lane] & 1) << PRECISION);
            tables[table as usize + slot(states[lane])]
        });
        if entries.iter().any(|&entry| entry as u8 == ESCAPE) {
            break;
        }
        for ((out, state), entry) in out.iter_mut().zip(&mut *trellis_states).zip(entries) {
            let (symbol, bit) = (entry as u8, *state & 1);
            *out = 2 * (i16::from(symbol) - CENTRE as i16) + i16::from(bit);
            let [by_state, by_symbol] = run.machine.generators;
            *state = (*state >> 1)
                ^ (by_state & bit.wrapping_neg())
                ^ (by_symbol & (symbol & 1).wrapping_neg());
        }
        used += advance(states, entries, window);
        done += 1;
    }
    (done, used)
}
