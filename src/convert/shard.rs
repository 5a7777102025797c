//! One safetensors file of a checkpoint.

use super::safetensors_header::{self, HeaderEntry, LENGTH_BYTES};
use crate::encode::TensorSource;
use crate::error::{Error, Result};
use crate::io::{FileSection, permission_bits};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct Shard {
    pub(super) name: String,
    pub(super) path: PathBuf,
    /// The permissions of the file.
    pub(super) mode: Option<u32>,
    pub(super) header: Vec<u8>,
    /// The length of the header, as the shape of an attachment.
    pub(super) header_shape: [usize; 1],
    pub(super) tensors: Vec<ShardTensor>,
}

/// A tensor of a shard.
#[derive(Debug)]
pub(super) struct ShardTensor {
    pub(super) entry: HeaderEntry,
    pub(super) data: FileSection,
}

impl Shard {
    pub(super) fn open(name: &str, path: &Path) -> Result<Self> {
        let open = || Self::from_file(name, path.to_owned(), File::open(path)?);
        open().map_err(|error: Error| error.in_file(path))
    }

    pub(super) fn from_file(name: &str, path: PathBuf, mut file: File) -> Result<Self> {
        if !file.metadata()?.is_file() {
            // Its length is not known, and it cannot be read by position.
            let what = "not a regular file; `-` reads from standard input, also from a pipe";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what).into());
        }
        let header = safetensors_header::read_header(&mut file)?;
        let entries = safetensors_header::parse_header(&header)?;
        let last = entries.last();
        let data = last.map_or(0, |tensor| tensor.range.end);
        let expected = LENGTH_BYTES + header.len() as u64 + data;
        let (length, mode) = (file.metadata()?.len(), permission_bits(&file)?);
        if length < expected {
            return Err(Error::truncated_by(expected - length).at_offset(length));
        }
        if length > expected {
            let what = format!("{} bytes after the last tensor", length - expected);
            let error = Error::corrupt(what).at_offset(expected);
            return Err(match last {
                Some(last) => error.in_tensor(&last.name),
                None => error,
            });
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

    pub(super) fn sources(&self) -> impl Iterator<Item = TensorSource<'_>> {
        self.tensors.iter().map(|ShardTensor { entry, data }| {
            TensorSource::new(&entry.name, entry.dtype, &entry.shape, data).in_file(&self.path)
        })
    }
}
