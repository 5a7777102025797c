//! Writing `.occ` files.

mod lossy;

pub use lossy::Added;
pub(crate) use lossy::{Incoming, Ready};

use crate::codec::lossy::{Distortion, Encoded};
use crate::codec::{Codec, Encoder, Scratch};
use crate::container::{
    CHUNK_OVERHEAD, FileWriter, Foot, FrameHeader, Geometry, Header, Kind, Layout, Object,
};
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::io::{AtomicFile, ByteSource};
use crate::limits::Limits;
use crate::pipeline;
use crate::plan::{LossyPlan, TensorPlan};
use crate::survey::survey;
use std::collections::HashSet;
use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

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
/// let reader = Reader::from_bytes(&file)?;
/// assert_eq!(reader.tensor("bias")?.decode()?, [0, 0, 128, 63, 0, 0, 0, 64]);
/// # Ok::<(), occ::Error>(())
/// ```
pub struct Writer<'w> {
    file: FileWriter<Output<'w>>,
    /// Named in errors of writing, to tell them from those of reading a source.
    path: PathBuf,
    options: WriteOptions,
    names: HashSet<(Kind, String)>,
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
        S: ByteSource + ?Sized,
    {
        self.add_tensor(&Incoming { name, dtype, shape, source }, None, &mut |_| Ok(()))?;
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
    ) -> Result<Added>
    where
        S: ByteSource + ?Sized,
    {
        let incoming = Incoming { name, dtype, shape, source };
        self.add_tensor(&incoming, plan.lossy.as_ref(), &mut |_| Ok(()))
    }

    /// Adds a tensor, telling `observe` how many bytes of it each chunk written covers; an error
    /// from it ends the work.
    pub(crate) fn add_tensor<S>(
        &mut self,
        incoming: &Incoming<'_, S>,
        plan: Option<&LossyPlan>,
        observe: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<Added>
    where
        S: ByteSource + ?Sized,
    {
        let mut add = || {
            if let Some(plan) = plan
                && let Some(added) = self.add_lossy(incoming, plan, observe)?
            {
                return Ok(added);
            }
            let shape = incoming.native_shape();
            let Incoming { name, dtype, source, .. } = *incoming;
            self.add_lossless(Kind::Tensor, name, dtype, shape, source, observe)
        };
        add().map_err(|error: Error| error.in_tensor(incoming.name))
    }

    /// Adds a file that belongs to the checkpoint.
    pub(crate) fn attach(&mut self, kind: Kind, name: &str, bytes: &[u8]) -> Result<()> {
        let shape = vec![bytes.len() as u64];
        self.add_lossless(kind, name, Dtype::U8, shape, bytes, &mut |_| Ok(()))
            .map_err(|error| error.in_tensor(name))?;
        Ok(())
    }

    /// How long the file were if it ended here.
    pub(crate) fn finished_length(&self) -> u64 {
        self.file.finished_length()
    }

    fn add_lossless<S>(
        &mut self,
        kind: Kind,
        name: &str,
        dtype: Dtype,
        shape: Vec<u64>,
        source: &S,
        observe: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<Added>
    where
        S: ByteSource + ?Sized,
    {
        let target = self.options.chunk_elements;
        let chunk_elements = chunk_elements(dtype, &shape, target);
        let geometry = self.admit(kind, name, dtype, shape, chunk_elements, source)?;
        let (survey, crcs) = survey(&geometry, source)?;
        let encoder = survey.choose(geometry.chunk_count(), CHUNK_OVERHEAD);
        let header = frame_header(kind, name, geometry, &encoder, &crcs)?;
        let encode = |number: u64, chunk: &[u8], scratch: &mut Scratch| {
            let crc = crc32fast::hash(chunk);
            if crc != crcs[number as usize] {
                return Err(Error::corrupt("the source changed while it was read"));
            }
            let (bytes, distortion) = (encoder.encode(chunk, scratch)?, Distortion::default());
            Ok(Encoded { bytes, decoded_crc: crc, distortion })
        };
        self.write_frame(header, source, encode, observe)
    }

    /// Checks that a tensor can be added, and says how it is cut into chunks.
    fn admit<S>(
        &self,
        kind: Kind,
        name: &str,
        dtype: Dtype,
        shape: Vec<u64>,
        chunk_elements: u64,
        source: &S,
    ) -> Result<Geometry>
    where
        S: ByteSource + ?Sized,
    {
        if self.names.contains(&(kind, name.to_owned())) {
            return Err(Error::invalid("the name is taken"));
        }
        let geometry = Geometry::new(dtype, shape, chunk_elements, &Limits::default());
        let geometry = geometry.map_err(invalid)?;
        if geometry.decoded_len() != source.byte_len() {
            return Err(Error::invalid("as many bytes as dtype and shape ask for are needed"));
        }
        Ok(geometry)
    }

    /// Writes a whole frame, chunks coded in parallel.
    fn write_frame<S>(
        &mut self,
        header: FrameHeader,
        source: &S,
        encode: impl Fn(u64, &[u8], &mut Scratch) -> Result<Encoded> + Sync,
        observe: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<Added>
    where
        S: ByteSource + ?Sized,
    {
        let Object { kind, ref name, ref geometry, .. } = header.object;
        let (name, geometry) = (name.clone(), geometry.clone());
        let before = self.finished_length();
        self.names.insert((kind, name));
        let Self { file, path, .. } = self;
        file.begin(header).map_err(|error| error.in_file(path))?;
        let mut distortion = Distortion::default();
        let mut crcs = Vec::new();
        encode_chunks(&geometry, source, encode, |encoded, length| {
            file.chunk(&encoded.bytes).map_err(|error| error.in_file(path))?;
            distortion.add(encoded.distortion);
            crcs.push(encoded.decoded_crc);
            observe(length)
        })?;
        let Distortion { signal, noise } = distortion;
        let foot = Foot { decoded_crc: geometry.combine_crcs(crcs), signal, noise };
        file.end(foot).map_err(|error| error.in_file(path))?;
        let bytes = self.finished_length() - before;
        Ok(Added { weights: geometry.elements(), bytes, signal, noise })
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

/// Codes all chunks of a source in parallel and hands them on in order.
fn encode_chunks<S>(
    geometry: &Geometry,
    source: &S,
    encode: impl Fn(u64, &[u8], &mut Scratch) -> Result<Encoded> + Sync,
    mut sink: impl FnMut(&Encoded, u64) -> Result<()>,
) -> Result<()>
where
    S: ByteSource + ?Sized,
{
    // Memory goes round: as much as chunks in flight need.
    let (shelf, spare) = (Mutex::new(Vec::<(Vec<u8>, Scratch)>::new()), Mutex::new(Vec::new()));
    let encode = |number| {
        let (mut bytes, mut scratch) = taken(&shelf).unwrap_or_default();
        scratch.out = taken(&spare).unwrap_or_default();
        let range = geometry.chunk_range(number);
        let length = range.end - range.start;
        let encoded = encode(number, source.bytes(range, &mut bytes)?, &mut scratch)?;
        put_back(&shelf, (bytes, scratch));
        Ok((encoded, length))
    };
    let chunks = (0..geometry.chunk_count()).map(Ok);
    pipeline::ordered(chunks, encode, |(encoded, length)| {
        sink(&encoded, length)?;
        put_back(&spare, encoded.bytes);
        Ok(())
    })
}

fn taken<T>(shelf: &Mutex<Vec<T>>) -> Option<T> {
    shelf.lock().ok()?.pop()
}

fn put_back<T>(shelf: &Mutex<Vec<T>>, thing: T) {
    if let Ok(mut shelf) = shelf.lock() {
        shelf.push(thing);
    }
}

/// What a decoder is told before the chunks, whose decoded checksums are `crcs`.
fn frame_header(
    kind: Kind,
    name: &str,
    geometry: Geometry,
    encoder: &Encoder,
    crcs: &[u32],
) -> Result<FrameHeader> {
    // Raw chunks are their own decoded bytes, so their checksums are known beforehand.
    let (layout, chunk_crcs) = match encoder.codec() {
        Codec::Raw => (Layout::Contiguous, crcs.to_vec()),
        Codec::Planes | Codec::Trellis => (Layout::Chunked, Vec::new()),
    };
    let object = Object::new(kind, name.to_owned(), geometry, encoder.codec().id(), layout);
    let object = object.map_err(invalid)?;
    Ok(FrameHeader { object, parameters: encoder.parameters(), chunk_crcs })
}

/// The largest chunk written. Coded, an unlucky one may grow by half, still well within the
/// limits that readers have by default.
const MAX_CHUNK_BYTES: u64 = 64 << 20;

/// Elements a chunk: whole rows of the matrix that the leading dimensions make, and whole bytes;
/// part of a row where one row exceeds `target`.
fn chunk_elements(dtype: Dtype, shape: &[u64], target: u64) -> u64 {
    let target = target.min(MAX_CHUNK_BYTES * 8 / u64::from(dtype.bits()));
    // Eight elements of any type are whole bytes.
    let unit = if dtype.bits() < 8 { 8 } else { 1 };
    let columns = shape.last().copied().unwrap_or(1).max(1);
    let row = match columns.checked_mul(unit / gcd(columns, unit)) {
        Some(row) if row <= target => row,
        _ => unit,
    };
    (target / row).max(1) * row
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The caller's fault, where a reader would call it the file's.
fn invalid(error: Error) -> Error {
    match error {
        Error::Corrupt { what, at } => Error::InvalidArgument { what, at },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_whole_rows_and_whole_bytes() {
        assert_eq!(chunk_elements(Dtype::F32, &[1000, 384], 1 << 18), 682 * 384);
        assert_eq!(chunk_elements(Dtype::F32, &[8, 100, 384], 1 << 18), 682 * 384);
        assert_eq!(chunk_elements(Dtype::F32, &[1, 1 << 30], 1 << 18), 1 << 18);
        assert_eq!(chunk_elements(Dtype::F4, &[1000, 6], 100), 96);
        assert_eq!(chunk_elements(Dtype::F4, &[1000, 7], 100), 56);
        assert_eq!(chunk_elements(Dtype::F4, &[1000, 70], 100), 96);
        assert_eq!(chunk_elements(Dtype::U8, &[], 100), 100);
        assert_eq!(chunk_elements(Dtype::F4, &[5, 0], 1), 8);
        assert_eq!(chunk_elements(Dtype::F64, &[1 << 30], u64::MAX), 8 << 20);
    }

    /// A source that is never the same twice.
    struct Fickle(std::sync::atomic::AtomicU8);

    impl ByteSource for Fickle {
        fn byte_len(&self) -> u64 {
            1000
        }

        fn bytes<'a>(
            &'a self,
            range: std::ops::Range<u64>,
            scratch: &'a mut Vec<u8>,
        ) -> std::io::Result<&'a [u8]> {
            let value = self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            *scratch = vec![value; (range.end - range.start) as usize];
            Ok(scratch)
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
