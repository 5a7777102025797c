//! The description of a tensor that is to be planned or written.

use super::matrix::{Matrix, matrix_shape};
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::format::{Geometry, ObjectKind};
use crate::io::ReadAt;
use crate::limits::Limits;
use std::fmt;
use std::path::Path;

/// A tensor that is to be planned or written: its description and the source of its elements.
///
/// ```
/// use occ::{Dtype, TensorSource};
/// let data = vec![0u8; 64 * 64 * 2];
/// let source = TensorSource::new("w", Dtype::Bf16, &[64, 64], &data);
/// assert_eq!(source.elements(), 4096);
/// ```
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct TensorSource<'s> {
    /// The name of the tensor.
    pub name: &'s str,
    /// The type of its elements.
    pub dtype: Dtype,
    /// Its dimensions, outermost first.
    pub shape: &'s [usize],
    /// Its elements in row-major order, little-endian.
    pub data: &'s dyn ReadAt,
    /// The file of the data, for error messages.
    path: Option<&'s Path>,
    kind: ObjectKind,
}

impl fmt::Debug for TensorSource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TensorSource")
            .field("name", &self.name)
            .field("dtype", &self.dtype)
            .field("shape", &self.shape)
            .finish_non_exhaustive()
    }
}

impl<'s> TensorSource<'s> {
    /// A tensor of this name, dtype and shape. The data are not read yet.
    pub fn new(name: &'s str, dtype: Dtype, shape: &'s [usize], data: &'s dyn ReadAt) -> Self {
        Self { name, dtype, shape, data, path: None, kind: ObjectKind::Tensor }
    }

    /// Names the file that the data come from in errors.
    #[must_use]
    pub fn in_file(self, path: &'s Path) -> Self {
        Self { path: Some(path), ..self }
    }

    /// A file that is stored beside the tensors. `shape` is its length in bytes.
    #[cfg(feature = "convert")]
    pub(crate) fn attachment(
        kind: ObjectKind,
        name: &'s str,
        shape: &'s [usize; 1],
        data: &'s dyn ReadAt,
    ) -> Self {
        Self { name, dtype: Dtype::U8, shape, data, path: None, kind }
    }

    /// The number of elements, or `u64::MAX` when it overflows.
    pub fn elements(&self) -> u64 {
        self.shape.iter().fold(1, |product: u64, &size| product.saturating_mul(size as u64))
    }

    /// The file of the data, if it is known.
    pub fn path(&self) -> Option<&'s Path> {
        self.path
    }

    pub(crate) fn is_tensor(&self) -> bool {
        self.kind == ObjectKind::Tensor
    }

    pub(crate) fn kind(&self) -> ObjectKind {
        self.kind
    }

    /// The shape as the format stores it.
    pub(super) fn dimensions(&self) -> Vec<u64> {
        self.shape.iter().map(|&size| size as u64).collect()
    }

    /// The division into chunks of `chunk_elements` elements.
    ///
    /// # Errors
    /// `InvalidArgument` when dtype and shape do not give the length of the data.
    pub(super) fn geometry(&self, chunk_elements: u64) -> Result<Geometry> {
        let geometry =
            Geometry::new(self.dtype, self.dimensions(), chunk_elements, &Limits::default());
        let geometry = geometry.map_err(invalid)?;
        let (expected, found) = (geometry.decoded_len(), self.data.size());
        if expected != found {
            return Err(Error::invalid(format!(
                "dtype and shape need {expected} bytes, the data have {found}"
            )));
        }
        Ok(geometry)
    }

    /// The tensor as the matrix that the lossy codec encodes; `None` when it is stored losslessly.
    pub(super) fn matrix(&self) -> Option<Matrix<'s>> {
        let (rows, columns) = matrix_shape(self.dtype, &self.dimensions())?;
        Some(Matrix { data: self.data, dtype: self.dtype, rows, columns })
    }

    /// Adds the name of the tensor and the file to an error.
    pub(super) fn locate(&self, error: Error) -> Error {
        let error = error.in_tensor(self.name);
        match self.path {
            Some(path) => error.in_file(path),
            None => error,
        }
    }
}

/// What a reader calls corrupt is an invalid argument of the writer's caller.
pub(super) fn invalid(error: Error) -> Error {
    match error {
        Error::Corrupt { what, at } => Error::InvalidArgument { what, at },
        other => other,
    }
}
