//! How the outputs of a matrix depend on errors of its weights.

use crate::arch::Kernel;
use crate::codec::quantizer::{Feedback, unit_upper_factor};
use crate::codec::transform::{ForwardTransform, StoredBasis, Transform};
use crate::codec::trellis::scales::scale;
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};

/// The second moment `E[x xᵀ]` of the inputs of a matrix, by column.
#[derive(Clone, Debug)]
pub(crate) enum InputMoment {
    Full(Mat<f64>),
    /// Its diagonal: the inputs are taken as uncorrelated.
    Diagonal(Vec<f64>),
}

impl InputMoment {
    pub(crate) fn into_diagonal(self) -> Vec<f64> {
        match self {
            Self::Full(moment) => (0..moment.nrows()).map(|i| moment[(i, i)]).collect(),
            Self::Diagonal(diagonal) => diagonal,
        }
    }
}

/// The largest energy of a column that counts as typical, as a multiple of the median.
const TYPICAL: f64 = 10.0;

/// The weights of errors `E = W − Ŵ` in the loss `Σᵢ gᵢ eᵢ H eᵢᵀ`: the second moment `H` of the
/// inputs, which is positive definite, and a weight `gᵢ` for each output row.
#[derive(Clone, Debug)]
pub(crate) struct Sensitivity {
    inputs: InputMoment,
    /// What was added to the diagonal.
    damping: f64,
    /// `U` of `H = U diag(d) Uᵀ`; `None` for uncorrelated inputs.
    factor: Option<Mat<f64>>,
    /// `d`.
    columns: Vec<f64>,
    /// Empty if all rows have the same weight.
    rows: Vec<f64>,
    /// Whether the loss is relative to that of `Ŵ = 0`, since the weights have no scale.
    is_relative: bool,
}

impl Sensitivity {
    /// `damping` was added to the diagonal of the second moment. `None` when it is not positive
    /// definite. O(n³) for n columns.
    pub(crate) fn new(
        inputs: InputMoment,
        damping: f64,
        rows: Vec<f64>,
        is_relative: bool,
    ) -> Option<Self> {
        let (factor, columns) = match &inputs {
            InputMoment::Full(moment) => {
                let (factor, columns) = unit_upper_factor(moment.as_ref())?;
                (Some(factor), columns)
            }
            InputMoment::Diagonal(diagonal) => (None, diagonal.clone()),
        };
        let is_positive = columns.iter().all(|&d| d.is_finite() && d > 0.0);
        is_positive.then_some(Self { inputs, damping, factor, columns, rows, is_relative })
    }

    /// The binary logarithms of column scales that make the loss of a unit error the same in all
    /// columns, after the feedback of errors.
    pub(super) fn column_logs(&self) -> Vec<f64> {
        self.columns.iter().map(|d| -0.5 * d.log2()).collect()
    }

    /// Whether inputs are correlated.
    pub(super) fn has_feedback(&self) -> bool {
        matches!(self.inputs, InputMoment::Full(_))
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
            for (row, number) in sample.chunks_exact_mut(self.columns.len()).zip(numbers) {
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
        let n = self.columns.len();
        match &self.inputs {
            InputMoment::Diagonal(diagonal) => {
                let row = |row: &[f32]| -> f64 {
                    row.iter().zip(diagonal).map(|(&w, d)| f64::from(w).powi(2) * d).sum()
                };
                rows.chunks_exact(n).map(row).sum()
            }
            InputMoment::Full(moment) => {
                let wide: Vec<f64> = rows.iter().map(|&w| w.into()).collect();
                let rows = MatRef::from_row_major_slice(&wide, wide.len() / n, n);
                let mut product = Mat::zeros(rows.nrows(), n);
                matmul(product.as_mut(), Accum::Replace, rows, moment.as_ref(), 1.0, Par::Seq);
                let columns = product.col_iter().zip(rows.col_iter());
                let inner = columns.map(|(a, b)| a.iter().zip(b.iter()).map(|(a, b)| a * b));
                inner.flatten().sum()
            }
        }
    }

    /// The share of the output energy of rows that is typical: a few inputs, such as the massive
    /// activations of attention sinks (Sun et al., 2024), may have nearly all of it, although the
    /// outputs of other inputs matter as much. The energy of a column counts up to a multiple of the
    /// median.
    fn typical_share(&self, rows: &[f32]) -> f64 {
        let mut energies = vec![0.0f64; self.columns.len()];
        for row in rows.chunks_exact(energies.len()) {
            energies.iter_mut().zip(row).for_each(|(sum, &w)| *sum += f64::from(w).powi(2));
        }
        for (j, energy) in energies.iter_mut().enumerate() {
            *energy *= match &self.inputs {
                InputMoment::Full(moment) => moment[(j, j)],
                InputMoment::Diagonal(diagonal) => diagonal[j],
            };
        }
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
        (self.output_energy(rows) - self.damping * norm).max(0.0)
    }

    /// The mean over columns of the loss of a unit error in scaled columns, and the feedback of
    /// errors in the coordinates of a transform. Uncorrelated inputs have none.
    ///
    /// O(n³) for n columns; O(n²) for the identity.
    pub(super) fn feedback(&self, scales: Option<&[u8]>, transform: &ForwardTransform) -> Weights {
        let scale_of = |j: usize| scales.map_or(1.0, |bytes| f64::from(scale(bytes[j])));
        let (InputMoment::Full(moment), Some(factor)) = (&self.inputs, &self.factor) else {
            let sum: f64 =
                self.columns.iter().enumerate().map(|(j, d)| d * scale_of(j).powi(2)).sum();
            return Weights { mean: sum / self.columns.len().max(1) as f64, feedback: None };
        };
        let n = moment.nrows();
        let scaled = || Mat::from_fn(n, n, |i, j| moment[(i, j)] * scale_of(i) * scale_of(j));
        let moment = match &**transform.transform() {
            Transform::Identity(_) => {
                let feedback = Feedback::of_factor(factor.as_ref(), &self.columns, scale_of);
                return Weights { mean: feedback.mean_weight(), feedback: Some(feedback) };
            }
            Transform::StoredBasis(basis) => in_basis(&in_basis(&scaled(), basis), basis),
            Transform::Hadamard(_) => {
                in_coordinates(&in_coordinates(&scaled(), transform), transform)
            }
        };
        match Feedback::new(moment.as_ref()) {
            Some(feedback) => Weights { mean: feedback.mean_weight(), feedback: Some(feedback) },
            // Rounding can make the matrix singular in other coordinates.
            None => Weights {
                mean: moment.diagonal().column_vector().sum() / n.max(1) as f64,
                feedback: None,
            },
        }
    }
}

/// The weights of errors in the coordinates of a transform.
pub(super) struct Weights {
    pub(super) mean: f64,
    pub(super) feedback: Option<Feedback>,
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
