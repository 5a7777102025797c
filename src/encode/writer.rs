//! Writing `.occ` files.

use super::frame_writer::{FrameWriter, Output};
use super::options::WriteOptions;
use super::pipeline::write_sources;
use super::plan::{Plan, TensorPlan};
use super::source::TensorSource;
use super::tensor_stats::TensorStats;
use super::written::Observer;
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::format::Header;
#[cfg(feature = "convert")]
use crate::format::{Footer, FrameHeader};
use crate::io::AtomicFile;
use std::fmt;
use std::io::Write;
use std::path::Path;

/// Writes an `.occ` file front to back; the output need not be seekable.
///
/// The bytes written depend on the tensors and options, not on the number of threads. With lossy
/// tensors they may differ between types of machine, but not what each of these files decodes to.
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
    frames: FrameWriter<'w>,
    options: WriteOptions,
}

impl fmt::Debug for Writer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("path", &self.frames.path()).finish_non_exhaustive()
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
        let file = AtomicFile::create(path, options.overwrite, options.mode)
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
        if options.chunk_elements == Some(0) {
            return Err(Error::invalid("chunk_elements must be at least 1"));
        }
        Ok(Self { frames: FrameWriter::new(output, path, header)?, options })
    }

    /// Writes a tensor from memory, losslessly: `bytes` are its elements in row-major order,
    /// little-endian.
    ///
    /// # Errors
    /// `InvalidArgument` when the bytes do not fit dtype and shape or the name is taken; `Io`.
    pub fn add(&mut self, name: &str, dtype: Dtype, shape: &[usize], bytes: &[u8]) -> Result<()> {
        self.add_all(&[TensorSource::new(name, dtype, shape, &bytes)], &Plan::default())?;
        Ok(())
    }

    /// Writes a tensor as planned, or losslessly where no step keeps to the error bound of the
    /// plan. The data need not be in memory: a few chunks at a time are read.
    ///
    /// ```
    /// use occ::{Dtype, Encoding, Plan, TensorSource, WriteOptions, Writer};
    /// # let data: Vec<u8> = (0..64 * 256u32).flat_map(|i| (i as f32).sin().to_le_bytes()).collect();
    /// let source = TensorSource::new("w", Dtype::F32, &[64, 256], &data);
    /// let plan = Plan::of(&source, &Encoding::snr(30.0))?;
    /// let mut file = Vec::new();
    /// let mut writer = Writer::new(&mut file, WriteOptions::default())?;
    /// let stats = writer.add_planned(&source, &plan)?;
    /// assert!(stats.snr_db().unwrap() >= 30.0);
    /// writer.finish()?;
    /// # Ok::<(), occ::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`add`](Self::add); `Corrupt` when the data change while they are read.
    pub fn add_planned(
        &mut self,
        source: &TensorSource<'_>,
        plan: &TensorPlan,
    ) -> Result<TensorStats> {
        let plan = Plan::single(source.name, plan.clone());
        let stats = self.add_all(std::slice::from_ref(source), &plan)?;
        Ok(stats.into_iter().next().unwrap_or_default())
    }

    /// Writes many tensors, each as the plan has it for its name, or losslessly. This is faster
    /// than one by one, since tensors are prepared while others are written. When the plan has a
    /// budget and spans just these tensors, the file keeps to it.
    ///
    /// ```
    /// use occ::{Dtype, Plan, TensorSource, WriteOptions, Writer};
    /// let (weight, bias) = (vec![0u8; 64 * 64 * 2], vec![0u8; 64 * 2]);
    /// let tensors = [
    ///     TensorSource::new("w", Dtype::Bf16, &[64, 64], &weight),
    ///     TensorSource::new("b", Dtype::Bf16, &[64], &bias),
    /// ];
    /// let mut file = Vec::new();
    /// let mut writer = Writer::new(&mut file, WriteOptions::default())?;
    /// let stats = writer.add_all(&tensors, &Plan::default())?;
    /// assert_eq!(stats[0].weights, 64 * 64);
    /// writer.finish()?;
    /// # Ok::<(), occ::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`add_planned`](Self::add_planned); `InvalidArgument` when the budget does not suffice.
    pub fn add_all(
        &mut self,
        tensors: &[TensorSource<'_>],
        plan: &Plan,
    ) -> Result<Vec<TensorStats>> {
        self.add_sources(tensors, plan, &mut |_| Ok(()))
    }

    /// [`add_all`](Self::add_all) with attachments between the tensors. `observe` receives what is
    /// written.
    pub(crate) fn add_sources(
        &mut self,
        sources: &[TensorSource<'_>],
        plan: &Plan,
        observe: &mut Observer<'_>,
    ) -> Result<Vec<TensorStats>> {
        write_sources(&mut self.frames, &self.options, sources, plan, observe)
    }

    /// Begins a frame that was encoded before. [`copy_chunk`](Self::copy_chunk) for each of its chunks
    /// and [`end_copy`](Self::end_copy) must follow.
    #[cfg(feature = "convert")]
    pub(crate) fn begin_copy(&mut self, header: FrameHeader) -> Result<()> {
        self.frames.begin(header)
    }

    /// Copies the coded bytes of the next chunk.
    #[cfg(feature = "convert")]
    pub(crate) fn copy_chunk(&mut self, coded: &[u8]) -> Result<()> {
        self.frames.copy_chunk(coded)
    }

    /// Ends a frame that was encoded before.
    #[cfg(feature = "convert")]
    pub(crate) fn end_copy(&mut self, footer: Footer) -> Result<()> {
        self.frames.end_copy(footer)
    }

    /// Writes the index and the trailer; a file takes its place, durably. Returns the length of
    /// the whole file in bytes.
    ///
    /// # Errors
    /// `Io`; `InvalidArgument` after a failed write, or an error that cut a tensor short.
    pub fn finish(self) -> Result<u64> {
        self.frames.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::ReadAt;

    /// A source that differs each time it is read.
    struct Changing(std::sync::atomic::AtomicU8);

    impl ReadAt for Changing {
        fn size(&self) -> u64 {
            1000
        }

        fn read_at<'a>(
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
    fn a_changing_source_is_detected() {
        let mut writer = Writer::new(std::io::sink(), WriteOptions::default()).unwrap();
        let data = Changing(0.into());
        let source = TensorSource::new("w", Dtype::U8, &[1000], &data);
        let error = writer.add_all(&[source], &Plan::default()).unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }), "{error}");
    }

    /// An output that has room for some bytes, fails once, and then has room again.
    struct FailingOnce {
        room: usize,
        written: std::sync::Arc<std::sync::Mutex<Vec<u8>>>,
    }

    impl Write for FailingOnce {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            if self.room == 0 {
                self.room = usize::MAX;
                return Err(std::io::ErrorKind::StorageFull.into());
            }
            let length = bytes.len().min(self.room);
            self.room -= length;
            self.written.lock().unwrap().extend_from_slice(&bytes[..length]);
            Ok(length)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// After a failed write, wherever it is, a file is not continued as if it were whole.
    #[test]
    fn a_failed_write_is_final() {
        let write = |room| {
            let written = std::sync::Arc::default();
            let output = FailingOnce { room, written: std::sync::Arc::clone(&written) };
            let Ok(mut writer) = Writer::new(output, WriteOptions::default()) else { return None };
            let tensors =
                [("raw", Dtype::U8, 1), ("coded", Dtype::U8, 9000), ("last", Dtype::F32, 1)];
            for (name, dtype, elements) in tensors {
                let bytes = vec![7; elements * dtype.bits() as usize / 8];
                let _ = writer.add(name, dtype, &[elements], &bytes);
            }
            writer.finish().ok()?;
            Some(written.lock().unwrap().clone())
        };
        let file = write(usize::MAX).unwrap();
        assert_eq!(crate::Reader::new(&file).unwrap().tensors().count(), 3);
        for room in 0..file.len() {
            assert!(write(room).is_none(), "{room} of {} bytes", file.len());
        }
    }

    #[test]
    fn impossible_tensors_are_invalid_arguments() {
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
