//! The low-dimensional part `μ + θJ`: a mean row, a few axes, and each row's coefficients.

use super::BAND;
use super::integers::IntegerMatrix;
use crate::arch::Kernel;
use crate::error::Result;
use faer::linalg::solvers::DenseSolveCore;
use faer::{Mat, Side};
use std::sync::OnceLock;

/// A mean and axes, in integers: a row is `scale · (mean + Σ coefficient · axis)`.
#[derive(Debug)]
pub(crate) struct LowRank {
    scale: f32,
    has_mean: bool,
    /// The mean, if there is one, then the axes.
    axes: IntegerMatrix,
    /// Rows to coefficients, which only an encoder needs: columns × rank.
    projector: OnceLock<Mat<f32>>,
}

impl LowRank {
    /// The largest coefficient.
    pub(crate) const MAX_COEFFICIENT: i16 = i16::MAX;

    /// The largest scale, 2^56: times integers below 2^31, and scales of rows and columns, it
    /// stays finite.
    const MAX_SCALE: f32 = 72_057_594_037_927_936.0;

    /// From stored integers: the mean, if there is one, then the axes, row by row.
    ///
    /// # Errors
    /// `Corrupt` when the integers are too large.
    pub(crate) fn new(
        columns: usize,
        has_mean: bool,
        scale: f32,
        entries: Vec<i16>,
    ) -> Result<Self> {
        let axes = IntegerMatrix::new(columns, entries)?;
        Ok(Self { scale, has_mean, axes, projector: OnceLock::new() })
    }

    /// Rounds a mean and axes of unit length, whose coefficients have these root mean squares, so
    /// that rounding adds about `share` of a residual with this mean square per weight.
    ///
    /// Axis and coefficients share the precision: both get integers of the same size. `None` when
    /// nothing is left of them.
    pub(crate) fn round(
        found: &Subspace,
        rank: usize,
        with_mean: bool,
        share: f64,
    ) -> Option<Self> {
        let columns = found.columns;
        let root = (columns as f64).sqrt();
        let loudness = |k: usize| found.deviations[k] / root;
        let total: f64 = (0..rank).map(loudness).sum();
        let scale = match rank {
            0 => (12.0 * share * found.residual(0)).sqrt(),
            _ => 6.0 * share * found.residual(rank) / total,
        };
        let single = scale as f32;
        if !(single.is_normal() && single > 0.0 && single <= Self::MAX_SCALE) {
            return None;
        }
        let mut entries: Vec<f64> = Vec::new();
        if with_mean {
            entries.extend(found.mean.iter().map(|x| x / scale));
        }
        for k in 0..rank {
            // Loudness is scale · (coefficient's size) · (entry's size), both the same.
            let size = (loudness(k) / scale).sqrt() * root;
            entries.extend(found.axes[k].iter().map(|x| x * size));
        }
        let axes = IntegerMatrix::round(columns, &entries, 1.0)?;
        Some(Self { scale: single, has_mean: with_mean, axes, projector: OnceLock::new() })
    }

    pub(crate) fn scale(&self) -> f32 {
        self.scale
    }

    pub(crate) fn has_mean(&self) -> bool {
        self.has_mean
    }

    /// How many coefficients a row has.
    pub(crate) fn rank(&self) -> usize {
        self.axes.rows().len() - usize::from(self.has_mean)
    }

    /// The mean, if there is one, then the axes.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &[i16]> {
        self.axes.rows()
    }

    /// The integers that coefficients of a band make along the columns from `first` on; times
    /// [`scale`](Self::scale), the part itself.
    pub(crate) fn product(
        &self,
        kernel: Kernel,
        coefficients: &[[i16; BAND]],
        first: usize,
        out: &mut [[i32; BAND]],
    ) {
        if self.has_mean {
            self.axes.combine(kernel, &[&[[1; BAND]], coefficients].concat(), first, out);
        } else {
            self.axes.combine(kernel, coefficients, first, out);
        }
    }

    /// The coefficients that bring the part nearest to a row.
    fn coefficients(&self, row: &[f32]) -> Vec<i16> {
        let projector = self.projector();
        let skip = usize::from(self.has_mean);
        let mean = |c: usize| if self.has_mean { self.axes.entry(0, c) as f32 } else { 0.0 };
        let centred: Vec<f32> =
            row.iter().enumerate().map(|(c, x)| x / self.scale - mean(c)).collect();
        (skip..self.axes.rows().len())
            .map(|k| {
                let column = projector.col(k - skip);
                let sum: f32 = centred.iter().zip(column.iter()).map(|(x, p)| x * p).sum();
                let limit = f32::from(Self::MAX_COEFFICIENT);
                sum.round().clamp(-limit, limit) as i16
            })
            .collect()
    }

    /// Takes the part away from whole rows, as a decoder will add it; returns each row's
    /// coefficients.
    pub(crate) fn take_away(&self, rows: &mut [f32]) -> Vec<Vec<i16>> {
        let columns = self.axes.columns();
        let mut all = Vec::with_capacity(rows.len() / columns);
        let mut product = vec![[0; BAND]; columns];
        for band in rows.chunks_mut(BAND * columns) {
            let mut transposed = vec![[0; BAND]; self.rank()];
            for (lane, row) in band.chunks_exact(columns).enumerate() {
                let coefficients = self.coefficients(row);
                for (out, &coefficient) in transposed.iter_mut().zip(&coefficients) {
                    out[lane] = coefficient;
                }
                all.push(coefficients);
            }
            self.product(Kernel::best(), &transposed, 0, &mut product);
            for (lane, row) in band.chunks_exact_mut(columns).enumerate() {
                for (value, product) in row.iter_mut().zip(&product) {
                    *value -= product[lane] as f32 * self.scale;
                }
            }
        }
        all
    }

    /// `Jᵀ (J Jᵀ)⁻¹`.
    fn projector(&self) -> &Mat<f32> {
        self.projector.get_or_init(|| {
            let (skip, columns) = (usize::from(self.has_mean), self.axes.columns());
            let rank = self.rank();
            let axes = Mat::from_fn(rank, columns, |k, c| self.axes.entry(skip + k, c));
            let inverse = (&axes * axes.transpose()).partial_piv_lu().inverse();
            let projector = axes.transpose() * &inverse;
            // A singular matrix has no inverse; then no coefficient helps.
            let finite = |x: f64| if x.is_finite() { x as f32 } else { 0.0 };
            Mat::from_fn(columns, rank, |c, k| finite(projector[(c, k)]))
        })
    }
}

/// A search for the loudest axes of many rows: subspace iteration from a fixed random start
/// (Halko, Martinsson and Tropp, 2011). Rows are shown several times:
/// [`Subspace::add`] all of them, then [`Subspace::turn`].
#[derive(Clone)]
pub(crate) struct Subspace {
    columns: usize,
    /// By falling loudness.
    axes: Vec<Vec<f64>>,
    mean: Vec<f64>,
    /// The root mean square of each axis's coefficients.
    deviations: Vec<f64>,
    energy: f64,
    /// Sums since the last turn.
    sums: Sums,
}

#[derive(Clone)]
struct Sums {
    rows: f64,
    mean: Vec<f64>,
    energy: f64,
    products: Mat<f64>,
}

impl Sums {
    fn new(columns: usize, rank: usize) -> Self {
        let products = Mat::zeros(columns, rank);
        Self { rows: 0.0, mean: vec![0.0; columns], energy: 0.0, products }
    }
}

impl Subspace {
    /// For up to `rank` axes of rows of this width.
    pub(crate) fn new(columns: usize, rank: usize) -> Self {
        let mut state = 0x2545_f491_4f6c_dd1du64;
        let mut random = || {
            // Xorshift (Marsaglia, 2003).
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as f64 / u64::MAX as f64 - 0.5
        };
        let rank = rank.min(columns);
        let axes = (0..rank).map(|_| (0..columns).map(|_| random()).collect()).collect();
        Self {
            columns,
            axes,
            mean: vec![0.0; columns],
            deviations: vec![0.0; rank],
            energy: 0.0,
            sums: Sums::new(columns, rank),
        }
    }

    /// Adds whole rows: O(rank) for each number.
    pub(crate) fn add(&mut self, rows: &[f32]) {
        let (columns, sums) = (self.columns, &mut self.sums);
        for rows in rows.chunks(columns * 256) {
            let count = rows.len() / columns;
            let mut centred = Mat::<f64>::zeros(count, columns);
            for (i, row) in rows.chunks_exact(columns).enumerate() {
                for (c, &x) in row.iter().enumerate() {
                    sums.mean[c] += f64::from(x);
                    centred[(i, c)] = f64::from(x) - self.mean[c];
                }
            }
            sums.rows += count as f64;
            sums.energy += centred.squared_norm_l2();
            let axes = Mat::from_fn(columns, self.axes.len(), |c, k| self.axes[k][c]);
            sums.products += centred.transpose() * (&centred * axes);
        }
    }

    /// Adds the sums of another search at the same turn.
    pub(crate) fn merge(&mut self, other: &Self) {
        let (sums, other) = (&mut self.sums, &other.sums);
        sums.rows += other.rows;
        sums.energy += other.energy;
        sums.mean.iter_mut().zip(&other.mean).for_each(|(sum, x)| *sum += x);
        sums.products += &other.products;
    }

    /// Turns the axes towards the loudest ones, when all rows have been added.
    pub(crate) fn turn(&mut self) {
        let (columns, rank) = (self.columns, self.axes.len());
        let sums = std::mem::replace(&mut self.sums, Sums::new(columns, rank));
        let rows = sums.rows.max(1.0);
        self.energy = sums.energy / rows;
        self.mean = sums.mean.iter().map(|sum| sum / rows).collect();
        if rank == 0 {
            return;
        }
        // Q spans what the covariance makes of the axes; within it, they are told apart by the
        // Rayleigh quotients (QᵀCA)(QᵀA)⁻¹ of the next turn. Ordering needs only lengths.
        let q = sums.products.qr().compute_thin_Q();
        let small = q.transpose() * &sums.products;
        let gram = &small * small.transpose();
        let Ok(eigen) = gram.self_adjoint_eigen(Side::Lower) else { return };
        let axes = &q * eigen.U();
        for k in 0..rank {
            let column = rank - 1 - k;
            self.axes[k] = axes.col(column).iter().copied().collect();
            // The axes were of unit length from the second turn on: products are C times them.
            let power = eigen.S()[column].max(0.0).sqrt() / rows;
            self.deviations[k] = power.sqrt();
        }
    }

    /// How many axes there are.
    pub(crate) fn rank(&self) -> usize {
        self.axes.len()
    }

    /// The share of the energy about the mean that axis `k` holds.
    pub(crate) fn share(&self, k: usize) -> f64 {
        if self.energy > 0.0 { self.deviations[k].powi(2) / self.energy } else { 0.0 }
    }

    /// The mean row's share of all energy.
    pub(crate) fn mean_share(&self) -> f64 {
        let mean: f64 = self.mean.iter().map(|x| x * x).sum();
        if mean + self.energy > 0.0 { mean / (mean + self.energy) } else { 0.0 }
    }

    /// The mean square of a weight when `rank` axes are taken away.
    fn residual(&self, rank: usize) -> f64 {
        let taken: f64 = self.deviations[..rank].iter().map(|d| d * d).sum();
        (self.energy - taken).max(self.energy * 1e-3) / self.columns as f64
    }
}
