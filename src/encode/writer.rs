//! Writing `.occ` files.

use super::chunks::{BufferPool, encode_chunks};
use super::job::{Coded, Incoming, Ready};
use super::pipeline::Part;
use super::plan::{LossyPlan, Plan, TensorPlan, TensorSource};
use super::tensor_statistics::TensorStats;
use crate::codec::trellis::{EncodedChunk, SquaredError};
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::format::{FileWriter, Footer, FrameHeader, Header, Object, ObjectKind};
use crate::io::{AtomicFile, ReadAt};
use std::collections::HashSet;
use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};

/// How to write a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteOptions {
    /// Tensors stored raw start at multiples of this many bytes: a power of two up to 65,536
    /// (default 256).
    pub alignment: u32,
    /// Elements in a chunk, about: whole rows where rows are shorter (default 262,144). Smaller
    /// chunks cost more bytes and make for finer random access; none exceeds 64 MiB.
    pub chunk_elements: u64,
    /// Whether [`Writer::create`] may replace an existing file (default true).
    pub overwrite: bool,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self { alignment: 256, chunk_elements: 1 << 18, overwrite: true }
    }
}

/// Writes an `.occ` file front to back; the output need not be seekable.
///
/// The bytes written depend on the tensors and options alone, not on the number of threads.
///
/// ```
/// use occ::{Dtype, Reader, WriteOptions, Writer};
/// let mut file = Vec::new();
/// let mut writer = Writer::new(&mut file, WriteOptions::default())?;
/// writer.add("bias", Dtype::F32, &[2], &[0, 0, 128, 63, 0, 0, 0, 64])?;
/// writer.finish()?;
///
/// let reader = Reader::new(&file)?;
/// assert_eq!(reader.tensor("bias")?.decode()?, [0, 0, 128, 63, 0, 0, 0, 64]);
/// # Ok::<(), occ::Error>(())
/// ```
pub struct Writer<'w> {
    file: FileWriter<Output<'w>>,
    /// Named in errors of writing, to tell them from those of reading a source.
    path: PathBuf,
    pub(super) options: WriteOptions,
    names: HashSet<(ObjectKind, String)>,
}

impl fmt::Debug for Writer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("path", &self.path).finish_non_exhaustive()
    }
}

enum Output<'w> {
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

impl Writer<'static> {
    /// Starts a file at `path`. It is written beside its destination and takes its place, durably,
    /// in [`finish`](Self::finish); dropped before that, nothing remains of it.
    ///
    /// # Errors
    /// `Io`, and `InvalidArgument` for impossible options.
    pub fn create(path: impl AsRef<Path>, options: WriteOptions) -> Result<Self> {
        let path = path.as_ref();
        let header = Header::new(options.alignment)?;
        let file = AtomicFile::create(path, options.overwrite)
            .map_err(|error| Error::from(error).in_file(path))?;
        Self::with_output(Output::File(file), path, header, options)
    }
}

impl<'w> Writer<'w> {
    /// Starts a file on any output: a vector, a socket, standard output.
    ///
    /// # Errors
    /// `Io`, and `InvalidArgument` for impossible options.
    pub fn new(output: impl Write + Send + 'w, options: WriteOptions) -> Result<Self> {
        let header = Header::new(options.alignment)?;
        let output = Output::Stream(Box::new(output));
        Self::with_output(output, Path::new("output"), header, options)
    }

    fn with_output(
        output: Output<'w>,
        path: &Path,
        header: Header,
        options: WriteOptions,
    ) -> Result<Self> {
        if options.chunk_elements == 0 {
            return Err(Error::invalid("chunks of no elements"));
        }
        let file = FileWriter::new(output, header).map_err(|error| error.in_file(path))?;
        Ok(Self { file, path: path.to_owned(), options, names: HashSet::new() })
    }

    /// Adds a tensor from memory, losing nothing: its elements in row-major order, little-endian.
    ///
    /// # Errors
    /// `InvalidArgument` when the bytes do not fit dtype and shape or the name is taken; `Io`.
    pub fn add(&mut self, name: &str, dtype: Dtype, shape: &[usize], bytes: &[u8]) -> Result<()> {
        self.add_from(name, dtype, shape, bytes)
    }

    /// Adds a tensor that need not be in memory, losing nothing; a few chunks at a time are.
    ///
    /// # Errors
    /// As [`add`](Self::add); `Corrupt` when the source changes while it is read.
    pub fn add_from<S>(
        &mut self,
        name: &str,
        dtype: Dtype,
        shape: &[usize],
        source: &S,
    ) -> Result<()>
    where
        S: ReadAt + ?Sized,
    {
        let incoming = Incoming::tensor(name, dtype, shape, &source);
        self.add_object(&incoming, None)?;
        Ok(())
    }

    /// Adds a tensor as planned, from memory or not.
    ///
    /// Where no coordinates of the plan keep its promise, nothing is lost.
    ///
    /// ```
    /// use occ::{Dtype, Encoding, Plan, WriteOptions, Writer};
    /// # let bytes: Vec<u8> = (0..64 * 256u32).flat_map(|i| (i as f32).sin().to_le_bytes()).collect();
    /// let plan = Plan::of("w", Dtype::F32, &[64, 256], bytes.as_slice(), &Encoding::snr(30.0))?;
    /// let mut file = Vec::new();
    /// let mut writer = Writer::new(&mut file, WriteOptions::default())?;
    /// let added = writer.add_planned("w", Dtype::F32, &[64, 256], bytes.as_slice(), &plan)?;
    /// assert!(added.snr_db().unwrap() >= 30.0);
    /// writer.finish()?;
    /// # Ok::<(), occ::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`add_from`](Self::add_from).
    pub fn add_planned<S>(
        &mut self,
        name: &str,
        dtype: Dtype,
        shape: &[usize],
        source: &S,
        plan: &TensorPlan,
    ) -> Result<TensorStats>
    where
        S: ReadAt + ?Sized,
    {
        let incoming = Incoming::tensor(name, dtype, shape, &source);
        self.add_object(&incoming, plan.lossy.as_ref())
    }

    /// Adds many tensors, each as the plan says for its name, or losing nothing: in less time than
    /// one by one, since those that follow are worked on while one is written. A budget that spans
    /// just these tensors is kept.
    ///
    /// ```
    /// use occ::{Dtype, Plan, TensorSource, WriteOptions, Writer};
    /// let (weight, bias) = (vec![0u8; 64 * 64 * 2], vec![0u8; 64 * 2]);
    /// let tensors = [
    ///     TensorSource { name: "w", dtype: Dtype::Bf16, shape: &[64, 64], bytes: &weight },
    ///     TensorSource { name: "b", dtype: Dtype::Bf16, shape: &[64], bytes: &bias },
    /// ];
    /// let mut file = Vec::new();
    /// let mut writer = Writer::new(&mut file, WriteOptions::default())?;
    /// let added = writer.add_all(&tensors, &Plan::default())?;
    /// assert_eq!(added[0].weights, 64 * 64);
    /// writer.finish()?;
    /// # Ok::<(), occ::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`add_from`](Self::add_from); `InvalidArgument` when the budget does not suffice.
    pub fn add_all(
        &mut self,
        tensors: &[TensorSource<'_>],
        plan: &Plan,
    ) -> Result<Vec<TensorStats>> {
        let parts: Vec<Part<'_>> = tensors
            .iter()
            .map(|source| Incoming::tensor(source.name, source.dtype, source.shape, source.bytes))
            .map(|incoming| Part { path: None, incoming })
            .collect();
        self.add_parts(&parts, plan, &mut |_| Ok(()))
    }

    /// Adds a tensor as planned.
    fn add_object(
        &mut self,
        incoming: &Incoming<'_>,
        plan: Option<&LossyPlan>,
    ) -> Result<TensorStats> {
        let mut add = || {
            let buffers = BufferPool::default();
            let ready = Ready::as_planned(incoming, plan, &self.options, &buffers)?;
            self.add_ready(ready, incoming.source, &buffers, &mut |_| Ok(()))
        };
        add().map_err(|error: Error| error.in_tensor(incoming.name))
    }

    /// How long the file were if it ended here.
    pub(super) fn finished_length(&self) -> u64 {
        self.file.finished_length()
    }

    /// Writes a whole frame, chunks coded in parallel, telling `observe` how many bytes of the
    /// source each chunk written covers; an error from it ends the work.
    pub(super) fn add_ready(
        &mut self,
        ready: Ready,
        source: &dyn ReadAt,
        buffers: &BufferPool,
        observe: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<TensorStats> {
        let Ready { header, coder } = ready;
        let geometry = header.object.geometry.clone();
        self.add_frame(header, buffers, observe, |sink| {
            encode_chunks(&geometry, source, &coder, buffers, sink)
        })
    }

    /// [`add_ready`](Self::add_ready) where all chunks are coded already.
    pub(super) fn add_coded(
        &mut self,
        coded: Coded,
        buffers: &BufferPool,
        observe: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<TensorStats> {
        let Coded { header, chunks } = coded;
        self.add_frame(header, buffers, observe, |sink| {
            chunks.into_iter().try_for_each(|(encoded, length)| sink(encoded, length))
        })
    }

    /// Writes a whole frame of the chunks that `chunks` hands on.
    fn add_frame(
        &mut self,
        header: FrameHeader,
        buffers: &BufferPool,
        observe: &mut dyn FnMut(u64) -> Result<()>,
        chunks: impl FnOnce(&mut dyn FnMut(EncodedChunk, u64) -> Result<()>) -> Result<()>,
    ) -> Result<TensorStats> {
        let Object { kind, ref name, ref geometry, .. } = header.object;
        let (name, geometry) = (name.clone(), geometry.clone());
        let before = self.finished_length();
        if !self.names.insert((kind, name)) {
            return Err(Error::invalid("the name is taken"));
        }
        let Self { file, path, .. } = self;
        file.begin(header).map_err(|error| error.in_file(path))?;
        let mut distortion = SquaredError::default();
        let mut crcs = Vec::new();
        chunks(&mut |encoded, length| {
            file.chunk(&encoded.bytes).map_err(|error| error.in_file(path))?;
            distortion.add(encoded.distortion);
            crcs.push(encoded.decoded_crc);
            buffers.reuse(encoded);
            observe(length)
        })?;
        let SquaredError { signal, noise } = distortion;
        let footer = Footer { decoded_crc: geometry.combine_crcs(crcs), signal, noise };
        file.end(footer).map_err(|error| error.in_file(path))?;
        let bytes = self.finished_length() - before;
        Ok(TensorStats { weights: geometry.elements(), bytes, signal, noise })
    }

    /// Writes the index and the trailer; a file takes its place, durably. Returns the length of
    /// the whole file in bytes.
    ///
    /// # Errors
    /// `Io`; `InvalidArgument` after an error that cut a tensor short.
    pub fn finish(self) -> Result<u64> {
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

/// The caller's fault, where a reader would call it the file's.
pub(super) fn invalid(error: Error) -> Error {
    match error {
        Error::Corrupt { what, at } => Error::InvalidArgument { what, at },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A source that is never the same twice.
    struct Fickle(std::sync::atomic::AtomicU8);

    impl ReadAt for Fickle {
        fn size(&self) -> u64 {
            1000
        }

        fn read_at<'b>(
            &'b self,
            range: std::ops::Range<u64>,
            buffer: &'b mut Vec<u8>,
        ) -> std::io::Result<&'b [u8]> {
            let value = self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            *buffer = vec![value; (range.end - range.start) as usize];
            Ok(buffer)
        }
    }

    #[test]
    fn a_source_that_changes_is_noticed() {
        let mut writer = Writer::new(std::io::sink(), WriteOptions::default()).unwrap();
        let error = writer.add_from("w", Dtype::U8, &[1000], &Fickle(0.into())).unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }), "{error}");
    }

    #[test]
    fn impossible_tensors_are_the_callers_fault() {
        let mut writer = Writer::new(std::io::sink(), WriteOptions::default()).unwrap();
        writer.add("w", Dtype::U8, &[2], &[1, 2]).unwrap();
        for result in [
            writer.add("w", Dtype::U8, &[2], &[1, 2]),
            writer.add("x", Dtype::U8, &[2], &[1]),
            writer.add("y", Dtype::F4, &[3], &[1, 2]),
            writer.add("z", Dtype::U8, &[usize::MAX, usize::MAX], &[]),
        ] {
            let error = result.unwrap_err();
            assert!(matches!(error, Error::InvalidArgument { .. }), "{error}");
            assert!(error.location().unwrap().tensor.is_some());
        }
    }
}
