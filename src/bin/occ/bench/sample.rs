//! A sample of the tensors of a checkpoint, of one dtype.

use super::data::{BenchData, BenchTensor};
use crate::failure::in_file;
use occ::convert::Checkpoint;
use occ::{Dtype, Result, TensorSource};
use std::collections::BTreeMap;
use std::path::Path;

/// Bytes of a sample, at most.
const SAMPLE_BYTES: u64 = 64 << 20;

/// Of tensors with more bytes than their share of a sample, the first rows are taken, of this many bytes
/// or more.
const PART_BYTES: u64 = 4 << 20;

/// Dtypes with a smaller share of the bytes of a checkpoint are left out.
const LEAST_SHARE: f64 = 0.01;

/// Samples of the dtypes of a checkpoint, that with the most bytes first.
pub fn of_checkpoint(path: &Path) -> Result<Vec<BenchData>> {
    let checkpoint = Checkpoint::open(path)?;
    let mut by_dtype: BTreeMap<&str, (Dtype, u64)> = BTreeMap::new();
    for source in checkpoint.sources() {
        by_dtype.entry(source.dtype.name()).or_insert((source.dtype, 0)).1 += source.data.size();
    }
    let all: u64 = by_dtype.values().map(|&(_, bytes)| bytes).sum();
    let mut dtypes: Vec<(Dtype, u64)> = by_dtype.into_values().collect();
    dtypes.sort_by_key(|&(_, bytes)| std::cmp::Reverse(bytes));
    dtypes.retain(|&(_, bytes)| bytes > 0 && bytes as f64 >= LEAST_SHARE * all as f64);
    let sample = |(dtype, _)| {
        let sources: Vec<_> = checkpoint.sources().filter(|source| source.dtype == dtype).collect();
        of_dtype(path, dtype, &sources)
    };
    dtypes.into_iter().map(sample).collect()
}

fn of_dtype(path: &Path, dtype: Dtype, sources: &[TensorSource<'_>]) -> Result<BenchData> {
    let sizes: Vec<u64> = sources.iter().map(|source| source.data.size()).collect();
    let rows: Vec<u64> =
        sources.iter().map(|source| source.shape.first().map_or(1, |&rows| rows as u64)).collect();
    let (mut bytes, mut tensors, mut buffer, mut cut) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for (number, taken) in choose(&sizes, &rows) {
        let source = &sources[number];
        let is_whole = taken == rows[number];
        let part = if is_whole { sizes[number] } else { sizes[number] / rows[number] * taken };
        let read = source.data.read_at(0..part, &mut buffer);
        let start = bytes.len();
        bytes.extend_from_slice(read.map_err(|error| in_file(path, error))?);
        let mut shape = source.shape.to_vec();
        if !is_whole {
            shape[0] = taken as usize;
            cut += 1;
        }
        let range = start..bytes.len();
        tensors.push(BenchTensor { name: source.name.to_owned(), dtype, shape, range });
    }
    let (all, total) = (sizes.len(), sizes.iter().sum());
    let source = path.display().to_string();
    Ok(BenchData { source, dtype, all, total, cut, bytes, tensors })
}

/// The tensors of a sample and the numbers of their rows in it, of tensors of these bytes and rows. They
/// are spread evenly over the bytes.
fn choose(sizes: &[u64], rows: &[u64]) -> Vec<(usize, u64)> {
    let total: u64 = sizes.iter().sum();
    let (mut end, mut taken, mut chosen) = (0, 0, Vec::new());
    for (number, (&size, &rows)) in sizes.iter().zip(rows).enumerate() {
        end += size;
        // What the sample should have of the tensors so far, and does not have yet.
        let due = match total {
            ..=SAMPLE_BYTES => size,
            _ => (u128::from(SAMPLE_BYTES) * u128::from(end) / u128::from(total)) as u64 - taken,
        };
        let part = match size {
            0 => continue,
            _ if size <= due => rows,
            // Rows of small dtypes may not be whole bytes.
            _ if due >= PART_BYTES && size.is_multiple_of(rows) => due / (size / rows),
            _ => 0,
        };
        if part > 0 {
            taken += if part == rows { size } else { size / rows * part };
            chosen.push((number, part));
        }
    }
    if chosen.is_empty() {
        // Even one row is too large.
        let some = (0..sizes.len()).filter(|&number| sizes[number] > 0);
        chosen
            .extend(some.min_by_key(|&number| sizes[number]).map(|number| (number, rows[number])));
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn small_checkpoints_are_taken_whole() {
        assert_eq!(choose(&[10, 0, 54 * MIB], &[5, 7, 54]), [(0, 5), (2, 54)]);
        assert_eq!(choose(&[64 * MIB], &[1]), [(0, 1)]);
        assert_eq!(choose(&[], &[]), []);
    }

    #[test]
    fn a_sample_is_not_empty() {
        assert_eq!(choose(&[100 * MIB, 0, 99 * MIB], &[1, 1, 1]), [(2, 1)]);
    }

    #[test]
    fn samples_are_spread_evenly_and_bounded() {
        // An embedding of which a part is taken, then matrices of which every fourth is.
        let sizes: Vec<u64> = std::iter::once(128 * MIB).chain([2 * MIB; 64]).collect();
        let rows: Vec<u64> = std::iter::once(1024).chain([100; 64]).collect();
        let chosen = choose(&sizes, &rows);
        assert_eq!(chosen[0], (0, 256));
        assert_eq!(chosen[1..].len(), 16);
        assert!(chosen[1..].iter().enumerate().all(|(i, &tensor)| tensor == (4 * i + 4, 100)));
        // Of large matrices the first rows.
        let chosen = choose(&[32 * MIB; 64], &[1 << 13; 64]);
        let taken: u64 = chosen.iter().map(|&(_, rows)| rows << 12).sum();
        assert!((60 * MIB..=64 * MIB).contains(&taken));
        assert!(chosen.len() == 16 && chosen.iter().all(|&(_, rows)| rows == 1 << 10));
    }
}
