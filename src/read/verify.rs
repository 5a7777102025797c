//! Verification of whole files.

use super::decode_stream::{Extent, Step, Work, decode_stream};
use super::frame_decoder::FrameDecoder;
use super::stream::StreamReader;
use crate::error::{Error, Result};
use crate::format::{Footer, FrameOffsets, IndexBuilder, Object, ObjectKind, Payload};
use crate::limits::Limits;
use std::io::Read;

/// What [`verify`] checks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyOptions {
    /// Also decode everything and compare the checksums of the decoded tensors.
    pub deep: bool,
    /// Limits of the reader.
    pub limits: Limits,
}

impl VerifyOptions {
    /// Sets [`deep`](Self#structfield.deep).
    #[must_use]
    pub const fn deep(self, deep: bool) -> Self {
        Self { deep, ..self }
    }

    /// Sets [`limits`](Self#structfield.limits).
    #[must_use]
    pub const fn limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }
}

/// The result of [`verify`].
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Number of tensors.
    pub tensors: u64,
    /// Number of attachments.
    pub attachments: u64,
    /// Number of chunks whose checksums were compared.
    pub chunks: u64,
    /// Bytes read.
    pub file_bytes: u64,
    /// Bytes decoded; 0 unless deep.
    pub decoded_bytes: u64,
    /// All problems, in file order; empty if the file is valid.
    pub problems: Vec<Error>,
}

/// Reads a whole file from start to end and checks it: structure, padding, the checksums of
/// headers, chunks and index, and that the index agrees with the frames.
///
/// All damaged chunks are reported. Damage to the structure ends the verification. Memory use is
/// a few chunks per thread, plus the index.
///
/// ```
/// # let mut file = Vec::new();
/// # let mut w = occ::Writer::new(&mut file, occ::WriteOptions::default())?;
/// # w.add("w", occ::Dtype::U8, &[3], &[1, 2, 3])?;
/// # w.finish()?;
/// let report = occ::verify(file.as_slice(), occ::VerifyOptions::default().deep(true))?;
/// assert!(report.problems.is_empty());
/// assert_eq!(report.tensors, 1);
/// # Ok::<(), occ::Error>(())
/// ```
///
/// # Errors
/// Only `Io`, and `Request` for a remote file. Problems of the file are in the report.
pub fn verify(mut input: impl Read, options: VerifyOptions) -> Result<VerifyReport> {
    let mut report = VerifyReport::default();
    let end = StreamReader::new_with(&mut input, options.limits).and_then(|mut stream| {
        let end = verify_stream(&mut stream, options.deep, &mut report);
        report.file_bytes = stream.offset();
        end
    });
    match end {
        Ok(()) => {
            if input.take(1).read_to_end(&mut Vec::new())? > 0 {
                let extra = Error::corrupt("file: bytes after the trailer");
                report.problems.push(extra.at_offset(report.file_bytes));
            }
        }
        Err(error) if error.is_io() => return Err(error),
        Err(error) => report.problems.push(error),
    }
    Ok(report)
}

/// Reads up to the trailer.
fn verify_stream<R: Read>(
    stream: &mut StreamReader<R>,
    deep: bool,
    report: &mut VerifyReport,
) -> Result<()> {
    let work = if deep { Work::Decode } else { Work::Check };
    let mut verifier =
        Verifier { report, expected: IndexBuilder::default(), frame: None, index: None };
    decode_stream(stream, Extent::File, work, &mut |step| {
        verifier.step(step);
        Ok(())
    })?;
    verifier.check_index()
}

struct Verifier<'r> {
    report: &'r mut VerifyReport,
    /// The index that the frames determine.
    expected: IndexBuilder,
    /// The current frame.
    frame: Option<Frame>,
    /// The index in the file.
    index: Option<Vec<u8>>,
}

struct Frame {
    offsets: FrameOffsets,
    /// Where chunks end in the file.
    chunk_ends: Vec<u64>,
}

impl Verifier<'_> {
    fn step(&mut self, step: Step<'_>) {
        match step {
            Step::Frame(decoder, offsets) => self.begin(decoder, offsets),
            Step::Chunk { end, result, .. } => {
                let Some(frame) = &mut self.frame else { return };
                self.report.chunks += 1;
                frame.chunk_ends.push(end);
                self.report.problems.extend(result.err());
            }
            Step::FrameEnd { decoder, footer, check, payload_end } => {
                let object = &decoder.header().object;
                if let Some(check) = check {
                    self.report.decoded_bytes += object.geometry.decoded_len();
                    self.report.problems.extend(check.err());
                }
                if let Some(frame) = self.frame.take() {
                    self.end(frame, object, footer, payload_end);
                }
            }
            Step::Index(bytes) => self.index = Some(bytes),
        }
    }

    fn begin(&mut self, decoder: &FrameDecoder, offsets: FrameOffsets) {
        let object = &decoder.header().object;
        match object.kind {
            ObjectKind::Tensor => self.report.tensors += 1,
            ObjectKind::SafetensorsHeader | ObjectKind::File => self.report.attachments += 1,
        }
        self.report.problems.extend(decoder.check_supported().err());
        self.frame = Some(Frame { offsets, chunk_ends: Vec::new() });
    }

    fn end(&mut self, frame: Frame, object: &Object, footer: Footer, payload_end: u64) {
        let Frame { offsets, mut chunk_ends } = frame;
        if object.layout.is_contiguous() {
            chunk_ends.clear();
        }
        let payload = Payload {
            frame_offset: offsets.frame,
            offset: offsets.payload,
            length: payload_end - offsets.payload,
            decoded_crc: footer.decoded_crc,
        };
        self.expected.push(object, &payload, &chunk_ends);
    }

    /// Compares the index with the frames. Its checksum has been compared.
    fn check_index(self) -> Result<()> {
        // The frames determine every byte of it.
        let expected = self.expected.to_bytes()?;
        if self.index.as_ref() != Some(&expected) {
            self.report.problems.push(Error::corrupt("index: contradicts the frames"));
        }
        self.expected.check_names()
    }
}
