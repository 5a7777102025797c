//! [`OccTensors`] as a source of variables for models.

use super::tensors::OccTensors;
use candle_core::{DType, Device, Error, Result, Shape, Tensor};
use candle_nn::Init;
use candle_nn::var_builder::{Backend, Shard, SimpleBackend};

impl SimpleBackend for OccTensors<'_> {
    /// Variables are not initialised: the file has them all.
    fn get(
        &self,
        shape: Shape,
        name: &str,
        _: Init,
        dtype: DType,
        device: &Device,
    ) -> Result<Tensor> {
        let stored = self.tensor(name)?;
        if stored.shape() != shape.dims() {
            let (msg, got) = (format!("shape mismatch for {name}"), stored.shape().into());
            return Err(Error::UnexpectedShape { msg, expected: shape, got }.bt());
        }
        self.load_as(name, dtype, device)
    }

    fn get_unchecked(&self, name: &str, dtype: DType, device: &Device) -> Result<Tensor> {
        self.load_as(name, dtype, device)
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.contains(name).unwrap_or(false)
    }
}

/// As candle's `ShardedSafeTensors`, for any dimension: `shape` is compared only if there is one part.
impl Backend for OccTensors<'_> {
    type Hints = Shard;

    fn get(
        &self,
        shape: Shape,
        name: &str,
        shard: Shard,
        dtype: DType,
        device: &Device,
    ) -> Result<Tensor> {
        let Shard { dim, rank, world_size } = shard;
        if world_size == 1 {
            return SimpleBackend::get(self, shape, name, Init::default(), dtype, device);
        }
        let stored = self.tensor(name)?;
        let shape = || Shape::from(stored.shape());
        let Some(&size) = stored.shape().get(dim) else {
            let (shape, dim) = (shape(), dim.try_into().unwrap_or(i32::MAX));
            return Err(Error::DimOutOfRange { shape, dim, op: "get" }.bt());
        };
        if world_size == 0 || !size.is_multiple_of(world_size) {
            let split = Error::ShapeMismatchSplit { shape: shape(), dim, n_parts: world_size };
            return Err(split.bt());
        }
        if rank >= world_size {
            candle_core::bail!("{name}: part {rank} of {world_size}");
        }
        let part = size / world_size;
        self.load_slice(name, dim, rank * part..(rank + 1) * part, dtype, device)
    }

    fn get_unchecked(&self, name: &str, dtype: DType, device: &Device) -> Result<Tensor> {
        self.load_as(name, dtype, device)
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.contains(name).unwrap_or(false)
    }
}
