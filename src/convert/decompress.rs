//! Decompression of `.occ` files to safetensors.

use super::progress::{Progress, Reporter};
use super::safetensors_header::{self, HeaderEntry};
use crate::error::{Error, Result};
use crate::format::{Object, ObjectKind};
use crate::io::{AtomicFile, SealedFile, permission_bits};
use crate::read::{AttachmentKind, Reader};
use crate::read::{Part, StreamReader};
use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The output of a decompression.
pub enum Target<'t> {
    /// A file; for a sharded checkpoint a folder, which is created if it does not exist. Files
    /// appear under their names only after all of them are complete.
    Path {
        /// The file or folder.
        path: PathBuf,
        /// Whether existing files may be replaced.
        overwrite: bool,
    },
    /// A stream that receives a single file.
    Stream(&'t mut dyn Write),
}

/// The name of an output stream in errors.
const STREAM: &str = "output";

impl std::fmt::Debug for Target<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Path { path, .. } => f.debug_tuple("Path").field(path).finish(),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}

/// Sizes and counts of a decompression.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DecompressReport {
    /// Bytes of the `.occ` file.
    pub input_bytes: u64,
    /// Bytes of all files written.
    pub output_bytes: u64,
    /// Files written.
    pub files: u64,
    /// Elements of all tensors.
    pub weights: u64,
}

/// Decompresses the `.occ` file `input` to the files that it was made from.
///
/// New files have the permissions of `input` that the umask leaves.
///
/// A file without a safetensors header, as [`Writer`](crate::Writer) makes them, becomes a
/// safetensors file of its tensors in file order. `progress` receives decoded tensor bytes.
///
/// ```no_run
/// use occ::convert::{Target, decompress};
/// let target = Target::Path { path: "model.safetensors".into(), overwrite: false };
/// let report = decompress("model.occ", target, None)?;
/// println!("{} bytes", report.output_bytes);
/// # Ok::<(), occ::Error>(())
/// ```
///
/// # Errors
/// Any format violation; `Io`, also if a file exists and must not be replaced; `InvalidArgument` if
/// the target of a sharded checkpoint is a stream; `Cancelled`.
pub fn decompress(
    input: impl AsRef<Path>,
    target: Target<'_>,
    progress: Option<&mut Progress<'_>>,
) -> Result<DecompressReport> {
    let progress = Reporter(progress);
    let path = input.as_ref();
    let decompress = || {
        let header = missing_header(&Reader::open(path)?)?;
        let file = File::open(path)?;
        let mode = permission_bits(&file)?;
        unpack(StreamReader::new(file)?, header, mode, target, progress)
    };
    decompress().map_err(|error: Error| error.in_file(path))
}

/// Decompresses an `.occ` stream in one pass, as [`decompress`] does.
///
/// # Errors
/// Those of [`decompress`]; `Unsupported` if the stream has no safetensors header, because a header
/// can only be written when all tensors are known.
pub fn decompress_stream(
    input: impl Read,
    target: Target<'_>,
    progress: Option<&mut Progress<'_>>,
) -> Result<DecompressReport> {
    unpack(StreamReader::new(input)?, None, None, target, Reporter(progress))
}

fn unpack<R: Read>(
    stream: StreamReader<R>,
    header: Option<Vec<u8>>,
    mode: Option<u32>,
    target: Target<'_>,
    progress: Reporter<'_, '_>,
) -> Result<DecompressReport> {
    let new_folder = match &target {
        Target::Path { path, .. } if !path.exists() => Some(path.clone()),
        _ => None,
    };
    let result = Unpacker::new(target, mode, progress).run(stream, header);
    if let (Err(_), Some(folder)) = (&result, new_folder) {
        // Removes the folder if it was created and is empty.
        let _ = fs::remove_dir(folder);
    }
    result
}

/// Whether an `.occ` file decompresses to a folder of shards rather than to one file.
///
/// # Errors
/// `Corrupt`, `Unsupported` or `LimitExceeded` if the first index entry is invalid.
pub fn is_sharded(reader: &Reader<'_>) -> Result<bool> {
    let first = reader.attachments().next().transpose()?;
    Ok(first.is_some_and(|attachment| attachment.kind() == AttachmentKind::File))
}

/// A header for a file without one; `None` for other files.
fn missing_header(reader: &Reader<'_>) -> Result<Option<Vec<u8>>> {
    if reader.attachments().next().is_some() {
        return Ok(None);
    }
    let tensors = reader.tensors().collect::<Result<Vec<_>>>()?;
    let entries = tensors.iter().map(|t| (t.name(), t.dtype(), t.shape(), t.decoded_bytes()));
    safetensors_header::write_header(entries).map(Some)
}

/// The object of the `.occ` file whose bytes are being received.
enum CurrentObject {
    Tensor,
    File,
    /// The header of a safetensors file: the name of the file and the bytes received so far.
    Header(String, Vec<u8>),
}

/// The state of a decompression.
struct Unpacker<'t, 'q, 'p> {
    target: Target<'t>,
    /// The permissions of new files.
    mode: Option<u32>,
    progress: Reporter<'q, 'p>,
    /// If the output is a folder: a temporary one in it, with an empty file for each output file.
    names: Option<TempDir>,
    object: CurrentObject,
    /// The safetensors file being written.
    current: Option<AtomicFile>,
    /// Complete files, to be renamed when all are complete.
    sealed: Vec<SealedFile>,
    /// Tensors that the current file lacks.
    expected: VecDeque<HeaderEntry>,
    report: DecompressReport,
}

impl<'t, 'q, 'p> Unpacker<'t, 'q, 'p> {
    fn new(target: Target<'t>, mode: Option<u32>, progress: Reporter<'q, 'p>) -> Self {
        Self {
            target,
            mode,
            progress,
            names: None,
            object: CurrentObject::Tensor,
            current: None,
            sealed: Vec::new(),
            expected: VecDeque::new(),
            report: DecompressReport::default(),
        }
    }

    fn run<R: Read>(
        mut self,
        mut stream: StreamReader<R>,
        header: Option<Vec<u8>>,
    ) -> Result<DecompressReport> {
        if let Some(header) = header {
            self.start(None, &header)?;
        }
        stream.decode_all(&mut |part| match part {
            Part::Begin(object) => self.begin(object),
            Part::Bytes(bytes) => self.receive(bytes),
            Part::End => self.end(),
        })?;
        self.report.input_bytes = stream.offset();
        self.finish()
    }

    fn begin(&mut self, object: &Object) -> Result<()> {
        let first = self.report.files == 0;
        match object.kind {
            ObjectKind::File if first || self.names.is_some() => {
                if first {
                    self.open_folder()?;
                }
                self.object = CurrentObject::File;
                self.file(&object.name)
            }
            ObjectKind::SafetensorsHeader if first || self.names.is_some() => {
                let bytes = object.geometry.decoded_len();
                Error::check_limit(
                    "a safetensors header",
                    bytes,
                    safetensors_header::MAX_HEADER_BYTES,
                )?;
                self.object = CurrentObject::Header(object.name.clone(), Vec::new());
                Ok(())
            }
            ObjectKind::File | ObjectKind::SafetensorsHeader => {
                Err(Error::corrupt("a second file in a file without an index"))
            }
            ObjectKind::Tensor if first => Err(Error::unsupported(
                "stream without a safetensors header: decompress from a file instead",
            )),
            ObjectKind::Tensor => {
                self.object = CurrentObject::Tensor;
                self.tensor(object)
            }
        }
    }

    fn receive(&mut self, bytes: &[u8]) -> Result<()> {
        match &mut self.object {
            CurrentObject::Header(_, header) => {
                header.extend_from_slice(bytes);
                Ok(())
            }
            CurrentObject::File => self.write(bytes),
            CurrentObject::Tensor => {
                self.write(bytes)?;
                self.progress.report(bytes.len() as u64)
            }
        }
    }

    fn end(&mut self) -> Result<()> {
        match std::mem::replace(&mut self.object, CurrentObject::Tensor) {
            CurrentObject::Header(name, header) => self.start(Some(&name), &header),
            CurrentObject::File => self.seal(),
            CurrentObject::Tensor => Ok(()),
        }
    }

    /// Creates the output folder of a sharded checkpoint.
    fn open_folder(&mut self) -> Result<()> {
        let Target::Path { path, .. } = &self.target else {
            return Err(Error::invalid("a sharded checkpoint needs a folder, not a stream"));
        };
        let names = || {
            fs::create_dir_all(path)?;
            tempfile::Builder::new().prefix(".names.").tempdir_in(path)
        };
        self.names = Some(names().map_err(|error| Error::from(error).in_file(path))?);
        Ok(())
    }

    /// Creates the output file `name`, or the only one; `None` for a stream.
    fn create(&self, name: Option<&str>) -> Result<Option<AtomicFile>> {
        let Target::Path { path, overwrite } = &self.target else { return Ok(None) };
        let path = match (name, &self.names) {
            // The parser has checked that this is a file name without a path.
            (Some(name), Some(names)) => {
                claim(names.path(), name)?;
                path.join(name)
            }
            _ => path.clone(),
        };
        let file = AtomicFile::create(&path, *overwrite, self.mode);
        file.map(Some).map_err(|error| Error::from(error).in_file(&path))
    }

    /// Starts a file other than safetensors.
    fn file(&mut self, name: &str) -> Result<()> {
        if !self.expected.is_empty() {
            return Err(Error::corrupt("a file before the last tensor of a shard"));
        }
        self.seal()?;
        self.current = self.create(Some(name))?;
        self.report.files += 1;
        Ok(())
    }

    /// Starts a safetensors file.
    fn start(&mut self, name: Option<&str>, header: &[u8]) -> Result<()> {
        if !self.expected.is_empty() {
            return Err(Error::corrupt("a shard before the last tensor of the previous one"));
        }
        self.seal()?;
        self.expected = safetensors_header::parse_header(header)?.into();
        self.current = self.create(name)?;
        self.report.files += 1;
        self.write(&(header.len() as u64).to_le_bytes())?;
        self.write(header)
    }

    /// Checks a tensor against the safetensors header.
    fn tensor(&mut self, object: &Object) -> Result<()> {
        let (dtype, shape) = (object.geometry.dtype(), object.native_shape()?);
        let entry = self.expected.pop_front().filter(|entry| {
            (entry.name.as_str(), entry.dtype, &entry.shape)
                == (object.name.as_str(), dtype, &shape)
        });
        if entry.is_none() {
            let error = Error::corrupt("tensor differs from the one in the safetensors header");
            return Err(error.in_tensor(&object.name));
        }
        self.report.weights += object.geometry.elements();
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        match (&mut self.current, &mut self.target) {
            (Some(file), _) => file.write_all(bytes)?,
            (None, Target::Stream(stream)) => stream.write_all(bytes)?,
            (None, Target::Path { .. }) => {
                return Err(Error::corrupt("a tensor before its header"));
            }
        }
        self.report.output_bytes += bytes.len() as u64;
        Ok(())
    }

    /// Completes the current file.
    fn seal(&mut self) -> Result<()> {
        if let Some(file) = self.current.take() {
            let path = file.path().to_owned();
            self.sealed.push(file.seal().map_err(|error| Error::from(error).in_file(&path))?);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<DecompressReport> {
        if let Some(missing) = self.expected.front() {
            return Err(Error::corrupt("missing tensor").in_tensor(&missing.name));
        }
        self.seal()?;
        if let Target::Stream(stream) = &mut self.target {
            stream.flush().map_err(|error| Error::from(error).in_file(Path::new(STREAM)))?;
        }
        for file in self.sealed {
            let path = file.path().to_owned();
            file.commit().map_err(|error| Error::from(error).in_file(&path))?;
        }
        Ok(self.report)
    }
}

/// Creates an empty file, unless one has this name already. The file system decides that: it may
/// regard names as the same that differ by case, Unicode normalisation or a dot at the end.
///
/// # Errors
/// `Corrupt` if the name is taken; `Io`.
fn claim(folder: &Path, name: &str) -> Result<()> {
    match File::create_new(folder.join(name)) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let name = name.escape_debug();
            Err(Error::corrupt(format!("file name `{name}`: two files would have this path")))
        }
        Err(error) => Err(Error::from(error).in_file(&folder.join(name))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::{Plan, TensorSource, WriteOptions, Writer};

    /// An `.occ` file of attachments without tensors.
    fn attachments(objects: &[(ObjectKind, &str)]) -> Vec<u8> {
        let mut file = Vec::new();
        let mut writer = Writer::new(&mut file, WriteOptions::default()).unwrap();
        let content: &[u8] = b"{}";
        let sources: Vec<TensorSource<'_>> = objects
            .iter()
            .map(|&(kind, name)| TensorSource::attachment(kind, name, &[2], &content))
            .collect();
        writer.add_sources(&sources, &Plan::default(), &mut |_| Ok(())).unwrap();
        writer.finish().unwrap();
        file
    }

    fn restore(file: &[u8], folder: &Path) -> Result<DecompressReport> {
        let target = Target::Path { path: folder.to_owned(), overwrite: true };
        decompress_stream(file, target, None)
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn two_files_with_one_path_are_refused_before_any_is_replaced() {
        use ObjectKind::{File, SafetensorsHeader as Header};
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("index"), "old").unwrap();
        fs::write(folder.path().join("a"), "old").unwrap();
        for objects in [
            [(File, "index"), (Header, "a"), (File, "a")],
            [(File, "index"), (File, "a"), (Header, "a")],
        ] {
            let error = restore(&attachments(&objects), folder.path()).unwrap_err();
            assert!(matches!(error, Error::Corrupt { .. }), "{error}");
            assert!(error.to_string().contains("`a`"), "{error}");
            assert_eq!(names(folder.path()), ["a", "index"]);
            for name in ["a", "index"] {
                assert_eq!(fs::read(folder.path().join(name)).unwrap(), b"old");
            }
        }
        let new = folder.path().join("new");
        let objects = [(File, "index"), (Header, "index")];
        assert!(restore(&attachments(&objects), &new).is_err() && !new.exists());
    }

    /// Names that differ by case are one path on some file systems and two on others.
    #[test]
    fn the_file_system_decides_which_names_are_the_same() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("probe"), "").unwrap();
        let ignores_case = folder.path().join("PROBE").exists();
        let output = folder.path().join("output");
        let objects = [(ObjectKind::File, "a"), (ObjectKind::SafetensorsHeader, "A")];
        let restored = restore(&attachments(&objects), &output);
        if ignores_case {
            assert!(matches!(restored.unwrap_err(), Error::Corrupt { .. }) && !output.exists());
        } else {
            assert_eq!(restored.unwrap().files, 2);
            assert_eq!(names(&output), ["A", "a"]);
        }
    }
}
