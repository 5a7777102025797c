//! The tensors of one or several files.

use super::load::{Slice, load_elements};
use crate::error::Error;
use crate::read::{Reader, Tensor};
use candle_core::{DType, Device, Result, safetensors::Load};
use rayon::prelude::*;
use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

/// Loads all tensors of an `.occ` file, like `candle_core::safetensors::load`.
///
/// Each tensor has the dtype that the file states; U16 becomes U32. Tensors are decoded in parallel.
///
/// ```no_run
/// use candle_core::Device;
/// let tensors = occ::candle::load("model.occ", &Device::Cpu)?;
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// Those of [`Reader::open`](crate::Reader::open) and [`Tensor::decode`]; `Unsupported` for a dtype
/// that candle does not have: BOOL, I8, U64, C64, F8_E5M2 and the FNUZ types.
pub fn load(
    path: impl AsRef<Path>,
    device: &Device,
) -> Result<HashMap<String, candle_core::Tensor>> {
    OccTensors::open(path)?.load_all(device)
}

/// The tensors of one or several open `.occ` files, which are loaded as tensors of candle.
///
/// It is a backend of [`VarBuilder`](candle_nn::VarBuilder):
///
/// ```no_run
/// use candle_core::{DType, Device};
/// use candle_nn::VarBuilder;
/// use occ::candle::OccTensors;
/// let tensors = OccTensors::open("model.occ")?;
/// let builder = VarBuilder::from_backend(Box::new(tensors), DType::BF16, Device::Cpu);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// It is also a [`Backend`](candle_nn::var_builder::Backend) with
/// [`Shard`](candle_nn::var_builder::Shard) as hints, for tensor parallelism: each process decodes its
/// part of a tensor, along any dimension.
///
/// ```no_run
/// use candle_core::{DType, Device};
/// use candle_nn::var_builder::{Shard, VarBuilderArgs};
/// use occ::candle::OccTensors;
/// let tensors = OccTensors::open("model.occ")?;
/// let builder = VarBuilderArgs::new_with_args(tensors, DType::BF16, &Device::Cpu);
/// let shard = Shard { dim: 0, rank: 1, world_size: 4 };
/// let weight = builder.get_with_hints((1024, 4096), "lm_head.weight", shard)?;
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct OccTensors<'a> {
    /// No two of them have a tensor of the same name.
    readers: Vec<Reader<'a>>,
}

impl OccTensors<'static> {
    /// Opens a file. Tensors are read by position when they are loaded.
    ///
    /// # Errors
    /// Those of [`Reader::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_all(&[path])
    }

    /// Opens several files, for example the shards of a model.
    ///
    /// # Errors
    /// As [`open`](Self::open); as [`from_readers`](Self::from_readers).
    pub fn open_all<P: AsRef<Path>>(paths: &[P]) -> Result<Self> {
        let readers = paths.iter().map(Reader::open).collect::<crate::Result<Vec<_>>>()?;
        Self::from_readers(readers)
    }
}

impl<'a> OccTensors<'a> {
    /// The tensors of files that are open: memory maps, bytes in memory, other sources.
    ///
    /// # Errors
    /// `InvalidArgument` if two of them contain a tensor of the same name.
    pub fn from_readers(readers: Vec<Reader<'a>>) -> Result<Self> {
        for (number, reader) in readers.iter().enumerate().skip(1) {
            for name in reader.names() {
                let name = name?;
                for earlier in &readers[..number] {
                    if earlier.contains(name)? {
                        return Err(Error::invalid("in two files").in_tensor(name).into());
                    }
                }
            }
        }
        Ok(Self { readers })
    }

    /// The names of all tensors, in the order of the files.
    ///
    /// # Errors
    /// An item is `Corrupt` if an index does not contain a valid name.
    pub fn names(&self) -> impl Iterator<Item = crate::Result<&str>> {
        self.readers.iter().flat_map(Reader::names)
    }

    /// The handle of a tensor, for its shape and for [`Load`].
    ///
    /// # Errors
    /// `CannotFindTensor`; those of [`Reader::tensor`].
    pub fn tensor(&self, name: &str) -> Result<Tensor<'a>> {
        for reader in &self.readers {
            if let Some(tensor) = reader.get(name)? {
                return Ok(tensor);
            }
        }
        match self.readers.as_slice() {
            [only] => Ok(only.tensor(name)?), // an error that names the file
            _ => Err(candle_core::Error::CannotFindTensor { path: name.to_owned() }.bt()),
        }
    }

    /// Whether there is a tensor of this name.
    ///
    /// # Errors
    /// `Corrupt` if an index is not valid.
    pub fn contains(&self, name: &str) -> Result<bool> {
        for reader in &self.readers {
            if reader.contains(name)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Loads a tensor with the dtype that the file states; U16 becomes U32.
    ///
    /// # Errors
    /// As [`tensor`](Self::tensor), [`Tensor::decode`] and [`load`](super::load).
    pub fn load(&self, name: &str, device: &Device) -> Result<candle_core::Tensor> {
        self.tensor(name)?.load(device)
    }

    /// Loads a tensor as `dtype`. A lossy tensor is rounded once, from its reconstruction in F32, if
    /// `dtype` is F32, BF16, F16 or F64.
    ///
    /// # Errors
    /// As [`load`](Self::load); those of candle for conversions that it does not have.
    pub fn load_as(
        &self,
        name: &str,
        dtype: DType,
        device: &Device,
    ) -> Result<candle_core::Tensor> {
        load_elements(&self.tensor(name)?, None, Some(dtype), device)
    }

    /// Loads the part of a tensor with the indices `range` of a dimension, as `dtype`: the same
    /// elements that [`load_as`](Self::load_as) gives. Of the outermost dimension, only the chunks that
    /// contain the part are decoded; for others all are, a few at a time.
    ///
    /// ```
    /// # let mut file = Vec::new();
    /// # let mut w = occ::Writer::new(&mut file, occ::WriteOptions::default())?;
    /// # w.add("w", occ::Dtype::U8, &[2, 3], &[1, 2, 3, 4, 5, 6])?;
    /// # w.finish()?;
    /// use candle_core::{DType, Device};
    /// let tensors = occ::candle::OccTensors::from_readers(vec![occ::Reader::new(&file)?])?;
    /// let columns = tensors.load_slice("w", 1, 1..3, DType::U8, &Device::Cpu)?;
    /// assert_eq!(columns.to_vec2::<u8>()?, [[2, 3], [5, 6]]);
    /// # Ok::<(), candle_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`load_as`](Self::load_as); `InvalidArgument` for indices that the tensor does not have;
    /// `Unsupported` for F4, F6_E2M3 and F6_E3M2.
    pub fn load_slice(
        &self,
        name: &str,
        dimension: usize,
        range: Range<usize>,
        dtype: DType,
        device: &Device,
    ) -> Result<candle_core::Tensor> {
        let slice = Slice { dimension, range };
        load_elements(&self.tensor(name)?, Some(&slice), Some(dtype), device)
    }

    /// Loads all tensors, each with the dtype that its file states; U16 becomes U32.
    ///
    /// # Errors
    /// As [`load`](Self::load), for the first that fails.
    pub fn load_all(&self, device: &Device) -> Result<HashMap<String, candle_core::Tensor>> {
        let tensors = self.readers.iter().flat_map(Reader::tensors);
        let tensors = tensors.collect::<crate::Result<Vec<_>>>()?;
        let load = |tensor: &Tensor<'_>| Ok((tensor.name().to_owned(), tensor.load(device)?));
        tensors.par_iter().map(load).collect()
    }
}
