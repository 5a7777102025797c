//! Merging `.occ` files of shards into one.

use super::equal_frames::{EqualFrames, Place};
use super::progress::{Progress, Reporter};
use super::restored_files::is_sharded;
use super::shard_index::IndexFile;
use crate::encode::{Plan, WriteOptions, Writer, reference_header};
use crate::error::{Error, Result};
use crate::format::{FrameHeader, ObjectKind, check_relative_path};
use crate::io::permission_bits;
use crate::read::{Reader, StoredFrame};
use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};

/// Merges `.occ` files into one, in the order of `inputs`. Returns its length in bytes.
///
/// Frames are copied, and nothing is decoded or encoded again: the chunks keep their bytes, and their
/// checksums are compared. A tensor of at least 4 KiB whose coded bytes are those of a tensor in an
/// earlier file becomes a reference to it, as within one checkpoint. The output is aligned to the
/// largest alignment of the inputs.
///
/// If each input was made from one safetensors file, the output restores all of them to a folder. Each
/// has the name that decompression of its input alone would give it: `a.safetensors` for `a.occ`.
/// `index` is the index of these shards (`model.safetensors.index.json`), to be restored with them.
/// For lossless files in the order of the shards the output then equals, byte for byte, the one
/// that is made from the folder at once, without its other files.
///
/// Memory use is the indexes of all files and a chunk; all inputs stay open. `progress` receives the
/// bytes of chunks that are copied.
///
/// ```no_run
/// let shards = ["model-00001-of-00002.occ", "model-00002-of-00002.occ"];
/// let index = std::path::Path::new("model.safetensors.index.json");
/// occ::convert::merge(&shards, Some(index), "model.occ", false, None)?;
/// # Ok::<(), occ::Error>(())
/// ```
///
/// # Errors
/// `InvalidArgument` if two inputs contain an object of the same name, with both files; if some inputs
/// have safetensors headers and others have not; or if an input other than the first has an index.
/// `Corrupt` if the index has a tensor in another shard. Those of reading and writing; `Cancelled`.
pub fn merge(
    inputs: &[impl AsRef<Path>],
    index: Option<&Path>,
    output: impl AsRef<Path>,
    overwrite: bool,
    progress: Option<&mut Progress<'_>>,
) -> Result<u64> {
    let is_merged = inputs.len() > 1 || index.is_some();
    let parts: Vec<Part> =
        inputs.iter().map(|path| Part::open(path.as_ref(), is_merged)).collect::<Result<_>>()?;
    let index = index.map(IndexFile::open).transpose()?;
    check_objects(&parts, index.as_ref())?;
    let readers: Vec<&Reader<'_>> = parts.iter().map(|part| &part.reader).collect();
    let equal = EqualFrames::find(&readers)?;

    let alignment = parts.iter().map(|part| part.reader.alignment()).max();
    let mut options = WriteOptions::default().overwrite(overwrite);
    // At most 2^16.
    options.alignment = alignment.map_or(options.alignment, |alignment| alignment as u32);
    options.mode = parts.iter().filter_map(|part| part.mode).reduce(|all, mode| all & mode);
    let mut writer = Writer::create(output, options)?;
    if let Some(index) = &index {
        writer.add_sources(&[index.source()], &Plan::default(), &mut |_| Ok(()))?;
    }
    let firsts = first_frames(&parts, usize::from(index.is_some()));
    let mut copy =
        Copy { parts: &parts, firsts, equal, buffer: Vec::new(), progress: Reporter(progress) };
    for (file, part) in parts.iter().enumerate() {
        for position in 0..part.reader.object_count() {
            let frame = part.reader.stored_frame(position)?;
            copy.frame(&frame, (file, position), &mut writer)
                .map_err(|error| frame.locate(error))?;
        }
    }
    writer.finish()
}

/// One of the files.
struct Part {
    path: PathBuf,
    mode: Option<u32>,
    reader: Reader<'static>,
    /// The name of the safetensors file that it was made from, if it is to be renamed.
    header_name: Option<String>,
}

impl Part {
    fn open(path: &Path, is_merged: bool) -> Result<Self> {
        let open = || {
            let mode = permission_bits(&File::open(path)?)?;
            let reader = Reader::open(path)?;
            let header_name = match is_merged && !is_sharded(&reader)? {
                true => Some(single_file_name(path)?),
                false => None,
            };
            Ok(Self { path: path.to_owned(), mode, reader, header_name })
        };
        open().map_err(|error: Error| error.in_file(path))
    }

    /// The name of one of its objects in the output.
    fn name<'n>(&'n self, kind: ObjectKind, name: &'n str) -> &'n str {
        match (kind, &self.header_name) {
            (ObjectKind::SafetensorsHeader, Some(name)) => name,
            _ => name,
        }
    }
}

/// The name of the safetensors file that an `.occ` file at `path` decompresses to.
fn single_file_name(path: &Path) -> Result<String> {
    let stem = path.file_stem().and_then(|stem| stem.to_str());
    let stem = stem.ok_or_else(|| Error::invalid("the name of the file is not UTF-8"))?;
    Ok(format!("{stem}.safetensors"))
}

/// Checks that names differ, and that the output can be restored.
fn check_objects(parts: &[Part], index: Option<&IndexFile>) -> Result<()> {
    let mut places: HashMap<(ObjectKind, String), &Path> = HashMap::new();
    let mut owners: HashMap<String, String> = HashMap::new();
    let mut starts_with_tensor = index.map(|index| (false, &index.path));
    for (number, part) in parts.iter().enumerate() {
        let mut shard = String::new();
        for position in 0..part.reader.object_count() {
            let frame = part.reader.stored_frame(position)?;
            let kind = frame.object().kind;
            let name = part.name(kind, &frame.object().name).to_owned();
            let invalid = |what: String| {
                let error = Error::invalid(what);
                Err(if kind == ObjectKind::Tensor { error.in_tensor(&name) } else { error }
                    .in_file(&part.path))
            };
            if position == 0 {
                let is_tensor = kind == ObjectKind::Tensor;
                let (first, other) = *starts_with_tensor.get_or_insert((is_tensor, &part.path));
                if first != is_tensor {
                    return invalid(format!(
                        "only one of this file and {} was made from safetensors",
                        other.display()
                    ));
                }
            }
            if kind == ObjectKind::File && (number > 0 || index.is_some()) {
                return invalid(format!("{name}: an index must be the first object of the output"));
            }
            if let Some(other) = places.insert((kind, name.clone()), &part.path) {
                let other = other.display();
                return invalid(match kind {
                    ObjectKind::Tensor => format!("{other} contains this tensor, too"),
                    _ => format!("{other} contains the file {name}, too"),
                });
            }
            match kind {
                ObjectKind::Tensor => {
                    owners.insert(name, shard.clone());
                }
                _ => shard = name,
            }
        }
    }
    let Some(IndexFile { path, index, .. }) = index else { return Ok(()) };
    let owners = owners.iter().map(|(name, shard)| (&**name, &**shard)).collect();
    index.check_tensors(&owners).map(|_| ()).map_err(|error| error.in_file(path))
}

/// For each file the position of its first frame in the output, whose first `before` frames are not
/// theirs.
fn first_frames(parts: &[Part], before: usize) -> Vec<usize> {
    let mut next = before;
    let first = |part: &Part| {
        let first = next;
        next += part.reader.object_count();
        first
    };
    parts.iter().map(first).collect()
}

/// Copies frames.
struct Copy<'c, 'p, 'r> {
    parts: &'c [Part],
    firsts: Vec<usize>,
    equal: EqualFrames,
    buffer: Vec<u8>,
    progress: Reporter<'r, 'p>,
}

impl Copy<'_, '_, '_> {
    fn frame(
        &mut self,
        frame: &StoredFrame<'_>,
        place: Place,
        writer: &mut Writer<'_>,
    ) -> Result<()> {
        let mut header = frame.header()?.clone();
        let object = &mut header.object;
        object.name = self.parts[place.0].name(object.kind, &object.name).to_owned();
        if object.kind != ObjectKind::Tensor {
            check_relative_path(&object.name)?;
        }
        let chunks = object.geometry.chunk_count();
        let footer = frame.footer()?;
        if let Some(first) = self.equal.first(place) {
            writer.begin_copy(self.reference(header, first)?)?;
            for _ in 0..chunks {
                writer.copy_chunk(&[])?;
            }
            return writer.end_copy(footer);
        }
        if let Some(target) = frame.target()? {
            // Before this frame, so that it is a position.
            let target = (place.0, target as usize);
            header = self.reference(header, self.equal.first(target).unwrap_or(target))?;
        }
        header.referenced |= self.equal.is_referenced(place);
        writer.begin_copy(header)?;
        for number in 0..chunks {
            let chunk = frame.chunk(number, &mut self.buffer)?;
            writer.copy_chunk(chunk)?;
            self.progress.report(chunk.len() as u64)?;
        }
        writer.end_copy(footer)
    }

    /// The header of a reference to another frame.
    fn reference(&self, header: FrameHeader, (file, position): Place) -> Result<FrameHeader> {
        reference_header(header.object, self.firsts[file] + position)
    }
}
