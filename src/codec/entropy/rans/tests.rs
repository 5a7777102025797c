//! Encoder and decoder against `constriction`, between kernels, and on corrupt streams.

mod runs;
mod sequences;
mod sweeps;

use super::*;
use crate::arch::Kernel;
use crate::codec::entropy::{Frequencies, Histogram};
use crate::error::Result;
use constriction::stream::model::{
    NonContiguousCategoricalDecoderModel as DecoderModel,
    NonContiguousCategoricalEncoderModel as EncoderModel,
};
use constriction::stream::stack::AnsCoder;
use constriction::stream::{Decode, Encode};
use proptest::prelude::*;
use sequences::sequence_of;

type Reference = AnsCoder<u16, u32, Vec<u16>>;

/// Decoding tables with contiguous slots.
fn contiguous(frequencies: &[Frequencies]) -> DecodeTables {
    let tables: Vec<_> = frequencies.iter().cloned().map(SlotTable::contiguous).collect();
    DecodeTables::new(&tables)
}

fn frequencies_of(symbols: &[u8]) -> Option<Frequencies> {
    let mut histogram = Histogram::default();
    histogram.count(symbols);
    Frequencies::from_histogram(&histogram)
}

/// Encodes with every kernel and asserts that the streams are equal.
fn encoded(frequencies: &Frequencies, symbols: &[u8]) -> Vec<u8> {
    let tables = EncodeTables::new([frequencies]);
    let by = |kernel| {
        let (mut coded, mut buffer) = (Vec::new(), Vec::new());
        let one = StreamCount::One;
        let mut encoder = SequenceEncoder::new(&tables, symbols.len(), one, kernel, &mut buffer);
        // In two calls, the rear part first, and in one call.
        let (front, rear) = symbols.split_at(symbols.len() / 2 / BLOCK * BLOCK);
        assert_eq!([rear, front].map(|part| encoder.put(part)), [0, 0]);
        encoder.finish(&mut coded).unwrap();
        let mut other = Vec::new();
        put_sequence(&tables, symbols, one, kernel, &mut buffer, &mut other).unwrap();
        assert_eq!(coded, other);
        let (length, stream) = coded.split_first_chunk().unwrap();
        assert_eq!(u32::from_le_bytes(*length) as usize, stream.len());
        stream.to_vec()
    };
    let mut all = Kernel::all().into_iter().map(by);
    let stream = all.next().unwrap();
    assert!(all.all(|other| other == stream));
    stream
}

/// Decodes with every kernel, in calls of several lengths and with a table for each lane, and asserts
/// that the results are equal.
fn decoded(frequencies: &Frequencies, stream: &[u8], count: usize) -> Result<Vec<u8>> {
    let table = DecodeTable::new(frequencies);
    let tables = contiguous(&[frequencies; 3].map(Frequencies::clone));
    let bases = std::array::from_fn(|lane| DecodeTables::base(lane % 3));
    let coded = sequence_of(stream);
    let mut all = Vec::new();
    for kernel in Kernel::all() {
        for run in [count.max(1), 2 * LANES, LANES] {
            // Not aligned.
            let mut symbols = vec![0xaa; run % 61 + count];
            let symbols = &mut symbols[run % 61..];
            let mut decode = || -> Result<Vec<u8>> {
                let mut decoder = SequenceDecoder::take(&mut &coded[..], kernel)?;
                symbols.chunks_mut(run).try_for_each(|run| decoder.decode(&table, run))?;
                decoder.finish()?;
                Ok(symbols.to_vec())
            };
            all.push(decode());
        }
    }
    let mut symbols = vec![0x55; count];
    let decode = || -> Result<Vec<u8>> {
        let mut decoder = RansDecoder::new(stream)?;
        let mut groups = symbols.chunks_mut(LANES);
        groups.try_for_each(|group| decoder.decode_group(&tables, &bases, group))?;
        decoder.finish()?;
        Ok(symbols)
    };
    all.push(decode());
    let comparable = |result: &Result<Vec<u8>>| match result {
        Ok(symbols) => Ok(symbols.clone()),
        Err(error) => Err(error.to_string()),
    };
    assert!(all.iter().all(|other| comparable(other) == comparable(&all[0])));
    all.swap_remove(0)
}

/// The stream as written by 32 coders of constriction with one shared stack of words.
fn encoded_by_reference(frequencies: &Frequencies, symbols: &[u8]) -> Vec<u8> {
    let present = (0..=255u8).filter(|&s| frequencies.get()[usize::from(s)] > 0);
    let model = EncoderModel::<u8, u16, 12>::from_symbols_and_nonzero_fixed_point_probabilities(
        present.clone(),
        present.map(|s| frequencies.get()[usize::from(s)]),
        false,
    )
    .unwrap();
    let mut states = [1u32 << 16; LANES];
    let mut words = Vec::new();
    for (position, &symbol) in symbols.iter().enumerate().rev() {
        let lane = position % LANES;
        let mut coder = Reference::from_raw_parts(words, states[lane]);
        coder.encode_symbol(symbol, &model).unwrap();
        (words, states[lane]) = coder.into_raw_parts();
    }
    let words = words.into_iter().rev().flat_map(u16::to_le_bytes);
    states.iter().flat_map(|state| state.to_le_bytes()).chain(words).collect()
}

fn decoded_by_reference(frequencies: &Frequencies, stream: &[u8], count: usize) -> Vec<u8> {
    let present = (0..=255u8).filter(|&s| frequencies.get()[usize::from(s)] > 0);
    let model = DecoderModel::<u8, u16, _, 12>::from_symbols_and_nonzero_fixed_point_probabilities(
        present.clone(),
        present.map(|s| frequencies.get()[usize::from(s)]),
        false,
    )
    .unwrap();
    let (states, words) = stream.split_at(STATES_BYTES);
    let mut states: Vec<u32> =
        states.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect();
    let words = words.as_chunks().0.iter().map(|bytes| u16::from_le_bytes(*bytes));
    let mut words: Vec<u16> = words.rev().collect();
    let mut symbols = Vec::new();
    for position in 0..count {
        let mut coder = Reference::from_raw_parts(words, states[position % LANES]);
        symbols.push(coder.decode_symbol(&model).unwrap());
        (words, states[position % LANES]) = coder.into_raw_parts();
    }
    assert!(words.is_empty());
    symbols
}

/// Symbols of random alphabets and skews.
fn symbols() -> impl Strategy<Value = Vec<u8>> {
    (1u32..=8, any::<u8>(), 0usize..3000).prop_flat_map(|(bits, base, length)| {
        let symbol = any::<u8>()
            .prop_map(move |x| base.wrapping_add(x.leading_zeros() as u8 ^ (x >> (8 - bits))));
        prop::collection::vec(symbol, length)
    })
}

proptest! {
    #[test]
    fn agrees_with_constriction_word_for_word(symbols in symbols()) {
        let Some(frequencies) = frequencies_of(&symbols) else { return Ok(()) };
        let stream = encoded(&frequencies, &symbols);
        prop_assert_eq!(&stream, &encoded_by_reference(&frequencies, &symbols));
        prop_assert_eq!(&decoded_by_reference(&frequencies, &stream, symbols.len()), &symbols);
        prop_assert_eq!(&decoded(&frequencies, &stream, symbols.len()).unwrap(), &symbols);
    }

    #[test]
    fn corrupt_streams_do_not_decode_to_the_original(
        symbols in symbols(), at in any::<prop::sample::Index>(), bit in 0u32..8
    ) {
        let Some(frequencies) = frequencies_of(&symbols) else { return Ok(()) };
        let mut stream = encoded(&frequencies, &symbols);
        let at = at.index(stream.len());
        prop_assert!(decoded(&frequencies, &stream[..at], symbols.len()).is_err());
        stream[at] ^= 1 << bit;
        // Decoding is a bijection between streams and messages: a changed stream that still ends in
        // the initial state decodes to another message.
        if let Ok(other) = decoded(&frequencies, &stream, symbols.len()) {
            prop_assert_ne!(other, symbols);
        }
    }

    #[test]
    fn arbitrary_streams_never_panic(stream in prop::collection::vec(any::<u8>(), 0..2000), count in 0usize..999) {
        let frequencies = frequencies_of(b"abracadabra").unwrap();
        let _ = decoded(&frequencies, &stream, count);
    }

    #[test]
    fn kernels_agree_on_runs_of_arbitrary_streams(
        mut stream in prop::collection::vec(any::<u8>(), STATES_BYTES..3000),
        first in prop::array::uniform32(any::<u8>()),
        generators in any::<[u8; 2]>()
    ) {
        stream.truncate(stream.len() & !1);
        // States in range.
        stream[..STATES_BYTES].iter_mut().skip(2).step_by(4).for_each(|byte| *byte |= 1);
        let many: Vec<u8> = (1..=255).collect();
        let escape = [&b"\0"[..], &b"abracadabra".repeat(99)].concat();
        let tables = [&many, &escape, &b"ab".to_vec()].map(|of| frequencies_of(of).unwrap());
        let few = [&b"\0"[..], &(70..130).collect::<Vec<u8>>().repeat(20)].concat();
        let aliased = [&few, &few[..99], &few[..500]];
        let aliased = aliased.map(|of| SlotTable::aliased(frequencies_of(of).unwrap()));
        let firsts = [[0; LANES], std::array::from_fn(|lane| lane as u8 % 2)];
        let classes = [0, 1, 1, 0, 1].repeat(12);
        let run = GroupRun { machine: StateMachine { generators }, classes: &classes };
        for tables in [contiguous(&tables), DecodeTables::new(&aliased)] {
            let lane_tables = LaneTables::new(&tables, &firsts);
            let decoded = |kernel| {
                let mut decoder = RansDecoder::new(&stream).unwrap();
                let (mut trellis_states, mut points) = (first, vec![[0; LANES]; classes.len()]);
                let stream = decoder.run(&lane_tables, &mut trellis_states, &mut points);
                let done = decode_runs(kernel, &tables, &run, [stream]);
                // The following symbols depend on the states of the coder.
                let mut next = [0; 4 * LANES];
                let bases = lane_tables.of_group(0, &[0; LANES]);
                let mut groups = next.chunks_mut(LANES);
                let all = groups.try_for_each(|next| decoder.decode_group(&tables, &bases, next));
                (done, trellis_states, points, next, all.is_ok())
            };
            let mut all = Kernel::all().into_iter().map(decoded);
            let portable = all.next();
            prop_assert!(all.all(|other| Some(&other) == portable.as_ref()));
        }
    }
}

#[test]
fn every_length_around_the_number_of_lanes_round_trips() {
    let message: Vec<u8> = (0..=255).cycle().take(4 * LANES + 1).map(|x: u8| x % 7).collect();
    let frequencies = frequencies_of(&message).unwrap();
    for length in 0..message.len() {
        let stream = encoded(&frequencies, &message[..length]);
        assert_eq!(stream, encoded_by_reference(&frequencies, &message[..length]));
        assert_eq!(decoded(&frequencies, &stream, length).unwrap(), &message[..length]);
        assert!(decoded(&frequencies, &stream, length + 1).is_err());
    }
}

#[test]
fn lanes_with_different_tables_round_trip() {
    let skewed: Vec<u8> = (0..=255).flat_map(|x: u8| vec![x % 16; usize::from(x % 16)]).collect();
    let all: Vec<Frequencies> =
        [&b"abracadabra"[..], &skewed, b"ab"].map(|of| frequencies_of(of).unwrap()).into();
    let encode_tables = EncodeTables::new(&all);
    let decode_tables = contiguous(&all);
    let of = |table: usize, i: usize| match table {
        0 => b"abracadabra"[i % 11],
        1 => skewed[i * 7 % skewed.len()],
        _ => b"ab"[i % 2],
    };
    let groups: Vec<Vec<(usize, u8)>> = (0..200)
        .map(|group| {
            let lanes = if group == 199 { 5 } else { LANES };
            let table = |lane: usize| (lane * lane + group) % 3;
            let coded = |lane| (table(lane), of(table(lane), group * 31 + lane));
            (0..lanes).map(coded).collect()
        })
        .collect();
    let encoded = |kernel| {
        let mut buffer = Vec::new();
        let mut encoder = RansEncoder::new(&encode_tables, 200 * LANES, kernel, &mut buffer);
        for group in groups.iter().rev() {
            let coded = group.iter().map(|&(table, symbol)| TableSymbol::new(table as u8, symbol));
            encoder.put_groups(group.len(), &coded.collect::<Vec<_>>());
        }
        let mut stream = Vec::new();
        encoder.finish(&mut stream).unwrap();
        stream
    };
    let stream = encoded(Kernel::Scalar);
    for kernel in Kernel::all() {
        assert_eq!(encoded(kernel), stream);
        let mut decoder = RansDecoder::new(&stream).unwrap();
        for group in &groups {
            let table = |lane: usize| group.get(lane).map_or(0, |coded| coded.0);
            let bases = std::array::from_fn(|lane| DecodeTables::base(table(lane)));
            let mut symbols = vec![0xaa; group.len()];
            decoder.decode_group(&decode_tables, &bases, &mut symbols).unwrap();
            assert!(symbols.iter().zip(group).all(|(&symbol, coded)| symbol == coded.1));
        }
        decoder.finish().unwrap();
    }
}

#[test]
fn a_symbol_with_frequency_zero_is_rejected() {
    let frequencies = frequencies_of(b"ab").unwrap();
    let tables = EncodeTables::new([&frequencies]);
    for kernel in Kernel::all() {
        for length in [3, 64, 65] {
            for at in [0, length - 1] {
                let mut symbols = vec![b'a'; length];
                symbols[at] = b'c';
                let (mut buffer, mut out) = (Vec::new(), Vec::new());
                for streams in [StreamCount::One, StreamCount::Two] {
                    let put =
                        put_sequence(&tables, &symbols, streams, kernel, &mut buffer, &mut out);
                    assert!(put.is_err());
                }
                let coded: Vec<_> = symbols.iter().map(|&s| TableSymbol::new(0, s)).collect();
                let mut encoder = RansEncoder::new(&tables, length, kernel, &mut buffer);
                encoder.put_groups(LANES, &coded);
                assert!(encoder.finish(&mut out).is_err());
            }
        }
    }
}

#[test]
fn an_empty_message_consists_of_the_initial_states() {
    let frequencies = frequencies_of(b"ab").unwrap();
    let stream = encoded(&frequencies, b"");
    assert_eq!(stream, [0, 0, 1, 0].repeat(LANES));
}

/// The example of `spec/format.md`, section 8.
#[test]
fn known_answer() {
    let spec = include_str!("../../../../spec/format.md");
    let example = spec.split("**Example.**").nth(1).unwrap().split("```").nth(1).unwrap();
    let mut parts = example.trim().split("\n\n").map(|part| part.replace([' ', '\n'], ""));
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();

    let message = b"abracadabra".repeat(24);
    let frequencies = frequencies_of(&message).unwrap();
    assert_eq!(frequencies.get()[97..101], [1862, 745, 372, 372]);
    let mut table = crate::codec::entropy::BitWriter::default();
    frequencies.write(&mut table);
    assert_eq!(Some(hex(&table.finish())), parts.next());
    assert_eq!(Some(hex(&encoded(&frequencies, &message))), parts.next());
}
