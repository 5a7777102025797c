//! Runs of groups against a symbol-by-symbol model.

use super::sweeps::{moved, offsets};
use super::*;
use crate::codec::entropy::ESCAPE;
use crate::codec::entropy::rans::{GroupRun, LANES, LaneTables, StateMachine, TableSymbol};

/// A value that no point has: points have nine bits.
const UNTOUCHED: i16 = 0x5555;

/// Groups of symbols, and the tables and state machine that code them.
#[derive(Clone, Debug)]
struct Message {
    tables: Vec<SlotTable>,
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
        let tables = EncodeTables::of_slots(&self.tables);
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

    /// A message of the same length and tables with other symbols and states.
    fn reversed(&self) -> Self {
        let mut other = self.clone();
        other.groups.reverse();
        other.groups.iter_mut().for_each(|group| group.reverse());
        other.firsts.reverse();
        other.start.iter_mut().for_each(|state| *state ^= 0x5b);
        other
    }
}

/// Decodes messages of the same length side by side in runs, and each group that ends a run separately,
/// with input and output at the given offsets in memory.
fn check<const N: usize>(
    messages: [(&Message, &Expected); N],
    kernel: Kernel,
    (read, write): (usize, usize),
) {
    let (message, _) = messages[0];
    let tables = DecodeTables::new(&message.tables);
    let lane_tables = messages.map(|(message, _)| LaneTables::new(&tables, &message.firsts));
    let streams = messages.map(|(_, expected)| moved(read, 0xaa, &expected.stream));
    let classes = moved(read, 0xaa, &message.classes);
    let length = message.groups.len();
    let mut outs = messages.map(|_| vec![UNTOUCHED; write + length * LANES]);
    let mut decoders: [_; N] =
        std::array::from_fn(|i| RansDecoder::new(&streams[i][read..]).unwrap());
    let mut states = messages.map(|(message, _)| message.start);
    let mut at = 0;
    while at < length {
        let run = GroupRun { machine: message.machine, classes: &classes[read..][at..] };
        let mut parts = decoders.iter_mut().zip(&mut states).zip(&mut outs).zip(&lane_tables).map(
            |(((decoder, trellis_states), out), tables)| {
                decoder.run(tables, trellis_states, &mut out[write..].as_chunks_mut().0[at..])
            },
        );
        let done =
            decode_runs::<N>(kernel, &tables, &run, std::array::from_fn(|_| parts.next().unwrap()));
        let ends = |&group: &usize| {
            messages.iter().any(|(message, expected)| {
                message.groups[group].contains(&ESCAPE) || expected.words[group] < 32
            })
        };
        let end = (at..length).find(ends).unwrap_or(length);
        assert_eq!(at + done, end, "{kernel:?} stops at another group");
        for (i, (message, expected)) in messages.into_iter().enumerate() {
            let out = outs[i][write..].as_chunks::<LANES>().0;
            assert_eq!(out[at..end], expected.points[at..end], "{kernel:?}");
            assert!(out[end..].iter().flatten().all(|&point| point == UNTOUCHED));
            assert_eq!(states[i], expected.trellis_states[end], "{kernel:?}");
            if let Some(group) = message.groups.get(end) {
                let bases = lane_tables[i].of_group(message.classes[end], &states[i]);
                let mut symbols = [0x55; LANES];
                decoders[i].decode_group(&tables, &bases, &mut symbols).unwrap();
                assert_eq!(symbols, *group, "{kernel:?} has different states");
                states[i] = expected.trellis_states[end + 1];
            }
        }
        at = end + 1;
    }
    decoders.into_iter().for_each(|decoder| decoder.finish().unwrap());
}

/// Decodes the message alone, and beside another one.
fn check_all(message: &Message, offsets: impl IntoIterator<Item = (usize, usize)>) {
    let other = message.reversed();
    let (expected, beside) = (message.expected(), other.expected());
    for offsets in offsets {
        for kernel in Kernel::all() {
            check([(message, &expected)], kernel, offsets);
            check([(message, &expected), (&other, &beside)], kernel, offsets);
        }
    }
}

/// Tables of the escape and `count` more symbols with the given weights, cyclically.
fn tables(number: usize, first: u8, count: u8, weights: &[u32]) -> Vec<SlotTable> {
    let of = |table: usize| {
        let mut of_symbols = [None; 256];
        of_symbols[usize::from(ESCAPE)] = Some(1);
        for i in 0..count {
            let weight = weights[(table * 31 + usize::from(i)) % weights.len()];
            of_symbols[usize::from(symbol(first, i))] = Some(weight);
        }
        SlotTable::aliased(Frequencies::from_weights(&of_symbols))
    };
    (0..number).map(of).collect()
}

/// Symbol `i` of a table, which is not the escape.
fn symbol(first: u8, i: u8) -> u8 {
    (1 + (u32::from(first) + u32::from(i)) % 255) as u8
}

fn messages() -> impl Strategy<Value = Message> {
    // Up to 63 symbols and the escape have an alias table.
    let count = prop_oneof![1u8..=63, 64u8..=255];
    let alphabet = (2usize..9, any::<u8>(), count, prop::collection::vec(1u32..1000, 1..40));
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
        check_all(&message, [(0, 0)]);
    }
}

#[test]
fn runs_of_every_length_at_every_alignment_agree_with_the_model() {
    for (length, count) in (0..=2 * LANES + 1).flat_map(|length| [(length, 60), (length, 170)]) {
        let lane = |group: usize, lane: usize| symbol(40, ((group * 37 + lane * 11) % count) as u8);
        let mut message = Message {
            tables: tables(5, 40, count as u8, &[1, 50, 3, 900, 20]),
            machine: StateMachine { generators: [0x6a, 0x81] },
            firsts: vec![std::array::from_fn(|lane| lane as u8 % 4), [3; LANES]],
            classes: (0..length).map(|group| group as u8 / 3 % 2).collect(),
            start: std::array::from_fn(|lane| lane as u8 * 7),
            groups: (0..length).map(|group| std::array::from_fn(|i| lane(group, i))).collect(),
        };
        if let Some(group) = message.groups.get_mut(length / 3) {
            group[length % LANES] = ESCAPE;
        }
        check_all(&message, offsets(length));
    }
}
