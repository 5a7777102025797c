//! The factorisation of a second-moment matrix that gives the feedback of errors.

use crate::codec::quantizer::ROWS;
use faer::{Mat, MatRef, Side};
use std::ops::Range;

/// Columns that are searched together. Errors are fed back within a panel by each survivor of the
/// search for itself, and across panels by one matrix product for all rows.
pub(super) const PANEL: usize = 64;

/// Columns whose errors are fed into a panel together, for all rows, so that their factors stay in
/// the cache.
pub(super) const BLOCK: usize = 128;

/// The feedback of the errors of earlier columns into the targets of later ones.
///
/// The loss of an error `e` in a row is `e H eᵀ`, with the second moment `H = E[x xᵀ]` of the
/// inputs. With `H = U diag(d) Uᵀ`, `U` unit upper triangular, it is `Σ dⱼ (e U)ⱼ²`: what is
/// quantised in column `j` is the weight plus the errors of the columns before it through `U`. This
/// is the noise shaping of GPTQ (Frantar et al., 2023), in the order of the columns.
#[derive(Debug)]
pub(crate) struct Feedback {
    /// The weight of the squared error in each column; their mean is 1.
    pub(super) weights: Vec<f32>,
    pub(super) panels: Vec<Panel>,
    mean_weight: f64,
}

/// Up to [`PANEL`] columns.
#[derive(Debug)]
pub(super) struct Panel {
    pub(super) first: usize,
    pub(super) width: usize,
    /// `U` from all columns before the panel to its columns. For each [`BLOCK`] of columns: the
    /// factors of the first four columns of the panel from each column of the block, then those of
    /// the next four.
    before: Vec<[f32; 4]>,
    /// `U` within the panel, row by row: the factors from a column to all columns.
    pub(super) inner: Vec<f32>,
}

impl Feedback {
    /// The feedback for a second moment. `None` when it is not positive definite. O(n³) for n
    /// columns.
    pub(crate) fn new(moment: MatRef<'_, f64>) -> Option<Self> {
        let (factor, weights) = unit_upper_factor(moment)?;
        Some(Self::of_factor(factor.as_ref(), &weights, |_| 1.0))
    }

    /// The feedback for the second moment `S U diag(d) Uᵀ S`, from the factor `U`, the weights `d`
    /// and the diagonal of `S`: its own factor is `S U S⁻¹`. O(n²) for n columns.
    pub(crate) fn of_factor(
        factor: MatRef<'_, f64>,
        weights: &[f64],
        scale: impl Fn(usize) -> f64,
    ) -> Self {
        let columns = weights.len();
        let scales: Vec<f64> = (0..columns).map(scale).collect();
        let weights: Vec<f64> = weights.iter().zip(&scales).map(|(d, s)| d * s * s).collect();
        let mean_weight = weights.iter().sum::<f64>() / columns.max(1) as f64;
        let panel = |first: usize| {
            let width = PANEL.min(columns - first);
            let entry = &|i: usize, j: usize| match j < columns {
                true => (factor[(i, j)] * scales[i] / scales[j]) as f32,
                false => 0.0,
            };
            let before = (0..first).step_by(BLOCK).flat_map(|block| {
                let quads = (first..first + width).step_by(4);
                quads.flat_map(move |quad| {
                    let rows = block..first.min(block + BLOCK);
                    rows.map(move |i| std::array::from_fn(|k| entry(i, quad + k)))
                })
            });
            let inner = (0..width * width).map(|at| {
                let (i, j) = (at / width, at % width);
                if i < j { entry(first + i, first + j) } else { 0.0 }
            });
            Panel { first, width, before: before.collect(), inner: inner.collect() }
        };
        Self {
            weights: weights.iter().map(|&weight| (weight / mean_weight) as f32).collect(),
            panels: (0..columns).step_by(PANEL).map(panel).collect(),
            mean_weight,
        }
    }

    /// The mean over columns of the weights `d` of squared errors.
    pub(crate) fn mean_weight(&self) -> f64 {
        self.mean_weight
    }
}

/// `U` and `d` of `H = U diag(d) Uᵀ`: the Cholesky factor of the matrix with rows and columns in
/// reverse order. `None` when `H` is not positive definite.
pub(crate) fn unit_upper_factor(moment: MatRef<'_, f64>) -> Option<(Mat<f64>, Vec<f64>)> {
    let n = moment.nrows();
    let last = n.wrapping_sub(1);
    let reversed = Mat::from_fn(n, n, |i, j| moment[(last - i, last - j)]);
    let cholesky = reversed.llt(Side::Lower).ok()?;
    // It has as many elements as the factor, which is a copy.
    drop(reversed);
    let lower = cholesky.L();
    let diagonal: Vec<f64> = (0..n).map(|j| lower[(last - j, last - j)]).collect();
    if !diagonal.iter().all(|&x| x.is_finite() && x > 0.0) {
        return None;
    }
    let upper = Mat::from_fn(n, n, |i, j| match i <= j {
        true => lower[(last - i, last - j)] / diagonal[j],
        false => 0.0,
    });
    Some((upper, diagonal.iter().map(|x| x * x).collect()))
}

impl Panel {
    /// The columns before the panel, in blocks, and the factors from each block.
    pub(super) fn blocks(&self) -> impl Iterator<Item = (Range<usize>, &[[f32; 4]])> {
        let factors = self.before.chunks(BLOCK * self.width.div_ceil(4));
        factors
            .enumerate()
            .map(|(block, factors)| (block * BLOCK..self.first.min((block + 1) * BLOCK), factors))
    }
}

/// Adds the errors of a block of columns to the targets of a panel.
#[inline(always)]
pub(super) fn add_feedback(
    errors: &[[f32; ROWS]],
    factors: &[[f32; 4]],
    targets: &mut [[f32; ROWS]; PANEL],
) {
    let (quads, _) = targets.as_chunks_mut::<4>();
    for (quad, factors) in quads.iter_mut().zip(factors.chunks_exact(errors.len())) {
        let [mut a, mut b, mut c, mut d] = *quad;
        for (error, factors) in errors.iter().zip(factors) {
            let error = *error;
            for row in 0..ROWS {
                a[row] += error[row] * factors[0];
                b[row] += error[row] * factors[1];
                c[row] += error[row] * factors[2];
                d[row] += error[row] * factors[3];
            }
        }
        *quad = [a, b, c, d];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_factors_restore_the_moment() {
        let n = 70;
        let vector = |i: usize, k: usize| ((i * 31 + k * 17) % 23) as f64 / 11.0 - 1.0;
        let moment = Mat::from_fn(n, n, |i, j| {
            let sum: f64 = (0..90).map(|k| vector(i, k) * vector(j, k)).sum();
            sum + if i == j { 5.0 } else { 0.0 }
        });
        let (upper, weights) = unit_upper_factor(moment.as_ref()).unwrap();
        for i in 0..n {
            assert_eq!(upper[(i, i)], 1.0);
            for j in 0..n {
                let sum: f64 = (0..n).map(|k| upper[(i, k)] * weights[k] * upper[(j, k)]).sum();
                assert!((sum - moment[(i, j)]).abs() < 1e-9 * moment[(i, i)].abs());
            }
        }
        let feedback = Feedback::new(moment.as_ref()).unwrap();
        let mean = weights.iter().sum::<f64>() / n as f64;
        assert!((feedback.mean_weight() / mean - 1.0).abs() < 1e-12);
        assert!(Feedback::new(Mat::zeros(3, 3).as_ref()).is_none());
    }

    #[test]
    fn a_factor_is_scaled_as_its_moment() {
        let n = 90;
        let moment = Mat::from_fn(n, n, |i, j| 0.8f64.powi(i.abs_diff(j) as i32));
        let scale = |i: usize| 0.25 * (1 + i * 7 % 5) as f64;
        let scaled = Mat::from_fn(n, n, |i, j| moment[(i, j)] * scale(i) * scale(j));
        let (upper, weights) = unit_upper_factor(moment.as_ref()).unwrap();
        let found = Feedback::of_factor(upper.as_ref(), &weights, scale);
        let expected = Feedback::new(scaled.as_ref()).unwrap();
        let close = |a: f32, b: f32| (a - b).abs() <= 1e-5 * b.abs().max(1e-3);
        let all_close = |a: &[f32], b: &[f32]| {
            a.len() == b.len() && a.iter().zip(b).all(|(&a, &b)| close(a, b))
        };
        assert!(all_close(&found.weights, &expected.weights));
        assert!((found.mean_weight / expected.mean_weight - 1.0).abs() < 1e-9);
        for (found, expected) in found.panels.iter().zip(&expected.panels) {
            assert!(all_close(&found.inner, &expected.inner));
            assert!(all_close(found.before.as_flattened(), expected.before.as_flattened()));
        }
    }
}
