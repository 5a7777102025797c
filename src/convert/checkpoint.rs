//! Safetensors checkpoints: a file, or a folder of shards.

use super::SINGLE_FILE_NAME;
use super::attached_files::{AttachedFile, FolderFiles};
use super::folder::{FolderContents, Layout};
use super::inventory::{Inventory, LeftOut, LeftOutReason};
use super::progress::{Progress, Reporter};
use super::safetensors_header::{self, HeaderEntry, LENGTH_BYTES};
use super::shard::{Shard, ShardTensor};
use super::shard_index::IndexFile;
use crate::dtype::Dtype;
use crate::encode::Plan;
use crate::encode::{TensorSource, Writer};
use crate::error::{Error, Result};
use crate::format::ObjectKind;
use crate::io::{FileSection, folder_of};
use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

/// The key of the metadata with a JSON object: for each weight the one whose inputs it shares.
const SHARE: &str = "share";

/// An open checkpoint: a safetensors file, or shards with or without an index.
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
    /// The index, if it has one.
    index: Option<IndexFile>,
    /// Further files of the folder.
    files: Vec<AttachedFile>,
    shards: Vec<Shard>,
    inventory: Inventory,
}

impl Checkpoint {
    /// Opens a safetensors file, the index of a sharded checkpoint, or a folder.
    ///
    /// A folder contains an index (`*.safetensors.index.json`, also with a variant as in
    /// `….index.fp16.json`) and the shards that it lists, in the folder or below it; or, without an
    /// index, numbered shards (`…-00001-of-00002.safetensors`, `….00.safetensors`) or a single
    /// safetensors file of any name. What else there is, is in the [`inventory`](Self::inventory).
    ///
    /// # Errors
    /// `Io`, with `NotFound` also if a folder contains no checkpoint or shards are missing;
    /// `SeveralCheckpoints`; `NotSafetensors`; `Truncated`; `Corrupt` if a file is damaged, two
    /// shards contain the same tensor, or the index is empty or names a tensor that its shard does
    /// not contain; `Unsupported` for an unknown dtype.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        if path.is_dir() {
            let contents = FolderContents::list(path)?;
            return match contents.layout(path)? {
                Layout::Index(index) => Self::open_index(path, &index, &contents),
                Layout::Shards(names) => {
                    let left_out = contents.left_out(path, None, &names.iter().cloned().collect());
                    Self::open_files(path, &names, left_out)
                }
            };
        }
        match path.file_name().and_then(|name| name.to_str()) {
            Some(name) if name.ends_with(".json") => {
                let folder = folder_of(path);
                Self::open_index(folder, name, &FolderContents::list(folder)?)
            }
            _ => {
                let shard = Shard::open(SINGLE_FILE_NAME, path)?;
                Ok(Self::new(None, vec![shard], Vec::new(), Vec::new()))
            }
        }
    }

    fn new(
        index: Option<IndexFile>,
        shards: Vec<Shard>,
        left_out: Vec<LeftOut>,
        unlisted: Vec<(PathBuf, String)>,
    ) -> Self {
        let paths = shards.iter().map(|shard| shard.path.clone()).collect();
        let inventory = Inventory { shards: paths, left_out, unlisted };
        Self { index, files: Vec::new(), shards, inventory }
    }

    /// Adds the other files of the `folder` of the checkpoint, such as configuration and tokenizer,
    /// so that the `.occ` file is the whole model.
    ///
    /// These are the regular files, and those of subfolders without weights, that are not hidden and
    /// not weights in another format: up to 64 MiB each and 256 MiB in all. Links to files are
    /// followed. What is not taken is added to the [`inventory`](Self::inventory), but for hidden
    /// files and `__pycache__`. No file is read yet.
    ///
    /// ```no_run
    /// let mut checkpoint = occ::convert::Checkpoint::open("model")?;
    /// checkpoint.add_files("model")?;
    /// assert!(checkpoint.file_names().any(|name| name == "config.json"));
    /// # Ok::<(), occ::Error>(())
    /// ```
    ///
    /// # Errors
    /// `Io`.
    pub fn add_files(&mut self, folder: impl AsRef<Path>) -> Result<()> {
        let is_taken =
            |folder: &str| self.shards.iter().any(|shard| shard.name.starts_with(folder));
        let FolderFiles { kept, left_out } = FolderFiles::list(folder.as_ref(), is_taken)?;
        self.files = kept;
        self.inventory.left_out.extend(left_out);
        Ok(())
    }

    /// Keeps the entries of the inventory that are left out for reasons that are `wanted`.
    pub(super) fn retain_left_out(&mut self, wanted: impl Fn(LeftOutReason) -> bool) {
        self.inventory.left_out.retain(|file| wanted(file.reason));
    }

    /// Adds files of a folder by their names.
    pub(super) fn add_named_files<'n>(
        &mut self,
        folder: &Path,
        names: impl IntoIterator<Item = &'n str>,
    ) -> Result<()> {
        for name in names {
            self.files.push(AttachedFile::open(folder, name)?);
        }
        Ok(())
    }

    /// Opens shards without an index.
    pub(super) fn open_files(
        folder: &Path,
        names: &[String],
        left_out: Vec<LeftOut>,
    ) -> Result<Self> {
        let shards = open_shards(folder, names)?;
        owners(&shards)?;
        Ok(Self::new(None, shards, left_out, Vec::new()))
    }

    pub(super) fn open_index(folder: &Path, name: &str, contents: &FolderContents) -> Result<Self> {
        let path = folder.join(name);
        let in_index = |error: Error| error.in_file(&path);
        let file = IndexFile::read(name, &path)?;
        let index = &file.index;
        index.check_shards(folder).map_err(in_index)?;
        let names = index.shards();
        let shards = open_shards(folder, &names)?;
        let unlisted = index.check_tensors(&owners(&shards)?).map_err(in_index)?;
        let unlisted = unlisted.into_iter().map(|(shard, name)| (folder.join(shard), name));
        let left_out = contents.left_out(folder, Some(name), &names);
        Ok(Self::new(Some(file), shards, left_out, unlisted.collect()))
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
        Ok(Self::new(None, vec![shard], Vec::new(), Vec::new()))
    }

    /// What belongs to the checkpoint, and which files of its folder do not.
    pub fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    /// The files of the checkpoint: the index, if it has one, and the shards.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        let index = self.index.iter().map(|index| index.path.as_path());
        let files = self.files.iter().map(|file| file.path.as_path());
        index.chain(files).chain(self.shards.iter().map(|shard| shard.path.as_path()))
    }

    /// Whether the checkpoint consists of several files, and not of a single one without an index:
    /// it is restored to a folder.
    pub fn is_sharded(&self) -> bool {
        self.index.is_some() || !self.files.is_empty() || self.shards.len() > 1
    }

    /// The names under which the files are restored, relative to their folder, in the order of
    /// [`paths`](Self::paths).
    pub fn file_names(&self) -> impl Iterator<Item = &str> {
        let index = self.index.iter().map(|index| index.name.as_str());
        let files = self.files.iter().map(|file| file.name.as_str());
        index.chain(files).chain(self.shards.iter().map(|shard| shard.name.as_str()))
    }

    /// The headers of the safetensors files, in order: JSON with the descriptions of tensors and the
    /// metadata.
    pub fn headers(&self) -> impl Iterator<Item = &[u8]> {
        self.shards.iter().map(|shard| &shard.header[..])
    }

    /// The Unix permissions that all shards give, for [`WriteOptions::mode`](crate::WriteOptions::mode);
    /// `None` for an input that is not a file.
    pub fn mode(&self) -> Option<u32> {
        self.shards.iter().filter_map(|shard| shard.mode).reduce(|all, mode| all & mode)
    }

    /// Bytes of all files.
    pub fn file_bytes(&self) -> u64 {
        let index = self.index.as_ref().map_or(0, |index| index.index.bytes.len() as u64);
        let headers: u64 =
            self.shards.iter().map(|shard| LENGTH_BYTES + shard.header.len() as u64).sum();
        index + self.attached_bytes() + headers + self.tensor_bytes()
    }

    /// Number of the files that were added by [`add_files`](Self::add_files).
    pub fn attached_files(&self) -> usize {
        self.files.len()
    }

    /// Bytes of the files that were added by [`add_files`](Self::add_files).
    pub fn attached_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.shape[0] as u64).sum()
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
    ///
    /// ```no_run
    /// let checkpoint = occ::convert::Checkpoint::open("model.safetensors")?;
    /// for tensor in checkpoint.sources() {
    ///     println!("{} {} {:?}: {} bytes", tensor.name, tensor.dtype, tensor.shape, tensor.data.size());
    /// }
    /// # Ok::<(), occ::Error>(())
    /// ```
    pub fn sources(&self) -> impl Iterator<Item = TensorSource<'_>> {
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

    /// Writes the checkpoint losslessly: the index, other files, then for each shard its header and
    /// its tensors in the order of their bytes, so that the files can be restored from a stream.
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

    /// The objects of the `.occ` file, in order: the index, other files, then for each shard its
    /// header and its tensors.
    pub(super) fn objects(&self) -> Vec<TensorSource<'_>> {
        let mut objects = Vec::new();
        objects.extend(self.index.as_ref().map(IndexFile::source));
        for file in &self.files {
            let object = TensorSource::attachment(ObjectKind::File, &file.name, &file.shape, file);
            objects.push(object.in_file(&file.path));
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

/// Opens shards by their paths below a folder.
fn open_shards<'n>(
    folder: &Path,
    names: impl IntoIterator<Item = &'n String>,
) -> Result<Vec<Shard>> {
    names.into_iter().map(|name| Shard::open(name, &folder.join(name))).collect()
}

/// The shard of each tensor.
///
/// # Errors
/// `Corrupt` if two shards contain the same tensor.
fn owners(shards: &[Shard]) -> Result<HashMap<&str, &str>> {
    let mut owners = HashMap::new();
    for shard in shards {
        for tensor in &shard.tensors {
            if let Some(other) = owners.insert(tensor.entry.name.as_str(), shard.name.as_str()) {
                let what =
                    format!("the shards {other} and {} both contain this tensor", shard.name);
                let error = Error::corrupt(what).in_tensor(&tensor.entry.name);
                return Err(error.in_file(&shard.path));
            }
        }
    }
    Ok(owners)
}
