//! `.occ` back to safetensors.

use super::safetensors::{self, Described};
use super::{Progress, report};
use crate::error::{Error, Result};
use crate::format::{Object, ObjectKind};
use crate::io::{AtomicFile, SealedFile};
use crate::read::{AttachmentKind, Reader};
use crate::read::{Part, StreamReader};
use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// Where decompressed files go.
pub enum Target<'t> {
    /// A file, or for a sharded checkpoint a folder, made if it is not there. Files take their
    /// places when all are whole.
    Path {
        /// The file or folder.
        path: PathBuf,
        /// Whether existing files may be replaced.
        overwrite: bool,
    },
    /// A stream, for one file.
    Stream(&'t mut dyn Write),
}

/// What a stream that is written to is called in errors.
const STREAM: &str = "output";

impl std::fmt::Debug for Target<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Path { path, .. } => f.debug_tuple("Path").field(path).finish(),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}

/// What was decompressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Decompressed {
    /// Bytes of the `.occ` file.
    pub input_bytes: u64,
    /// Bytes of all files written.
    pub output_bytes: u64,
    /// Files written.
    pub files: u64,
    /// Elements of all tensors.
    pub weights: u64,
}

/// Decompresses a file.
///
/// A file made by [`Writer`](crate::Writer) alone, with no safetensors header in it, becomes a
/// safetensors file of its tensors in order.
///
/// # Errors
/// Whatever is wrong with the input; `Io`; `InvalidArgument` for several files to one stream.
pub fn decompress(
    input: impl AsRef<Path>,
    target: Target<'_>,
    progress: &mut Progress<'_>,
) -> Result<Decompressed> {
    let path = input.as_ref();
    let decompress = || {
        let header = missing_header(&Reader::open(path)?)?;
        unpack(StreamReader::new(File::open(path)?)?, header, target, progress)
    };
    decompress().map_err(|error: Error| error.in_file(path))
}

/// Decompresses a stream as its bytes arrive.
///
/// # Errors
/// As [`decompress`]; `Unsupported` when the stream holds no safetensors header, because one can
/// be made only when all tensors are known.
pub fn decompress_stream(
    input: impl Read,
    target: Target<'_>,
    progress: &mut Progress<'_>,
) -> Result<Decompressed> {
    unpack(StreamReader::new(input)?, None, target, progress)
}

fn unpack<R: Read>(
    stream: StreamReader<R>,
    header: Option<Vec<u8>>,
    target: Target<'_>,
    progress: &mut Progress<'_>,
) -> Result<Decompressed> {
    let new_folder = match &target {
        Target::Path { path, .. } if !path.exists() => Some(path.clone()),
        _ => None,
    };
    let result = Unpacker::new(target, progress).run(stream, header);
    if let (Err(_), Some(folder)) = (&result, new_folder) {
        // Made for shards that did not come, if at all; it is removed only when empty.
        let _ = fs::remove_dir(folder);
    }
    result
}

/// Whether a file decompresses to a folder of shards rather than to one file.
///
/// # Errors
/// `Corrupt`, `Unsupported` or `LimitExceeded` when the index is bad.
pub fn is_sharded(reader: &Reader<'_>) -> Result<bool> {
    let first = reader.attachments().next().transpose()?;
    Ok(first.is_some_and(|attachment| attachment.kind() == AttachmentKind::File))
}

/// The header for a file that came with none.
fn missing_header(reader: &Reader<'_>) -> Result<Option<Vec<u8>>> {
    if reader.attachments().next().is_some() {
        return Ok(None);
    }
    let tensors = reader.tensors().collect::<Result<Vec<_>>>()?;
    let described = tensors.iter().map(|t| (t.name(), t.dtype(), t.shape(), t.decoded_bytes()));
    safetensors::write_header(described).map(Some)
}

/// A part of a checkpoint.
enum Receiving {
    Tensor,
    File,
    /// The header of a safetensors file of a name, as far as it has come.
    Header(String, Vec<u8>),
}

/// The state of a decompression.
struct Unpacker<'t, 'q, 'p> {
    target: Target<'t>,
    progress: &'q mut Progress<'p>,
    /// Whether the output is a folder.
    folder: bool,
    /// What bytes are of that come next.
    receiving: Receiving,
    /// The safetensors file being written.
    current: Option<AtomicFile>,
    /// Files that are whole, waiting for the rest.
    sealed: Vec<SealedFile>,
    /// Tensors that the current file still needs.
    expected: VecDeque<Described>,
    done: Decompressed,
}

impl<'t, 'q, 'p> Unpacker<'t, 'q, 'p> {
    fn new(target: Target<'t>, progress: &'q mut Progress<'p>) -> Self {
        Self {
            target,
            progress,
            folder: false,
            receiving: Receiving::Tensor,
            current: None,
            sealed: Vec::new(),
            expected: VecDeque::new(),
            done: Decompressed::default(),
        }
    }

    fn run<R: Read>(
        mut self,
        mut stream: StreamReader<R>,
        header: Option<Vec<u8>>,
    ) -> Result<Decompressed> {
        if let Some(header) = header {
            self.start(None, &header)?;
        }
        stream.decode_all(&mut |part| match part {
            Part::Begin(object) => self.begin(object),
            Part::Bytes(bytes) => self.receive(bytes),
            Part::End => self.end(),
        })?;
        self.done.input_bytes = stream.offset();
        self.finish()
    }

    fn begin(&mut self, object: &Object) -> Result<()> {
        let first = self.done.files == 0;
        match object.kind {
            ObjectKind::File if first || self.folder => {
                if first {
                    self.open_folder()?;
                }
                self.receiving = Receiving::File;
                self.file(&object.name)
            }
            ObjectKind::SafetensorsHeader if first || self.folder => {
                let bytes = object.geometry.decoded_len();
                Error::check_limit("a safetensors header", bytes, safetensors::MAX_HEADER_BYTES)?;
                self.receiving = Receiving::Header(object.name.clone(), Vec::new());
                Ok(())
            }
            ObjectKind::File | ObjectKind::SafetensorsHeader => {
                Err(Error::corrupt("a second file where one was announced"))
            }
            ObjectKind::Tensor if first => Err(Error::unsupported(
                "stream: it holds no safetensors header; decompress from a file instead",
            )),
            ObjectKind::Tensor => {
                self.receiving = Receiving::Tensor;
                self.tensor(object)
            }
        }
    }

    fn receive(&mut self, bytes: &[u8]) -> Result<()> {
        match &mut self.receiving {
            Receiving::Header(_, header) => {
                header.extend_from_slice(bytes);
                Ok(())
            }
            Receiving::File => self.write(bytes),
            Receiving::Tensor => {
                self.write(bytes)?;
                report(self.progress, bytes.len() as u64)
            }
        }
    }

    fn end(&mut self) -> Result<()> {
        match std::mem::replace(&mut self.receiving, Receiving::Tensor) {
            Receiving::Header(name, header) => self.start(Some(&name), &header),
            Receiving::File => self.seal(),
            Receiving::Tensor => Ok(()),
        }
    }

    /// From now on every file goes into a folder.
    fn open_folder(&mut self) -> Result<()> {
        let Target::Path { path, .. } = &self.target else {
            return Err(Error::invalid("a sharded checkpoint needs a folder, not a stream"));
        };
        fs::create_dir_all(path).map_err(|error| Error::from(error).in_file(path))?;
        self.folder = true;
        Ok(())
    }

    /// Opens the output `name`, or the only one; `None` for a stream.
    fn create(&self, name: Option<&str>) -> Result<Option<AtomicFile>> {
        let Target::Path { path, overwrite } = &self.target else { return Ok(None) };
        let path = match name {
            // A plain file name, or the frame would not have been read.
            Some(name) if self.folder => path.join(name),
            _ => path.clone(),
        };
        let file = AtomicFile::create(&path, *overwrite);
        file.map(Some).map_err(|error| Error::from(error).in_file(&path))
    }

    /// Starts a file that is no safetensors file.
    fn file(&mut self, name: &str) -> Result<()> {
        if !self.expected.is_empty() {
            return Err(Error::corrupt("a file before the last tensor of a shard"));
        }
        self.seal()?;
        self.current = self.create(Some(name))?;
        self.done.files += 1;
        Ok(())
    }

    /// Starts a safetensors file.
    fn start(&mut self, name: Option<&str>, header: &[u8]) -> Result<()> {
        if !self.expected.is_empty() {
            return Err(Error::corrupt("a shard before the last tensor of another"));
        }
        self.seal()?;
        self.expected = safetensors::parse_header(header)?.into();
        self.current = self.create(name)?;
        self.done.files += 1;
        self.write(&(header.len() as u64).to_le_bytes())?;
        self.write(header)
    }

    /// Expects a tensor's bytes.
    fn tensor(&mut self, object: &Object) -> Result<()> {
        let (dtype, shape) = (object.geometry.dtype(), object.native_shape()?);
        let described = self.expected.pop_front().filter(|described| {
            (described.name.as_str(), described.dtype, &described.shape)
                == (object.name.as_str(), dtype, &shape)
        });
        if described.is_none() {
            let error = Error::corrupt("the safetensors header describes another tensor here");
            return Err(error.in_tensor(&object.name));
        }
        self.done.weights += object.geometry.elements();
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
        self.done.output_bytes += bytes.len() as u64;
        Ok(())
    }

    /// Sets the current file aside, whole.
    fn seal(&mut self) -> Result<()> {
        if let Some(file) = self.current.take() {
            let path = file.path().to_owned();
            self.sealed.push(file.seal().map_err(|error| Error::from(error).in_file(&path))?);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Decompressed> {
        if let Some(missing) = self.expected.front() {
            return Err(Error::corrupt("a tensor is missing").in_tensor(&missing.name));
        }
        self.seal()?;
        if let Target::Stream(stream) = &mut self.target {
            stream.flush().map_err(|error| Error::from(error).in_file(Path::new(STREAM)))?;
        }
        for file in self.sealed {
            let path = file.path().to_owned();
            file.commit().map_err(|error| Error::from(error).in_file(&path))?;
        }
        Ok(self.done)
    }
}
