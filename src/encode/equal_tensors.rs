//! Tensors that are equal to earlier ones, as tied weights are in some checkpoints.

use super::source::TensorSource;
use crate::dtype::Dtype;
use crate::error::Result;
use crate::io::ReadAt;
use std::collections::HashMap;

/// Smaller tensors are not compared: their frames take most of their bytes.
const MIN_BYTES: u64 = 1 << 12;

/// Bytes that are read at the start, in the middle and at the end before whole tensors are compared.
const PROBE: u64 = 64;

/// Bytes that are compared at a time.
const BLOCK: u64 = 1 << 20;

/// What equal tensors have in common, and is cheap to find.
type Key<'s> = (Dtype, &'s [usize], Vec<u8>);

/// For each source, the position of the first tensor that has the same dtype, shape and elements;
/// `None` if it is itself the first.
///
/// Whole tensors are read only where the probes of two are equal. Tensors that seem to be constant
/// are not compared.
pub(super) fn find(sources: &[TensorSource<'_>]) -> Result<Vec<Option<usize>>> {
    let mut first: HashMap<Key<'_>, Vec<usize>> = HashMap::new();
    let mut found = vec![None; sources.len()];
    for (number, source) in sources.iter().enumerate() {
        if !source.is_tensor() {
            continue;
        }
        let probe = probe(source.data).map_err(|error| source.locate(error))?;
        let Some(probe) = probe else { continue };
        let candidates = first.entry((source.dtype, source.shape, probe)).or_default();
        for &candidate in &*candidates {
            let equal = are_equal(sources[candidate].data, source.data);
            if equal.map_err(|error| source.locate(error))? {
                found[number] = Some(candidate);
                break;
            }
        }
        if found[number].is_none() {
            candidates.push(number);
        }
    }
    Ok(found)
}

/// Whether a tensor with these elements may be a reference: it is not small and does not seem to be
/// constant.
#[cfg(feature = "convert")]
pub(crate) fn is_compared(data: &dyn ReadAt) -> Result<bool> {
    Ok(probe(data)?.is_some())
}

/// Some of the bytes; `None` for tensors that are not compared.
fn probe(data: &dyn ReadAt) -> Result<Option<Vec<u8>>> {
    let (mut probe, mut buffer, size) = (Vec::new(), Vec::new(), data.size());
    if size < MIN_BYTES {
        return Ok(None);
    }
    for start in [0, size / 2 / PROBE * PROBE, size - PROBE] {
        probe.extend_from_slice(data.read_at(start..start + PROBE, &mut buffer)?);
    }
    let is_constant = probe.chunks(8).all(|word| word == &probe[..8]);
    Ok((!is_constant).then_some(probe))
}

/// Whether the bytes are equal. O(bytes), but ends at the first block that differs.
fn are_equal(a: &dyn ReadAt, b: &dyn ReadAt) -> Result<bool> {
    let size = a.size();
    if size != b.size() {
        return Ok(false);
    }
    let (mut buffer_a, mut buffer_b) = (Vec::new(), Vec::new());
    for start in (0..size).step_by(BLOCK as usize) {
        let range = start..size.min(start + BLOCK);
        if a.read_at(range.clone(), &mut buffer_a)? != b.read_at(range, &mut buffer_b)? {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equal_tensors_is_found() {
        let data = |seed: u32, length: u32| -> Vec<u8> {
            (0..length)
                .map(|i| (i.wrapping_add(seed).wrapping_mul(2_654_435_761) >> 24) as u8)
                .collect()
        };
        let (a, b) = (data(0, 1 << 14), data(1, 1 << 14));
        // Differs from the first between the probes.
        let mut c = a.clone();
        c[5000] ^= 1;
        let (zeros, small) = (vec![0; 1 << 14], data(0, 1000));
        let (flat, square) = ([1 << 14], [1 << 7, 1 << 7]);
        let source = |name, shape, data| TensorSource::new(name, Dtype::U8, shape, data);
        let sources = [
            source("a", &flat, &a),
            source("b", &flat, &b),
            source("c", &flat, &c),
            source("a again", &flat, &a),
            source("another shape", &square, &a),
            TensorSource::new("another dtype", Dtype::I8, &flat, &a),
            source("a a third time", &flat, &a),
            source("c again", &flat, &c),
            source("zeros", &flat, &zeros),
            source("zeros again", &flat, &zeros),
            source("small", &[1000], &small),
            source("small again", &[1000], &small),
        ];
        let mut expected = [None; 12];
        (expected[3], expected[6], expected[7]) = (Some(0), Some(0), Some(2));
        assert_eq!(find(&sources).unwrap(), expected);
    }
}
