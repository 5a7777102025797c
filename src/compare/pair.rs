//! Two tensors of one name, piece by piece.

use super::TensorComparison;
use super::sums::Sums;
use crate::convert::model::Stored;
use crate::dtype::Dtype;
use crate::dtype::number::is_number;
use crate::error::Result;

/// A tensor of A and that of the same name in B.
pub(super) struct Pair<'p> {
    pub(super) a: &'p Stored<'p>,
    pub(super) b: &'p Stored<'p>,
}

/// Elements compared at once: whole bytes of every dtype.
const PIECE: u64 = 1 << 20;

impl Pair<'_> {
    /// Whether they can be compared as numbers.
    pub(super) fn numbers(&self) -> bool {
        self.a.shape == self.b.shape && is_number(self.a.dtype) && is_number(self.b.dtype)
    }

    /// Whether they can be compared by what they make of inputs: as matrices.
    pub(super) fn is_operator(&self) -> bool {
        self.numbers() && self.a.shape.len() > 1
    }

    /// How many pieces have to be read: all where numbers or bytes can be compared, else none.
    pub(super) fn pieces(&self) -> u64 {
        let same_type = self.a.shape == self.b.shape && self.a.dtype == self.b.dtype;
        if !self.numbers() && !same_type {
            return 0;
        }
        self.a.byte_len().div_ceil(piece_bytes(self.a.dtype))
    }

    /// The sums over a piece, and its bytes in A.
    pub(super) fn sum(&self, piece: u64) -> Result<(Sums, u64)> {
        let read = |tensor: &Stored<'_>| {
            let size = piece_bytes(tensor.dtype);
            let start = piece * size;
            tensor.read(start..tensor.byte_len().min(start.saturating_add(size)))
        };
        let (a, b) = (read(self.a)?, read(self.b)?);
        Ok((Sums::of((self.a.dtype, &a), (self.b.dtype, &b)), a.len() as u64))
    }

    pub(super) fn result(&self, sums: &Sums) -> TensorComparison {
        let Self { a, b } = self;
        TensorComparison {
            name: a.name.clone(),
            dtype: a.dtype,
            dtype_b: b.dtype,
            shape: a.shape.clone(),
            shape_b: b.shape.clone(),
            weights: a.shape.iter().fold(1, |count: u64, &size| count.saturating_mul(size as u64)),
            identical: a.dtype == b.dtype && a.shape == b.shape && sums.same_bytes(),
            distortion: self.numbers().then(|| sums.distortion()),
            operator: None,
            inputs: None,
            transposed: false,
        }
    }
}

fn piece_bytes(dtype: Dtype) -> u64 {
    PIECE / 8 * u64::from(dtype.bits())
}
