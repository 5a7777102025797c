//! Decoding with two tables for each lane, between which a state machine switches.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;

use super::decode_tables::{DecodeTables, LaneTables};
use super::scalar::advance;
use super::stream::{Stream, slot};
use super::{LANES, PRECISION};
use crate::arch::Kernel;
use crate::codec::entropy::{CENTRE, ESCAPE};

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
    /// The class of each group.
    pub(crate) classes: &'r [u8],
}

/// A stream of which a run is decoded.
pub(crate) struct RunStream<'r, 's> {
    pub(super) stream: &'r mut Stream<'s>,
    pub(super) tables: &'r LaneTables,
    /// The states of the state machines.
    pub(super) trellis_states: &'r mut [u8; LANES],
    pub(super) out: &'r mut [[i16; LANES]],
}

/// Decodes groups of `N` streams side by side, with a [`StateMachine`] in each lane. The vectors of one
/// stream are computed while those of the others wait for table entries.
///
/// Stops before a group that has an escape in one of the streams, and when one of them has fewer than
/// 32 words left. Returns the number of decoded groups, which is the same for all streams. A lane with
/// symbol `s` and lowest state bit `b` yields `2 (s − 128) + b`.
pub(crate) fn decode_runs<const N: usize>(
    kernel: Kernel,
    tables: &DecodeTables,
    run: &GroupRun<'_>,
    mut streams: [RunStream<'_, '_>; N],
) -> usize {
    assert!(streams.iter().all(|stream| stream.out.len() == run.classes.len()));
    let streams = &mut streams;
    match kernel {
        Kernel::Scalar => portable(&tables.entries, run, streams),
        #[cfg(target_arch = "x86_64")]
        Kernel::Avx2(token) => avx2::decode_runs(token, &tables.entries, run, streams),
        #[cfg(target_arch = "x86_64")]
        Kernel::Avx512(token) => avx512::decode_runs(token, tables, run, streams),
        #[cfg(target_arch = "aarch64")]
        Kernel::Neon(token) => neon::decode_runs(token, &tables.entries, run, streams),
    }
}

/// Decodes as [`decode_runs`] does, by definition.
fn portable<const N: usize>(
    tables: &[u32],
    run: &GroupRun<'_>,
    streams: &mut [RunStream<'_, '_>; N],
) -> usize {
    for (done, &class) in run.classes.iter().enumerate() {
        let mut all = [[0; LANES]; N];
        for (entries, stream) in all.iter_mut().zip(&*streams) {
            if stream.stream.words.len() < LANES {
                return done;
            }
            let starts = &stream.tables.starts[usize::from(class)];
            for (lane, entry) in entries.iter_mut().enumerate() {
                let odd = u32::from(stream.trellis_states[lane] & 1);
                let table = starts[lane] + (odd << PRECISION);
                *entry = tables[table as usize + slot(stream.stream.states[lane])];
            }
            // Without a branch for each lane.
            if entries.iter().fold(false, |any, &entry| any | (entry as u8 == ESCAPE)) {
                return done;
            }
        }
        for (entries, stream) in all.into_iter().zip(&mut *streams) {
            // As values: the compiler cannot know that slices do not overlap.
            let (mut points, mut states) = ([0; LANES], *stream.trellis_states);
            for ((point, state), entry) in points.iter_mut().zip(&mut states).zip(entries) {
                let (symbol, bit) = (entry as u8, *state & 1);
                *point = 2 * (i16::from(symbol) - CENTRE as i16) + i16::from(bit);
                let [by_state, by_symbol] = run.machine.generators;
                *state = (*state >> 1)
                    ^ (by_state & bit.wrapping_neg())
                    ^ (by_symbol & (symbol & 1).wrapping_neg());
            }
            (stream.out[done], *stream.trellis_states) = (points, states);
            let Stream { states, words } = &mut *stream.stream;
            if let Some(window) = words.first_chunk() {
                *words = &words[advance(states, entries, window)..];
            }
        }
    }
    run.classes.len()
}
