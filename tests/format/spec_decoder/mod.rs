//! A simple decoder for `.occ` files, written only from `spec/format.md`. It shares no code with
//! the crate and is not optimised. Section numbers refer to `spec/format.md`.
#![allow(dead_code)] // each test uses a part of it

mod bits;
pub mod checksums;
mod chunk;
mod conventions;
pub mod deflate;
mod dictionary;
mod index;
pub mod object_file;
mod planes;
pub mod random;
mod rans;
mod reconstruction;
mod repetition;
mod trellis;

pub use conventions::crc32;
use conventions::{Cursor, ensure, is_zero, to_size};
use dictionary::Dictionary;
use index::{IndexBuilder, Parts, build_trailer, find_index, locate_parts};
use planes::{Plane, decode_planes, read_planes_params};
use repetition::{decode_repetition, read_repetition_params};
use std::ops::Range;
use trellis::Params;

/// Limit on the total decoded bytes of a file (10: limits belong to the reader).
const MAX_DECODED: u64 = 64 << 20;

const HEADER_MAGIC: [u8; 8] = [0x8F, 0x4F, 0x43, 0x43, 0x0D, 0x0A, 0x1A, 0x0A];
const END_MAGIC: [u8; 8] = [0x0A, 0x1A, 0x0A, 0x0D, 0x43, 0x43, 0x4F, 0x8F];
const FRAME_TAG: u8 = b'F';
const INDEX_TAG: &[u8] = b"INDX";
const HEADER_LEN: usize = 64;
const TRAILER_LEN: usize = 40;
const TENSOR: u8 = 1;
const U8: u8 = 5;
const CHUNKED: u8 = 0;
const CONTIGUOUS: u8 = 1;
const CHUNKED_LOSSY: u8 = 2;
const RAW: u8 = 0;
const PLANES: u8 = 1;
const TRELLIS: u8 = 2;
const DICTIONARY: u8 = 3;
const REFERENCE: u8 = 4;
const DEFLATE: u8 = 5;
const REPETITION: u8 = 6;
/// Set in the layout byte of an object that later ones may refer to (5).
const REFERENCED: u8 = 128;

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
    let (mut objects, mut decoded) = (Vec::new(), Vec::new());
    let mut index = IndexBuilder::default();
    let (mut budget, mut before) = (MAX_DECODED, String::new());
    while input.rest().first() == Some(&FRAME_TAG) {
        let start = input.at;
        let frame = Frame::read(&mut input, &before)?;
        frame.deduct(&mut budget)?;
        let padding = input.take(frame.padding(input.at, align))?;
        ensure(is_zero(padding), "padding is not zero")?;
        let payload = input.at;
        let (bytes, ends) = frame.read_payload(&mut input)?;
        let bytes = frame.resolve(bytes, &decoded)?;
        let decoded_crc = frame.read_footer(&mut input, &bytes)?;
        index.add(&frame, start, payload, decoded_crc, &ends)?;
        before.clone_from(&frame.name);
        objects.push(frame.object(bytes.clone(), decoded_crc)?);
        decoded.push((frame, bytes));
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
    let frame = Frame::read(&mut input, "")?;
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
    let parts = locate_parts(index_bytes)?;
    let (mut objects, mut decoded) = (Vec::new(), Vec::new());
    let mut index = IndexBuilder::default();
    let mut budget = MAX_DECODED;
    let mut end = HEADER_LEN; // 5: the first frame follows the header
    for position in 0..parts.objects {
        let name = parts.name(position)?;
        let extent = parts.frame(position, index_at)?;
        ensure(extent.start == end, "a frame does not follow the previous one")?;
        end = extent.end;
        let bytes = body.get(..extent.end).ok_or("a frame is not before the index")?;
        let mut input = Cursor { bytes, at: extent.start };
        // 5: the name in the index can replace the name before.
        let frame = Frame::read(&mut input, name)?;
        ensure(frame.name == name, "the name in the index differs")?;
        frame.deduct(&mut budget)?;
        let padding = frame.padding(input.at, align); // 10: need not be checked
        let payload = frame.locate_payload(&parts, &extent)?;
        ensure(payload.start == input.at + padding, "a payload does not follow its header")?;
        input = Cursor { bytes: &bytes[..payload.end], at: payload.start };
        let (payload_bytes, ends) = frame.read_payload(&mut input)?;
        input.finish("a payload")?;
        let mut footer = Cursor { bytes, at: payload.end };
        let bytes = frame.resolve(payload_bytes, &decoded)?;
        let decoded_crc = frame.read_footer(&mut footer, &bytes)?;
        footer.finish("a frame")?;
        index.add(&frame, extent.start, payload.start, decoded_crc, &ends)?;
        objects.push(frame.object(bytes.clone(), decoded_crc)?);
        decoded.push((frame, bytes));
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
    Dictionary(Dictionary),
    Deflate,
    /// The position of another object.
    Reference(usize),
    /// The length of a row, and the codec of the new rows.
    Repetition(usize, Box<CodecParams>),
}

impl CodecParams {
    /// Decodes the coded bytes of a chunk to its `len` decoded bytes (7).
    fn decode(&self, dtype: u8, coded: &[u8], len: usize) -> Res<Vec<u8>> {
        match self {
            CodecParams::Repetition(row, inner) => {
                decode_repetition(*row, inner, dtype, coded, len)
            }
            CodecParams::Planes(planes) => decode_planes(planes, dtype, coded, len),
            CodecParams::Trellis(params) => params.decode(dtype, coded, len),
            CodecParams::Dictionary(dictionary) => dictionary.decode(dtype, coded, len),
            CodecParams::Deflate => deflate::inflate(coded, len),
            CodecParams::Reference(_) => {
                ensure(coded.is_empty(), "a chunk of a reference is not empty")?;
                Ok(Vec::new())
            }
            CodecParams::Raw => {
                ensure(
                    coded.len() == len,
                    "the length of a raw chunk differs from that of its elements",
                )?;
                Ok(coded.to_vec())
            }
        }
    }
}

struct Frame<'a> {
    kind: u8,
    dtype: u8,
    codec: u8,
    layout: u8,
    /// Whether later objects may refer to it.
    referenced: bool,
    name: String,
    shape: Vec<u64>,
    /// As stored: 0 for at most one chunk.
    chunk_elements: u64,
    elements: u64,
    decoded_len: u64,
    chunks: u64,
    codec_params: CodecParams,
    /// Contiguous layout only.
    chunk_crcs: Cursor<'a>,
}

impl<'a> Frame<'a> {
    /// Reads a frame header (5) and checks it against sections 3, 7 and 9. `before` is the name in
    /// the previous frame.
    fn read(input: &mut Cursor<'a>, before: &str) -> Res<Self> {
        let mut h = frame_header(input)?;
        let [kind, dtype, codec, layout] = [h.u8()?, h.u8()?, h.u8()?, h.u8()?];
        let (layout, referenced) = (layout & !REFERENCED, layout & REFERENCED != 0);
        let rank = u16::try_from(h.varint()?).map_err(|_| "too many dimensions")?;
        let shape = (0..rank).map(|_| h.varint()).collect::<Res<Vec<_>>>()?;
        let chunk_elements = h.varint()?;
        let (shared, rest) = (h.u8()?, h.varint()?);
        let shared =
            before.as_bytes().get(..shared.into()).ok_or("the name before is too short")?;
        let name = String::from_utf8([shared, h.take(to_size(rest)?)?].concat());
        let name = name.map_err(|_| "a name is not UTF-8")?;
        let params_len = h.varint()?;
        let params = h.take(to_size(params_len)?)?;
        check_kind(kind, dtype, rank, &name)?;
        let (elements, decoded_len) = count_elements(&shape, dtype)?;
        let chunks = count_chunks(elements, chunk_elements, dtype)?;
        let crcs = if layout == CONTIGUOUS { chunks.checked_mul(4) } else { Some(0) };
        let crcs = h.take(to_size(crcs.ok_or("too many chunks")?)?)?;
        h.finish("a frame header")?;
        ensure(layout <= CHUNKED_LOSSY, "unknown layout")?;
        let codec_params = match (codec, layout) {
            (RAW, CHUNKED | CONTIGUOUS) if params.is_empty() => CodecParams::Raw,
            (DEFLATE, CHUNKED) if params.is_empty() => CodecParams::Deflate,
            (RAW | DEFLATE, _) => return Err("parameters, or a layout of another codec".into()),
            (PLANES, CHUNKED) => CodecParams::Planes(read_planes_params(params, dtype)?),
            (TRELLIS, CHUNKED_LOSSY) => {
                CodecParams::Trellis(Box::new(Params::read(params, dtype)?))
            }
            (DICTIONARY, CHUNKED) => CodecParams::Dictionary(Dictionary::read(params, dtype)?),
            (REFERENCE, CHUNKED | CHUNKED_LOSSY) => {
                let position = params.try_into().map_err(|_| "parameters of a reference")?;
                CodecParams::Reference(to_size(u32::from_le_bytes(position).into())?)
            }
            (REPETITION, CHUNKED) => read_repetition_params(params, dtype)?,
            (PLANES | TRELLIS | DICTIONARY | REFERENCE | REPETITION, _) => {
                return Err("a layout that does not fit the codec".into());
            }
            _ => return Err(format!("object {name:?} has the unknown codec {codec}")),
        };
        let chunk_crcs = Cursor { bytes: crcs, at: 0 };
        #[rustfmt::skip]
        let frame = Frame {
            kind, dtype, codec, layout, referenced, name, shape, chunk_elements,
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
        let padded = self.layout == CONTIGUOUS && self.decoded_len >= 4096;
        if padded { at.next_multiple_of(align) - at } else { 0 }
    }

    /// The number of decoded bytes of chunk `i` (3).
    fn chunk_len(&self, i: u64) -> Res<usize> {
        let most = if self.chunk_elements == 0 { self.elements } else { self.chunk_elements };
        let first = i.checked_mul(most).ok_or("no such chunk")?;
        let left = self.elements.checked_sub(first).ok_or("no such chunk")?;
        byte_len(left.min(most), self.dtype).and_then(to_size)
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
        self.codec_params.decode(self.dtype, coded, len)
    }

    /// The decoded bytes: those of the object that this one refers to (7.5), or `bytes`.
    fn resolve(&self, bytes: Vec<u8>, earlier: &[(Frame, Vec<u8>)]) -> Res<Vec<u8>> {
        let CodecParams::Reference(position) = self.codec_params else { return Ok(bytes) };
        let (target, bytes) = earlier.get(position).ok_or("a reference to a later object")?;
        ensure(target.referenced, "a reference to an object that is not marked")?;
        ensure(target.codec != REFERENCE, "a reference to a reference")?;
        ensure(
            target.kind == self.kind
                && target.dtype == self.dtype
                && target.shape == self.shape
                && target.chunk_elements == self.chunk_elements,
            "a reference to an object of another kind",
        )?;
        ensure(
            (self.layout == CHUNKED_LOSSY) == (target.layout == CHUNKED_LOSSY),
            "a reference whose layout is not that for its object",
        )?;
        Ok(bytes.clone())
    }

    /// Where the payload of a frame at `extent` lies, by the index (6).
    fn locate_payload(&self, parts: &Parts, extent: &Range<usize>) -> Res<Range<usize>> {
        let end = extent.end.checked_sub(self.footer_len()).ok_or("a frame is too short")?;
        let start = match self.layout {
            CONTIGUOUS => end.checked_sub(to_size(self.decoded_len)?),
            _ => {
                let starts = parts.chunk_starts(extent)?;
                ensure(starts.len() as u64 == self.chunks, "chunk starts are missing")?;
                Some(starts.first().copied().unwrap_or(end))
            }
        };
        let start = start.ok_or("a frame is too short")?;
        ensure(start <= end, "a chunk starts in a footer")?;
        Ok(start..end)
    }

    fn footer_len(&self) -> usize {
        [4, 0, 24][usize::from(self.layout)]
    }

    /// Reads the footer (5). Returns the decoded CRC.
    fn read_footer(&self, input: &mut Cursor, decoded: &[u8]) -> Res<u32> {
        if self.layout == CONTIGUOUS {
            return Ok(crc32(decoded));
        }
        let covered = input.clone();
        let decoded_crc = input.u32()?;
        if self.layout == CHUNKED_LOSSY {
            for _ in 0..2 {
                let sum = f64::from_le_bytes(input.array()?);
                ensure(
                    sum.is_finite() && sum.is_sign_positive(),
                    "a sum of squares is negative or not finite",
                )?;
            }
            ensure(input.u32()? == crc32(covered.clone().take(20)?), "wrong CRC of a footer")?;
        }
        Ok(decoded_crc)
    }

    fn object(&self, bytes: Vec<u8>, decoded_crc: u32) -> Res<DecodedObject> {
        ensure(bytes.len() as u64 == self.decoded_len, "wrong number of decoded bytes")?;
        ensure(crc32(&bytes) == decoded_crc, "wrong CRC of the decoded bytes")?;
        let Frame { kind, dtype, codec, .. } = *self;
        let (name, shape) = (self.name.clone(), self.shape.clone());
        Ok(DecodedObject { kind, name, dtype, shape, codec, bytes })
    }
}

/// Takes a frame header and checks its CRC. Returns the fields from the kind on, without the CRC.
fn frame_header<'a>(input: &mut Cursor<'a>) -> Res<Cursor<'a>> {
    let mut ahead = input.clone();
    ensure(ahead.u8()? == FRAME_TAG, "wrong tag of a frame")?;
    let len = ahead.varint()?;
    ensure(u32::try_from(len).is_ok(), "a frame header is too long")?;
    let fields = ahead.at - input.at;
    let covered_len = to_size(len)?.checked_sub(4).ok_or("a frame header is too short")?;
    let covered = input.take(fields + covered_len)?;
    ensure(input.u32()? == crc32(covered), "wrong CRC of a frame header")?;
    Ok(Cursor { bytes: covered, at: fields })
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
    let plain = |name: &str| !["", ".", ".."].contains(&name);
    let relative = name.split('/').all(plain) && !name.contains(['\\', ':', '\0']);
    ensure(relative, "the name of an attachment is not a relative path")
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
    if chunk_elements == 0 {
        return Ok(elements.min(1));
    }
    ensure(chunk_elements < elements, "a size of chunks for a single chunk")?;
    let bits = u128::from(chunk_elements) * u128::from(dtype_bits(dtype)?);
    ensure(bits.is_multiple_of(8), "the chunks do not fill whole bytes")?;
    Ok(elements.div_ceil(chunk_elements))
}
