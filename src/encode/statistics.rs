//! The first pass over a tensor: statistics of its byte planes.

use crate::codec::{Sample, Statistics};
use crate::error::Result;
use crate::format::Geometry;
use crate::io::ReadAt;
use rayon::prelude::*;
use std::ops::Range;

/// Statistics of a tensor, and the CRC-32 of every chunk; no checksums if chunks are counted in part,
/// since they are not read as a whole then. O(bytes), in parallel over chunks.
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
    let share = |range: Range<u64>| {
        let (mut statistics, mut crcs, mut bytes) = (new.clone(), Vec::new(), Vec::new());
        for number in range {
            let chunk = source.read_at(geometry.chunk_range(number), &mut bytes)?;
            statistics.count(number, chunk);
            if !statistics.is_partial() {
                crcs.push(crc32fast::hash(chunk));
            }
        }
        Ok((statistics, crcs))
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

/// The CRC-32 of every chunk.
pub(super) fn checksums<S>(geometry: &Geometry, source: &S) -> Result<Vec<u32>>
where
    S: ReadAt + ?Sized,
{
    let mut bytes = Vec::new();
    (0..geometry.chunk_count())
        .map(|number| {
            Ok(crc32fast::hash(source.read_at(geometry.chunk_range(number), &mut bytes)?))
        })
        .collect()
}
