//! How the outputs of a matrix depend on errors of its weights.

use crate::arch::Kernel;
use crate::codec::quantizer::{Feedback, unit_upper_factor};
use crate::codec::transform::{ForwardTransform, StoredBasis, Transform};
use crate::codec::trellis::scales::scale;
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};
use std::cmp::Ordering;
use std::sync::{Arc, OnceLock};

/// The second moment `E[x xᵀ]` of the inputs of a matrix, by column.
#[derive(Clone, Debug)]
pub(crate) enum InputMoment {
    Full(Mat<f64>),
    /// Its diagonal: the inputs are taken as uncorrelated.
    Diagonal(Vec<f64>),
}

impl InputMoment {
    /// The number of inputs.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Full(moment) => moment.nrows(),
            Self::Diagonal(diagonal) => diagonal.len(),
        }
    }

    /// The sum of the diagonal.
    pub(crate) fn trace(&self) -> f64 {
        match self {
            Self::Full(moment) => (0..moment.nrows()).map(|i| moment[(i, i)]).sum(),
            Self::Diagonal(diagonal) => diagonal.iter().sum(),
        }
    }

    pub(crate) fn into_diagonal(self) -> Vec<f64> {
        match self {
            Self::Full(moment) => (0..moment.nrows()).map(|i| moment[(i, i)]).collect(),
            Self::Diagonal(diagonal) => diagonal,
        }
    }
}

/// The second moment `H = U diag(d) Uᵀ` of inputs, positive definite and factorised. All matrices
/// that read the inputs share it: 4 n² bytes for n correlated inputs, and 2 n² for the feedback.
#[derive(Debug)]
pub(crate) struct Inputs {
    /// What was added to the diagonal.
    damping: f64,
    /// The diagonal of `H`.
    diagonal: Vec<f64>,
    /// `d`.
    weights: Vec<f64>,
    /// The lower triangle of `H` and, above its diagonal, that of `U`. `None` for uncorrelated
    /// inputs.
    matrix: Option<Mat<f32>>,
    /// The feedback for the coordinates of the weights with these column scales.
    identity: OnceLock<(Vec<u8>, Arc<Feedback>)>,
}

impl Inputs {
    /// Adds `damping` to the diagonal of a second moment. `None` when it is not positive definite
    /// then. O(n³) for n correlated inputs; takes 12 n² bytes meanwhile.
    pub(crate) fn new(moment: InputMoment, damping: f64) -> Option<Self> {
        let (diagonal, weights, matrix) = match moment {
            InputMoment::Diagonal(mut diagonal) => {
                diagonal.iter_mut().for_each(|d| *d += damping);
                (diagonal.clone(), diagonal, None)
            }
            InputMoment::Full(mut moment) => {
                let n = moment.nrows();
                (0..n).for_each(|i| moment[(i, i)] += damping);
                let diagonal = (0..n).map(|i| moment[(i, i)]).collect();
                let lower = |i, j| if i >= j { moment[(i, j)] as f32 } else { 0.0 };
                let mut matrix = Mat::from_fn(n, n, lower);
                let (factor, weights) = unit_upper_factor(moment)?;
                for j in 0..n {
                    for i in 0..j {
                        matrix[(i, j)] = factor.entry(i, j) as f32;
                    }
                }
                (diagonal, weights, Some(matrix))
            }
        };
        let is_positive = weights.iter().all(|&d| d.is_finite() && d > 0.0);
        let identity = OnceLock::new();
        is_positive.then_some(Self { damping, diagonal, weights, matrix, identity })
    }

    /// The memory that it takes, with the feedback.
    pub(crate) fn bytes(&self) -> usize {
        let n = self.diagonal.len();
        16 * n + if self.matrix.is_some() { 6 * n * n } else { 0 }
    }

    /// `H`, with its rows and columns multiplied by a scale.
    fn scaled(matrix: &Mat<f32>, scale_of: impl Fn(usize) -> f64) -> Mat<f64> {
        let n = matrix.nrows();
        Mat::from_fn(n, n, |i, j| {
            f64::from(matrix[(i.max(j), i.min(j))]) * scale_of(i) * scale_of(j)
        })
    }

    /// The feedback in the coordinates of the weights. O(n²) for n columns.
    fn identity(
        &self,
        matrix: &Mat<f32>,
        scales: Option<&[u8]>,
        scale_of: impl Fn(usize) -> f64,
    ) -> Arc<Feedback> {
        let scales = scales.unwrap_or_default();
        let new = || {
            let factor = |i, j| f64::from(matrix[(i, j)]);
            Arc::new(Feedback::of_factor(factor, &self.weights, &scale_of))
        };
        // Another thread may have been first, with other scales.
        let (known, feedback) = self.identity.get_or_init(|| (scales.to_vec(), new()));
        if known == scales { Arc::clone(feedback) } else { new() }
    }
}

/// The largest energy of a column that counts as typical, as a multiple of the median.
const TYPICAL: f64 = 10.0;

/// The weights of errors `E = W − Ŵ` in the loss `Σᵢ gᵢ eᵢ H eᵢᵀ`: the second moment `H` of the
/// inputs and a weight `gᵢ` for each output row.
#[derive(Clone, Debug)]
pub(crate) struct Sensitivity {
    inputs: Arc<Inputs>,
    /// Empty if all rows have the same weight.
    rows: Vec<f64>,
    /// Whether the loss is relative to that of `Ŵ = 0`, since the weights have no scale.
    is_relative: bool,
}

impl Sensitivity {
    pub(crate) fn new(inputs: Arc<Inputs>, rows: Vec<f64>, is_relative: bool) -> Self {
        Self { inputs, rows, is_relative }
    }

    /// The binary logarithms of column scales that make the loss of a unit error the same in all
    /// columns, after the feedback of errors.
    pub(super) fn column_logs(&self) -> Vec<f64> {
        self.inputs.weights.iter().map(|d| -0.5 * d.log2()).collect()
    }

    /// Whether inputs are correlated.
    pub(super) fn has_feedback(&self) -> bool {
        self.inputs.matrix.is_some()
    }

    /// The weights of output rows; empty if all are the same.
    pub(super) fn rows(&self) -> &[f64] {
        &self.rows
    }

    /// The mean over all rows of the weight of an error that is 1 after division by the scale of its
    /// row. `sample` has the rows of these numbers, without outliers; `energy` is that of their outputs,
    /// and `share` the number of rows of the matrix for each of them.
    pub(super) fn row_weight(
        &self,
        mut sample: Vec<f32>,
        energy: f64,
        numbers: impl Iterator<Item = usize>,
        share: f64,
        row_scale: impl Fn(usize) -> f64,
    ) -> f64 {
        let loss = |(number, weight): (usize, &f64)| weight * row_scale(number).powi(2);
        let mean = match self.rows.len() {
            0 => 1.0,
            count => self.rows.iter().enumerate().map(loss).sum::<f64>() / count as f64,
        };
        if !self.is_relative {
            return mean;
        }
        let mut energy = energy;
        if !self.rows.is_empty() {
            for (row, number) in sample.chunks_exact_mut(self.inputs.diagonal.len()).zip(numbers) {
                let root = self.rows.get(number).map_or(1.0, |weight| weight.sqrt() as f32);
                row.iter_mut().for_each(|w| *w *= root);
            }
            energy = self.output_energy(&sample);
        }
        let energy = energy * self.typical_share(&sample) * share;
        mean / energy.max(f64::MIN_POSITIVE)
    }

    /// `Σ w H wᵀ` over rows, the sum of the mean squares of their outputs. O(columns²) for each row.
    pub(super) fn output_energy(&self, rows: &[f32]) -> f64 {
        let Inputs { diagonal, weights, matrix, .. } = &*self.inputs;
        let n = diagonal.len();
        let Some(matrix) = matrix else {
            let row = |row: &[f32]| -> f64 {
                row.iter().zip(diagonal).map(|(&w, d)| f64::from(w).powi(2) * d).sum()
            };
            return rows.chunks_exact(n).map(row).sum();
        };
        // w H wᵀ = Σ dⱼ (w U)ⱼ², some columns at a time.
        let wide: Vec<f64> = rows.iter().map(|&w| w.into()).collect();
        let rows = MatRef::from_row_major_slice(&wide, wide.len() / n, n);
        let mut energy = 0.0;
        for first in (0..n).step_by(ENERGY_COLUMNS) {
            let columns = ENERGY_COLUMNS.min(n - first);
            let factor = Mat::from_fn(first + columns, columns, |i, j| match i.cmp(&(first + j)) {
                Ordering::Less => f64::from(matrix[(i, first + j)]),
                Ordering::Equal => 1.0,
                Ordering::Greater => 0.0,
            });
            let mut product = Mat::zeros(rows.nrows(), columns);
            let rows = rows.subcols(0, first + columns);
            matmul(product.as_mut(), Accum::Replace, rows, factor.as_ref(), 1.0, Par::Seq);
            for (column, d) in product.col_iter().zip(&weights[first..]) {
                energy += d * column.iter().map(|x| x * x).sum::<f64>();
            }
        }
        energy
    }

    /// The share of the output energy of rows that is typical: a few inputs, such as the massive
    /// activations of attention sinks (Sun et al., 2024), may have nearly all of it, although the
    /// outputs of other inputs matter as much. The energy of a column counts up to a multiple of the
    /// median.
    fn typical_share(&self, rows: &[f32]) -> f64 {
        let mut energies = vec![0.0f64; self.inputs.diagonal.len()];
        for row in rows.chunks_exact(energies.len()) {
            energies.iter_mut().zip(row).for_each(|(sum, &w)| *sum += f64::from(w).powi(2));
        }
        energies.iter_mut().zip(&self.inputs.diagonal).for_each(|(energy, d)| *energy *= d);
        let all: f64 = energies.iter().sum();
        let mut sorted = energies.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let most = TYPICAL * sorted.get(sorted.len() / 2).copied().unwrap_or(0.0);
        let typical: f64 = energies.iter().map(|&energy| energy.min(most)).sum();
        if typical > 0.0 { typical / all } else { 1.0 }
    }

    /// [`output_energy`](Self::output_energy) without damping.
    pub(super) fn undamped_energy(&self, rows: &[f32]) -> f64 {
        let norm: f64 = rows.iter().map(|&w| f64::from(w).powi(2)).sum();
        (self.output_energy(rows) - self.inputs.damping * norm).max(0.0)
    }

    /// The mean over columns of the loss of a unit error in scaled columns, and the feedback of
    /// errors in the coordinates of a transform. Uncorrelated inputs have none.
    ///
    /// O(n³) for n columns; O(n²) for the identity.
    pub(super) fn feedback(&self, scales: Option<&[u8]>, transform: &ForwardTransform) -> Weights {
        let scale_of = |j: usize| scales.map_or(1.0, |bytes| f64::from(scale(bytes[j])));
        let Inputs { weights, matrix, .. } = &*self.inputs;
        let Some(matrix) = matrix else {
            let sum: f64 = weights.iter().enumerate().map(|(j, d)| d * scale_of(j).powi(2)).sum();
            return Weights { mean: sum / weights.len().max(1) as f64, feedback: None };
        };
        let moment = match &**transform.transform() {
            Transform::Identity(_) => {
                let feedback = self.inputs.identity(matrix, scales, scale_of);
                return Weights { mean: feedback.mean_weight(), feedback: Some(feedback) };
            }
            Transform::StoredBasis(basis) => {
                in_basis(&in_basis(&Inputs::scaled(matrix, scale_of), basis), basis)
            }
            Transform::Hadamard(_) => {
                let once = in_coordinates(&Inputs::scaled(matrix, scale_of), transform);
                in_coordinates(&once, transform)
            }
        };
        let mean = moment.diagonal().column_vector().sum() / moment.nrows().max(1) as f64;
        match Feedback::new(moment) {
            Some(feedback) => {
                Weights { mean: feedback.mean_weight(), feedback: Some(Arc::new(feedback)) }
            }
            // Rounding can make the matrix singular in other coordinates.
            None => Weights { mean, feedback: None },
        }
    }
}

/// Columns of a factor that are multiplied at once.
const ENERGY_COLUMNS: usize = 128;

/// The weights of errors in the coordinates of a transform.
pub(super) struct Weights {
    pub(super) mean: f64,
    pub(super) feedback: Option<Arc<Feedback>>,
}

/// The transposed product of basis vectors and a square matrix: applied twice to a symmetric matrix
/// it is `J M Jᵀ`, for the basis vectors in the rows of `J`.
fn in_basis(matrix: &Mat<f64>, basis: &StoredBasis) -> Mat<f64> {
    let n = matrix.nrows();
    let mut product = Mat::zeros(n, n);
    let mut start = 0;
    for block in basis.matrices() {
        let size = block.nrows();
        let rows = matrix.as_ref().subrows(start, size);
        let part = product.as_mut().subcols_mut(start, size);
        matmul(part, Accum::Replace, rows.transpose(), block.transpose(), 1.0, Par::Seq);
        start += size;
    }
    product
}

/// The transposed product with an orthogonal transform.
fn in_coordinates(matrix: &Mat<f64>, transform: &ForwardTransform) -> Mat<f64> {
    let n = matrix.nrows();
    let mut rows: Vec<f32> = (0..n * n).map(|at| matrix[(at / n, at % n)] as f32).collect();
    transform.apply(Kernel::best(), &mut rows);
    Mat::from_fn(n, n, |i, j| f64::from(rows[j * n + i]))
}
