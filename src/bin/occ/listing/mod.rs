//! Lists of tensors: those of a file, or of a plan.

mod groups;
mod table;

pub use groups::{Group, each, grouped_by_name};
pub use table::{Attached, tensor_table};

use occ::{Dtype, TensorSource};

/// A tensor in a list.
#[derive(Clone)]
pub struct ListedTensor<'t> {
    pub name: &'t str,
    pub dtype: Dtype,
    pub shape: &'t [usize],
    /// Bytes of its elements.
    pub bytes: u64,
    /// How it is stored in an `.occ` file; `None` in a safetensors file.
    pub stored: Option<Stored>,
}

/// How a tensor is stored.
#[derive(Clone)]
pub struct Stored {
    /// The codec, or the transform, in words.
    pub form: String,
    pub bytes: u64,
    /// `None` for a lossless tensor.
    pub lossy: Option<Lossy>,
}

/// The coding of a lossy tensor.
#[derive(Clone)]
pub struct Lossy {
    /// Bits per weight that the transform saves.
    pub gain: f64,
    /// The names of the statistics that it was coded with.
    pub statistics: String,
    /// The sums of the squares of the elements and of their errors, if known.
    pub error: Option<(f64, f64)>,
}

impl<'t> ListedTensor<'t> {
    /// A tensor of a safetensors file.
    pub fn source(source: &TensorSource<'t>) -> Self {
        Self {
            name: source.name,
            dtype: source.dtype,
            shape: source.shape,
            bytes: source.data.size(),
            stored: None,
        }
    }

    /// The number of elements; `u64::MAX` if it is larger.
    pub fn weights(&self) -> u64 {
        self.shape.iter().fold(1, |product: u64, &size| product.saturating_mul(size as u64))
    }

    pub fn is_lossy(&self) -> bool {
        self.lossy().is_some()
    }

    fn lossy(&self) -> Option<&Lossy> {
        self.stored.as_ref()?.lossy.as_ref()
    }
}
