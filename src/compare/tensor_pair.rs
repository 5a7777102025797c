//! Two tensors with the same name, compared in pieces.

use super::error_sums::ErrorSums;
use super::results::TensorComparison;
use crate::convert::ModelTensor;
use crate::dtype::Dtype;
use crate::dtype::number::is_number;
use crate::error::Result;

/// The tensors of models A and B with the same name.
pub(super) struct TensorPair<'p> {
    pub(super) a: &'p ModelTensor<'p>,
    pub(super) b: &'p ModelTensor<'p>,
}

/// Elements in a piece: a whole number of bytes for every dtype.
const PIECE: u64 = 1 << 20;

impl TensorPair<'_> {
    /// Whether both tensors are numeric and have the same shape.
    pub(super) fn is_numeric(&self) -> bool {
        self.a.shape == self.b.shape && is_number(self.a.dtype) && is_number(self.b.dtype)
    }

    /// Whether outputs can be compared: both tensors are numeric matrices.
    pub(super) fn is_operator(&self) -> bool {
        self.is_numeric() && self.a.shape.len() > 1
    }

    /// Number of pieces to read: 0 if neither numbers nor bytes can be compared.
    pub(super) fn pieces(&self) -> u64 {
        let same_type = self.a.shape == self.b.shape && self.a.dtype == self.b.dtype;
        if !self.is_numeric() && !same_type {
            return 0;
        }
        self.a.byte_len().div_ceil(piece_bytes(self.a.dtype))
    }

    /// The sums over a piece, and the number of its bytes in A.
    pub(super) fn sum(&self, piece: u64) -> Result<(ErrorSums, u64)> {
        let read = |tensor: &ModelTensor<'_>| {
            let size = piece_bytes(tensor.dtype);
            let start = piece * size;
            tensor.read(start..tensor.byte_len().min(start.saturating_add(size)))
        };
        let (a, b) = (read(self.a)?, read(self.b)?);
        Ok((ErrorSums::of((self.a.dtype, &a), (self.b.dtype, &b)), a.len() as u64))
    }

    pub(super) fn comparison(&self, sums: &ErrorSums) -> TensorComparison {
        let Self { a, b } = self;
        TensorComparison {
            name: a.name.clone(),
            dtype: a.dtype,
            dtype_b: b.dtype,
            shape: a.shape.clone(),
            shape_b: b.shape.clone(),
            weights: a.elements(),
            identical: a.dtype == b.dtype && a.shape == b.shape && sums.same_bytes(),
            distortion: self.is_numeric().then(|| sums.distortion()),
            non_finite: self.is_numeric().then(|| sums.non_finite()),
            operator: None,
            inputs: None,
            transposed: false,
        }
    }
}

fn piece_bytes(dtype: Dtype) -> u64 {
    PIECE / 8 * u64::from(dtype.bits())
}
