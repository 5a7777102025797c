//! Inputs in memory, as a matrix that weights are multiplied by.

use super::inputs::{Form, Given, Inputs};
use crate::convert::{Progress, report};
use crate::dtype::Dtype;
use crate::dtype::number::to_f64;
use crate::error::{Error, Result};
use crate::limits::Limits;
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatMut, MatRef, Par};
use rayon::prelude::*;
use std::io::{self, ErrorKind};

/// Inputs X of one width, a vector a row, or as much of them as the size of outputs depends on.
pub(super) struct Operand {
    inputs: Inputs,
    width: usize,
    /// X or XᵀX, whichever is smaller, row by row.
    matrix: Vec<f64>,
    kind: ObjectKind,
}

#[derive(Clone, Copy)]
enum ObjectKind {
    Vectors,
    /// Outputs of weights of norm 1 may have a negative energy of `slack`, by rounding.
    Gram {
        slack: f64,
    },
}

/// Elements of X read at once, and rows at least: so that products outweigh memory.
const BLOCK: usize = 1 << 20;
const BLOCK_ROWS: usize = 256;

/// Rows of a product that are one thread's work.
const BAND: usize = 64;

impl Operand {
    /// Reads inputs; of more vectors than their width, the Gram matrix is formed.
    ///
    /// A square matrix of unknown form is a Gram matrix if it could be one. O(rows · width²) where
    /// there are more rows than columns, else O(rows · width).
    ///
    /// # Errors
    /// `InvalidArgument` for numbers that are not finite and for what cannot be a Gram matrix but
    /// is said to be one; `LimitExceeded`; what reading says.
    pub(super) fn load(given: &Given<'_>, progress: &mut Progress<'_>) -> Result<Self> {
        let (rows, width) = (given.rows(), given.layout.width);
        if rows > width {
            let mut gram = zeros(width, width).map_err(|error| given.entry.here(error))?;
            each_block(given, progress, |block| accumulate(&mut gram, block, width))?;
            mirror(&mut gram, width);
            let inputs = Inputs::Batch { vectors: rows as u64 };
            let kind = ObjectKind::gram(&gram, width, rounding(Dtype::F64));
            return Ok(Self { inputs, width, matrix: gram, kind });
        }
        let mut matrix = zeros(rows, width).map_err(|error| given.entry.here(error))?;
        matrix.clear();
        each_block(given, progress, |block| matrix.extend_from_slice(block))?;
        let rounding = rounding(given.entry.dtype);
        let square = given.entry.shape == [width, width];
        let gram = given.form != Some(Form::Batch) && square && may_be_gram(&matrix, rounding);
        if given.form == Some(Form::Gram) && !gram {
            return Err(given.entry.here(not_gram()));
        }
        let (inputs, kind) = match gram {
            true => (Inputs::Gram, ObjectKind::gram(&matrix, width, rounding)),
            false => (Inputs::Batch { vectors: rows as u64 }, ObjectKind::Vectors),
        };
        Ok(Self { inputs, width, matrix, kind })
    }

    pub(super) fn inputs(&self) -> Inputs {
        self.inputs
    }

    /// ‖M Xᵀ‖²_F of weights M, a row for each output; not finite where F64 has no room for it.
    ///
    /// # Errors
    /// `InvalidArgument` where it turns out that there is no X.
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
        let rows = self.matrix.len() / self.width.max(1);
        let matrix = MatRef::from_row_major_slice(&self.matrix, rows, self.width).transpose();
        let mut product = Mat::<f64>::zeros(weights.nrows(), rows);
        matmul(product.as_mut(), Accum::Replace, weights, matrix, 1.0, Par::Seq);
        let ObjectKind::Gram { slack } = self.kind else {
            return Ok(inner(product.as_ref(), product.as_ref()));
        };
        let energy = inner(product.as_ref(), weights);
        if energy < -slack * inner(weights, weights) {
            return Err(not_gram());
        }
        // What is negative by rounding is zero; NaN stays what it is.
        Ok(if energy < 0.0 { 0.0 } else { energy })
    }
}

impl ObjectKind {
    fn gram(matrix: &[f64], width: usize, rounding: f64) -> Self {
        let trace: f64 = matrix.iter().step_by(width + 1).sum();
        Self::Gram { slack: rounding * trace }
    }
}

/// Hands on all elements, some rows at a time.
fn each_block(
    given: &Given<'_>,
    progress: &mut Progress<'_>,
    mut take: impl FnMut(&[f64]),
) -> Result<()> {
    let entry = given.entry;
    let row = given.layout.width as u64 * u64::from(entry.dtype.bits()) / 8;
    let rows = (BLOCK / given.layout.width.max(1)).max(BLOCK_ROWS) as u64;
    let mut block = Vec::new();
    let mut start = 0;
    while start < entry.byte_len() {
        let end = entry.byte_len().min(start + rows * row);
        to_f64(entry.dtype, &entry.read(start..end)?, &mut block);
        if !block.iter().all(|x| x.is_finite()) {
            return Err(entry.here(Error::invalid("inputs must be finite")));
        }
        take(&block);
        report(progress, 0)?;
        start = end;
    }
    Ok(())
}

/// Adds the products of the columns of `block`: on and below the diagonal.
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

/// Puts above the diagonal what is below it.
fn mirror(matrix: &mut [f64], width: usize) {
    for i in 0..width {
        for j in i + 1..width {
            matrix[i * width + j] = matrix[j * width + i];
        }
    }
}

/// Whether a square matrix is symmetric and has no entry larger than the diagonal allows, up to
/// rounding: |gᵢⱼ| ≤ √(gᵢᵢ gⱼⱼ) (Cauchy, 1821) ≤ max(gᵢᵢ, gⱼⱼ).
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

/// How far numbers of a dtype may be off what they stand for, relatively; sums over many inputs
/// are hardly better than this in F32.
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

/// Room for a matrix.
fn zeros(rows: usize, columns: usize) -> Result<Vec<f64>> {
    let bytes = (rows as u64).saturating_mul(columns as u64).saturating_mul(8);
    Error::check_limit("a matrix of inputs", bytes, Limits::default().tensor_bytes)?;
    let mut matrix = Vec::new();
    let out_of_memory = |_| Error::from(io::Error::from(ErrorKind::OutOfMemory));
    matrix.try_reserve_exact(rows * columns).map_err(out_of_memory)?;
    matrix.resize(rows * columns, 0.0);
    Ok(matrix)
}

/// Σ aᵢⱼ bᵢⱼ, column by column.
fn inner(a: MatRef<'_, f64>, b: MatRef<'_, f64>) -> f64 {
    let products = a.col_iter().zip(b.col_iter());
    products.fold(0.0, |sum, (a, b)| a.iter().zip(b.iter()).fold(sum, |sum, (a, b)| sum + a * b))
}
