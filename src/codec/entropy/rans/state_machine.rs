//! Decoding with two tables for each lane, between which a state machine switches.

use super::scalar::advance;
use super::stream::slot;
use super::{LANES, PRECISION};
use crate::codec::entropy::{CENTRE, ESCAPE};
use zerocopy::little_endian::U16;

/// A linear feedback state machine of up to eight bits: the encoder of a convolutional code in
/// systematic feedback form (Ungerboeck, 1982).
///
/// The lowest bit `b` of a lane's state `s` selects the first or the second of the lane's two
/// tables for the next symbol. With the lowest bit `c` of that symbol, the next state is
/// `(s >> 1) ^ (b * generators[0]) ^ (c * generators[1])`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StateMachine {
    pub(crate) generators: [u8; 2],
}

/// A run of groups to decode with a state machine.
pub(crate) struct GroupRun<'r> {
    pub(crate) machine: StateMachine,
    /// By class and lane: the start of the first of two consecutive tables.
    pub(crate) starts: &'r [[u32; LANES]],
    /// The class of each group.
    pub(crate) classes: &'r [u8],
}

/// Decodes groups until a group has an escape or fewer than 32 words are left. Returns the numbers
/// of decoded groups and of consumed words.
///
/// A lane with symbol `s` and lowest state bit `b` yields `2 (s − 128) + b`.
pub(super) fn decode_run(
    states: &mut [u32; LANES],
    words: &[U16],
    tables: &[u32],
    run: &GroupRun<'_>,
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
