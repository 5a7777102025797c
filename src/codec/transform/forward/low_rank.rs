//! Rounding of a learned low-rank part, and least-squares projection of rows onto it.

use super::subspace::Subspace;
use crate::arch::Kernel;
use crate::codec::transform::BAND;
use crate::codec::transform::integers::IntegerMatrix;
use crate::codec::transform::low_rank::LowRank;
use crate::linear_algebra::{inverse, product};
use faer::Mat;

/// The largest scale, 2^56. Its products with integers below 2^31 and with scales of rows and columns
/// are finite.
const MAX_SCALE: f32 = 72_057_594_037_927_936.0;

impl LowRank {
    /// Rounds the first `rank` vectors of a subspace, and its mean if `with_mean`. Rounding adds about
    /// `noise_fraction` of the mean square of a weight that remains after subtraction.
    ///
    /// A vector and its coefficients get integers of about the same size. `None` when all entries
    /// round to zero or the scale is out of range.
    pub(crate) fn round(
        found: &Subspace,
        rank: usize,
        with_mean: bool,
        noise_fraction: f64,
    ) -> Option<Self> {
        let columns = found.columns();
        let root = (columns as f64).sqrt();
        let rms = |k: usize| found.deviation(k) / root;
        let total: f64 = (0..rank).map(rms).sum();
        let scale = match rank {
            0 => (12.0 * noise_fraction * found.residual(0)).sqrt(),
            _ => 6.0 * noise_fraction * found.residual(rank) / total,
        };
        let single = scale as f32;
        if !(single.is_normal() && single > 0.0 && single <= MAX_SCALE) {
            return None;
        }
        let mut entries: Vec<f64> = Vec::new();
        if with_mean {
            entries.extend(found.mean().iter().map(|x| x / scale));
        }
        for k in 0..rank {
            // The RMS is scale · (RMS of coefficients) · (RMS of entries) with equal factors.
            let size = (rms(k) / scale).sqrt() * root;
            entries.extend(found.vector(k).iter().map(|x| x * size));
        }
        let vectors = IntegerMatrix::round(columns, &entries, 1.0)?;
        Some(Self::from_matrix(with_mean, single, vectors))
    }

    /// The integers of the mean, if there is one, then of the basis vectors.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &[i16]> {
        self.vectors.rows()
    }
}

/// The least-squares projection of rows onto the vectors of a [`LowRank`] part.
pub(crate) struct LowRankProjector {
    /// `Jᵀ (J Jᵀ)⁻¹` for the vectors J: columns × rank.
    matrix: Mat<f32>,
}

impl LowRankProjector {
    /// O(n · rank²) for n columns.
    pub(crate) fn new(part: &LowRank) -> Self {
        let (vectors, rank) = (&part.vectors, part.rank());
        let (skip, columns) = (usize::from(part.has_mean()), vectors.columns());
        let vectors = Mat::from_fn(rank, columns, |k, c| vectors.entry(skip + k, c));
        let inverse = inverse(product(vectors.as_ref(), vectors.transpose()));
        let projector = product(vectors.transpose(), inverse.as_ref());
        // A singular matrix has no inverse. Coefficients are then 0.
        let finite = |x: f64| if x.is_finite() { x as f32 } else { 0.0 };
        Self { matrix: Mat::from_fn(columns, rank, |c, k| finite(projector[(c, k)])) }
    }

    /// The integer coefficients of the part nearest to a row.
    fn coefficients(&self, part: &LowRank, row: &[f32]) -> Vec<i16> {
        let mean = |c: usize| if part.has_mean() { part.vectors.entry(0, c) as f32 } else { 0.0 };
        let centred: Vec<f32> =
            row.iter().enumerate().map(|(c, x)| x / part.scale() - mean(c)).collect();
        (0..part.rank())
            .map(|k| {
                let column = self.matrix.col(k);
                let sum: f32 = centred.iter().zip(column.iter()).map(|(x, p)| x * p).sum();
                let limit = f32::from(LowRank::MAX_COEFFICIENT);
                sum.round().clamp(-limit, limit) as i16
            })
            .collect()
    }

    /// Subtracts from whole rows what a decoder will add. Returns the coefficients of each row.
    /// `part` must be the one that the projector was made for. O(rank) for each value.
    pub(crate) fn subtract_from(&self, part: &LowRank, rows: &mut [f32]) -> Vec<Vec<i16>> {
        let columns = part.vectors.columns();
        let mut all = Vec::with_capacity(rows.len() / columns);
        let mut product = vec![[0; BAND]; columns];
        for band in rows.chunks_mut(BAND * columns) {
            let mut transposed = vec![[0; BAND]; part.rank()];
            for (lane, row) in band.chunks_exact(columns).enumerate() {
                let coefficients = self.coefficients(part, row);
                for (out, &coefficient) in transposed.iter_mut().zip(&coefficients) {
                    out[lane] = coefficient;
                }
                all.push(coefficients);
            }
            part.product(Kernel::best(), &transposed, &(0..BAND), 0, &mut product);
            for (lane, row) in band.chunks_exact_mut(columns).enumerate() {
                for (value, product) in row.iter_mut().zip(&product) {
                    *value -= product[lane] as f32 * part.scale();
                }
            }
        }
        all
    }
}
