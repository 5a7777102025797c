//! Inputs as a matrix operand in memory.

use super::inputs::{AssignedInputs, InputForm};
use super::results::Inputs;
use crate::convert::Reporter;
use crate::dtype::Dtype;
use crate::dtype::number::to_f64;
use crate::error::{Error, Result};
use crate::limits::Limits;
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatMut, MatRef, Par};
use rayon::prelude::*;
use std::io::{self, ErrorKind};

/// Inputs X, one vector per row, or their Gram matrix, which determines the energy of outputs, or
/// its diagonal.
pub(super) struct Operand {
    inputs: Inputs,
    width: usize,
    /// X or XᵀX, whichever is smaller, in row-major order; or the diagonal.
    matrix: Vec<f64>,
    kind: OperandKind,
}

#[derive(Clone, Copy)]
enum OperandKind {
    Vectors,
    Gram {
        /// Rounding can make the output energy of weights of norm 1 as low as `-slack`.
        slack: f64,
    },
    Diagonal,
}

/// Elements of X that are read at once, and the least number of rows: products of fewer rows are
/// limited by memory bandwidth.
const BLOCK: usize = 1 << 20;
const BLOCK_ROWS: usize = 256;

/// Rows of a product in one parallel task.
const BAND: usize = 64;

impl Operand {
    /// Reads inputs. Computes the Gram matrix if there are more vectors than columns.
    ///
    /// A square matrix of unspecified form is a Gram matrix if [`may_be_gram`] holds. Takes
    /// O(rows · width²) if there are more rows than columns, else O(rows · width).
    ///
    /// # Errors
    /// `InvalidArgument` for elements that are not finite, for entries `.gram` that are not Gram
    /// matrices and for negative numbers in entries `.diag`; `LimitExceeded`; those of reading.
    pub(super) fn load(
        assigned: &AssignedInputs<'_>,
        progress: &mut Reporter<'_, '_>,
    ) -> Result<Self> {
        let (rows, width) = (assigned.rows(), assigned.layout.width);
        let is_diagonal = assigned.form == Some(InputForm::Diagonal);
        if rows > width && !is_diagonal {
            let mut gram = zeros(width, width).map_err(|error| assigned.entry.locate(error))?;
            each_block(assigned, progress, |block| accumulate(&mut gram, block, width))?;
            mirror(&mut gram, width);
            let inputs = Inputs::Batch { vectors: rows as u64 };
            let kind = OperandKind::gram(&gram, width, rounding(Dtype::F64));
            return Ok(Self { inputs, width, matrix: gram, kind });
        }
        let mut matrix = reserved(rows, width).map_err(|error| assigned.entry.locate(error))?;
        each_block(assigned, progress, |block| matrix.extend_from_slice(block))?;
        let rounding = rounding(assigned.entry.dtype);
        if is_diagonal {
            if !matrix.iter().all(|&square| square >= 0.0) {
                let what = "the diagonal of a Gram matrix must not be negative";
                return Err(assigned.entry.locate(Error::invalid(what)));
            }
            let (inputs, kind) = (Inputs::Diagonal, OperandKind::Diagonal);
            return Ok(Self { inputs, width, matrix, kind });
        }
        let square = assigned.entry.shape == [width, width];
        let gram =
            assigned.form != Some(InputForm::Batch) && square && may_be_gram(&matrix, rounding);
        if assigned.form == Some(InputForm::Gram) && !gram {
            return Err(assigned.entry.locate(not_gram()));
        }
        let (inputs, kind) = match gram {
            true => (Inputs::Gram, OperandKind::gram(&matrix, width, rounding)),
            false => (Inputs::Batch { vectors: rows as u64 }, OperandKind::Vectors),
        };
        Ok(Self { inputs, width, matrix, kind })
    }

    pub(super) fn inputs(&self) -> Inputs {
        self.inputs
    }

    /// ‖M Xᵀ‖²_F of weights M, outputs × width; not finite if it overflows.
    ///
    /// # Errors
    /// `InvalidArgument` if the energy is negative: then the matrix is not a Gram matrix.
    pub(super) fn energy(&self, weights: MatRef<'_, f64>) -> Result<f64> {
        let starts = (0..weights.nrows()).into_par_iter().step_by(BAND);
        let bands: Vec<f64> = starts
            .map(|start| {
                self.band_energy(weights.subrows(start, BAND.min(weights.nrows() - start)))
            })
            .collect::<Result<_>>()?;
        Ok(bands.iter().fold(0.0, |sum, energy| sum + energy))
    }

    fn band_energy(&self, weights: MatRef<'_, f64>) -> Result<f64> {
        if let OperandKind::Diagonal = self.kind {
            let columns = weights.col_iter().zip(&self.matrix);
            let energy = columns.map(|(column, square)| square * column.squared_norm_l2());
            return Ok(energy.sum());
        }
        let rows = self.matrix.len() / self.width.max(1);
        let matrix = MatRef::from_row_major_slice(&self.matrix, rows, self.width).transpose();
        let mut product = Mat::<f64>::zeros(weights.nrows(), rows);
        matmul(product.as_mut(), Accum::Replace, weights, matrix, 1.0, Par::Seq);
        let OperandKind::Gram { slack } = self.kind else {
            return Ok(inner(product.as_ref(), product.as_ref()));
        };
        let energy = inner(product.as_ref(), weights);
        if energy < -slack * inner(weights, weights) {
            return Err(not_gram());
        }
        // Negative by rounding; NaN is kept.
        Ok(if energy < 0.0 { 0.0 } else { energy })
    }
}

impl OperandKind {
    fn gram(matrix: &[f64], width: usize, rounding: f64) -> Self {
        let trace: f64 = matrix.iter().step_by(width + 1).sum();
        Self::Gram { slack: rounding * trace }
    }
}

/// Passes all elements to `take` in blocks of rows.
fn each_block(
    assigned: &AssignedInputs<'_>,
    progress: &mut Reporter<'_, '_>,
    mut take: impl FnMut(&[f64]),
) -> Result<()> {
    let entry = assigned.entry;
    let row = assigned.layout.width as u64 * u64::from(entry.dtype.bits()) / 8;
    let rows = (BLOCK / assigned.layout.width.max(1)).max(BLOCK_ROWS) as u64;
    let mut block = Vec::new();
    let mut start = 0;
    while start < entry.byte_len() {
        let end = entry.byte_len().min(start + rows * row);
        to_f64(entry.dtype, &entry.read(start..end)?, &mut block);
        if !block.iter().all(|x| x.is_finite()) {
            return Err(entry.locate(Error::invalid("inputs must be finite")));
        }
        take(&block);
        progress.report(0)?;
        start = end;
    }
    Ok(())
}

/// Adds `blockᵀ · block` on and below the diagonal.
fn accumulate(gram: &mut [f64], block: &[f64], width: usize) {
    let block = MatRef::from_row_major_slice(block, block.len() / width, width);
    gram.par_chunks_mut(BAND * width).enumerate().for_each(|(at, band)| {
        let (start, rows) = (at * BAND, band.len() / width);
        let below =
            MatMut::from_row_major_slice_mut(band, rows, width).subcols_mut(0, start + rows);
        let (left, right) = (block.subcols(start, rows), block.subcols(0, start + rows));
        matmul(below, Accum::Add, left.transpose(), right, 1.0, Par::Seq);
    });
}

/// Copies the elements below the diagonal to above it.
fn mirror(matrix: &mut [f64], width: usize) {
    for i in 0..width {
        for j in i + 1..width {
            matrix[i * width + j] = matrix[j * width + i];
        }
    }
}

/// Whether a square matrix is symmetric and, up to rounding, |gᵢⱼ| ≤ max(gᵢᵢ, gⱼⱼ). Gram matrices
/// satisfy this by the inequality of Cauchy (1821), |gᵢⱼ| ≤ √(gᵢᵢ gⱼⱼ).
fn may_be_gram(matrix: &[f64], rounding: f64) -> bool {
    let width = matrix.len().isqrt();
    let diagonal = |i: usize| matrix[i * width + i];
    (0..width).all(|i| {
        diagonal(i) >= 0.0
            && (0..i).all(|j| {
                let (below, above) = (matrix[i * width + j], matrix[j * width + i]);
                let most = diagonal(i).max(diagonal(j));
                (below - above).abs() <= rounding * most
                    && below.abs().max(above.abs()) <= (1.0 + rounding) * most
            })
    })
}

/// An upper bound of the relative rounding error of a dtype. That of 32 bits allows for sums over
/// many inputs.
fn rounding(dtype: Dtype) -> f64 {
    match dtype.bits() {
        8 => 1.0 / 4.0,
        16 if dtype == Dtype::Bf16 => 1.0 / 128.0,
        16 => 1.0 / 1024.0,
        _ => 1.0 / 65536.0,
    }
}

fn not_gram() -> Error {
    Error::invalid("not a Gram matrix XᵀX: it must be symmetric and positive semi-definite")
}

/// A matrix of zeros.
fn zeros(rows: usize, columns: usize) -> Result<Vec<f64>> {
    let mut matrix = reserved(rows, columns)?;
    matrix.resize(rows * columns, 0.0);
    Ok(matrix)
}

/// Allocates a matrix without elements.
fn reserved(rows: usize, columns: usize) -> Result<Vec<f64>> {
    let bytes = (rows as u64).saturating_mul(columns as u64).saturating_mul(8);
    Error::check_limit("a matrix of inputs", bytes, Limits::default().tensor_bytes)?;
    let mut matrix = Vec::new();
    let out_of_memory = |_| Error::from(io::Error::from(ErrorKind::OutOfMemory));
    matrix.try_reserve_exact(rows * columns).map_err(out_of_memory)?;
    Ok(matrix)
}

/// Σ aᵢⱼ bᵢⱼ, summed by columns.
fn inner(a: MatRef<'_, f64>, b: MatRef<'_, f64>) -> f64 {
    let products = a.col_iter().zip(b.col_iter());
    products.fold(0.0, |sum, (a, b)| a.iter().zip(b.iter()).fold(sum, |sum, (a, b)| sum + a * b))
}
