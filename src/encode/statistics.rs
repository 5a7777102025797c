//! The first pass over a tensor: statistics of its byte planes.

use crate::codec::{Sample, Statistics};
use crate::error::Result;
use crate::format::Geometry;
use crate::io::ReadAt;
use rayon::prelude::*;
use std::ops::Range;

/// Statistics of a tensor, and the CRC-32 of every chunk. O(bytes), in parallel over chunks.
///
/// `repeated` is the number of bytes of rows that repeat, if there are such.
pub(crate) fn collect<S>(
    geometry: &Geometry,
    source: &S,
    repeated: Option<u32>,
) -> Result<(Statistics, Vec<u32>)>
where
    S: ReadAt + ?Sized,
{
    let new = Statistics::new(geometry.dtype(), &sample(geometry, source)?, repeated);
    let count = |state: &mut (Statistics, Vec<u8>), number: u64| {
        let (statistics, bytes) = state;
        let chunk = source.read_at(geometry.chunk_range(number), bytes)?;
        statistics.count(chunk);
        Ok(crc32fast::hash(chunk))
    };
    let share = |range: Range<u64>| {
        let mut state = (new.clone(), Vec::new());
        let crcs: Result<Vec<u32>> = range.map(|number| count(&mut state, number)).collect();
        Ok((state.0, crcs?))
    };
    let chunks = geometry.chunk_count();
    let workers = rayon::current_num_threads() as u64;
    if chunks <= 1 || workers == 1 {
        return share(0..chunks);
    }
    let size = chunks.div_ceil(workers);
    let shares: Vec<Result<(Statistics, Vec<u32>)>> = (0..workers)
        .into_par_iter()
        .map(|worker| share((worker * size).min(chunks)..((worker + 1) * size).min(chunks)))
        .collect();
    let mut total = (new, Vec::new());
    for share in shares {
        let (statistics, crcs) = share?;
        total.0.merge(&statistics);
        total.1.extend(crcs);
    }
    Ok(total)
}

/// The number of evenly spaced pieces of a sample, and the most bytes of each.
const PIECES: u64 = 8;
const PIECE: u64 = 1 << 13;

/// Smaller tensors have no sample.
const SMALL: u64 = 1 << 13;

/// Pieces of tensors with longer rows start at multiples of so many elements.
const ALIGNMENT: u64 = 256;

/// A sample of whole elements; empty for a small tensor.
fn sample<S>(geometry: &Geometry, source: &S) -> Result<Sample>
where
    S: ReadAt + ?Sized,
{
    let length = source.size();
    let (mut sample, mut buffer) = (Sample::default(), Vec::new());
    if length < SMALL {
        return Ok(sample);
    }
    let row = geometry.shape().last().copied().and_then(|row| geometry.dtype().byte_len(row));
    let row = row.unwrap_or(0);
    let distance = length / PIECES;
    let unit = match row {
        1.. if row <= distance => row,
        _ => geometry.dtype().byte_len(ALIGNMENT).unwrap_or(1),
    };
    // Multiples of the size of every element.
    let distance = if distance < unit { distance / 8 * 8 } else { distance / unit * unit };
    let piece = PIECE.min(distance);
    for start in (0..PIECES).map(|number| number * distance) {
        sample.bytes.extend_from_slice(source.read_at(start..start + piece, &mut buffer)?);
    }
    (sample.piece, sample.row) = (piece as usize, row as usize);
    Ok(sample)
}
