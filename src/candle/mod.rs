//! Tensors and models of [candle](candle_core) from `.occ` files, and files from tensors. Needs the feature `candle`.
//!
//! ```
//! # fn main() -> candle_core::Result<()> {
//! # #[cfg(feature = "encode")] {
//! use candle_core::{DType, Device, Tensor};
//! use candle_nn::VarBuilder;
//! use occ::candle::{OccTensors, load, save};
//! use occ::Encoding;
//! use std::collections::HashMap;
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("model.occ");
//! let device = Device::Cpu;
//! let weight = Tensor::randn(0f32, 0.02, (512, 256), &device)?;
//! let model = HashMap::from([("head.weight", weight)]);
//! save(&model, &path, &Encoding::bits(4.0))?; // about 4 bits per weight for the whole model
//!
//! let tensors = load(&path, &device)?; // all of them
//! assert_eq!(tensors["head.weight"].dims(), [512, 256]);
//!
//! let tensors = OccTensors::open(&path)?; // one after another, when the model asks for them
//! let builder = VarBuilder::from_backend(Box::new(tensors), DType::F32, device);
//! let head = candle_nn::linear_no_bias(256, 512, builder.pp("head"))?;
//! # let _ = head;
//! # }
//! # Ok(())
//! # }
//! ```
//!
//! Elements are decoded to the memory of the tensor, without a second copy, on the CPU. Chunks are
//! decoded in parallel on the current rayon pool. [`load`] and [`OccTensors::load_all`] decode tensors
//! in parallel, too: they are faster for models of many small tensors than
//! [`VarBuilder`](candle_nn::VarBuilder), which asks for one tensor after another.

mod backend;
mod dtype;
mod load;
#[cfg(feature = "encode")]
mod save;
mod tensors;

#[cfg(feature = "encode")]
pub use save::save;
pub use tensors::{OccTensors, load};

use crate::error::Error;

/// So that `?` works in functions that return candle's errors. The message is kept, with tensor, chunk,
/// offset and file.
impl From<Error> for candle_core::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::TensorNotFound { name, .. } => Self::CannotFindTensor { path: name }.bt(),
            error => Self::wrap(error),
        }
    }
}
