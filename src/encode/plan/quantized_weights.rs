//! The scales beside weights of FP8.

use crate::codec::trellis::QuantizationScales;
use crate::dtype::{Dtype, number};
use crate::encode::source::TensorSource;
use crate::error::Result;
use std::collections::HashMap;

/// Finds tensors by name.
pub(super) struct NamedSources<'n, 's>(HashMap<&'n str, &'n TensorSource<'s>>);

/// The least number of elements for each scale.
const MIN_ELEMENTS: usize = 8;

impl<'n, 's> NamedSources<'n, 's> {
    pub(super) fn new(sources: &'n [TensorSource<'s>]) -> Self {
        Self(sources.iter().map(|source| (source.name, source)).collect())
    }

    /// The scales of a matrix of FP8: in a tensor with its name and the end `_scale_inv` or `_scale`,
    /// or named `scale` in its module, one for each row or for each block of rows and columns. `None`
    /// without them, or if they have another shape or do not differ.
    ///
    /// # Errors
    /// Those of the source of the scales.
    pub(super) fn quantization_scales(
        &self,
        weights: &TensorSource<'_>,
    ) -> Result<Option<QuantizationScales>> {
        let (8, &[rows, columns]) = (weights.dtype.bits(), weights.shape) else { return Ok(None) };
        let name = weights.name;
        let module =
            name.rsplit_once('.').map_or(String::new(), |(module, _)| format!("{module}."));
        let names =
            [format!("{name}_scale_inv"), format!("{name}_scale"), format!("{module}scale")];
        let Some(scales) = names.iter().find_map(|name| self.0.get(&**name)) else {
            return Ok(None);
        };
        let [block_rows, block_columns] = match *scales.shape {
            [blocks] if blocks == rows => [blocks, 1],
            [block_rows, block_columns] => [block_rows, block_columns],
            _ => return Ok(None),
        };
        let blocks = block_rows.saturating_mul(block_columns);
        if blocks == 0 || blocks.saturating_mul(MIN_ELEMENTS) > rows.saturating_mul(columns) {
            return Ok(None);
        }
        let Some(values) = values(scales).map_err(|error| scales.locate(error))? else {
            return Ok(None);
        };
        let fits =
            weights.matrix().is_some_and(|matrix| [matrix.rows, matrix.columns] == [rows, columns]);
        Ok(fits.then(|| QuantizationScales::fit(&values, block_columns, [rows, columns])).flatten())
    }
}

/// The elements of a tensor of scales; `None` for a dtype that they do not have, and for data of
/// another length.
fn values(scales: &TensorSource<'_>) -> Result<Option<Vec<f32>>> {
    let (dtype, size) = (scales.dtype, scales.data.size());
    if dtype.byte_len(scales.elements()) != Some(size) {
        return Ok(None);
    }
    let (mut buffer, mut values) = (Vec::new(), Vec::new());
    if dtype == Dtype::F8_E8M0 {
        let bytes = scales.data.read_at(0..size, &mut buffer)?;
        values.extend(bytes.iter().map(|&byte| (f32::from(byte) - 127.0).exp2()));
    } else if number::is_float(dtype) {
        number::to_f32(dtype, scales.data.read_at(0..size, &mut buffer)?, &mut values);
    } else {
        return Ok(None);
    }
    Ok(Some(values))
}
