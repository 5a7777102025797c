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
    sample: &Sample,
    repeated: Option<u32>,
) -> Result<(Statistics, Vec<u32>)>
where
    S: ReadAt + ?Sized,
{
    let new = Statistics::new(geometry.dtype(), source.size(), sample, repeated);
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
