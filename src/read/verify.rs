//! Checking whole files.

use super::frame_decoder::FrameDecoder;
use super::stream::{Item, StreamReader};
use crate::error::{Error, Result};
use crate::format::{
    Chunk, FrameHeader, FrameOffsets, Index, IndexBuilder, ObjectKind, Payload, PayloadLayout,
};
use crate::limits::Limits;
use crate::parallel;
use std::io::Read;

/// How thoroughly to verify.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VerifyOptions {
    /// Also decode everything and compare the checksums of the decoded bytes.
    pub deep: bool,
    /// Limits of the reader.
    pub limits: Limits,
}

/// What [`verify`] saw.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Tensors seen.
    pub tensors: u64,
    /// Attachments seen.
    pub attachments: u64,
    /// Chunks whose checksums were compared.
    pub chunks: u64,
    /// Bytes read.
    pub file_bytes: u64,
    /// Bytes decoded; 0 unless deep.
    pub decoded_bytes: u64,
    /// Everything found wrong, in file order; empty when the file is sound.
    pub problems: Vec<Error>,
}

/// Reads a whole file, from start to end, and checks it: structure, padding, the checksums of all
/// headers, chunks and the index, and that the index says exactly what the frames say.
///
/// Damaged chunks are collected; damage to the structure ends the reading. Memory stays within a
/// few chunks a thread, plus the index.
///
/// ```
/// # let mut file = Vec::new();
/// # let mut w = occ::Writer::new(&mut file, occ::WriteOptions::default())?;
/// # w.add("w", occ::Dtype::U8, &[3], &[1, 2, 3])?;
/// # w.finish()?;
/// let report = occ::verify(file.as_slice(), occ::VerifyOptions { deep: true, ..Default::default() })?;
/// assert!(report.problems.is_empty());
/// assert_eq!(report.tensors, 1);
/// # Ok::<(), occ::Error>(())
/// ```
///
/// # Errors
/// `Io` only; what is wrong with the file is in the report.
pub fn verify(mut input: impl Read, options: VerifyOptions) -> Result<VerifyReport> {
    let mut report = VerifyReport::default();
    let walked = StreamReader::with_limits(&mut input, options.limits).and_then(|mut stream| {
        let walked = walk(&mut stream, options, &mut report);
        report.file_bytes = stream.offset();
        walked
    });
    match walked {
        Ok(()) => {
            if input.take(1).read_to_end(&mut Vec::new())? > 0 {
                let extra = Error::corrupt("bytes after the trailer");
                report.problems.push(extra.at_offset(report.file_bytes));
            }
        }
        Err(error @ Error::Io { .. }) => return Err(error),
        Err(error) => report.problems.push(error),
    }
    Ok(report)
}

/// Follows the file to its trailer.
fn walk<R: Read>(
    stream: &mut StreamReader<R>,
    options: VerifyOptions,
    report: &mut VerifyReport,
) -> Result<()> {
    let mut expected = IndexBuilder::default();
    let mut index = Vec::new();
    loop {
        match stream.next_item()? {
            Item::Frame(header, offsets) => {
                let object = header.object.clone();
                let (payload, ends) = check_frame(stream, *header, offsets, options, report)?;
                expected.push(&object, &payload, &ends);
            }
            Item::Chunk(_) | Item::FrameEnd(_) => {
                return Err(Error::corrupt("a chunk outside a frame"));
            }
            Item::Index(bytes) => index = bytes,
            Item::End => {
                // The index's own checksum is right. Frames determine every byte of it.
                let expected = expected.to_bytes()?;
                if expected != index {
                    report.problems.push(Error::corrupt("frames and index disagree"));
                }
                return Index::parse(&expected)?.check_order();
            }
        }
    }
}

/// Checks all chunks of a frame and returns where they lie, for the index.
fn check_frame<R: Read>(
    stream: &mut StreamReader<R>,
    header: FrameHeader,
    offsets: FrameOffsets,
    options: VerifyOptions,
    report: &mut VerifyReport,
) -> Result<(Payload, Vec<u64>)> {
    let object = header.object.clone();
    match object.kind {
        ObjectKind::Tensor => report.tensors += 1,
        ObjectKind::SafetensorsHeader | ObjectKind::File => report.attachments += 1,
    }
    let decoder = FrameDecoder::new(header).map_err(|error| report.problems.push(error)).ok();
    let decoder = decoder.filter(|_| options.deep);
    // What is wrong with one chunk must not end the reading of the next.
    let check = |chunk: Chunk<Vec<u8>>| Ok((chunk.end, check_chunk(decoder.as_ref(), &chunk)));
    let chunks = (0..object.geometry.chunk_count()).map(|_| match stream.next_item() {
        Ok(Item::Chunk(chunk)) => Ok(chunk),
        Ok(_) => Err(Error::corrupt("a frame without all its chunks")),
        Err(error) => Err(error),
    });
    let chunks = chunks.map(|chunk| chunk.map_err(|error| error.in_tensor(&object.name)));
    let (mut ends, mut crcs) = (Vec::new(), Vec::new());
    parallel::ordered(chunks, check, |(end, result)| {
        report.chunks += 1;
        ends.push(end);
        match result {
            Ok(crc) => crcs.extend(crc),
            Err(error) => report.problems.push(error.in_tensor(&object.name)),
        }
        Ok(())
    })?;
    let length = stream.offset() - offsets.payload;
    let footer = stream.frame_end()?;
    let decoded_crc = footer.decoded_crc;
    if let Some(decoder) = decoder.filter(|_| crcs.len() == ends.len()) {
        report.decoded_bytes += object.geometry.decoded_len();
        report.problems.extend(decoder.check_whole(footer, crcs).err());
    }
    if object.layout == PayloadLayout::Contiguous {
        ends.clear();
    }
    let FrameOffsets { frame, payload } = offsets;
    Ok((Payload { frame_offset: frame, offset: payload, length, decoded_crc }, ends))
}

/// Compares a chunk's checksum; with a decoder, decodes it and returns the CRC32 of its bytes.
fn check_chunk(decoder: Option<&FrameDecoder>, chunk: &Chunk<Vec<u8>>) -> Result<Option<u32>> {
    match decoder {
        Some(decoder) => decoder.decode(chunk).map(|bytes| Some(crc32fast::hash(&bytes))),
        None => chunk.check().map(|()| None),
    }
}
