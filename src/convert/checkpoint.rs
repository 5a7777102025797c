//! A checkpoint in safetensors form, ready to be written as `.occ`.

use super::safetensors::{self, Described, LENGTH_BYTES};
use super::{INDEX_NAME, LONE_NAME, Progress, report};
use crate::dtype::Dtype;
use crate::encode::Plan;
use crate::encode::{TensorSource, Writer};
use crate::error::{Error, Result};
use crate::format::{ObjectKind, check_file_name};
use crate::io::FileSection;
use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A safetensors file, or a folder of them with their index, whose headers have been read.
///
/// ```no_run
/// use occ::{WriteOptions, Writer, convert::Checkpoint};
/// use std::ops::ControlFlow;
/// let checkpoint = Checkpoint::open("model.safetensors")?;
/// let mut writer = Writer::create("model.occ", WriteOptions::default())?;
/// checkpoint.write_to(&mut writer, &mut |_| ControlFlow::Continue(()))?;
/// writer.finish()?;
/// # Ok::<(), occ::Error>(())
/// ```
#[derive(Debug)]
pub struct Checkpoint {
    /// The index, if the checkpoint is sharded.
    index: Option<ShardIndex>,
    shards: Vec<Shard>,
}

/// The index of a sharded checkpoint.
#[derive(Debug)]
struct ShardIndex {
    path: PathBuf,
    bytes: Vec<u8>,
    /// The length of the bytes, as the shape of an attachment.
    shape: [usize; 1],
}

#[derive(Debug)]
struct Shard {
    name: String,
    path: PathBuf,
    file: Arc<File>,
    header: Vec<u8>,
    /// The length of the header, as the shape of an attachment.
    header_shape: [usize; 1],
    tensors: Vec<Described>,
}

/// A tensor of a checkpoint, and where its bytes lie.
pub(crate) struct Section<'c> {
    pub(crate) name: &'c str,
    pub(crate) dtype: Dtype,
    pub(crate) shape: &'c [usize],
    /// The file they lie in.
    pub(crate) path: &'c Path,
    pub(crate) bytes: FileSection,
}

impl Checkpoint {
    /// Opens a safetensors file, or a folder that holds `model.safetensors.index.json` or else
    /// `model.safetensors`.
    ///
    /// # Errors
    /// `Io`; `Corrupt` when a file is not safetensors or shards contradict each other.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        if !path.is_dir() {
            return Ok(Self { index: None, shards: vec![Shard::open(LONE_NAME, path)?] });
        }
        let (index, lone) = (path.join(INDEX_NAME), path.join(LONE_NAME));
        match (index.exists(), lone.exists()) {
            (true, _) => Self::open_folder(path, &index),
            (false, true) => Self::open(lone),
            (false, false) => {
                let what = format!("neither {INDEX_NAME} nor {LONE_NAME} in this folder");
                let error = io::Error::new(io::ErrorKind::NotFound, what);
                Err(Error::from(error).in_file(path))
            }
        }
    }

    fn open_folder(folder: &Path, index: &Path) -> Result<Self> {
        let bytes = fs::read(index).map_err(|error| Error::from(error).in_file(index))?;
        let mut shards = Vec::new();
        for name in shard_names(&bytes).map_err(|error| error.in_file(index))? {
            shards.push(Shard::open(&name, &folder.join(&name))?);
        }
        let mut owners = HashMap::new();
        for shard in &shards {
            for tensor in &shard.tensors {
                if let Some(other) = owners.insert(&tensor.name, &shard.name) {
                    let what = format!("the shards {other} and {} both hold it", shard.name);
                    return Err(Error::corrupt(what).in_tensor(&tensor.name));
                }
            }
        }
        let (path, shape) = (index.to_owned(), [bytes.len()]);
        Ok(Self { index: Some(ShardIndex { path, bytes, shape }), shards })
    }

    /// Copies a safetensors file from `input` to a nameless temporary file in `folder`: tensors
    /// are read more than once, which a pipe does not allow.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn spool(
        mut input: impl Read,
        folder: impl AsRef<Path>,
        progress: &mut Progress<'_>,
    ) -> Result<Self> {
        let folder = folder.as_ref();
        let in_folder = |error: io::Error| Error::from(error).in_file(folder);
        let mut file = tempfile::tempfile_in(folder).map_err(in_folder)?;
        let mut buffer = Vec::new();
        loop {
            buffer.clear();
            if input.by_ref().take(1 << 20).read_to_end(&mut buffer)? == 0 {
                break;
            }
            file.write_all(&buffer).map_err(in_folder)?;
            report(progress, buffer.len() as u64)?;
        }
        file.rewind().map_err(in_folder)?;
        let path = PathBuf::from("standard input");
        let shard = Shard::from_file(LONE_NAME, path.clone(), file);
        let shard = shard.map_err(|error| error.in_file(&path))?;
        Ok(Self { index: None, shards: vec![shard] })
    }

    /// The files it consists of.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        let index = self.index.iter().map(|index| index.path.as_path());
        index.chain(self.shards.iter().map(|shard| shard.path.as_path()))
    }

    /// Whether it is a folder of shards with their index, rather than one file.
    pub fn is_sharded(&self) -> bool {
        self.index.is_some()
    }

    /// Bytes of all its files.
    pub fn file_bytes(&self) -> u64 {
        let index = self.index.as_ref().map_or(0, |index| index.bytes.len() as u64);
        let headers: u64 =
            self.shards.iter().map(|shard| LENGTH_BYTES + shard.header.len() as u64).sum();
        index + headers + self.tensor_bytes()
    }

    /// Bytes of all its tensors.
    pub fn tensor_bytes(&self) -> u64 {
        self.tensors().map(|tensor| tensor.range.end - tensor.range.start).sum()
    }

    /// Elements of all its tensors.
    pub fn weights(&self) -> u64 {
        self.tensors().map(|tensor| tensor.shape.iter().map(|&n| n as u64).product::<u64>()).sum()
    }

    /// How many tensors it holds.
    pub fn tensor_count(&self) -> usize {
        self.tensors().count()
    }

    fn tensors(&self) -> impl Iterator<Item = &Described> {
        self.shards.iter().flat_map(|shard| &shard.tensors)
    }

    /// All tensors, shard by shard in the order of their bytes.
    pub(crate) fn sections(&self) -> impl Iterator<Item = Section<'_>> {
        self.shards.iter().flat_map(Shard::sections)
    }

    /// Writes everything, losing nothing: the index, then shard by shard its header and tensors in
    /// the order of their bytes, so that the files can be restored from a stream.
    ///
    /// # Errors
    /// `Io`, and `InvalidArgument` when a file changes meanwhile.
    pub fn write_to(&self, writer: &mut Writer<'_>, progress: &mut Progress<'_>) -> Result<()> {
        self.write_planned(writer, &Plan::default(), progress)?;
        Ok(())
    }

    /// Everything that is written, in order: the index, then for each shard its header and its
    /// tensors, which are `sections`.
    pub(super) fn sources<'c>(&'c self, sections: &'c [Section<'c>]) -> Vec<TensorSource<'c>> {
        let mut sources = Vec::new();
        if let Some(ShardIndex { path, bytes, shape }) = &self.index {
            let source = TensorSource::attachment(ObjectKind::File, INDEX_NAME, shape, bytes);
            sources.push(source.in_file(path));
        }
        let mut sections = sections.iter();
        for Shard { name, path, header, header_shape, tensors, .. } in &self.shards {
            let kind = ObjectKind::SafetensorsHeader;
            let source = TensorSource::attachment(kind, name, header_shape, header);
            sources.push(source.in_file(path));
            sources.extend(sections.by_ref().take(tensors.len()).map(Section::source));
        }
        sources
    }
}

impl Section<'_> {
    pub(super) fn source(&self) -> TensorSource<'_> {
        let Self { name, dtype, shape, path, ref bytes } = *self;
        TensorSource::new(name, dtype, shape, bytes).in_file(path)
    }
}

impl Shard {
    fn open(name: &str, path: &Path) -> Result<Self> {
        let open = || Self::from_file(name, path.to_owned(), File::open(path)?);
        open().map_err(|error: Error| error.in_file(path))
    }

    fn from_file(name: &str, path: PathBuf, mut file: File) -> Result<Self> {
        let header = safetensors::read_header(&mut file)?;
        let tensors = safetensors::parse_header(&header)?;
        let data = tensors.last().map_or(0, |tensor| tensor.range.end);
        let expected = LENGTH_BYTES + header.len() as u64 + data;
        let length = file.metadata()?.len();
        if length < expected {
            return Err(Error::truncated().at_offset(length));
        }
        if length > expected {
            let what = "bytes after the last tensor of a safetensors file";
            return Err(Error::corrupt(what).at_offset(expected));
        }
        let header_shape = [header.len()];
        Ok(Self { name: name.to_owned(), path, file: file.into(), header, header_shape, tensors })
    }

    fn sections(&self) -> impl Iterator<Item = Section<'_>> {
        let data = LENGTH_BYTES + self.header.len() as u64;
        self.tensors.iter().map(move |tensor| {
            let range = data + tensor.range.start..data + tensor.range.end;
            Section {
                name: &tensor.name,
                dtype: tensor.dtype,
                shape: &tensor.shape,
                path: &self.path,
                bytes: FileSection::new(Arc::clone(&self.file), range),
            }
        })
    }
}

/// The files that an index maps tensors to, sorted.
fn shard_names(index: &[u8]) -> Result<BTreeSet<String>> {
    let bad = |what: &str| Error::corrupt(format!("{INDEX_NAME}: {what}"));
    let index: serde_json::Value =
        serde_json::from_slice(index).map_err(|error| bad(&error.to_string()))?;
    let map = index.get("weight_map").and_then(|map| map.as_object());
    let map = map.ok_or_else(|| bad("no weight_map"))?;
    map.values()
        .map(|name| {
            let name = name.as_str().ok_or_else(|| bad("a weight_map value is not a name"))?;
            check_file_name(name)?;
            Ok(name.to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_names_its_shards_once_and_safely() {
        let names = shard_names(br#"{"weight_map":{"a":"2","b":"1","c":"2"}}"#).unwrap();
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["1", "2"]);
        for index in ["", "{}", r#"{"weight_map":{"a":1}}"#, r#"{"weight_map":{"a":"../x"}}"#] {
            assert!(shard_names(index.as_bytes()).is_err(), "{index}");
        }
    }
}
