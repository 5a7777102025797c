//! The tensors of a model in any supported file format.

use super::checkpoint::Checkpoint;
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::io::ReadAt;
use crate::read::{Reader, Tensor};
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// An open model file or checkpoint folder.
pub(crate) enum ModelFile {
    Occ(PathBuf, Reader<'static>),
    Safetensors(Checkpoint),
}

impl ModelFile {
    /// Opens an `.occ` file, a safetensors file or a checkpoint folder. The first bytes of a file
    /// determine its format.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        if path.is_dir() {
            return Checkpoint::open(path).map(Self::Safetensors);
        }
        match Reader::open(path) {
            Ok(reader) => Ok(Self::Occ(path.to_owned(), reader)),
            Err(Error::NotOcc { .. }) => Checkpoint::open(path).map(Self::Safetensors),
            Err(error) => Err(error),
        }
    }

    /// All tensors, in file order.
    pub(crate) fn tensors(&self) -> Result<Vec<ModelTensor<'_>>> {
        match self {
            Self::Occ(path, reader) => {
                let tensors = reader.tensors().map(|tensor| Ok(ModelTensor::occ(path, tensor?)));
                tensors.collect::<Result<_>>().map_err(|error| error.in_file(path))
            }
            Self::Safetensors(checkpoint) => {
                let tensors = checkpoint.sources().map(|source| ModelTensor {
                    path: source.path(),
                    name: source.name.to_owned(),
                    dtype: source.dtype,
                    shape: source.shape.to_vec(),
                    bytes: TensorBytes::Section(source.data),
                });
                Ok(tensors.collect())
            }
        }
    }

    /// The weights that share the inputs of another one, in a file with statistics.
    ///
    /// # Errors
    /// Those of [`Checkpoint::shared_inputs`].
    pub(crate) fn shared_inputs(&self) -> Result<BTreeMap<String, String>> {
        match self {
            Self::Occ(..) => Ok(BTreeMap::new()),
            Self::Safetensors(checkpoint) => checkpoint.shared_inputs(),
        }
    }
}

/// A tensor of a model. Its bytes are read on demand.
pub(crate) struct ModelTensor<'m> {
    path: Option<&'m Path>,
    pub(crate) name: String,
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    bytes: TensorBytes<'m>,
}

enum TensorBytes<'m> {
    Coded(Tensor<'m>),
    Section(&'m dyn ReadAt),
}

impl<'m> ModelTensor<'m> {
    fn occ(path: &'m Path, tensor: Tensor<'m>) -> Self {
        Self {
            path: Some(path),
            name: tensor.name().to_owned(),
            dtype: tensor.dtype(),
            shape: tensor.shape().to_vec(),
            bytes: TensorBytes::Coded(tensor),
        }
    }

    /// The number of elements; `u64::MAX` if it is larger.
    pub(crate) fn elements(&self) -> u64 {
        self.shape.iter().fold(1, |count: u64, &size| count.saturating_mul(size as u64))
    }

    /// The number of decoded bytes.
    pub(crate) fn byte_len(&self) -> u64 {
        match &self.bytes {
            TensorBytes::Coded(tensor) => tensor.decoded_bytes(),
            TensorBytes::Section(section) => section.size(),
        }
    }

    /// Decoded bytes.
    pub(crate) fn read(&self, range: Range<u64>) -> Result<Vec<u8>> {
        let read = || match &self.bytes {
            TensorBytes::Coded(tensor) => tensor.decode_bytes(range),
            TensorBytes::Section(section) => {
                let mut buffer = Vec::new();
                Ok(section.read_at(range, &mut buffer)?.to_vec())
            }
        };
        read().map_err(|error| self.locate(error))
    }

    /// Adds the tensor and its file to an error.
    pub(crate) fn locate(&self, error: Error) -> Error {
        let error = error.in_tensor(&self.name);
        match self.path {
            Some(path) => error.in_file(path),
            None => error,
        }
    }
}

/// Reads only the chunks or the file section that a range needs.
impl ReadAt for ModelTensor<'_> {
    fn size(&self) -> u64 {
        self.byte_len()
    }

    fn read_at<'b>(&'b self, range: Range<u64>, buffer: &'b mut Vec<u8>) -> io::Result<&'b [u8]> {
        *buffer = self.read(range).map_err(io::Error::other)?;
        Ok(buffer)
    }
}
