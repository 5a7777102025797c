//! The first pass over a tensor: statistics of its byte planes.

use crate::codec::Statistics;
use crate::error::Result;
use crate::format::Geometry;
use crate::io::ReadAt;
use rayon::prelude::*;
use std::ops::Range;

/// Statistics of a tensor, and the CRC-32 of every chunk. O(bytes), in parallel over chunks.
pub(crate) fn collect<S>(geometry: &Geometry, source: &S) -> Result<(Statistics, Vec<u32>)>
where
    S: ReadAt + ?Sized,
{
    let new = Statistics::new(geometry.dtype(), &sample(source)?);
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

/// A sample of whole elements; empty for a small tensor.
fn sample<S>(source: &S) -> Result<Vec<u8>>
where
    S: ReadAt + ?Sized,
{
    let length = source.size();
    let (mut sample, mut piece) = (Vec::new(), Vec::new());
    if length < SMALL {
        return Ok(sample);
    }
    // A multiple of the size of every element.
    let distance = length / PIECES / 8 * 8;
    for start in (0..PIECES).map(|number| number * distance) {
        let range = start..start + PIECE.min(distance);
        sample.extend_from_slice(source.read_at(range, &mut piece)?);
    }
    Ok(sample)
}
