//! The files that decompression writes, as the objects of an `.occ` file arrive.

use super::SINGLE_FILE_NAME;
use super::claimed_names::ClaimedNames;
use super::decompress_report::DecompressReport;
use super::dtype_conversion::DtypeConversion;
use super::new_folders::NewFolders;
use super::progress::Reporter;
use super::safetensors_header::{self, HeaderEntry};
use super::shard_names::is_index;
use super::target::{Target, names_folder};
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::format::{Object, ObjectKind};
use crate::io::{AtomicFile, SealedFile};
use crate::read::{Part, StreamReader};
use std::borrow::Cow;
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::path::PathBuf;

/// The name of output streams in errors.
const OUTPUT: &str = "output";

/// The object of the `.occ` file whose bytes are being received.
enum CurrentObject {
    /// A tensor, with its dtype and that of the output.
    Tensor {
        own: Dtype,
        written: Dtype,
    },
    File,
    /// An index, which is kept because it describes the dtype of the output.
    Index,
    /// A file that is not written.
    LeftOut,
    /// The header of a safetensors file: the name of the file and the bytes received so far.
    Header(String, Vec<u8>),
}

/// The state of a decompression.
pub(super) struct Unpacker<'t, 'q, 'p> {
    target: Target<'t>,
    /// The permissions of new files.
    mode: Option<u32>,
    conversion: Option<DtypeConversion>,
    /// Whether only the safetensors file is written.
    pub(super) without_files: bool,
    progress: Reporter<'q, 'p>,
    /// If the output is a folder: the names of the files in it.
    names: Option<ClaimedNames>,
    object: CurrentObject,
    /// The safetensors file being written.
    current: Option<AtomicFile>,
    /// Indexes, which are written when all shards are converted, and their original bytes.
    indexes: Vec<(AtomicFile, Vec<u8>)>,
    /// Complete files, to be renamed when all are complete.
    sealed: Vec<SealedFile>,
    /// Tensors that the current file lacks.
    expected: VecDeque<HeaderEntry>,
    /// The name in the first header.
    first_name: String,
    report: DecompressReport,
    /// Dropped last: until then, temporary files are in them.
    folders: NewFolders,
}

impl<'t, 'q, 'p> Unpacker<'t, 'q, 'p> {
    pub(super) fn new(
        target: Target<'t>,
        mode: Option<u32>,
        conversion: Option<DtypeConversion>,
        progress: Reporter<'q, 'p>,
    ) -> Self {
        Self {
            without_files: target.is_single_file(),
            target,
            mode,
            conversion,
            progress,
            names: None,
            object: CurrentObject::File,
            current: None,
            indexes: Vec::new(),
            sealed: Vec::new(),
            expected: VecDeque::new(),
            first_name: SINGLE_FILE_NAME.to_owned(),
            report: DecompressReport::default(),
            folders: NewFolders::default(),
        }
    }

    pub(super) fn run<R: Read>(
        mut self,
        mut stream: StreamReader<R>,
        header: Option<Vec<u8>>,
    ) -> Result<DecompressReport> {
        if matches!(&self.target, Target::Path { path, .. } if names_folder(path)) {
            self.open_folder()?;
        }
        if let Some(header) = header {
            self.start(SINGLE_FILE_NAME, &header)?;
        }
        let dtype = self.conversion.as_ref().map(DtypeConversion::dtype);
        stream.decode_all(dtype, &mut |part| match part {
            Part::Begin(object) => self.begin(object),
            Part::Bytes(bytes, overflowed) => {
                self.report.overflowed += overflowed;
                self.receive(bytes)
            }
            Part::End => self.end(),
        })?;
        self.report.input_bytes = stream.offset();
        self.finish()
    }

    fn begin(&mut self, object: &Object) -> Result<()> {
        let first = self.report.files == 0;
        match object.kind {
            ObjectKind::File if self.without_files && !is_index(&object.name) => {
                self.report.left_out.push(object.name.clone());
                self.object = CurrentObject::LeftOut;
                Ok(())
            }
            ObjectKind::File if first || self.names.is_some() => {
                self.open_folder()?;
                self.object = CurrentObject::File;
                if self.conversion.is_some() && is_index(&object.name) {
                    self.object = CurrentObject::Index;
                    // It is kept in memory.
                    let (bytes, limit) =
                        (object.geometry.decoded_len(), safetensors_header::MAX_HEADER_BYTES);
                    Error::check_limit("an index of shards", bytes, limit)?;
                }
                self.file(&object.name)
            }
            ObjectKind::SafetensorsHeader => {
                if !first && self.names.is_none() {
                    self.move_to_folder()?;
                }
                let bytes = object.geometry.decoded_len();
                Error::check_limit(
                    "a safetensors header",
                    bytes,
                    safetensors_header::MAX_HEADER_BYTES,
                )?;
                self.object = CurrentObject::Header(object.name.clone(), Vec::new());
                Ok(())
            }
            ObjectKind::File => Err(Error::corrupt("a file after the only shard")),
            ObjectKind::Tensor if first => Err(Error::unsupported(
                "stream without a safetensors header: decompress from a file instead",
            )),
            ObjectKind::Tensor => {
                let own = object.geometry.dtype();
                let written = self.conversion.as_ref().map_or(own, |conversion| conversion.of(own));
                self.object = CurrentObject::Tensor { own, written };
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
            CurrentObject::Index => {
                if let Some((_, index)) = self.indexes.last_mut() {
                    index.extend_from_slice(bytes);
                }
                Ok(())
            }
            CurrentObject::LeftOut => Ok(()),
            &mut CurrentObject::Tensor { own, written } => {
                self.write(bytes)?;
                let elements = bytes.len() as u64 * 8 / u64::from(written.bits());
                self.progress.report(elements * u64::from(own.bits()) / 8)
            }
        }
    }

    fn end(&mut self) -> Result<()> {
        match std::mem::replace(&mut self.object, CurrentObject::File) {
            CurrentObject::Header(name, header) => self.start(&name, &header),
            CurrentObject::File => self.seal(),
            CurrentObject::Index | CurrentObject::LeftOut | CurrentObject::Tensor { .. } => Ok(()),
        }
    }

    /// Makes the target a folder, which is created unless it exists.
    pub(super) fn open_folder(&mut self) -> Result<()> {
        if self.names.is_some() {
            return Ok(());
        }
        let Target::Path { path, .. } = &self.target else {
            return Err(Error::invalid("a sharded checkpoint needs a folder, not a stream"));
        };
        self.folders.create(path)?;
        self.names = Some(ClaimedNames::new(path)?);
        Ok(())
    }

    /// Makes the target a folder when the first file has been written: a stream does not tell
    /// before that there are others.
    fn move_to_folder(&mut self) -> Result<()> {
        if !self.report.left_out.is_empty() {
            return Err(Error::invalid("a sharded checkpoint needs a folder as output"));
        }
        self.check_complete()?;
        self.seal()?;
        self.open_folder()?;
        let name = std::mem::take(&mut self.first_name);
        let path = self.destination(&name)?;
        if let (Some(path), Some(file)) = (path, self.sealed.first_mut()) {
            file.redirect(path);
        }
        Ok(())
    }

    /// The path of the output file `name`; `None` for a stream.
    fn destination(&mut self, name: &str) -> Result<Option<PathBuf>> {
        let Target::Path { path, .. } = &self.target else { return Ok(None) };
        let Some(names) = &self.names else { return Ok(Some(path.clone())) };
        names.claim(name)?;
        // The parser has checked that this is a path below the folder.
        let path = path.join(name);
        if let Some(folder) = path.parent() {
            self.folders.create(folder)?;
        }
        Ok(Some(path))
    }

    /// Creates the output file `name`, or the only one; `None` for a stream.
    fn create(&mut self, name: &str) -> Result<Option<AtomicFile>> {
        let path = self.destination(name)?;
        let (Some(path), Target::Path { overwrite, .. }) = (path, &self.target) else {
            return Ok(None);
        };
        let file = AtomicFile::create(&path, *overwrite, self.mode);
        file.map(Some).map_err(|error| Error::from(error).in_file(&path))
    }

    /// Checks that the current safetensors file has all of its tensors.
    fn check_complete(&self) -> Result<()> {
        match self.expected.front() {
            None => Ok(()),
            Some(missing) => Err(Error::corrupt("missing tensor").in_tensor(&missing.name)),
        }
    }

    /// Starts a file other than safetensors.
    fn file(&mut self, name: &str) -> Result<()> {
        self.check_complete()?;
        self.seal()?;
        let file = self.create(name)?;
        match (&self.object, file) {
            (CurrentObject::Index, Some(file)) => self.indexes.push((file, Vec::new())),
            (_, file) => self.current = file,
        }
        self.report.files += 1;
        Ok(())
    }

    /// Writes the indexes with the size of the converted shards.
    fn finish_indexes(&mut self) -> Result<()> {
        let Some(conversion) = self.conversion.take() else { return Ok(()) };
        self.report.unconverted = conversion.unconverted();
        for (file, index) in std::mem::take(&mut self.indexes) {
            self.current = Some(file);
            self.write(&conversion.index(&index))?;
            self.seal()?;
        }
        Ok(())
    }

    /// Starts a safetensors file.
    fn start(&mut self, name: &str, header: &[u8]) -> Result<()> {
        self.check_complete()?;
        self.seal()?;
        if self.report.files == 0 {
            name.clone_into(&mut self.first_name);
        }
        self.expected = safetensors_header::parse_header(header)?.into();
        self.current = self.create(name)?;
        self.report.files += 1;
        let header = match &mut self.conversion {
            Some(conversion) => Cow::Owned(conversion.header(header)?),
            None => Cow::Borrowed(header),
        };
        self.write(&(header.len() as u64).to_le_bytes())?;
        self.write(&header)
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
        // The path of the output is in the error, so that the input is not blamed.
        match (&mut self.current, &mut self.target) {
            (Some(file), _) => {
                file.write_all(bytes).map_err(|error| Error::from(error).in_file(file.path()))?;
            }
            (None, Target::Stream(stream)) => {
                stream.write_all(bytes).map_err(|error| Error::from(error).in_file(OUTPUT))?;
            }
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
        self.check_complete()?;
        self.seal()?;
        self.finish_indexes()?;
        if let Target::Stream(stream) = &mut self.target {
            stream.flush().map_err(|error| Error::from(error).in_file(OUTPUT))?;
        }
        for file in self.sealed {
            let path = file.path().to_owned();
            file.commit().map_err(|error| Error::from(error).in_file(&path))?;
            self.folders.keep();
        }
        self.folders.keep();
        Ok(self.report)
    }
}
