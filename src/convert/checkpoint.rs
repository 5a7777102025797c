//! Safetensors checkpoints: a file, or a folder of shards.

use super::progress::{Progress, Reporter};
use super::safetensors_header::{self, HeaderEntry, LENGTH_BYTES};
use super::{INDEX_NAME, SINGLE_FILE_NAME};
use crate::dtype::Dtype;
use crate::encode::Plan;
use crate::encode::{TensorSource, Writer};
use crate::error::{Error, Result};
use crate::format::{ObjectKind, check_file_name};
use crate::io::{FileSection, permission_bits};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The key of the metadata with a JSON object: for each weight the one whose inputs it shares.
const SHARE: &str = "share";

/// An open safetensors file, or an open checkpoint folder (shards and their index).
///
/// Opening reads headers only. Tensors are read when they are planned or written.
///
/// ```no_run
/// use occ::{WriteOptions, Writer, convert::Checkpoint};
/// let checkpoint = Checkpoint::open("model.safetensors")?;
/// let mut writer = Writer::create("model.occ", WriteOptions::default())?;
/// checkpoint.write_to(&mut writer, None)?;
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
    /// The permissions of the file.
    mode: Option<u32>,
    header: Vec<u8>,
    /// The length of the header, as the shape of an attachment.
    header_shape: [usize; 1],
    tensors: Vec<ShardTensor>,
}

/// A tensor of a shard.
#[derive(Debug)]
struct ShardTensor {
    entry: HeaderEntry,
    data: FileSection,
}

impl Checkpoint {
    /// Opens a safetensors file, or a folder that contains `model.safetensors.index.json` or
    /// `model.safetensors`.
    ///
    /// # Errors
    /// `Io`; `Corrupt` if a file is not safetensors or two shards contain the same tensor;
    /// `Unsupported` for an unknown dtype.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        if !path.is_dir() {
            return Ok(Self { index: None, shards: vec![Shard::open(SINGLE_FILE_NAME, path)?] });
        }
        let (index, single) = (path.join(INDEX_NAME), path.join(SINGLE_FILE_NAME));
        match (index.exists(), single.exists()) {
            (true, _) => Self::open_folder(path, &index),
            (false, true) => Self::open(single),
            (false, false) => {
                let what = format!("neither {INDEX_NAME} nor {SINGLE_FILE_NAME} in this folder");
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
                if let Some(other) = owners.insert(&tensor.entry.name, &shard.name) {
                    let what =
                        format!("the shards {other} and {} both contain this tensor", shard.name);
                    return Err(Error::corrupt(what).in_tensor(&tensor.entry.name));
                }
            }
        }
        let (path, shape) = (index.to_owned(), [bytes.len()]);
        Ok(Self { index: Some(ShardIndex { path, bytes, shape }), shards })
    }

    /// Copies a safetensors file from `input`, such as a pipe, to an unnamed temporary file in
    /// `folder`, because planning and encoding read tensors more than once. `progress` receives
    /// the bytes copied.
    ///
    /// # Errors
    /// Those of [`open`](Self::open); `Cancelled`.
    pub fn spool(
        mut input: impl Read,
        folder: impl AsRef<Path>,
        progress: Option<&mut Progress<'_>>,
    ) -> Result<Self> {
        let mut progress = Reporter(progress);
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
            progress.report(buffer.len() as u64)?;
        }
        file.rewind().map_err(in_folder)?;
        let path = PathBuf::from("standard input");
        let shard = Shard::from_file(SINGLE_FILE_NAME, path.clone(), file);
        // The permissions of the temporary file are not those of the input.
        let shard = Shard { mode: None, ..shard.map_err(|error| error.in_file(&path))? };
        Ok(Self { index: None, shards: vec![shard] })
    }

    /// The files of the checkpoint: the index, if it has one, and the shards.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        let index = self.index.iter().map(|index| index.path.as_path());
        index.chain(self.shards.iter().map(|shard| shard.path.as_path()))
    }

    /// Whether the checkpoint is a folder of shards with an index.
    pub fn is_sharded(&self) -> bool {
        self.index.is_some()
    }

    /// The Unix permissions that all shards give, for [`WriteOptions::mode`](crate::WriteOptions::mode);
    /// `None` for an input that is not a file.
    pub fn mode(&self) -> Option<u32> {
        self.shards.iter().filter_map(|shard| shard.mode).reduce(|all, mode| all & mode)
    }

    /// Bytes of all files.
    pub fn file_bytes(&self) -> u64 {
        let index = self.index.as_ref().map_or(0, |index| index.bytes.len() as u64);
        let headers: u64 =
            self.shards.iter().map(|shard| LENGTH_BYTES + shard.header.len() as u64).sum();
        index + headers + self.tensor_bytes()
    }

    /// Bytes of all tensors.
    pub fn tensor_bytes(&self) -> u64 {
        self.tensors().map(|tensor| tensor.range.end - tensor.range.start).sum()
    }

    /// Elements of all tensors.
    pub fn weights(&self) -> u64 {
        self.tensors().map(|tensor| tensor.shape.iter().map(|&n| n as u64).product::<u64>()).sum()
    }

    /// The names of all tensors, in file order.
    pub fn tensor_names(&self) -> impl Iterator<Item = &str> {
        self.tensors().map(|tensor| tensor.name.as_str())
    }

    /// Number of tensors.
    pub fn tensor_count(&self) -> usize {
        self.tensors().count()
    }

    fn tensors(&self) -> impl Iterator<Item = &HeaderEntry> {
        self.shards.iter().flat_map(|shard| &shard.tensors).map(|tensor| &tensor.entry)
    }

    /// All tensors, shard by shard in the order of their bytes.
    pub(crate) fn sources(&self) -> impl Iterator<Item = TensorSource<'_>> {
        self.shards.iter().flat_map(Shard::sources)
    }

    /// All tensors: file, name, dtype and shape, and bytes.
    pub(super) fn sections(
        &self,
    ) -> impl Iterator<Item = (&Path, &str, (Dtype, &[usize]), &FileSection)> {
        let tensors = self
            .shards
            .iter()
            .flat_map(|shard| shard.tensors.iter().map(|tensor| (shard.path.as_path(), tensor)));
        tensors.map(|(path, ShardTensor { entry, data })| {
            (path, entry.name.as_str(), (entry.dtype, &entry.shape[..]), data)
        })
    }

    /// The weights that share the inputs of another one: from the metadata entry `share` of files
    /// with statistics.
    ///
    /// # Errors
    /// `InvalidArgument` if the entry is not a JSON object of names.
    pub(super) fn shared_inputs(&self) -> Result<BTreeMap<String, String>> {
        let mut owners = BTreeMap::new();
        for shard in &self.shards {
            let parse = || {
                let Some(text) = safetensors_header::metadata(&shard.header, SHARE)? else {
                    return Ok(BTreeMap::new());
                };
                serde_json::from_str(&text)
                    .map_err(|error| Error::invalid(format!("metadata entry {SHARE:?}: {error}")))
            };
            owners.append(&mut parse().map_err(|error: Error| error.in_file(&shard.path))?);
        }
        Ok(owners)
    }

    /// Writes the checkpoint losslessly: the index, then for each shard its header and its tensors
    /// in the order of their bytes, so that the files can be restored from a stream.
    ///
    /// # Errors
    /// `Io`; `InvalidArgument` if a file has changed since it was opened; `Cancelled`.
    pub fn write_to(
        &self,
        writer: &mut Writer<'_>,
        progress: Option<&mut Progress<'_>>,
    ) -> Result<()> {
        self.write_planned(writer, &Plan::default(), progress)?;
        Ok(())
    }

    /// The objects of the `.occ` file, in order: the index, then for each shard its header and its
    /// tensors.
    pub(super) fn objects(&self) -> Vec<TensorSource<'_>> {
        let mut objects = Vec::new();
        if let Some(ShardIndex { path, bytes, shape }) = &self.index {
            let object = TensorSource::attachment(ObjectKind::File, INDEX_NAME, shape, bytes);
            objects.push(object.in_file(path));
        }
        for shard in &self.shards {
            let Shard { name, path, header, header_shape, .. } = shard;
            let kind = ObjectKind::SafetensorsHeader;
            let object = TensorSource::attachment(kind, name, header_shape, header);
            objects.push(object.in_file(path));
            objects.extend(shard.sources());
        }
        objects
    }
}

impl Shard {
    fn open(name: &str, path: &Path) -> Result<Self> {
        let open = || Self::from_file(name, path.to_owned(), File::open(path)?);
        open().map_err(|error: Error| error.in_file(path))
    }

    fn from_file(name: &str, path: PathBuf, mut file: File) -> Result<Self> {
        let header = safetensors_header::read_header(&mut file)?;
        let entries = safetensors_header::parse_header(&header)?;
        let data = entries.last().map_or(0, |tensor| tensor.range.end);
        let expected = LENGTH_BYTES + header.len() as u64 + data;
        let (length, mode) = (file.metadata()?.len(), permission_bits(&file)?);
        if length < expected {
            return Err(Error::truncated().at_offset(length));
        }
        if length > expected {
            let what = "bytes after the last tensor of a safetensors file";
            return Err(Error::corrupt(what).at_offset(expected));
        }
        let (file, start) = (Arc::new(file), LENGTH_BYTES + header.len() as u64);
        let tensors = entries.into_iter().map(|entry| {
            let range = start + entry.range.start..start + entry.range.end;
            let data = FileSection::new(Arc::clone(&file), range);
            ShardTensor { entry, data }
        });
        let (name, header_shape, tensors) = (name.to_owned(), [header.len()], tensors.collect());
        Ok(Self { name, path, mode, header, header_shape, tensors })
    }

    fn sources(&self) -> impl Iterator<Item = TensorSource<'_>> {
        self.tensors.iter().map(|ShardTensor { entry, data }| {
            TensorSource::new(&entry.name, entry.dtype, &entry.shape, data).in_file(&self.path)
        })
    }
}

/// The file names in the `weight_map` of an index, sorted.
fn shard_names(index: &[u8]) -> Result<BTreeSet<String>> {
    let bad = |what: &str| Error::corrupt(format!("{INDEX_NAME}: {what}"));
    let index: serde_json::Value =
        serde_json::from_slice(index).map_err(|error| bad(&error.to_string()))?;
    let map = index.get("weight_map").and_then(|map| map.as_object());
    let map = map.ok_or_else(|| bad("no weight_map"))?;
    map.values()
        .map(|name| {
            let name = name.as_str().ok_or_else(|| bad("a value of weight_map is not a string"))?;
            check_file_name(name)?;
            Ok(name.to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shard_names_are_unique_and_have_no_path() {
        let names = shard_names(br#"{"weight_map":{"a":"2","b":"1","c":"2"}}"#).unwrap();
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["1", "2"]);
        for index in ["", "{}", r#"{"weight_map":{"a":1}}"#, r#"{"weight_map":{"a":"../x"}}"#] {
            assert!(shard_names(index.as_bytes()).is_err(), "{index}");
        }
    }
}
