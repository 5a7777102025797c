//! Runs with NEON: four lanes in a vector, eight vectors in a group of each stream.
#![allow(unsafe_code)]

use super::{GroupRun, RunStream};
use crate::arch::Neon;
use crate::codec::entropy::rans::neon::{
    VECTORS, advance, load, look_up, narrow, store, store_bytes,
};
use crate::codec::entropy::rans::{LANES, PRECISION};
use crate::codec::entropy::{CENTRE, ESCAPE};
use std::arch::aarch64::*;

/// Decodes as [`portable`](super::portable) does.
pub(super) fn decode_runs<const N: usize>(
    _: Neon,
    tables: &[u32],
    run: &GroupRun<'_>,
    streams: &mut [RunStream<'_, '_>; N],
) -> usize {
    // SAFETY: the token is proof of NEON.
    unsafe { run_of_groups(tables, run, streams) }
}

#[target_feature(enable = "neon")]
fn run_of_groups<const N: usize>(
    tables: &[u32],
    run: &GroupRun<'_>,
    streams: &mut [RunStream<'_, '_>; N],
) -> usize {
    let starts = streams.iter().flat_map(|stream| stream.tables.starts.as_flattened());
    let last = starts.max().map_or(0, |&start| start as usize);
    assert!(last + (2 << PRECISION) <= tables.len(), "every start has two tables");
    // SAFETY: an index is the sum of a start, 0 or 2^12, and a slot below 2^12. It is in bounds by
    // the assertion.
    let entry = |index: u32| unsafe { *tables.get_unchecked(index as usize) };
    let [by_state, by_symbol] = run.machine.generators.map(|generators| vdupq_n_u8(generators));
    let one = vdupq_n_u8(1);
    let mut vectors: [_; N] = std::array::from_fn(|i| load(&streams[i].stream.states));
    let mut machines: [_; N] = std::array::from_fn(|i| load_bytes(streams[i].trellis_states));
    let mut words: [_; N] = std::array::from_fn(|i| streams[i].stream.words);
    let mut done = 0;
    'groups: for &class in run.classes {
        let (mut all, mut symbols) = (vectors, machines);
        let mut escapes = vdupq_n_u8(0);
        for i in 0..N {
            if words[i].len() < LANES {
                break 'groups;
            }
            let starts = load(&streams[i].tables.starts[usize::from(class)]);
            let bits = machines[i].map(|machine| vandq_u8(machine, one));
            for ((x, start), offset) in all[i].iter_mut().zip(starts).zip(table_offsets(bits)) {
                let slot = vandq_u32(*x, vdupq_n_u32((1 << PRECISION) - 1));
                *x = look_up(vaddq_u32(vaddq_u32(start, offset), slot), entry);
            }
            symbols[i] = narrow(all[i]);
            let [first, second] = symbols[i].map(|symbols| vceqq_u8(symbols, vdupq_n_u8(ESCAPE)));
            escapes = vorrq_u8(escapes, vorrq_u8(first, second));
        }
        if vmaxvq_u8(escapes) != 0 {
            break;
        }
        for i in 0..N {
            let Some(window) = words[i].first_chunk() else {
                unreachable!("every stream has 32 words")
            };
            words[i] = &words[i][advance(&mut vectors[i], all[i], window)..];
            let bits = machines[i].map(|machine| vandq_u8(machine, one));
            put_points(symbols[i], bits, &mut streams[i].out[done]);
            for ((machine, bits), symbols) in machines[i].iter_mut().zip(bits).zip(symbols[i]) {
                let flips_by_state = vandq_u8(vceqq_u8(bits, one), by_state);
                let flips = veorq_u8(flips_by_state, vandq_u8(vtstq_u8(symbols, one), by_symbol));
                *machine = veorq_u8(vshrq_n_u8::<1>(*machine), flips);
            }
        }
        done += 1;
    }
    for (i, stream) in streams.iter_mut().enumerate() {
        stream.stream.words = words[i];
        store(vectors[i], &mut stream.stream.states);
        store_bytes(machines[i], stream.trellis_states);
    }
    done
}

/// The offset of the table that each lane's bit selects: 0 or 2^12.
#[inline]
#[target_feature(enable = "neon")]
fn table_offsets(bits: [uint8x16_t; 2]) -> [uint32x4_t; VECTORS] {
    const SHIFT: i32 = PRECISION as i32;
    let [a, b] = bits.map(|bits| [vmovl_u8(vget_low_u8(bits)), vmovl_high_u8(bits)]);
    let [a, b, c, d] = [a[0], a[1], b[0], b[1]]
        .map(|bits| [vshll_n_u16::<SHIFT>(vget_low_u16(bits)), vshll_high_n_u16::<SHIFT>(bits)]);
    [a[0], a[1], b[0], b[1], c[0], c[1], d[0], d[1]]
}

/// Writes `2 (symbol − 128) + bit` of each lane.
#[inline]
#[target_feature(enable = "neon")]
fn put_points(symbols: [uint8x16_t; 2], bits: [uint8x16_t; 2], out: &mut [i16; LANES]) {
    let centre = vdupq_n_u16(2 * CENTRE as u16);
    let halves = symbols.into_iter().zip(bits);
    for ((symbols, bits), out) in halves.zip(out.as_chunks_mut::<16>().0) {
        let low = vaddw_u8(vshll_n_u8::<1>(vget_low_u8(symbols)), vget_low_u8(bits));
        let high = vaddw_high_u8(vshll_high_n_u8::<1>(symbols), bits);
        for (sums, out) in [low, high].into_iter().zip(out.as_chunks_mut::<8>().0) {
            let points = vreinterpretq_s16_u16(vsubq_u16(sums, centre));
            // SAFETY: a vector is written over eight integers.
            unsafe { vst1q_s16(out.as_mut_ptr(), points) }
        }
    }
}

#[inline]
#[target_feature(enable = "neon")]
fn load_bytes(bytes: &[u8; LANES]) -> [uint8x16_t; 2] {
    let (halves, _) = bytes.as_chunks::<16>();
    // SAFETY: a vector is read from 16 bytes.
    std::array::from_fn(|i| unsafe { vld1q_u8(halves[i].as_ptr()) })
}
