//! Fixes the checksums of a modified file, so that tests reach the code behind the checks.
//!
//! Written from `spec/format.md` only. Structures that cannot be located are left unchanged.

use occ::Dtype;
use std::ops::Range;

const HEADER_BYTES: usize = 64;
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
    let mut at = start + 1;
    let length = varint(file, &mut at)?;
    let end = at.checked_add(usize::try_from(length).ok()?)?;
    if file.get(start) != Some(&b'F') || end > file.len() {
        return None;
    }
    let fields = at..end.checked_sub(4)?;
    let sizes = Sizes::read(file.get(fields.clone())?);
    let chunks_end = sizes.as_ref().and_then(|sizes| match sizes.layout {
        1 => contiguous_chunks(file, fields, sizes),
        _ => chunked_chunks(file, end, sizes.chunks),
    });
    fix(file, start..end - 4, end - 4);
    let (footer, layout) = (chunks_end?, sizes?.layout);
    if layout == 2 {
        fix(file, footer..footer + 20, footer + 20);
    }
    let length = [4, 0, 24].get(usize::from(layout))?;
    Some(footer + length)
}

/// Number and sizes of the chunks of a frame, from its header.
struct Sizes {
    layout: u8,
    chunks: u64,
    /// Decoded bytes of every chunk except the last.
    chunk_bytes: u64,
    decoded_bytes: u64,
}

impl Sizes {
    /// Reads the fields from the kind on.
    fn read(fields: &[u8]) -> Option<Self> {
        let &[_, dtype, _, layout, ..] = fields else { return None };
        let (dtype, mut at) = (Dtype::from_id(dtype)?, 4);
        let rank = varint(fields, &mut at)?;
        let mut number = || varint(fields, &mut at);
        let shape = (0..rank).map(|_| number()).collect::<Option<Vec<u64>>>()?;
        let elements = match shape.contains(&0) {
            true => 0,
            false => shape.iter().try_fold(1u64, |product, &size| product.checked_mul(size))?,
        };
        let chunk_elements = match number()? {
            0 => elements.max(1),
            several => several,
        };
        Some(Self {
            layout,
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

/// `fields` are those of the frame header, without its CRC.
fn contiguous_chunks(file: &mut [u8], fields: Range<usize>, sizes: &Sizes) -> Option<usize> {
    let header_end = fields.end + 4;
    let alignment = if sizes.decoded_bytes < 4096 { 1 } else { 1 << file[12].min(16) };
    let start = header_end.next_multiple_of(alignment);
    let end = start.checked_add(usize::try_from(sizes.decoded_bytes).ok()?)?;
    if sizes.chunks == 0 {
        return Some(end);
    }
    let payload = file.get(start..end)?;
    let chunks = payload.chunks(sizes.chunk_bytes as usize);
    let crcs: Vec<u32> = chunks.map(|chunk| crc32(&[chunk])).collect();
    let table = fields.end.checked_sub(4 * crcs.len())?;
    if table >= fields.start + 4 {
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

/// The integer of variable length at `at`, which moves behind it.
fn varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        value |= u64::from(byte & 127) << shift;
        if byte < 128 {
            return Some(value);
        }
    }
    None
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
