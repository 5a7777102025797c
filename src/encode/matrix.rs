//! A tensor as the matrix that the lossy codec encodes.

use crate::codec::trellis::{MAX_COLUMNS, Rows};
use crate::dtype::{Dtype, number};
use crate::error::Result;
use crate::io::ReadAt;
use std::ops::Range;

/// Tensors with fewer weights (norms, biases, routers) are stored losslessly.
pub(super) const MIN_WEIGHTS: u64 = 4096;

/// Shorter rows are concatenated.
const MIN_COLUMNS: u64 = 64;

/// A matrix with fewer rows than a band has lanes gets shorter rows, if it is large enough.
const MIN_ROWS: u64 = 32;

/// Rows and columns of a tensor that can be encoded lossily; `None` for other dtypes than floats,
/// vectors, small tensors and unsuitable widths.
///
/// The last dimension is a row, together with those before it where it is short (convolutions).
pub(crate) fn matrix_shape(dtype: Dtype, shape: &[u64]) -> Option<(usize, usize)> {
    let elements = shape.iter().try_fold(1u64, |product, &size| product.checked_mul(size))?;
    if !number::is_float(dtype) || shape.len() < 2 || elements < MIN_WEIGHTS {
        return None;
    }
    let mut dimensions = shape[1..].iter().rev();
    let mut columns = *dimensions.next()?;
    while columns < MIN_COLUMNS {
        let Some(size) = dimensions.next() else { break };
        columns *= size;
    }
    let widest = (elements / MIN_ROWS).clamp(1, MAX_COLUMNS as u64);
    if columns > widest {
        columns = largest_divisor(columns, widest)?;
    }
    if columns < 8 {
        return None;
    }
    let rows = usize::try_from(elements / columns).ok()?;
    Some((rows, columns as usize))
}

/// The largest divisor of `number` in `limit / 16..=limit`.
fn largest_divisor(number: u64, limit: u64) -> Option<u64> {
    (limit / 16..=limit).rev().find(|&divisor| divisor > 0 && number.is_multiple_of(divisor))
}

/// A matrix over the data of a tensor.
pub(crate) struct Matrix<'s> {
    pub(crate) data: &'s dyn ReadAt,
    pub(crate) dtype: Dtype,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
}

impl Rows for Matrix<'_> {
    fn rows(&self) -> usize {
        self.rows
    }

    fn columns(&self) -> usize {
        self.columns
    }

    fn read(&self, rows: Range<usize>, out: &mut Vec<f32>) -> Result<()> {
        let row = self.columns as u64 * u64::from(self.dtype.bits()) / 8;
        let mut scratch = Vec::new();
        let range = rows.start as u64 * row..rows.end as u64 * row;
        number::to_f32(self.dtype, self.data.read_at(range, &mut scratch)?, out);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_become_matrices() {
        let shape = |shape: &[u64]| matrix_shape(Dtype::Bf16, shape);
        assert_eq!(shape(&[30522, 384]), Some((30522, 384)));
        assert_eq!(shape(&[8, 512, 384]), Some((4096, 384)));
        assert_eq!(shape(&[512, 80, 3]), Some((512, 240)));
        assert_eq!(shape(&[100, 50]), Some((100, 50)));
        assert_eq!(shape(&[1, 1, 1 << 20]), Some((32, 1 << 15)));
        assert_eq!(shape(&[2, 3 << 16]), Some((32, 12288)));
        assert_eq!(shape(&[4, 1 << 20]), Some((64, 1 << 16)));
        for none in [&[4096][..], &[], &[64, 63], &[1 << 20, 1], &[1 << 62, 4, 0], &[2, 1_000_003]]
        {
            assert_eq!(shape(none), None, "{none:?}");
        }
        assert_eq!(matrix_shape(Dtype::I32, &[512, 512]), None);
        assert_eq!(matrix_shape(Dtype::F8_E8M0, &[512, 512]), None);
    }
}
