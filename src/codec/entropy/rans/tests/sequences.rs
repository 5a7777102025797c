//! Sequences of one and of two streams: between kernels, and near the end of a stream.

use super::*;
use crate::codec::entropy::low_bits;

/// A sequence of one stream.
pub(super) fn sequence_of(stream: &[u8]) -> Vec<u8> {
    [&(stream.len() as u32).to_le_bytes(), stream].concat()
}

/// Encodes a sequence. Asserts that each stream is that of its groups.
fn sequence(frequencies: &Frequencies, symbols: &[u8], streams: StreamCount) -> Vec<u8> {
    let tables = EncodeTables::new([frequencies]);
    let of_groups = |number, count| {
        let groups = symbols.chunks(LANES).skip(number).step_by(count);
        sequence_of(&encoded(frequencies, &groups.collect::<Vec<_>>().concat()))
    };
    let expected = match streams {
        StreamCount::One => of_groups(0, 1),
        StreamCount::Two => {
            let mut both = [of_groups(0, 2), of_groups(1, 2)].concat();
            both[3] |= 0x80;
            both
        }
    };
    for kernel in Kernel::all() {
        let mut coded = Vec::new();
        let buffer = &mut Vec::new();
        put_sequence(&tables, symbols, streams, kernel, buffer, &mut coded).unwrap();
        assert_eq!(coded, expected);
    }
    expected
}

pub(super) fn decoder(mut coded: &[u8], kernel: Kernel) -> SequenceDecoder<'_> {
    let decoder = SequenceDecoder::take(&mut coded, kernel).unwrap();
    assert!(coded.is_empty());
    decoder
}

/// Every length with one and with two streams.
fn sequences<const N: usize>(lengths: [usize; N]) -> impl Iterator<Item = (usize, StreamCount)> {
    lengths.into_iter().flat_map(|it| [(it, StreamCount::One), (it, StreamCount::Two)])
}

#[test]
fn kernels_agree_on_words() {
    for (length, streams) in sequences([0, 1, 31, 32, 33, 64, 65, 95, 96, 1000, 2000]) {
        let high: Vec<u8> = (0..length).map(|i| b"abracadabra"[i * 7 % 11]).collect();
        let low: Vec<u8> = (0..length).map(|i| (i * i) as u8).collect();
        let frequencies = frequencies_of(b"abracadabra").unwrap();
        let table = DecodeTable::new(&frequencies);
        let coded = sequence(&frequencies, &high, streams);
        for rotated in [false, true] {
            let word = |(&low, &high): (&u8, &u8)| {
                u16::from_le_bytes([low, high]).rotate_right(rotated.into()).to_le_bytes()
            };
            let expected: Vec<u8> = low.iter().zip(&high).flat_map(word).collect();
            for kernel in Kernel::all() {
                let mut decoder = decoder(&coded, kernel);
                let mut out = vec![0xaa; 2 * length];
                let words = LANES * decoder.decode_words(&table, &low, rotated, &mut out);
                assert_eq!(out[..2 * words], expected[..2 * words]);
                assert!(out[2 * words..].iter().all(|&byte| byte == 0xaa));
                // The symbols near the end of the stream are decoded without joining.
                let mut rest = vec![0; length - words];
                decoder.decode(&table, &mut rest).unwrap();
                assert_eq!(rest, high[words..]);
                decoder.finish().unwrap();
                assert!(length < 2000 || words > 1400);
            }
        }
    }
}

#[test]
fn kernels_agree_on_pairs() {
    let frequencies = frequencies_of(b"abracadabra").unwrap();
    let table = DecodeTable::new(&frequencies);
    for (blocks, streams) in sequences([0, 1, 2, 3, 39, 80]) {
        let pairs: Vec<u8> = (0..blocks * LANES).map(|i| b"abracadabra"[i * 7 % 11]).collect();
        let count = 2 * pairs.len();
        let coded = sequence(&frequencies, &pairs, streams);
        let high: Vec<u8> = pairs
            .chunks(LANES)
            .flat_map(|group| {
                let low = group.iter().map(|pair| 5u8.wrapping_sub(pair & 0xf));
                low.chain(group.iter().map(|pair| 5u8.wrapping_sub(pair >> 4)))
            })
            .collect();
        for (planes, low_bits, offset) in
            [(1, 0, 0), (1, 0, 31), (1, 3, 1), (1, 3, 63), (3, 0, 5), (3, 0, 32), (3, 3, 0)]
        {
            let noise = |seed: usize, i: usize| (i * i * (seed + 3) / 8) as u8;
            let lower: Vec<Vec<u8>> =
                (0..planes).map(|p| (0..offset + count).map(|i| noise(p, i)).collect()).collect();
            let lower: Vec<&[u8]> = lower.iter().map(|plane| &plane[offset..]).collect();
            let mut low = vec![0; offset];
            let bytes: Vec<u8> = (0..count).map(|i| noise(9, i)).collect();
            low_bits::extract(low_bits, bytes.as_chunks().0, &mut low);
            let word = |i: usize| {
                let byte = high[i] << low_bits | bytes[i] & !(u8::MAX << low_bits);
                let number = u32::from(byte) << (8 * planes);
                let number = lower.iter().rev().fold(0, |n, p| n << 8 | u32::from(p[i])) | number;
                let number = number >> 1 | number << (8 * planes + 7);
                number.to_le_bytes()[..=planes].to_vec()
            };
            let expected: Vec<u8> = (0..count).flat_map(word).collect();
            for kernel in Kernel::all() {
                let mut decoder = decoder(&coded, kernel);
                let mut out = vec![0xaa; offset + expected.len()];
                let low_bits = (low_bits, &low[offset..]);
                let pairs = PairedBytes { base: 5, low_bits, lower: &lower };
                let done = decoder.decode_pairs(&table, &pairs, &mut out[offset..]);
                let bytes = done * 2 * LANES * (planes + 1);
                assert_eq!(out[offset..][..bytes], expected[..bytes]);
                assert!(out[offset + bytes..].iter().all(|&byte| byte == 0xaa));
                let mut rest = vec![0; (blocks - done) * 2 * LANES];
                decoder.decode_pair_bytes(&table, 5, &mut rest).unwrap();
                assert_eq!(rest, high[done * 2 * LANES..]);
                decoder.finish().unwrap();
                let supported = planes == 1 || low_bits.0 == 0;
                assert_eq!(supported && blocks == 80, done > 60);
            }
        }
    }
}

/// Words without their lower bytes or low bits are not decoded.
#[test]
fn pairs_stop_with_the_other_bytes() {
    let frequencies = frequencies_of(b"abracadabra").unwrap();
    let table = DecodeTable::new(&frequencies);
    let coded = sequence_of(&encoded(&frequencies, &b"abracadabra".repeat(160)));
    let (long, short) = ([7; 40 * 2 * LANES], [7; 10 * 2 * LANES + 63]);
    let cases: [(&[&[u8]], _, usize); 4] = [
        (&[&short], (0, &[][..]), 10),
        (&[&long, &long, &short], (0, &[]), 10),
        (&[&long], (3, &[1; 24 * 6 + 23]), 6),
        (&[&short], (3, &[1; 24 * 30]), 10),
    ];
    for (lower, low_bits, expected) in cases {
        for kernel in Kernel::all() {
            let mut decoder = decoder(&coded, kernel);
            let pairs = PairedBytes { base: 5, low_bits, lower };
            let mut out = vec![0; 40 * 2 * LANES * (lower.len() + 1)];
            assert_eq!(decoder.decode_pairs(&table, &pairs, &mut out), expected);
        }
    }
}

#[test]
fn groups_alternate_between_two_streams() {
    let frequencies = frequencies_of(b"abracadabra").unwrap();
    let table = DecodeTable::new(&frequencies);
    for length in (0..7 * LANES).chain([63 * LANES + 1, 64 * LANES, 65 * LANES + 31]) {
        let symbols: Vec<u8> = (0..length).map(|i| b"abracadabra"[i * 7 % 11]).collect();
        let coded = sequence(&frequencies, &symbols, StreamCount::Two);
        for kernel in Kernel::all() {
            for call in [length.max(1), 2 * LANES, 6 * LANES] {
                let mut decoder = decoder(&coded, kernel);
                let mut out = vec![0; length];
                out.chunks_mut(call).try_for_each(|out| decoder.decode(&table, out)).unwrap();
                decoder.finish().unwrap();
                assert_eq!(out, symbols);
            }
            // A stream has fewer symbols than are decoded.
            let mut decoder = decoder(&coded, kernel);
            let mut out = vec![0; length + 4 * LANES];
            assert!(decoder.decode(&table, &mut out).and_then(|()| decoder.finish()).is_err());
        }
        for at in [0, 3, 4 + STATES_BYTES, coded.len() / 2, coded.len() - 1] {
            let cut = SequenceDecoder::take(&mut &coded[..at], Kernel::best());
            assert!(cut.is_err());
        }
    }
}

/// All kernels stop before unknown symbols, and continue when these are replaced.
#[test]
fn unknown_symbols_can_be_replaced_while_encoding() {
    let frequencies = frequencies_of(b"abracadabra").unwrap();
    let tables = EncodeTables::new([&frequencies]);
    for (length, streams) in sequences([0, 31, 64, 5 * BLOCK, 7 * BLOCK + 37]) {
        for every in [1, 40, 150, length.max(1)] {
            let known: Vec<u8> = (0..length).map(|i| b"abracadabra"[i * 7 % 11]).collect();
            let is_unknown = |i: usize| (i + 1).is_multiple_of(every);
            let replaced: Vec<u8> = known
                .iter()
                .enumerate()
                .map(|(i, &s)| if is_unknown(i) { b'a' } else { s })
                .collect();
            let expected = sequence(&frequencies, &replaced, streams);
            for kernel in Kernel::all() {
                let mut symbols = known.clone();
                (0..length).filter(|&i| is_unknown(i)).for_each(|i| symbols[i] = b'?');
                let mut buffer = Vec::new();
                let mut encoder =
                    SequenceEncoder::new(&tables, length, streams, kernel, &mut buffer);
                let mut left = length;
                loop {
                    left = encoder.put(&symbols[..left]);
                    if left == 0 {
                        break;
                    }
                    assert!(left == length || left.is_multiple_of(BLOCK));
                    let last = &mut symbols[left.saturating_sub(BLOCK)..left];
                    assert!(last.contains(&b'?'));
                    last.iter_mut().filter(|s| **s == b'?').for_each(|s| *s = b'a');
                }
                let mut coded = Vec::new();
                encoder.finish(&mut coded).unwrap();
                assert_eq!(coded, expected, "{kernel:?} {length} {every}");
            }
        }
    }
}
