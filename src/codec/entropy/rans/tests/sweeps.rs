//! Every length up to two groups and one symbol, at every alignment of input and output.

use super::sequences::decoder;
use super::*;
use crate::codec::entropy::rans::{LANES, TableSymbol};

/// Two groups and one symbol.
const LONGEST: usize = 2 * LANES + 1;

/// Bytes of a cache line and of the longest vector.
const LINE: usize = 64;

/// Offsets of input and output for a length. Both take every value; over all lengths every pair
/// occurs.
pub(super) fn offsets(length: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..LINE).map(move |offset| (offset, (29 * offset + length) % LINE))
}

/// A copy that starts `offset` items into its allocation.
pub(super) fn moved<T: Copy>(offset: usize, filler: T, items: &[T]) -> Vec<T> {
    [vec![filler; offset], items.to_vec()].concat()
}

/// Mostly rare symbols: a group consumes more words than it has vectors.
fn rare_symbols(count: usize) -> Vec<u8> {
    let symbol = |i: usize| if i % 7 == 3 { 0 } else { (i * 97 % 251) as u8 };
    (0..count).map(symbol).collect()
}

/// A table in which all symbols but 0 are rare.
fn mostly_zeros() -> Frequencies {
    Frequencies::from_weights(&std::array::from_fn(|symbol| {
        Some(if symbol == 0 { 1 << 20 } else { 1 })
    }))
}

/// With `beyond` = 0 the stream ends with the symbols; otherwise no group is near the end.
#[test]
fn symbols_round_trip_at_every_alignment() {
    let (frequencies, symbols) = (mostly_zeros(), rare_symbols(LONGEST + 4 * LANES));
    let (encode, decode) = (EncodeTables::new([&frequencies]), DecodeTable::new(&frequencies));
    let by = |kernel, symbols: &[u8], start: usize| {
        let mut coded = vec![0xaa; start];
        let buffer = &mut Vec::new();
        put_sequence(&encode, symbols, StreamCount::One, kernel, buffer, &mut coded).unwrap();
        coded
    };
    for length in 0..=LONGEST {
        for beyond in [0, 4 * LANES] {
            let symbols = &symbols[..length + beyond];
            let expected = by(Kernel::Scalar, symbols, 0);
            for (read, write) in offsets(length) {
                let moved = moved(read, 0, symbols);
                for kernel in Kernel::all() {
                    // All kernels write the same stream, so that each decodes the streams of all.
                    let stream = by(kernel, &moved[read..], read);
                    assert_eq!(stream[read..], expected, "{kernel:?} {length} {read}");
                    let mut out = vec![0x55; write + length + LINE];
                    let mut decoder = decoder(&stream[read..], kernel);
                    decoder.decode(&decode, &mut out[write..][..length]).unwrap();
                    assert_eq!(out[write..][..length], symbols[..length], "{kernel:?} {length}");
                    assert!(out[..write].iter().all(|&byte| byte == 0x55));
                    assert!(out[write + length..].iter().all(|&byte| byte == 0x55));
                    if beyond == 0 {
                        decoder.finish().unwrap();
                    }
                }
            }
        }
    }
}

#[test]
fn groups_round_trip_at_every_alignment() {
    let all = [mostly_zeros(), frequencies_of(&rare_symbols(999)).unwrap()];
    let (encode, decode) = (EncodeTables::new(&all), contiguous(&all));
    let symbols = rare_symbols(LONGEST);
    let table = |i: usize| i * i / 3 % 2;
    let coded: Vec<TableSymbol> = symbols
        .iter()
        .enumerate()
        .map(|(i, &symbol)| TableSymbol::new(table(i) as u8, symbol))
        .collect();
    let by = |kernel, coded: &[TableSymbol], start: usize| {
        let mut buffer = Vec::new();
        let mut encoder = RansEncoder::new(&encode, coded.len(), kernel, &mut buffer);
        encoder.put_groups(LANES, coded);
        let mut stream = vec![0xaa; start];
        encoder.finish(&mut stream).unwrap();
        stream
    };
    for length in 0..=LONGEST {
        let expected = by(Kernel::Scalar, &coded[..length], 0);
        for (read, write) in offsets(length) {
            let moved = moved(read, TableSymbol::default(), &coded[..length]);
            for kernel in Kernel::all() {
                let stream = by(kernel, &moved[read..], read);
                assert_eq!(stream[read..], expected, "{kernel:?} {length} {read}");
                let mut out = vec![0x55; write + length + LINE];
                let mut decoder = RansDecoder::new(&stream[read..]).unwrap();
                for (group, out) in out[write..][..length].chunks_mut(LANES).enumerate() {
                    let bases =
                        std::array::from_fn(|lane| DecodeTables::base(table(group * LANES + lane)));
                    decoder.decode_group(&decode, &bases, out).unwrap();
                }
                decoder.finish().unwrap();
                assert_eq!(out[write..][..length], symbols[..length], "{kernel:?} {length}");
                assert!(out[write + length..].iter().all(|&byte| byte == 0x55));
            }
        }
    }
}
