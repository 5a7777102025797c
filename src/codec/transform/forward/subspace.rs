//! The principal subspace of many rows.

use crate::linear_algebra::{inner_product, product, self_adjoint_eigen, thin_qr};
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};

/// The principal subspace of rows, by orthogonal iteration from a fixed random start (Rutishauser,
/// 1970; Halko, Martinsson and Tropp, 2011).
///
/// One iteration is [`Subspace::add`] of all rows, then [`Subspace::iterate`]. From the second
/// iteration on, the mean row of the iteration before is subtracted.
#[derive(Clone)]
pub(crate) struct Subspace {
    columns: usize,
    /// By descending variance of their coefficients; orthonormal after the first iteration.
    vectors: Vec<Vec<f64>>,
    mean: Vec<f64>,
    /// The root mean square of each vector's coefficients.
    deviations: Vec<f64>,
    /// The mean squared norm of rows.
    energy: f64,
    /// Sums of the current iteration.
    sums: Sums,
}

/// The fixed random numbers that iterations start with, from -0.5 to 0.5.
pub(super) fn start() -> impl Iterator<Item = f64> {
    let mut state = 0x2545_f491_4f6c_dd1du64;
    std::iter::repeat_with(move || {
        // Xorshift (Marsaglia, 2003).
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as f64 / u64::MAX as f64 - 0.5
    })
}

/// Rows whose products are summed in single precision.
const ROWS: usize = 256;

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
    /// A start for at most `rank` vectors of `columns` columns.
    pub(crate) fn new(columns: usize, rank: usize) -> Self {
        let mut random = start();
        let rank = rank.min(columns);
        let vectors = (0..rank).map(|_| random.by_ref().take(columns).collect()).collect();
        Self {
            columns,
            vectors,
            mean: vec![0.0; columns],
            deviations: vec![0.0; rank],
            energy: 0.0,
            sums: Sums::new(columns, rank),
        }
    }

    /// Adds whole rows. O(rank) for each value.
    ///
    /// Products of up to [`ROWS`] rows are in single precision, and their sums in double precision.
    pub(crate) fn add(&mut self, rows: &[f32]) {
        let (columns, rank, sums) = (self.columns, self.vectors.len(), &mut self.sums);
        let mean: Vec<f32> = self.mean.iter().map(|&x| x as f32).collect();
        let vectors = Mat::from_fn(columns, rank, |c, k| self.vectors[k][c] as f32);
        let mut centred = vec![0.0; rows.len().min(columns * ROWS)];
        let mut products = Mat::<f32>::zeros(columns, rank);
        for rows in rows.chunks(columns * ROWS) {
            let count = rows.len() / columns;
            let mut sum = vec![0f32; columns];
            let pairs = rows.chunks_exact(columns).zip(centred.chunks_exact_mut(columns));
            for (row, centred) in pairs {
                for (((out, sum), x), mean) in centred.iter_mut().zip(&mut sum).zip(row).zip(&mean)
                {
                    *out = x - mean;
                    *sum += x;
                }
                sums.energy += f64::from(inner_product(centred, centred));
            }
            sums.mean.iter_mut().zip(&sum).for_each(|(total, &sum)| *total += f64::from(sum));
            sums.rows += count as f64;
            let centred = &centred[..count * columns];
            let centred = MatRef::from_row_major_slice(centred, count, columns);
            let mut coordinates = Mat::<f32>::zeros(count, rank);
            let replace = Accum::Replace;
            matmul(coordinates.as_mut(), replace, centred, vectors.as_ref(), 1.0, Par::Seq);
            let (rows, coordinates) = (centred.transpose(), coordinates.as_ref());
            matmul(products.as_mut(), replace, rows, coordinates, 1.0, Par::Seq);
            for k in 0..rank {
                let (sums, products) = (sums.products.col_mut(k), products.col(k));
                sums.iter_mut().zip(products.iter()).for_each(|(sum, &x)| *sum += f64::from(x));
            }
        }
    }

    /// Adds the sums of other rows in the same iteration.
    pub(crate) fn merge(&mut self, other: &Self) {
        let (sums, other) = (&mut self.sums, &other.sums);
        sums.rows += other.rows;
        sums.energy += other.energy;
        sums.mean.iter_mut().zip(&other.mean).for_each(|(sum, x)| *sum += x);
        sums.products += &other.products;
    }

    /// Ends an iteration after all rows have been added: multiplies the vectors by the covariance
    /// matrix and orthogonalises them. O(n · rank²) for n columns.
    pub(crate) fn iterate(&mut self) {
        let (columns, rank) = (self.columns, self.vectors.len());
        let sums = std::mem::replace(&mut self.sums, Sums::new(columns, rank));
        let rows = sums.rows.max(1.0);
        self.energy = sums.energy / rows;
        self.mean = sums.mean.iter().map(|sum| sum / rows).collect();
        if rank == 0 {
            return;
        }
        // With covariance C and vectors A, Q spans the range of CA. Within it, the left singular
        // vectors of CA, by descending singular value, are the next vectors.
        let (q, _) = thin_qr(sums.products.clone());
        let small = product(q.transpose(), sums.products.as_ref());
        let gram = product(small.as_ref(), small.transpose());
        let Some((values, vectors)) = self_adjoint_eigen(gram.as_ref()) else { return };
        let vectors = product(q.as_ref(), vectors.as_ref());
        for k in 0..rank {
            let column = rank - 1 - k;
            self.vectors[k] = vectors.col(column).iter().copied().collect();
            // Singular values of CA estimate the variances once the vectors are orthonormal, which
            // they are from the second iteration on.
            let variance = values[column].max(0.0).sqrt() / rows;
            self.deviations[k] = variance.sqrt();
        }
    }

    /// The number of vectors.
    pub(crate) fn rank(&self) -> usize {
        self.vectors.len()
    }

    /// The energy along vector `k` as a fraction of the energy about the mean.
    pub(crate) fn energy_fraction(&self, k: usize) -> f64 {
        if self.energy > 0.0 { self.deviations[k].powi(2) / self.energy } else { 0.0 }
    }

    /// The energy of the mean row as a fraction of all energy.
    pub(crate) fn mean_energy_fraction(&self) -> f64 {
        let mean: f64 = self.mean.iter().map(|x| x * x).sum();
        if mean + self.energy > 0.0 { mean / (mean + self.energy) } else { 0.0 }
    }

    /// The mean square of a weight that remains when `rank` vectors are projected out.
    pub(super) fn residual(&self, rank: usize) -> f64 {
        let removed: f64 = self.deviations[..rank].iter().map(|d| d * d).sum();
        (self.energy - removed).max(self.energy * 1e-3) / self.columns as f64
    }

    pub(super) fn columns(&self) -> usize {
        self.columns
    }

    pub(super) fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// The root mean square of the coefficients of vector `k`.
    pub(super) fn deviation(&self, k: usize) -> f64 {
        self.deviations[k]
    }

    pub(super) fn vector(&self, k: usize) -> &[f64] {
        &self.vectors[k]
    }
}
