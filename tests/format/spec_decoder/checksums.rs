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

/// The end of the header of the frame at an offset, its CRC included.
pub fn header_end(file: &[u8], frame: usize) -> usize {
    let (mut length, mut at) = (0, frame + 1);
    loop {
        length |= usize::from(file[at] & 127) << (7 * (at - frame - 1));
        at += 1;
        if file[at - 1] < 128 {
            return at + length;
        }
    }
}

/// All checksums of a valid file except those of decoded bytes. Each one follows the
/// checksums that it covers.
pub fn checksums(file: &[u8]) -> Vec<Checksum> {
    let mut all = vec![Checksum { covered: vec![0..60], at: 60 }];
    let index = number(file, file.len() - 40, 8);
    let [entries, descriptions, dims, chunks] =
        [4, 8, 12, 16].map(|at| number(file, index + at, 4));
    let described = index + 24 + 24 * entries;
    let starts = described + 18 * descriptions + 8 * dims;
    let starts: Vec<usize> = (0..chunks).map(|chunk| number(file, starts + 8 * chunk, 8)).collect();
    for entry in 0..entries {
        let [frame, next] = [0, 20].map(|after| number(file, index + 24 + 20 * entry + after, 8));
        let end = if entry + 1 == entries { index } else { next };
        let description = number(file, index + 24 + 20 * entry + 16, 4);
        let layout = file[described + 18 * description + 17];
        let header_end = header_end(file, frame);
        let footer = end - [4, 0, 24].get(usize::from(layout)).unwrap_or(&4);
        if layout == 1 && header_end < end {
            // Contiguous: these files have one chunk; its CRC precedes that of the frame header.
            let is_aligned = end - header_end >= 4096;
            let alignment = if is_aligned { 1 << file[12] } else { 1 };
            let payload = header_end.next_multiple_of(alignment);
            all.push(Checksum { covered: vec![payload..end], at: header_end - 8 });
        }
        let own: Vec<usize> =
            starts.iter().copied().filter(|start| (frame..end).contains(start)).collect();
        for (number, &chunk) in own.iter().enumerate() {
            let end = own.get(number + 1).copied().unwrap_or(footer);
            all.push(Checksum { covered: vec![chunk..chunk + 4, chunk + 8..end], at: chunk + 4 });
        }
        all.push(Checksum { covered: vec![frame..header_end - 4], at: header_end - 4 });
        if layout == 2 {
            all.push(Checksum { covered: vec![footer..footer + 20], at: footer + 20 });
        }
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
