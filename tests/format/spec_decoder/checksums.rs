//! The positions of all checksums of a file (2, 5, 6).

#![allow(clippy::single_range_in_vec_init)] // lists of ranges, some with one item

use std::ops::Range;

/// A CRC.
pub struct Checksum {
    /// The bytes that it covers.
    pub covered: Vec<Range<usize>>,
    /// Its offset.
    pub at: usize,
}

/// The little-endian number of `bytes` bytes at an offset.
pub fn number(file: &[u8], at: usize, bytes: usize) -> usize {
    file[at..at + bytes].iter().rev().fold(0, |x, &byte| x << 8 | usize::from(byte))
}

/// All checksums of a valid file except those of decoded bytes. Each one follows the
/// checksums that it covers.
pub fn checksums(file: &[u8]) -> Vec<Checksum> {
    let mut all = vec![Checksum { covered: vec![0..60], at: 60 }];
    let index = number(file, file.len() - 40, 8);
    let entries = number(file, index + 8, 8);
    let ends = index + 40 + 76 * entries + 8 * number(file, index + 16, 8);
    for entry in (0..entries).map(|entry| index + 40 + 72 * entry) {
        let (frame, payload) = (number(file, entry, 8), number(file, entry + 8, 8));
        let payload_end = payload + number(file, entry + 16, 8);
        let header_end = frame + number(file, frame + 4, 4);
        let mut chunk = payload;
        if file[frame + 11] == 1 {
            // Contiguous: these files have one chunk; its CRC precedes that of the frame header.
            all.push(Checksum { covered: vec![payload..payload_end], at: header_end - 8 });
            if payload == payload_end {
                all.pop();
            }
        } else {
            let first = number(file, entry + 48, 8);
            let mut end_at = ends + 8 * first;
            while chunk < payload_end {
                let end = number(file, end_at, 8);
                all.push(Checksum {
                    covered: vec![chunk..chunk + 4, chunk + 8..end],
                    at: chunk + 4,
                });
                (chunk, end_at) = (end, end_at + 8);
            }
        }
        all.push(Checksum { covered: vec![frame..header_end - 4], at: header_end - 4 });
        all.push(Checksum { covered: vec![payload_end..payload_end + 20], at: payload_end + 20 });
    }
    let trailer = file.len() - 40;
    all.push(Checksum { covered: vec![index..trailer], at: trailer + 24 });
    all.push(Checksum { covered: vec![trailer..trailer + 28], at: trailer + 28 });
    all
}

/// Recomputes checksums, in the given order.
pub fn fix_checksums(file: &mut [u8], checksums: &[Checksum]) {
    for Checksum { covered, at } in checksums {
        let mut hasher = crc32fast::Hasher::new();
        for range in covered {
            hasher.update(&file[range.clone()]);
        }
        file[*at..at + 4].copy_from_slice(&hasher.finalize().to_le_bytes());
    }
}
