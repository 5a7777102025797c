//! The first pass over a tensor: what its bytes are like, chunk by chunk.

use crate::codec::Survey;
use crate::container::Geometry;
use crate::error::Result;
use crate::io::ByteSource;
use rayon::prelude::*;
use std::ops::Range;

/// Statistics and checksums of all chunks.
pub(crate) fn survey<S>(geometry: &Geometry, source: &S) -> Result<(Survey, Vec<u32>)>
where
    S: ByteSource + ?Sized,
{
    let count = |state: &mut (Survey, Vec<u8>), number: u64| {
        let (survey, bytes) = state;
        let chunk = source.bytes(geometry.chunk_range(number), bytes)?;
        survey.count(chunk);
        Ok(crc32fast::hash(chunk))
    };
    let share = |range: Range<u64>| {
        let mut state = (Survey::new(geometry.dtype()), Vec::new());
        let crcs: Result<Vec<u32>> = range.map(|number| count(&mut state, number)).collect();
        Ok((state.0, crcs?))
    };
    let chunks = geometry.chunk_count();
    let workers = rayon::current_num_threads() as u64;
    if chunks <= 1 || workers == 1 {
        return share(0..chunks);
    }
    let size = chunks.div_ceil(workers);
    let shares: Vec<Result<(Survey, Vec<u32>)>> = (0..workers)
        .into_par_iter()
        .map(|worker| share((worker * size).min(chunks)..((worker + 1) * size).min(chunks)))
        .collect();
    let mut total = (Survey::new(geometry.dtype()), Vec::new());
    for share in shares {
        let (survey, crcs) = share?;
        total.0.merge(&survey);
        total.1.extend(crcs);
    }
    Ok(total)
}
