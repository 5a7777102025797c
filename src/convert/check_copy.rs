//! Whether an `.occ` file and safetensors files hold the same.

use super::checkpoint::Checkpoint;
use super::folder::FolderContents;
use super::progress::{Progress, Reporter};
use super::restored_files::is_sharded;
use super::shard_names::is_index;
use super::target::names_folder;
use crate::encode::TensorSource;
use crate::error::{Error, Result};
use crate::format::{Object, PayloadLayout};
use crate::io::FileSection;
use crate::read::{Attachment, AttachmentKind, Part, Reader, StreamReader};
use std::fs::File;
use std::path::Path;
use std::vec::IntoIter;

impl Checkpoint {
    /// Checks that an `.occ` file is a copy of this checkpoint: decodes all of it, with all checksums,
    /// and compares headers, other files and lossless tensors byte for byte. Of lossy tensors, only dtype
    /// and shape are compared. `progress` receives decoded tensor bytes.
    ///
    /// ```no_run
    /// let checkpoint = occ::convert::Checkpoint::open("model.safetensors")?;
    /// checkpoint.check_copy("model.occ", None)?; // the original is not needed any more
    /// # Ok::<(), occ::Error>(())
    /// ```
    ///
    /// # Errors
    /// `Corrupt` where the file differs, and any other format violation; `Io`; `Cancelled`.
    pub fn check_copy(
        &self,
        file: impl AsRef<Path>,
        progress: Option<&mut Progress<'_>>,
    ) -> Result<()> {
        compare(file.as_ref(), self.objects(), LossyTensors::Decode, progress)
    }
}

/// Checks that a safetensors file, or the folder of shards, is what an `.occ` file decompresses to:
/// decodes all of it, with all checksums, and compares every byte. `progress` receives decoded tensor
/// bytes.
///
/// # Errors
/// `Corrupt` where they differ, and any other format violation; those of [`Checkpoint::open`];
/// `Cancelled`.
pub fn check_restored(
    file: impl AsRef<Path>,
    restored: impl AsRef<Path>,
    progress: Option<&mut Progress<'_>>,
) -> Result<()> {
    let (file, restored) = (file.as_ref(), restored.as_ref());
    let reader = Reader::open(file)?;
    let attachments = reader.attachments().collect::<Result<Vec<_>>>()?;
    let in_folder = is_sharded(&reader)? || names_folder(restored);
    let named = |kind| {
        let wanted = attachments.iter().filter(move |one| one.kind() == kind);
        wanted.map(Attachment::name)
    };
    let (indexes, others): (Vec<&str>, Vec<&str>) =
        named(AttachmentKind::File).partition(|name| is_index(name));
    let mut checkpoint = match indexes.first() {
        _ if !in_folder => Checkpoint::open(restored)?,
        Some(index) => Checkpoint::open_index(restored, index, &FolderContents::default())?,
        None => {
            let names: Vec<_> =
                named(AttachmentKind::SafetensorsHeader).map(str::to_owned).collect();
            let names = if names.is_empty() { vec![super::SINGLE_FILE_NAME.into()] } else { names };
            Checkpoint::open_files(restored, &names, Vec::new())?
        }
    };
    if in_folder {
        checkpoint.add_named_files(restored, others)?;
    }
    let mut objects = checkpoint.objects();
    // A file that was not made from safetensors has no header.
    objects.retain(|object| object.is_tensor() || !attachments.is_empty());
    compare(file, objects, LossyTensors::Compare, progress)
}

/// What is done with lossy tensors of the `.occ` file.
#[derive(Clone, Copy, PartialEq)]
enum LossyTensors {
    Compare,
    Decode,
}

fn compare(
    file: &Path,
    objects: Vec<TensorSource<'_>>,
    lossy: LossyTensors,
    progress: Option<&mut Progress<'_>>,
) -> Result<()> {
    let mut comparison = Comparison {
        rest: objects.into_iter(),
        current: None,
        lossy,
        buffer: Vec::new(),
        progress: Reporter(progress),
    };
    let mut compare = || {
        // Not a folder or a pipe.
        FileSection::open(file)?;
        let mut stream = StreamReader::new(File::open(file)?)?;
        stream.decode_all(None, &mut |part| match part {
            Part::Begin(object) => comparison.begin(object),
            Part::Bytes(bytes, _) => comparison.compare(bytes),
            Part::End => comparison.end(),
        })?;
        match comparison.rest.next() {
            Some(missing) => Err(Error::corrupt("missing tensor").in_tensor(missing.name)),
            None => Ok(()),
        }
    };
    compare().map_err(|error: Error| error.in_file(file))
}

/// The objects of an `.occ` file, compared in order with those that it was made from.
struct Comparison<'c, 'q, 'p> {
    rest: IntoIter<TensorSource<'c>>,
    current: Option<Current<'c>>,
    lossy: LossyTensors,
    buffer: Vec<u8>,
    progress: Reporter<'q, 'p>,
}

struct Current<'c> {
    source: TensorSource<'c>,
    /// Bytes that are compared.
    done: u64,
    is_compared: bool,
}

impl Comparison<'_, '_, '_> {
    fn begin(&mut self, object: &Object) -> Result<()> {
        let (dtype, shape) = (object.geometry.dtype(), object.native_shape()?);
        let is_same = |source: &TensorSource<'_>| {
            (source.kind(), source.name, source.dtype, source.shape)
                == (object.kind, object.name.as_str(), dtype, &shape[..])
        };
        let source = self.rest.next().filter(is_same).ok_or_else(|| {
            Error::corrupt("not the tensor of the original at this place").in_tensor(&object.name)
        })?;
        let is_lossy = object.layout == PayloadLayout::ChunkedLossy;
        let is_compared = !is_lossy || self.lossy == LossyTensors::Compare;
        self.current = Some(Current { source, done: 0, is_compared });
        Ok(())
    }

    fn compare(&mut self, bytes: &[u8]) -> Result<()> {
        let Some(Current { source, done, is_compared }) = &mut self.current else { return Ok(()) };
        let range = *done..*done + bytes.len() as u64;
        *done = range.end;
        if *is_compared && source.data.read_at(range, &mut self.buffer)? != bytes {
            return Err(Error::corrupt("differs from the original").in_tensor(source.name));
        }
        let is_tensor = source.is_tensor();
        self.progress.report(if is_tensor { bytes.len() as u64 } else { 0 })
    }

    fn end(&mut self) -> Result<()> {
        match self.current.take().filter(|current| current.done != current.source.data.size()) {
            Some(Current { source, .. }) => {
                Err(Error::corrupt("shorter than the original").in_tensor(source.name))
            }
            None => Ok(()),
        }
    }
}
