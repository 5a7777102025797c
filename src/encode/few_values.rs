//! Tensors of few different values: masks, signs, ternary weights.

use super::source::TensorSource;
use crate::error::Result;

/// The most values of a tensor of few values. Losslessly, it takes two bits per element at most.
const FEW: usize = 4;

/// Bytes that are read at a time.
const PIECE: u64 = 1 << 16;

/// Whether a tensor has at most four different values, bit by bit. Reads until there are more.
///
/// # Errors
/// Those of the source.
pub(super) fn has_few_values(source: &TensorSource<'_>) -> Result<bool> {
    let size = (source.dtype.bits() as usize / 8).max(1);
    let (mut values, mut scratch) = (Vec::<[u8; 8]>::with_capacity(FEW), Vec::new());
    let mut start = 0;
    while start < source.data.size() {
        let end = source.data.size().min(start + PIECE);
        let bytes = source.data.read_at(start..end, &mut scratch)?;
        for element in bytes.chunks_exact(size) {
            let mut value = [0; 8];
            value[..size].copy_from_slice(element);
            if values.contains(&value) {
                continue;
            }
            if values.len() == FEW {
                return Ok(false);
            }
            values.push(value);
        }
        start = end;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::Dtype;

    #[test]
    fn values_are_counted_up_to_the_last_element() {
        let few = |values: &[f32]| {
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            let shape = [values.len()];
            has_few_values(&TensorSource::new("w", Dtype::F32, &shape, &bytes)).unwrap()
        };
        let mut values: Vec<f32> = (0..50_000).map(|i| [0.0, 1.0, -1.0, f32::NAN][i % 4]).collect();
        assert!(few(&values) && few(&[]));
        values[49_999] = -0.0;
        assert!(!few(&values));
    }
}
