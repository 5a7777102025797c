//! Writes frames to a file or a stream. Codecs and plans are unknown here.

use crate::codec::{EncodedChunk, SquaredError};
use crate::error::{Error, Result};
use crate::format::{FileWriter, Footer, FrameHeader, Geometry, Header, Object, ObjectKind};
use crate::io::AtomicFile;
use std::collections::HashSet;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Writes frames, then index and trailer.
pub(super) struct FrameWriter<'w> {
    file: FileWriter<Output<'w>>,
    /// Named in errors of writing, to tell them from those of reading a source.
    path: PathBuf,
    names: HashSet<(ObjectKind, String)>,
    /// Of the open frame: its chunks, and the CRC-32 of those written.
    geometry: Option<Geometry>,
    crcs: Vec<u32>,
}

/// The output of a writer.
pub(super) enum Output<'w> {
    File(AtomicFile),
    Stream(Box<dyn Write + Send + 'w>),
}

impl Write for Output<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::File(file) => file.write(bytes),
            Self::Stream(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::File(file) => file.flush(),
            Self::Stream(stream) => stream.flush(),
        }
    }
}

impl<'w> FrameWriter<'w> {
    /// Writes the header of the file. `path` names the output in errors.
    pub(super) fn new(output: Output<'w>, path: &Path, header: Header) -> Result<Self> {
        let file = FileWriter::new(output, header).map_err(|error| error.in_file(path))?;
        let path = path.to_owned();
        Ok(Self { file, path, names: HashSet::new(), geometry: None, crcs: Vec::new() })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes by which the next object lengthens the file, without what each chunk adds.
    pub(super) fn object_overhead(&self, header: &FrameHeader) -> Result<u64> {
        self.file.object_overhead(header)
    }

    /// The length of the file if it ended here, index and trailer included.
    pub(super) fn finished_length(&self) -> u64 {
        self.file.finished_length()
    }

    /// The number of frames that have begun.
    pub(super) fn frames(&self) -> usize {
        self.names.len()
    }

    /// Begins a frame; its chunks and [`end`](Self::end) must follow.
    pub(super) fn begin(&mut self, header: FrameHeader) -> Result<()> {
        let Object { kind, name, geometry, .. } = &header.object;
        if !self.names.insert((*kind, name.clone())) {
            return Err(Error::invalid("the name is taken"));
        }
        self.geometry = Some(geometry.clone());
        self.crcs.clear();
        self.file.begin(header).map_err(|error| error.in_file(&self.path))
    }

    /// Writes the next chunk of the frame. `crc` is the CRC-32 of the encoded chunk if it is known.
    pub(super) fn chunk(&mut self, encoded: &EncodedChunk, crc: Option<u32>) -> Result<()> {
        self.crcs.push(encoded.decoded_crc);
        self.file.chunk(&encoded.bytes, crc).map_err(|error| error.in_file(&self.path))
    }

    /// Ends the frame.
    pub(super) fn end(&mut self, SquaredError { signal, noise }: SquaredError) -> Result<()> {
        let crcs = self.crcs.drain(..);
        let decoded_crc = self.geometry.take().map_or(0, |geometry| geometry.combine_crcs(crcs));
        let footer = Footer { decoded_crc, signal, noise };
        self.file.end(footer).map_err(|error| error.in_file(&self.path))
    }

    /// Writes the next chunk of the frame, which was encoded before.
    #[cfg(feature = "convert")]
    pub(super) fn copy_chunk(&mut self, coded: &[u8]) -> Result<()> {
        self.file.chunk(coded, None).map_err(|error| error.in_file(&self.path))
    }

    /// Ends a frame of such chunks.
    #[cfg(feature = "convert")]
    pub(super) fn end_copy(&mut self, footer: Footer) -> Result<()> {
        self.geometry = None;
        self.file.end(footer).map_err(|error| error.in_file(&self.path))
    }

    /// Writes index and trailer, and puts a file in its place durably. Returns the length of the
    /// whole file in bytes.
    ///
    /// # Errors
    /// `Io`; `InvalidArgument` when a frame is not complete.
    pub(super) fn finish(self) -> Result<u64> {
        let Self { file, path, .. } = self;
        let finish = || {
            let (output, length) = file.finish()?;
            if let Output::File(file) = output {
                file.commit()?;
            }
            Ok(length)
        };
        finish().map_err(|error: Error| error.in_file(&path))
    }
}
