//! In how few coordinates the energy lies.

use serde::Serialize;

/// The share of a matrix's energy Σx² that its largest numbers hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TopEnergy {
    /// The largest of all.
    pub top_1: f64,
    /// The largest 8.
    pub top_8: f64,
    /// The largest 32.
    pub top_32: f64,
    /// The largest 1 % of all numbers: 0.084 of Gaussian ones.
    pub top_1_percent: f64,
    /// The largest 10 % of all numbers: 0.44 of Gaussian ones.
    pub top_10_percent: f64,
}

/// The share of the energy that the `k` largest of all numbers hold; 0 where there is none.
///
/// O(n log n).
pub fn top_energy(numbers: &[f32], k: usize) -> f64 {
    let mut squares: Vec<f64> = numbers.iter().map(|&x| f64::from(x).powi(2)).collect();
    squares.sort_unstable_by(|a, b| b.total_cmp(a));
    let total: f64 = squares.iter().sum();
    let top: f64 = squares.iter().take(k).sum();
    if total > 0.0 { top / total } else { 0.0 }
}

/// The participation ratio of energies, (Σe)² ÷ Σe²: over how many they are spread. Of squared
/// singular values it is a matrix's effective rank.
pub fn participation(energies: &[f64]) -> f64 {
    let sum: f64 = energies.iter().sum();
    let squares: f64 = energies.iter().map(|e| e * e).sum();
    if squares > 0.0 { sum * sum / squares } else { 0.0 }
}

/// ‖W‖²_F ÷ ‖W‖²₂: the sum of squared singular values over the largest.
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
