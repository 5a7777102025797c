//! A simple decoder for `.occ` files, written only from `spec/format.md`. It shares no code with
//! the crate and is not optimised. Section numbers refer to `spec/format.md`.
#![allow(dead_code)] // each test uses a part of it

mod bits;
pub mod checksums;
mod chunk;
mod index;
pub mod object_file;
mod planes;
pub mod random;
mod rans;
mod reconstruction;
mod trellis;

use index::{Entry, IndexBuilder, build_trailer, find_index, locate_parts};
use planes::{Plane, decode_planes, read_planes_params};
use trellis::Params;

/// Limit on the total decoded bytes of a file (10: limits belong to the reader).
const MAX_DECODED: u64 = 64 << 20;

const HEADER_MAGIC: [u8; 8] = [0x8F, 0x4F, 0x43, 0x43, 0x0D, 0x0A, 0x1A, 0x0A];
const END_MAGIC: [u8; 8] = [0x0A, 0x1A, 0x0A, 0x0D, 0x43, 0x43, 0x4F, 0x8F];
const FRAME_TAG: &[u8] = b"FRAM";
const INDEX_TAG: &[u8] = b"INDX";
const HEADER_LEN: usize = 64;
const TRAILER_LEN: usize = 40;
const TENSOR: u8 = 1;
const U8: u8 = 5;
const CHUNKED: u8 = 0;
const CONTIGUOUS: u8 = 1;
const RAW: u8 = 0;
const PLANES: u8 = 1;
const TRELLIS: u8 = 2;

type Res<T> = Result<T, String>;

pub struct DecodedObject {
    pub kind: u8,
    pub name: String,
    pub dtype: u8,
    pub shape: Vec<u64>,
    pub codec: u8,
    pub bytes: Vec<u8>,
}

/// Reads a file sequentially: the frames, then the index and the trailer. Checks all rules of
/// section 10.
pub fn decode_stream(file: &[u8]) -> Res<Vec<DecodedObject>> {
    let align = read_header(file)?;
    let mut input = Cursor { bytes: file, at: HEADER_LEN };
    let mut objects = Vec::new();
    let mut index = IndexBuilder::default();
    let mut budget = MAX_DECODED;
    while input.rest().starts_with(FRAME_TAG) {
        let start = input.at;
        let frame = Frame::read(&mut input)?;
        frame.deduct(&mut budget)?;
        let padding = input.take(frame.padding(input.at, align))?;
        ensure(is_zero(padding), "padding is not zero")?;
        let payload = input.at;
        let (bytes, ends) = frame.read_payload(&mut input)?;
        let place = [start, payload, input.at - payload];
        let decoded_crc = read_footer(&mut input, frame.codec != TRELLIS)?;
        index.add(&frame, place, decoded_crc, &ends)?;
        objects.push(frame.into_object(bytes, decoded_crc)?);
    }
    // 6: the frames determine every byte of the index, and so of the trailer.
    let index_at = input.at;
    let index = index.finish()?;
    ensure(input.take(index.len())? == index, "the index differs from the frames")?;
    let trailer = build_trailer(index_at, &index);
    ensure(input.take(TRAILER_LEN)? == trailer, "the trailer does not describe the index")?;
    input.finish("the trailer")?;
    Ok(objects)
}

/// The decoded bytes of the first object. The decoded CRC is not compared.
pub fn decode_first(file: &[u8]) -> Res<Vec<u8>> {
    let align = read_header(file)?;
    let mut input = Cursor { bytes: file, at: HEADER_LEN };
    let frame = Frame::read(&mut input)?;
    frame.deduct(&mut MAX_DECODED.clone())?;
    input.take(frame.padding(input.at, align))?;
    Ok(frame.read_payload(&mut input)?.0)
}

/// Reads a file through its trailer and index. Checks that the index is the one that the frames
/// determine.
pub fn decode_indexed(file: &[u8]) -> Res<Vec<DecodedObject>> {
    let align = read_header(file)?;
    let (index_at, index_bytes) = find_index(file)?;
    let body = file.get(..index_at).ok_or("the index is outside the file")?;
    let (mut entries, ends) = locate_parts(index_bytes)?;
    let mut objects = Vec::new();
    let mut index = IndexBuilder::default();
    let mut budget = MAX_DECODED;
    let mut end = HEADER_LEN; // 5: the first frame follows the header
    while !entries.rest().is_empty() {
        let entry = Entry::read(&mut entries, &ends)?;
        ensure(entry.frame == end, "a frame does not follow the previous one")?;
        let mut input = Cursor { bytes: body, at: entry.frame };
        let frame = Frame::read(&mut input)?;
        frame.deduct(&mut budget)?;
        input.take(frame.padding(input.at, align))?; // 10: need not be checked
        ensure(entry.payload == input.at, "a payload does not follow its frame header")?;
        end = entry.payload.checked_add(entry.payload_len).ok_or("a size overflows")?;
        let payload = body.get(..end).ok_or("a payload is not before the index")?;
        let (bytes, ends) = entry.read_payload(payload, &frame)?;
        let mut footer = Cursor { bytes: body, at: end };
        let decoded_crc = read_footer(&mut footer, frame.codec != TRELLIS)?;
        end = footer.at;
        let place = [entry.frame, entry.payload, entry.payload_len];
        index.add(&frame, place, decoded_crc, &ends)?;
        objects.push(frame.into_object(bytes, decoded_crc)?);
    }
    ensure(end == index_at, "the frames do not end where the index starts")?;
    ensure(index.finish()? == index_bytes, "the index differs from the frames")?;
    Ok(objects)
}

/// Reads the header; checks in the order of section 2. Returns the alignment.
fn read_header(file: &[u8]) -> Res<usize> {
    let mut input = Cursor { bytes: file, at: 0 };
    ensure(input.take(8)? == HEADER_MAGIC, "wrong magic")?;
    let covered = file.get(..60).ok_or("the header is truncated")?;
    ensure(Cursor { bytes: file, at: 60 }.u32()? == crc32(covered), "wrong CRC of the header")?;
    ensure(input.u16()? == 0, "unsupported version")?;
    let minimum_reader = input.u16()?;
    let log_align = input.u8()?;
    let reserved = input.take(3)?;
    ensure(input.u64()? == 0, "unknown required feature")?;
    input.u64()?; // optional features are ignored
    ensure(minimum_reader == 0, "the minimum reader version exceeds the version")?;
    ensure(log_align <= 16, "the alignment is too large")?;
    ensure(is_zero(reserved) && is_zero(input.take(28)?), "reserved header bytes are not zero")?;
    Ok(1 << log_align)
}

// ---- Objects and frames (3, 4, 5) ----

/// The codec with its parameters (7).
enum CodecParams {
    Raw,
    Planes(Vec<Plane>),
    Trellis(Box<Params>),
}

struct Frame<'a> {
    kind: u8,
    dtype: u8,
    codec: u8,
    layout: u8,
    name: &'a str,
    shape: Vec<u64>,
    chunk_elements: u64,
    elements: u64,
    decoded_len: u64,
    chunks: u64,
    codec_params: CodecParams,
    /// Contiguous layout only.
    chunk_crcs: Cursor<'a>,
}

impl<'a> Frame<'a> {
    /// Reads a frame header (5) and checks it against sections 3, 7 and 9.
    fn read(input: &mut Cursor<'a>) -> Res<Self> {
        let mut h = frame_header(input)?;
        let [kind, dtype, codec, layout] = [h.u8()?, h.u8()?, h.u8()?, h.u8()?];
        let rank = h.u16()?;
        ensure(h.u16()? == 0, "reserved bytes of a frame are not zero")?;
        let (name_len, params_len) = (h.u32()?, h.u32()?);
        let chunk_elements = h.u64()?;
        let shape = (0..rank).map(|_| h.u64()).collect::<Res<Vec<_>>>()?;
        let name = std::str::from_utf8(h.take(to_size(name_len.into())?)?);
        let name = name.map_err(|_| "a name is not UTF-8")?;
        let params = h.take(to_size(params_len.into())?)?;
        check_kind(kind, dtype, rank, name)?;
        let (elements, decoded_len) = count_elements(&shape, dtype)?;
        let chunks = count_chunks(elements, chunk_elements, dtype)?;
        let crcs = if layout == CONTIGUOUS { chunks.checked_mul(4) } else { Some(0) };
        let crcs = h.take(to_size(crcs.ok_or("too many chunks")?)?)?;
        h.finish("a frame header")?;
        ensure(layout <= CONTIGUOUS, "unknown layout")?;
        let codec_params = match (codec, layout) {
            (RAW, _) if params.is_empty() => CodecParams::Raw,
            (RAW, _) => return Err("parameters for the raw codec".into()),
            (PLANES, CHUNKED) => CodecParams::Planes(read_planes_params(params, dtype)?),
            (TRELLIS, CHUNKED) => CodecParams::Trellis(Box::new(Params::read(params, dtype)?)),
            (PLANES | TRELLIS, _) => return Err("coded chunks in the contiguous layout".into()),
            _ => return Err(format!("object {name:?} has the unknown codec {codec}")),
        };
        let chunk_crcs = Cursor { bytes: crcs, at: 0 };
        #[rustfmt::skip]
        let frame = Frame {
            kind, dtype, codec, layout, name, shape, chunk_elements,
            elements, decoded_len, chunks, codec_params, chunk_crcs,
        };
        Ok(frame)
    }

    /// Subtracts the decoded bytes from the budget of the file.
    fn deduct(&self, budget: &mut u64) -> Res<()> {
        *budget =
            budget.checked_sub(self.decoded_len).ok_or("the decoded bytes exceed the limit")?;
        Ok(())
    }

    /// The number of padding bytes after a frame header that ends at `at` (5).
    fn padding(&self, at: usize, align: usize) -> usize {
        let padded = self.layout == CONTIGUOUS && self.elements > 0;
        if padded { at.next_multiple_of(align) - at } else { 0 }
    }

    /// The number of decoded bytes of chunk `i` (3).
    fn chunk_len(&self, i: u64) -> Res<usize> {
        let first = i.checked_mul(self.chunk_elements).ok_or("no such chunk")?;
        let left = self.elements.checked_sub(first).ok_or("no such chunk")?;
        byte_len(left.min(self.chunk_elements), self.dtype).and_then(to_size)
    }

    /// Reads all chunks at the cursor. Returns the decoded bytes and, if chunked, the chunk ends.
    fn read_payload(&self, input: &mut Cursor) -> Res<(Vec<u8>, Vec<u64>)> {
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        let mut crcs = self.chunk_crcs.clone();
        for i in 0..self.chunks {
            let len = self.chunk_len(i)?;
            if self.layout == CONTIGUOUS {
                let chunk = input.take(len)?;
                ensure(crc32(chunk) == crcs.u32()?, "wrong CRC of a chunk")?;
                bytes.extend_from_slice(chunk);
            } else {
                bytes.extend(self.decode_chunk(read_coded(input)?, len)?);
                ends.push(input.at as u64);
            }
        }
        Ok((bytes, ends))
    }

    /// Decodes the coded bytes of a chunk to its `len` decoded bytes (7).
    fn decode_chunk(&self, coded: &[u8], len: usize) -> Res<Vec<u8>> {
        match &self.codec_params {
            CodecParams::Planes(planes) => decode_planes(planes, self.dtype, coded, len),
            CodecParams::Trellis(params) => params.decode(self.dtype, coded, len),
            CodecParams::Raw => {
                ensure(
                    coded.len() == len,
                    "the length of a raw chunk differs from that of its elements",
                )?;
                Ok(coded.to_vec())
            }
        }
    }

    fn into_object(self, bytes: Vec<u8>, decoded_crc: u32) -> Res<DecodedObject> {
        ensure(bytes.len() as u64 == self.decoded_len, "wrong number of decoded bytes")?;
        ensure(crc32(&bytes) == decoded_crc, "wrong CRC of the decoded bytes")?;
        let Frame { kind, dtype, shape, codec, .. } = self;
        Ok(DecodedObject { kind, name: self.name.into(), dtype, shape, codec, bytes })
    }
}

/// Takes a frame header and checks its CRC. Returns the fields from the kind on, without the CRC.
fn frame_header<'a>(input: &mut Cursor<'a>) -> Res<Cursor<'a>> {
    let mut ahead = input.clone();
    ensure(ahead.take(4)? == FRAME_TAG, "wrong tag of a frame")?;
    let covered_len = ahead.u32()?.checked_sub(4).ok_or("a frame header is too short")?;
    let covered = input.take(to_size(covered_len.into())?)?;
    ensure(input.u32()? == crc32(covered), "wrong CRC of a frame header")?;
    Ok(Cursor { bytes: covered, at: 8 })
}

/// Reads the footer of a frame (5). Returns the decoded CRC.
fn read_footer(input: &mut Cursor, lossless: bool) -> Res<u32> {
    let covered = input.clone().take(20)?;
    let decoded_crc = input.u32()?;
    for _ in 0..2 {
        let sum = f64::from_le_bytes(input.take(8)?.try_into().unwrap());
        ensure(
            sum.is_finite() && sum.is_sign_positive(),
            "a sum of squares is negative or not finite",
        )?;
        ensure(!lossless || sum == 0.0, "a lossless object has a nonzero sum of squares")?;
    }
    ensure(input.u32()? == crc32(covered), "wrong CRC of a footer")?;
    Ok(decoded_crc)
}

/// Takes one chunk of the chunked layout and checks its CRC. Returns its coded bytes (5).
fn read_coded<'a>(input: &mut Cursor<'a>) -> Res<&'a [u8]> {
    let len = input.u32()?;
    let crc = input.u32()?;
    let coded = input.take(to_size(len.into())?)?;
    let covered = [&len.to_le_bytes(), coded].concat();
    ensure(crc32(&covered) == crc, "wrong CRC of a chunk")?;
    Ok(coded)
}

/// The rules for kinds, and for names and shapes of attachments (3, 9).
fn check_kind(kind: u8, dtype: u8, rank: u16, name: &str) -> Res<()> {
    ensure((1..=3).contains(&kind), "unknown kind")?;
    if kind == TENSOR {
        return Ok(());
    }
    ensure(dtype == U8 && rank == 1, "an attachment is not U8 with one dimension")?;
    let plain = !["", ".", ".."].contains(&name) && !name.contains(['/', '\\', ':', '\0']);
    ensure(plain, "the name of an attachment is not a plain file name")
}

/// Section 4.
fn dtype_bits(dtype: u8) -> Res<u64> {
    match dtype {
        2 => Ok(4),
        3 | 4 => Ok(6),
        1 | 5..=11 => Ok(8),
        12..=15 => Ok(16),
        16..=18 => Ok(32),
        19..=22 => Ok(64),
        _ => Err("unknown dtype".into()),
    }
}

/// The number of bytes of `elements` elements, which must be an integer (3).
fn byte_len(elements: u64, dtype: u8) -> Res<u64> {
    let bits = u128::from(elements) * u128::from(dtype_bits(dtype)?);
    ensure(bits.is_multiple_of(8), "the elements do not fill whole bytes")?;
    u64::try_from(bits / 8).map_err(|_| "the decoded bytes overflow".into())
}

/// The number of elements and of decoded bytes (3). Both are 0 if any dimension is 0.
fn count_elements(shape: &[u64], dtype: u8) -> Res<(u64, u64)> {
    let product = shape.iter().try_fold(1u64, |product, dim| product.checked_mul(*dim));
    let elements = if shape.contains(&0) { Some(0) } else { product };
    let elements = elements.ok_or("the number of elements overflows")?;
    Ok((elements, byte_len(elements, dtype)?))
}

/// The number of chunks (3).
fn count_chunks(elements: u64, chunk_elements: u64, dtype: u8) -> Res<u64> {
    ensure(chunk_elements >= 1, "chunks without elements")?;
    let bits = u128::from(chunk_elements) * u128::from(dtype_bits(dtype)?);
    let whole = elements <= chunk_elements || bits.is_multiple_of(8);
    ensure(whole, "the chunks do not fill whole bytes")?;
    Ok(elements.div_ceil(chunk_elements))
}

// ---- Conventions (1) ----

/// CRC-32/ISO-HDLC, bit by bit.
pub fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
        }
    }
    !crc
}

fn ensure(condition: bool, message: &str) -> Res<()> {
    if condition { Ok(()) } else { Err(message.into()) }
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

fn to_size(n: u64) -> Res<usize> {
    usize::try_from(n).map_err(|_| "a size overflows".into())
}

#[derive(Clone)]
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or(&[])
    }

    fn take(&mut self, len: usize) -> Res<&'a [u8]> {
        let end = self.at.checked_add(len).ok_or("a size overflows")?;
        let taken = self.bytes.get(self.at..end).ok_or("unexpected end")?;
        self.at = end;
        Ok(taken)
    }

    /// Takes `count` items of `size` bytes. Returns a cursor over them.
    fn part(&mut self, count: u64, size: u64) -> Res<Cursor<'a>> {
        let len = count.checked_mul(size).ok_or("a size overflows")?;
        Ok(Cursor { bytes: self.take(to_size(len)?)?, at: 0 })
    }

    fn array<const N: usize>(&mut self) -> Res<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| "wrong size".into())
    }

    fn u8(&mut self) -> Res<u8> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    fn u16(&mut self) -> Res<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    fn u32(&mut self) -> Res<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Res<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// Requires that all bytes have been taken.
    fn finish(&self, what: &str) -> Res<()> {
        ensure(self.rest().is_empty(), &format!("bytes left in {what}"))
    }
}
