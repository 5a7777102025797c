//! Fixes the checksums of a modified file, so that tests reach the code behind the checks.
//!
//! Written from `spec/format.md` only. Structures that cannot be located are left unchanged.

use occ::Dtype;
use std::ops::Range;

const HEADER_BYTES: usize = 64;
const FRAME_HEAD_BYTES: usize = 32;
const FRAME_FOOTER_BYTES: usize = 24;
const TRAILER_BYTES: usize = 40;

/// Fixes the checksums of header, frames, chunks, index and trailer.
pub fn fix_checksums(file: &mut [u8]) {
    fix(file, 0..60, 60);
    let mut offset = HEADER_BYTES;
    while let Some(end) = frame(file, offset) {
        offset = end;
    }
    trailer(file);
}

/// Fixes the checksums of a frame and returns the offset of the next frame.
fn frame(file: &mut [u8], start: usize) -> Option<usize> {
    let head = file.get(start..start + FRAME_HEAD_BYTES)?;
    let (contiguous, length) = (head[11] != 0, u32_at(head, 4)? as usize);
    let header = start..start + length;
    if !head.starts_with(b"FRAM") || length < FRAME_HEAD_BYTES + 4 || header.end > file.len() {
        return None;
    }
    let end = Sizes::read(&file[header.clone()]).and_then(|sizes| match contiguous {
        true => contiguous_chunks(file, header.clone(), &sizes),
        false => chunked_chunks(file, header.end, sizes.chunks),
    });
    fix(file, start..header.end - 4, header.end - 4);
    let footer = end?;
    let crc = footer + FRAME_FOOTER_BYTES - 4;
    fix(file, footer..crc, crc);
    Some(footer + FRAME_FOOTER_BYTES)
}

/// Number and sizes of the chunks of a frame, from its header.
struct Sizes {
    chunks: u64,
    /// Decoded bytes of every chunk except the last.
    chunk_bytes: u64,
    decoded_bytes: u64,
}

impl Sizes {
    fn read(header: &[u8]) -> Option<Self> {
        let dtype = Dtype::from_id(header[9])?;
        let rank = u16::from_le_bytes([header[12], header[13]]).into();
        let chunk_elements = u64_at(header, 24).filter(|&elements| elements > 0)?;
        let dimension = |number: usize| u64_at(header, FRAME_HEAD_BYTES + 8 * number);
        let shape = (0..rank).map(dimension).collect::<Option<Vec<u64>>>()?;
        let elements = match shape.contains(&0) {
            true => 0,
            false => shape.iter().try_fold(1u64, |product, &size| product.checked_mul(size))?,
        };
        Some(Self {
            chunks: elements.div_ceil(chunk_elements),
            chunk_bytes: dtype.byte_len(chunk_elements.min(elements))?,
            decoded_bytes: dtype.byte_len(elements)?,
        })
    }
}

fn chunked_chunks(file: &mut [u8], mut start: usize, chunks: u64) -> Option<usize> {
    for _ in 0..chunks {
        let end = start + 8 + u32_at(file, start)? as usize;
        let crc = crc32(&[file.get(start..start + 4)?, file.get(start + 8..end)?]);
        put(file, start + 4, crc);
        start = end;
    }
    Some(start)
}

fn contiguous_chunks(file: &mut [u8], header: Range<usize>, sizes: &Sizes) -> Option<usize> {
    if sizes.chunks == 0 {
        return Some(header.end);
    }
    let start = header.end.next_multiple_of(1 << file[12].min(16));
    let end = start.checked_add(usize::try_from(sizes.decoded_bytes).ok()?)?;
    let payload = file.get(start..end)?;
    let chunks = payload.chunks(sizes.chunk_bytes as usize);
    let crcs: Vec<u32> = chunks.map(|chunk| crc32(&[chunk])).collect();
    let decoded = crc32(&[payload]);
    put(file, end, decoded);
    let table = (header.end - 4).checked_sub(4 * crcs.len())?;
    if table >= header.start + FRAME_HEAD_BYTES {
        crcs.iter().enumerate().for_each(|(chunk, &crc)| put(file, table + 4 * chunk, crc));
    }
    Some(end)
}

fn trailer(file: &mut [u8]) -> Option<()> {
    let start = file.len().checked_sub(TRAILER_BYTES)?;
    let index = u64_at(file, start)? as usize;
    fix(file, index..index.checked_add(u64_at(file, start + 8)? as usize)?, start + 24);
    fix(file, start..start + 28, start + 28);
    Some(())
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|&bytes| u32::from_le_bytes(bytes))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|&bytes| u64::from_le_bytes(bytes))
}

/// Writes the CRC of `covered` at `at`, if both are in the file.
fn fix(file: &mut [u8], covered: Range<usize>, at: usize) {
    if let Some(covered) = file.get(covered) {
        put(file, at, crc32(&[covered]));
    }
}

fn put(file: &mut [u8], at: usize, crc: u32) {
    if let Some(place) = file.get_mut(at..at + 4) {
        place.copy_from_slice(&crc.to_le_bytes());
    }
}

fn crc32(parts: &[&[u8]]) -> u32 {
    let bytes = parts.iter().copied().flatten();
    !bytes.fold(!0, |crc, &byte| (crc >> 8) ^ CRC_TABLE[usize::from(crc as u8 ^ byte)])
}

const CRC_TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc >> 1) ^ (0xedb8_8320 * (crc & 1));
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};
