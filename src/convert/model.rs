//! A model's tensors, however it is stored.

use crate::convert::Checkpoint;
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::io::{FileSection, ReadAt};
use crate::read::{Reader, Tensor};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// An open model.
pub(crate) enum Model {
    Occ(PathBuf, Reader<'static>),
    Safetensors(Checkpoint),
}

impl Model {
    /// Opens an `.occ` file, a safetensors file or a checkpoint folder: its first bytes tell.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        if path.is_dir() {
            return Checkpoint::open(path).map(Self::Safetensors);
        }
        match Reader::open(path) {
            Ok(reader) => Ok(Self::Occ(path.to_owned(), reader)),
            Err(Error::NotOcc) => Checkpoint::open(path).map(Self::Safetensors),
            Err(error) => Err(error),
        }
    }

    /// All tensors, in the order of their bytes.
    pub(crate) fn tensors(&self) -> Result<Vec<Stored<'_>>> {
        match self {
            Self::Occ(path, reader) => {
                let tensors = reader.tensors().map(|tensor| tensor.map(|t| Stored::occ(path, t)));
                tensors.collect::<Result<_>>().map_err(|error| error.in_file(path))
            }
            Self::Safetensors(checkpoint) => {
                let sections = checkpoint.sections().map(|section| Stored {
                    path: section.path,
                    name: section.name.to_owned(),
                    dtype: section.dtype,
                    shape: section.shape.to_vec(),
                    bytes: Bytes::Section(section.bytes),
                });
                Ok(sections.collect())
            }
        }
    }
}

/// A tensor whose bytes have not been read yet.
pub(crate) struct Stored<'m> {
    path: &'m Path,
    pub(crate) name: String,
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    bytes: Bytes<'m>,
}

enum Bytes<'m> {
    Tensor(Tensor<'m>),
    Section(FileSection),
}

impl<'m> Stored<'m> {
    fn occ(path: &'m Path, tensor: Tensor<'m>) -> Self {
        Self {
            path,
            name: tensor.name().to_owned(),
            dtype: tensor.dtype(),
            shape: tensor.shape().to_vec(),
            bytes: Bytes::Tensor(tensor),
        }
    }

    /// Bytes when decoded.
    pub(crate) fn byte_len(&self) -> u64 {
        match &self.bytes {
            Bytes::Tensor(tensor) => tensor.decoded_bytes(),
            Bytes::Section(section) => section.size(),
        }
    }

    /// Decoded bytes.
    pub(crate) fn read(&self, range: Range<u64>) -> Result<Vec<u8>> {
        let read = || match &self.bytes {
            Bytes::Tensor(tensor) => tensor.decode_bytes(range),
            Bytes::Section(section) => {
                let mut bytes = Vec::new();
                section.read_at(range, &mut bytes)?;
                Ok(bytes)
            }
        };
        read().map_err(|error| self.here(error))
    }

    /// An error that says which tensor it is about.
    pub(crate) fn here(&self, error: Error) -> Error {
        error.in_tensor(&self.name).in_file(self.path)
    }
}

/// Read as needed: decoded chunk by chunk, or from the file.
impl ReadAt for Stored<'_> {
    fn size(&self) -> u64 {
        self.byte_len()
    }

    fn read_at<'b>(&'b self, range: Range<u64>, buffer: &'b mut Vec<u8>) -> io::Result<&'b [u8]> {
        *buffer = self.read(range).map_err(io::Error::other)?;
        Ok(buffer)
    }
}
