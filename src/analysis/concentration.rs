//! Energy concentration: how few coordinates contain most of the energy.

use serde::Serialize;

/// The share of the energy Σx² of a matrix in its largest values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TopEnergy {
    /// The largest value.
    pub top_1: f64,
    /// The largest 8 values.
    pub top_8: f64,
    /// The largest 32 values.
    pub top_32: f64,
    /// The largest 1 % of the values: 0.084 for a Gaussian distribution.
    pub top_1_percent: f64,
    /// The largest 10 % of the values: 0.44 for a Gaussian distribution.
    pub top_10_percent: f64,
}

/// The share of the energy Σx² in the `k` values of largest magnitude; 0 if all values are 0.
/// O(n log n).
pub fn top_energy(numbers: &[f32], k: usize) -> f64 {
    let mut squares: Vec<f64> = numbers.iter().map(|&x| f64::from(x).powi(2)).collect();
    squares.sort_unstable_by(|a, b| b.total_cmp(a));
    let total: f64 = squares.iter().sum();
    let top: f64 = squares.iter().take(k).sum();
    if total > 0.0 { top / total } else { 0.0 }
}

/// The participation ratio (Σe)² ÷ Σe² of energies e: n for n equal energies, 1 for a single one.
/// That of the squared singular values of a matrix is its effective rank.
pub fn participation(energies: &[f64]) -> f64 {
    let sum: f64 = energies.iter().sum();
    let squares: f64 = energies.iter().map(|e| e * e).sum();
    if squares > 0.0 { sum * sum / squares } else { 0.0 }
}

/// The stable rank ‖W‖²_F ÷ ‖W‖²₂ of a matrix W: the sum of its squared singular values `energies` ÷
/// the largest of them.
pub fn stable_rank(energies: &[f64]) -> f64 {
    let largest = energies.iter().fold(0f64, |largest, &e| largest.max(e));
    if largest > 0.0 { energies.iter().sum::<f64>() / largest } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_shares_and_ranks() {
        let numbers = [3.0, 0.0, -4.0, 0.0];
        assert_eq!(top_energy(&numbers, 1), 16.0 / 25.0);
        assert_eq!((top_energy(&numbers, 9), top_energy(&[0.0], 1)), (1.0, 0.0));
        assert_eq!((participation(&[2.0; 7]), stable_rank(&[2.0; 7])), (7.0, 7.0));
        assert_eq!((participation(&[3.0, 1.0]), stable_rank(&[3.0, 1.0])), (1.6, 4.0 / 3.0));
        assert_eq!((participation(&[]), stable_rank(&[0.0])), (0.0, 0.0));
    }
}
