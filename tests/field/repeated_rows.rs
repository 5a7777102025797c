//! Tensors with rows that occur several times: padded vocabularies, stacked experts that are copies,
//! masks of blocks.

use crate::common::{Sample, assert_valid, bf16_weights, written};
use occ::{Codec, Dtype, Reader, StreamReader, WriteOptions};

const COLUMNS: usize = 96;

fn rows(seed: u64, count: usize) -> Vec<u8> {
    bf16_weights(seed, count * COLUMNS)
}

/// Writes a tensor of BF16, checks that it comes back in several ways, and returns the bytes of the
/// file.
fn compressed(bytes: &[u8], shape: &[usize]) -> usize {
    let sample = Sample::new("w", Dtype::Bf16, shape, bytes.to_vec());
    let file = written(&[sample], WriteOptions::default());
    assert_valid(&file);
    let tensor = Reader::new(&file).unwrap().tensor("w").unwrap();
    assert_eq!(tensor.stored(), Some(Codec::Repetition));
    assert!(tensor.decode().unwrap() == bytes);
    let row = bytes.len() / shape[0];
    let last = shape[0] - 1;
    assert!(tensor.decode_rows(1..last).unwrap() == bytes[row..last * row]);
    let streamed = StreamReader::new(file.as_slice()).unwrap().tensors().next().unwrap();
    assert!(streamed.unwrap().bytes == bytes);
    file.len()
}

/// The bytes that rows without copies take.
fn alone(rows: &[u8]) -> usize {
    let shape = [rows.len() / 2 / COLUMNS, COLUMNS];
    written(&[Sample::new("w", Dtype::Bf16, &shape, rows.to_vec())], WriteOptions::default()).len()
}

#[test]
fn padded_vocabularies() {
    let words = rows(1, 1500);
    let once = alone(&words);
    let last = &words[words.len() - 2 * COLUMNS..];
    for padding in [vec![0; 2 * COLUMNS], last.to_vec()] {
        let bytes = [words.clone(), padding.repeat(500)].concat();
        assert!(compressed(&bytes, &[2000, COLUMNS]) < once + 400);
    }
}

#[test]
fn experts_that_are_copies() {
    let expert = rows(2, 300);
    let bytes = expert.repeat(8);
    assert!(compressed(&bytes, &[8, 300, COLUMNS]) < alone(&expert) + 200);
    // One of them differs.
    let bytes = [expert.repeat(4), rows(3, 300), expert.repeat(3)].concat();
    assert!(compressed(&bytes, &[8, 300, COLUMNS]) < 2 * alone(&expert) + 200);
}

#[test]
fn one_row_only() {
    let bytes = rows(4, 1).repeat(5000);
    assert!(compressed(&bytes, &[5000, COLUMNS]) < 800);
}

/// Every row is stored twice, or consists of two equal halves.
#[test]
fn neighbours_and_halves_that_are_equal() {
    let once = rows(5, 1000);
    let neighbours: Vec<u8> = once.chunks(2 * COLUMNS).flat_map(|row| row.repeat(2)).collect();
    assert!(compressed(&neighbours, &[2000, COLUMNS]) < alone(&once) + 12 * 1000 + 400);
    assert!(compressed(&neighbours, &[1000, 2 * COLUMNS]) < alone(&once) + 12 * 1000 + 400);
}
