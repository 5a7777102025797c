//! The factorisation of a second-moment matrix that gives the feedback of errors.

use super::rows::{Line, RowVector};
use crate::linear_algebra::cholesky;
use faer::Mat;
use std::ops::Range;

/// Columns into which the errors of all columns before them are fed together.
pub(super) const PANEL: usize = 64;

/// Columns whose errors are fed into a panel together, so that their factors stay in the cache; a
/// multiple of all numbers of columns in a block.
const SOURCES: usize = 128;

/// Columns of a panel whose targets are computed together.
pub(super) const TARGETS: usize = 8;

/// The largest number of columns in a block of the search.
pub(super) const MAX_BLOCK: usize = 32;

/// The columns after a column into which its errors are fed before it is decided, at most.
const NEAR: usize = 2 * MAX_BLOCK - 1;

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
    /// By column: the factors of its errors in the next columns.
    pub(super) near: Vec<[f32; NEAR]>,
    pub(super) panels: Vec<Panel>,
    mean_weight: f64,
}

/// Up to [`PANEL`] columns.
#[derive(Debug)]
pub(super) struct Panel {
    first: usize,
    width: usize,
    /// `U` from all columns up to the end of the panel to its columns. For [`SOURCES`] columns at a
    /// time: the factors of the first [`TARGETS`] columns of the panel from each of them, then those of
    /// the next ones.
    factors: Vec<[f32; TARGETS]>,
}

impl Feedback {
    /// The feedback for a second moment. `None` when it is not positive definite. O(n³) for n
    /// columns.
    pub(crate) fn new(moment: Mat<f64>) -> Option<Self> {
        let (factor, weights) = unit_upper_factor(moment)?;
        Some(Self::of_factor(|i, j| factor.entry(i, j), &weights, |_| 1.0))
    }

    /// The feedback for the second moment `S U diag(d) Uᵀ S`, from the factor `U` above its diagonal,
    /// the weights `d` and the diagonal of `S`: its own factor is `S U S⁻¹`. O(n²) for n columns.
    pub(crate) fn of_factor(
        factor: impl Fn(usize, usize) -> f64,
        weights: &[f64],
        scale: impl Fn(usize) -> f64,
    ) -> Self {
        let columns = weights.len();
        let scales: Vec<f64> = (0..columns).map(scale).collect();
        let weights: Vec<f64> = weights.iter().zip(&scales).map(|(d, s)| d * s * s).collect();
        let mean_weight = weights.iter().sum::<f64>() / columns.max(1) as f64;
        let inverses: Vec<f64> = scales.iter().map(|scale| 1.0 / scale).collect();
        let entry = |i: usize, j: usize| match i < j && j < columns {
            true => (factor(i, j) * scales[i] * inverses[j]) as f32,
            false => 0.0,
        };
        let panel = |first: usize| {
            let width = PANEL.min(columns - first);
            let mut factors = Vec::with_capacity((first + width) * width.div_ceil(TARGETS));
            for sources in Panel::sources(first + width) {
                for start in (first..first + width).step_by(TARGETS) {
                    let row = |i| std::array::from_fn(|k| entry(i, start + k));
                    factors.extend(sources.clone().map(row));
                }
            }
            Panel { first, width, factors }
        };
        let near = |i: usize| std::array::from_fn(|k| entry(i, i + 1 + k));
        Self {
            weights: weights.iter().map(|&weight| (weight / mean_weight) as f32).collect(),
            near: (0..columns).map(near).collect(),
            panels: (0..columns).step_by(PANEL).map(panel).collect(),
            mean_weight,
        }
    }

    /// The mean over columns of the weights `d` of squared errors.
    pub(crate) fn mean_weight(&self) -> f64 {
        self.mean_weight
    }
}

/// The factor `U` of `H = U diag(d) Uᵀ`, unit upper triangular.
pub(crate) struct UpperFactor {
    /// The Cholesky factor of `H` with rows and columns in reverse order.
    reversed: Mat<f64>,
}

impl UpperFactor {
    /// The element in row `i` and column `j`, for i ≤ j.
    pub(crate) fn entry(&self, i: usize, j: usize) -> f64 {
        let last = self.reversed.nrows() - 1;
        self.reversed[(last - i, last - j)] / self.reversed[(last - j, last - j)]
    }
}

/// `U` and `d` of `H = U diag(d) Uᵀ`. `None` when `H` is not positive definite. O(n³) for n columns,
/// in place.
pub(crate) fn unit_upper_factor(mut moment: Mat<f64>) -> Option<(UpperFactor, Vec<f64>)> {
    let n = moment.nrows();
    // Reverses the order of rows and columns.
    for j in 0..n.div_ceil(2) {
        let rows = if 2 * j + 1 == n { n / 2 } else { n };
        for i in 0..rows {
            let (a, b) = ((i, j), (n - 1 - i, n - 1 - j));
            (moment[a], moment[b]) = (moment[b], moment[a]);
        }
    }
    cholesky(&mut moment)?;
    let diagonal: Vec<f64> = (0..n).rev().map(|j| moment[(j, j)]).collect();
    let is_positive = diagonal.iter().all(|&x| x.is_finite() && x > 0.0);
    let factor = UpperFactor { reversed: moment };
    is_positive.then(|| (factor, diagonal.iter().map(|x| x * x).collect()))
}

impl Panel {
    pub(super) fn columns(&self) -> Range<usize> {
        self.first..self.first + self.width
    }

    /// Columns up to `end`, [`SOURCES`] at a time.
    pub(super) fn sources(end: usize) -> impl Iterator<Item = Range<usize>> {
        (0..end).step_by(SOURCES).map(move |start| start..end.min(start + SOURCES))
    }

    /// The factors of the errors of columns, all of the same sources, in the `number`-th [`TARGETS`]
    /// columns of the panel.
    pub(super) fn factors(&self, columns: Range<usize>, number: usize) -> &[[f32; TARGETS]] {
        let start = columns.start / SOURCES * SOURCES;
        let sources = SOURCES.min(self.first + self.width - start);
        let before = start * self.width.div_ceil(TARGETS) + number * sources;
        &self.factors[before + columns.start - start..][..columns.len()]
    }
}

/// Adds the errors of columns to the targets of [`TARGETS`] columns.
#[inline(always)]
pub(super) fn add_errors<V: RowVector>(
    token: V::Token,
    errors: &[Line],
    factors: &[[f32; TARGETS]],
    targets: &mut [Line; TARGETS],
) {
    if V::SUMS == TARGETS {
        return add_to::<V, TARGETS>(token, errors, factors, targets, 0);
    }
    add_to::<V, 4>(token, errors, factors, targets, 0);
    add_to::<V, 4>(token, errors, factors, targets, 4);
}

/// Adds errors to the targets of `N` columns.
#[inline(always)]
fn add_to<V: RowVector, const N: usize>(
    token: V::Token,
    errors: &[Line],
    factors: &[[f32; TARGETS]],
    targets: &mut [Line; TARGETS],
    first: usize,
) {
    let Some(targets) = targets[first..].first_chunk_mut::<N>() else { return };
    let mut sums = [V::splat(token, 0.0); N];
    for (sum, target) in sums.iter_mut().zip(&*targets) {
        *sum = V::load(token, target);
    }
    for (error, factors) in errors.iter().zip(factors) {
        let error = V::load(token, error);
        for (i, sum) in sums.iter_mut().enumerate() {
            *sum = *sum + error * V::splat(token, factors[first + i]);
        }
    }
    for (target, sum) in targets.iter_mut().zip(sums) {
        sum.store(target);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_factors_restore_the_moment() {
        for n in [1, 2, 69, 70] {
            let vector = |i: usize, k: usize| ((i * 31 + k * 17) % 23) as f64 / 11.0 - 1.0;
            let moment = Mat::from_fn(n, n, |i, j| {
                let sum: f64 = (0..90).map(|k| vector(i, k) * vector(j, k)).sum();
                sum + if i == j { 5.0 } else { 0.0 }
            });
            let (factor, weights) = unit_upper_factor(moment.clone()).unwrap();
            let entry = |i, k| if i <= k { factor.entry(i, k) } else { 0.0 };
            for i in 0..n {
                assert_eq!(entry(i, i), 1.0);
                for j in 0..n {
                    let sum: f64 = (0..n).map(|k| entry(i, k) * weights[k] * entry(j, k)).sum();
                    assert!((sum - moment[(i, j)]).abs() < 1e-9 * moment[(i, i)].abs());
                }
            }
            let feedback = Feedback::new(moment).unwrap();
            let mean = weights.iter().sum::<f64>() / n as f64;
            assert!((feedback.mean_weight() / mean - 1.0).abs() < 1e-12);
        }
        assert!(Feedback::new(Mat::zeros(3, 3)).is_none());
    }

    #[test]
    fn a_factor_is_scaled_as_its_moment() {
        let n = 90;
        let moment = Mat::from_fn(n, n, |i, j| 0.8f64.powi(i.abs_diff(j) as i32));
        let scale = |i: usize| 0.25 * (1 + i * 7 % 5) as f64;
        let scaled = Mat::from_fn(n, n, |i, j| moment[(i, j)] * scale(i) * scale(j));
        let (factor, weights) = unit_upper_factor(moment).unwrap();
        let found = Feedback::of_factor(|i, j| factor.entry(i, j), &weights, scale);
        let expected = Feedback::new(scaled).unwrap();
        let close = |a: f32, b: f32| (a - b).abs() <= 1e-5 * b.abs().max(1e-3);
        let all_close = |a: &[f32], b: &[f32]| {
            a.len() == b.len() && a.iter().zip(b).all(|(&a, &b)| close(a, b))
        };
        assert!(all_close(&found.weights, &expected.weights));
        assert!((found.mean_weight / expected.mean_weight - 1.0).abs() < 1e-9);
        assert!(all_close(found.near.as_flattened(), expected.near.as_flattened()));
        for (found, expected) in found.panels.iter().zip(&expected.panels) {
            assert!(all_close(found.factors.as_flattened(), expected.factors.as_flattened()));
        }
    }
}
