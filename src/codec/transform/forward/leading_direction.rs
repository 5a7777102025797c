//! The leading direction of a few rows.

use super::subspace::start;
use crate::linear_algebra::{inner_product, self_adjoint_eigen};
use faer::Mat;

/// The shares of the energy of some rows that a low-rank part could remove.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct LeadingDirection {
    /// The energy of the mean row, as a share of all energy.
    pub(crate) mean: f64,
    /// The energy along the direction with the largest variance, as a share of that about the mean.
    pub(crate) share: f64,
}

/// Steps of the Lanczos iteration. A direction whose share is worth coding is several times the mean
/// of all directions, and is then found in fewer steps.
const STEPS: usize = 8;

impl LeadingDirection {
    /// Finds the leading direction by Lanczos iteration (Lanczos, 1950) from a fixed random start.
    /// O(1) for each value.
    pub(crate) fn of(rows: &[f32], columns: usize) -> Self {
        let count = rows.len() / columns.max(1);
        let rows = || rows.chunks_exact(columns.max(1));
        let mut mean = vec![0f64; columns];
        let mut energy = 0.0;
        for row in rows() {
            energy += f64::from(inner_product(row, row));
            mean.iter_mut().zip(row).for_each(|(sum, &x)| *sum += f64::from(x));
        }
        mean.iter_mut().for_each(|sum| *sum /= f64::max(count as f64, 1.0));
        let of_mean: f64 = count as f64 * mean.iter().map(|x| x * x).sum::<f64>();
        let about_mean = energy - of_mean;
        // Sums in single precision do not resolve less.
        if energy.is_nan() || about_mean <= 1e-6 * energy {
            return Self { mean: if energy > 0.0 { 1.0 } else { 0.0 }, share: 0.0 };
        }
        let mean: Vec<f32> = mean.iter().map(|&x| x as f32).collect();
        // The scatter matrix of the rows about their mean, times a vector.
        let scatter = |vector: &[f32]| -> Vec<f32> {
            let (offset, mut sum) = (inner_product(&mean, vector), 0.0);
            let mut out = vec![0f32; columns];
            for row in rows() {
                let coordinate = inner_product(row, vector) - offset;
                sum += coordinate;
                out.iter_mut().zip(row).for_each(|(out, x)| *out += coordinate * x);
            }
            out.iter_mut().zip(&mean).for_each(|(out, mean)| *out -= sum * mean);
            out
        };
        let mut vector: Vec<f32> = start().take(columns).map(|x| x as f32).collect();
        let norm = inner_product(&vector, &vector).sqrt();
        vector.iter_mut().for_each(|x| *x /= norm);
        let (mut before, mut beta) = (vec![0f32; columns], 0f32);
        let (mut diagonal, mut beside) = (Vec::new(), Vec::new());
        for _ in 0..STEPS.min(columns) {
            let mut next = scatter(&vector);
            let alpha = inner_product(&next, &vector);
            for ((next, x), before) in next.iter_mut().zip(&vector).zip(&before) {
                *next -= alpha * x + beta * before;
            }
            diagonal.push(f64::from(alpha));
            beta = inner_product(&next, &next).sqrt();
            beside.push(f64::from(beta));
            // The directions so far hold all energy.
            if f64::from(beta) <= 1e-6 * about_mean {
                break;
            }
            next.iter_mut().for_each(|x| *x /= beta);
            before = std::mem::replace(&mut vector, next);
        }
        let tridiagonal =
            Mat::from_fn(diagonal.len(), diagonal.len(), |i, j| match i.abs_diff(j) {
                0 => diagonal[i],
                1 => beside[i.min(j)],
                _ => 0.0,
            });
        let largest =
            self_adjoint_eigen(tridiagonal.as_ref()).and_then(|(all, _)| all.last().copied());
        // Without a result, nothing is ruled out.
        let share = largest.map_or(1.0, |largest| largest / about_mean);
        Self { mean: of_mean / energy, share }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gaussian::gaussian_noise;

    /// White rows with a mean and a direction of a known size.
    fn rows(count: usize, columns: usize, mean: f32, size: f32) -> Vec<f32> {
        let mut normal = gaussian_noise(7);
        let mut normal = move || normal.next().unwrap();
        let direction: Vec<f32> = (0..columns).map(|_| normal()).collect();
        let row = |_| {
            let coordinate = size * normal();
            direction.iter().map(|x| mean + coordinate * x + normal()).collect::<Vec<f32>>()
        };
        (0..count).flat_map(row).collect()
    }

    #[test]
    fn a_direction_and_a_mean_are_found() {
        for (size, mean) in [(0.3f32, 0.0f32), (1.0, 0.0), (0.3, 2.0), (0.0, 1.0)] {
            let found = LeadingDirection::of(&rows(8000, 64, mean, size), 64);
            // The squared norm of the direction is 64 to 18 %.
            let energy = f64::from(1.0 + size * size);
            // The noise along the direction, and what is largest by chance, are part of the share.
            let expected = f64::from(size * size) / energy + 1.2 / 64.0;
            assert!((found.share - expected).abs() < 0.06, "{size} {mean} {found:?} {expected}");
            let of_mean = f64::from(mean * mean) / (f64::from(mean * mean) + energy);
            assert!((found.mean - of_mean).abs() < 0.03, "{size} {mean} {found:?}");
        }
    }

    #[test]
    fn the_share_is_the_largest_eigenvalue() {
        let rows = rows(300, 24, 0.5, 0.4);
        let mean: Vec<f64> = (0..24)
            .map(|c| rows.iter().skip(c).step_by(24).map(|&x| f64::from(x)).sum::<f64>() / 300.0)
            .collect();
        let centred = Mat::from_fn(300, 24, |i, j| f64::from(rows[i * 24 + j]) - mean[j]);
        let scatter = crate::linear_algebra::product(centred.transpose(), centred.as_ref());
        let (values, _) = self_adjoint_eigen(scatter.as_ref()).unwrap();
        let expected = values[23] / values.iter().sum::<f64>();
        let found = LeadingDirection::of(&rows, 24).share;
        assert!((found / expected - 1.0).abs() < 1e-3, "{found} {expected}");
    }

    #[test]
    fn degenerate_rows_have_shares() {
        assert_eq!(LeadingDirection::of(&[], 5), LeadingDirection::default());
        assert_eq!(LeadingDirection::of(&[0.0; 20], 5), LeadingDirection::default());
        let constant = LeadingDirection::of(&[3.0; 20], 5);
        assert_eq!(constant, LeadingDirection { mean: 1.0, share: 0.0 });
        let single = LeadingDirection::of(&[1.0, -1.0, 2.0, -2.0], 1);
        assert!((single.share - 1.0).abs() < 1e-6);
    }
}
