//! Normalised weights of a matrix, read on demand.

use crate::dtype::Dtype;
use crate::dtype::number;
use crate::error::Result;
use crate::io::ReadAt;
use crate::parallel;
use std::ops::Range;

/// A matrix of floats divided by its root mean square. Values that are not finite are replaced by 0.
pub(super) struct Weights<'m> {
    source: &'m dyn ReadAt,
    dtype: Dtype,
    rows: usize,
    columns: usize,
    /// The root mean square.
    rms: f64,
    not_finite: u64,
}

/// Approximate number of weights that are read at once.
const PIECE: usize = 1 << 17;

/// Rows that are read together if rows are sampled.
const RUN: usize = 32;

impl<'m> Weights<'m> {
    /// Reads all weights once to compute the root mean square.
    pub(super) fn new(
        source: &'m dyn ReadAt,
        dtype: Dtype,
        (rows, columns): (usize, usize),
    ) -> Result<Self> {
        let mut weights = Self { source, dtype, rows, columns, rms: 1.0, not_finite: 0 };
        let (mut energy, mut not_finite) = (0.0, 0);
        let add = |piece: Range<usize>| {
            let (mut rows, mut bytes) = (Vec::new(), Vec::new());
            weights.read_raw(piece, &mut rows, &mut bytes)?;
            let finite = rows.iter().filter(|x| x.is_finite());
            let energy: f64 = finite.clone().map(|&x| f64::from(x).powi(2)).sum();
            Ok((energy, (rows.len() - finite.count()) as u64))
        };
        parallel::ordered(weights.pieces(rows).map(Ok), add, |(energies, others)| {
            energy += energies;
            not_finite += others;
            Ok(())
        })?;
        (weights.rms, weights.not_finite) = ((energy / (rows * columns) as f64).sqrt(), not_finite);
        Ok(weights)
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn columns(&self) -> usize {
        self.columns
    }

    pub(super) fn rms(&self) -> f64 {
        self.rms
    }

    pub(super) fn not_finite(&self) -> u64 {
        self.not_finite
    }

    fn read_raw(&self, rows: Range<usize>, out: &mut Vec<f32>, bytes: &mut Vec<u8>) -> Result<()> {
        let row = self.columns as u64 * u64::from(self.dtype.bits()) / 8;
        let range = rows.start as u64 * row..rows.end as u64 * row;
        number::to_f32(self.dtype, self.source.read_at(range, bytes)?, out);
        Ok(())
    }

    /// Reads whole rows.
    pub(super) fn read(&self, rows: Range<usize>) -> Result<Vec<f32>> {
        let (mut out, mut bytes) = (Vec::new(), Vec::new());
        self.read_raw(rows, &mut out, &mut bytes)?;
        let factor = if self.rms > 0.0 { self.rms.recip() } else { 0.0 };
        for x in &mut out {
            *x = if x.is_finite() { (f64::from(*x) * factor) as f32 } else { 0.0 };
        }
        Ok(out)
    }

    /// Evenly spread pieces of about `limit` rows in total, or of all rows if there are fewer. Each
    /// piece is small enough to be read at once.
    pub(super) fn pieces(&self, limit: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        // A power of two, for the Hadamard transform of columns.
        let most = 1 << (PIECE / self.columns.max(1)).max(1).ilog2();
        let (rows, size) = (self.rows, if limit < self.rows { most.min(RUN) } else { most });
        let (all, wanted) = (rows.div_ceil(size), limit.min(rows).div_ceil(size));
        (0..wanted).map(move |number| {
            // The piece in the middle of each of `wanted` equal parts.
            let start = (2 * number + 1) * all / (2 * wanted) * size;
            start..rows.min(start + size)
        })
    }

    /// Maps pieces of about `limit` rows in total in parallel and adds the results in order.
    pub(super) fn fold<T: Send>(
        &self,
        limit: usize,
        map: impl Fn(Vec<f32>) -> T + Sync,
        mut add: impl FnMut(T),
    ) -> Result<()> {
        let read = |piece| Ok(map(self.read(piece)?));
        parallel::ordered(self.pieces(limit).map(Ok), read, |part| {
            add(part);
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(numbers: &[f32]) -> Vec<u8> {
        numbers.iter().flat_map(|x| x.to_le_bytes()).collect()
    }

    #[test]
    fn pieces_are_disjoint_and_evenly_spread() {
        let none: &[u8] = &[];
        for (rows, columns) in [(1, 1), (1000, 64), (30_522, 384), (5, 1 << 20), (7, 9000)] {
            let weights = Weights {
                source: &none,
                dtype: Dtype::F32,
                rows,
                columns,
                rms: 1.0,
                not_finite: 0,
            };
            for limit in [1, 33, 2730, rows, 2 * rows] {
                let pieces: Vec<_> = weights.pieces(limit).collect();
                assert!(pieces.windows(2).all(|pair| pair[0].end <= pair[1].start));
                let read: usize = pieces.iter().map(ExactSizeIterator::len).sum();
                assert!(pieces.iter().all(|piece| !piece.is_empty() && piece.end <= rows));
                assert!(read.abs_diff(limit.min(rows)) < RUN, "{rows} {limit}: {read}");
            }
        }
    }

    #[test]
    fn weights_are_normalised_and_finite() {
        let stored = bytes(&[3.0, -4.0, f32::NAN, f32::INFINITY, 0.0, 0.0, 0.0, 0.0]);
        let source: &[u8] = &stored;
        let weights = Weights::new(&source, Dtype::F32, (4, 2)).unwrap();
        assert_eq!((weights.rms(), weights.not_finite()), ((25.0f64 / 8.0).sqrt(), 2));
        let read = weights.read(0..4).unwrap();
        assert!((read[0] - 3.0 / 1.767_767).abs() < 1e-6 && read[2..].iter().all(|&x| x == 0.0));
        let zeros: &[u8] = &[0; 32];
        assert_eq!(Weights::new(&zeros, Dtype::F32, (4, 2)).unwrap().read(0..4).unwrap(), [0.0; 8]);
    }
}
