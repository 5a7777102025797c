//! Runs of groups against a symbol-by-symbol model.

use super::sweeps::{moved, offsets};
use super::*;
use crate::codec::entropy::ESCAPE;
use crate::codec::entropy::rans::{GroupRun, LANES, StateMachine, TableSymbol};

/// A value that no point has: points have nine bits.
const UNTOUCHED: i16 = 0x5555;

/// Groups of symbols, and the tables and state machine that code them.
#[derive(Clone, Debug)]
struct Message {
    tables: Vec<Frequencies>,
    machine: StateMachine,
    /// By class and lane: the number of the first of two tables.
    firsts: Vec<[u8; LANES]>,
    classes: Vec<u8>,
    start: [u8; LANES],
    groups: Vec<[u8; LANES]>,
}

/// Encoded and decoded form of a message.
struct Expected {
    stream: Vec<u8>,
    /// Trellis states before each group and after the last group.
    trellis_states: Vec<[u8; LANES]>,
    points: Vec<[i16; LANES]>,
    /// Number of words left before each group.
    words: Vec<usize>,
}

impl Message {
    fn table(&self, group: usize, lane: usize, state: u8) -> u8 {
        self.firsts[usize::from(self.classes[group])][lane] + state % 2
    }

    fn expected(&self) -> Expected {
        let [by_state, by_symbol] = self.machine.generators;
        let (mut trellis_states, mut points, mut coded) =
            (vec![self.start], Vec::new(), Vec::new());
        for (number, group) in self.groups.iter().enumerate() {
            let mut states = trellis_states[number];
            let mut of_group = [0; LANES];
            for (lane, &symbol) in group.iter().enumerate() {
                let state = states[lane];
                coded.push(TableSymbol::new(self.table(number, lane, state), symbol));
                of_group[lane] = 2 * (i16::from(symbol) - 128) + i16::from(state % 2);
                states[lane] = state / 2;
                states[lane] ^= if state % 2 == 1 { by_state } else { 0 };
                states[lane] ^= if symbol % 2 == 1 { by_symbol } else { 0 };
            }
            trellis_states.push(states);
            points.push(of_group);
        }
        let tables = EncodeTables::new(&self.tables);
        let stream_from = |first: usize, kernel| {
            let mut buffer = Vec::new();
            let mut encoder = RansEncoder::new(&tables, coded.len(), kernel, &mut buffer);
            encoder.put_groups(LANES, &coded[first * LANES..]);
            let mut stream = Vec::new();
            encoder.finish(&mut stream).unwrap();
            stream
        };
        let stream = stream_from(0, Kernel::Scalar);
        for kernel in Kernel::all() {
            assert_eq!(stream_from(0, kernel), stream, "{kernel:?}");
        }
        // Words of later groups are emitted before those of earlier groups.
        let left = |first| (stream_from(first, Kernel::Scalar).len() - STATES_BYTES) / 2;
        Expected {
            words: (0..self.groups.len()).map(left).collect(),
            stream,
            trellis_states,
            points,
        }
    }

    /// Decodes in runs, and each group that ends a run separately, with input and output at the given
    /// offsets in memory.
    fn check(&self, expected: &Expected, kernel: Kernel, (read, write): (usize, usize)) {
        let tables = DecodeTables::new(&self.tables);
        let base = |table: u8| DecodeTables::base(table.into());
        let starts: Vec<_> = self.firsts.iter().map(|firsts| firsts.map(base)).collect();
        let stream = moved(read, 0xaa, &expected.stream);
        let classes = moved(read, 0xaa, &self.classes);
        let mut out = vec![UNTOUCHED; write + self.groups.len() * LANES];
        let out = out[write..].as_chunks_mut::<LANES>().0;
        let mut decoder = RansDecoder::new(&stream[read..], kernel).unwrap();
        let mut trellis_states = self.start;
        let mut at = 0;
        while at < self.groups.len() {
            let classes = &classes[read..][at..];
            let run = GroupRun { machine: self.machine, starts: &starts, classes };
            let done = decoder.decode_run(&tables, &run, &mut trellis_states, &mut out[at..]);
            let ends =
                |&group: &usize| self.groups[group].contains(&ESCAPE) || expected.words[group] < 32;
            let end = (at..self.groups.len()).find(ends).unwrap_or(self.groups.len());
            assert_eq!(at + done, end, "{kernel:?} stops at another group");
            assert_eq!(out[at..end], expected.points[at..end], "{kernel:?}");
            assert!(out[end..].iter().flatten().all(|&point| point == UNTOUCHED));
            assert_eq!(trellis_states, expected.trellis_states[end], "{kernel:?}");
            if let Some(group) = self.groups.get(end) {
                let bases =
                    std::array::from_fn(|lane| base(self.table(end, lane, trellis_states[lane])));
                let mut symbols = [0x55; LANES];
                decoder.decode_group(&tables, &bases, &mut symbols).unwrap();
                assert_eq!(symbols, *group, "{kernel:?} has different states");
                trellis_states = expected.trellis_states[end + 1];
            }
            at = end + 1;
        }
        decoder.finish().unwrap();
    }
}

/// Tables of the escape and `count` more symbols with the given weights, cyclically.
fn tables(number: usize, first: u8, count: u8, weights: &[u32]) -> Vec<Frequencies> {
    let of = |table: usize| {
        let mut of_symbols = [None; 256];
        of_symbols[usize::from(ESCAPE)] = Some(1);
        for i in 0..count {
            let weight = weights[(table * 31 + usize::from(i)) % weights.len()];
            of_symbols[usize::from(symbol(first, i))] = Some(weight);
        }
        Frequencies::from_weights(&of_symbols)
    };
    (0..number).map(of).collect()
}

/// Symbol `i` of a table, which is not the escape.
fn symbol(first: u8, i: u8) -> u8 {
    (1 + (u32::from(first) + u32::from(i)) % 255) as u8
}

fn messages() -> impl Strategy<Value = Message> {
    let alphabet = (2usize..9, any::<u8>(), 1u8..=255, prop::collection::vec(1u32..1000, 1..40));
    (alphabet, 1usize..5, 0usize..70).prop_flat_map(|(alphabet, class_count, length)| {
        let (number, first, count, weights) = alphabet;
        let tables = tables(number, first, count, &weights);
        let group = prop::array::uniform32((0..count).prop_map(move |i| symbol(first, i)));
        let escapes = prop::collection::vec((any::<prop::sample::Index>(), 0..LANES), 0..4);
        let firsts = prop::array::uniform32(0..number as u8 - 1);
        (
            any::<[u8; 2]>(),
            prop::collection::vec(firsts, class_count),
            prop::collection::vec(0..class_count as u8, length),
            any::<[u8; LANES]>(),
            prop::collection::vec(group, length),
            escapes,
        )
            .prop_map(move |(generators, firsts, classes, start, mut groups, escapes)| {
                for (group, lane) in escapes {
                    if !groups.is_empty() {
                        group.get_mut(&mut groups)[lane] = ESCAPE;
                    }
                }
                let (tables, machine) = (tables.clone(), StateMachine { generators });
                Message { tables, machine, firsts, classes, start, groups }
            })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn runs_agree_with_the_model(message in messages()) {
        let expected = message.expected();
        for kernel in Kernel::all() {
            message.check(&expected, kernel, (0, 0));
        }
    }
}

#[test]
fn runs_of_every_length_at_every_alignment_agree_with_the_model() {
    for length in 0..=2 * LANES + 1 {
        let lane = |group: usize, lane: usize| symbol(40, ((group * 37 + lane * 11) % 170) as u8);
        let mut message = Message {
            tables: tables(5, 40, 170, &[1, 50, 3, 900, 20]),
            machine: StateMachine { generators: [0x6a, 0x81] },
            firsts: vec![std::array::from_fn(|lane| lane as u8 % 4), [3; LANES]],
            classes: (0..length).map(|group| group as u8 / 3 % 2).collect(),
            start: std::array::from_fn(|lane| lane as u8 * 7),
            groups: (0..length).map(|group| std::array::from_fn(|i| lane(group, i))).collect(),
        };
        if let Some(group) = message.groups.get_mut(length / 3) {
            group[length % LANES] = ESCAPE;
        }
        let expected = message.expected();
        for offsets in offsets(length) {
            for kernel in Kernel::all() {
                message.check(&expected, kernel, offsets);
            }
        }
    }
}
