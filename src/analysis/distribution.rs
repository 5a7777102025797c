//! Histogram and tails of the values of a matrix.

use serde::Serialize;

/// Number of histogram bins. The middle bin is centred at 0.
pub(super) const BINS: usize = 81;

/// Width of a bin in σ.
pub(super) const BIN_WIDTH: f64 = 0.2;

/// Lower limits of the tails in σ.
pub(super) const TAILS: [f64; 19] = [
    1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 12.0, 16.0, 24.0, 32.0, 48.0, 64.0, 96.0, 128.0,
    192.0, 256.0,
];

/// A histogram and the tails of x ÷ σ. σ is the root mean square of the matrix, which is the same in
/// all coordinate systems.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Distribution {
    /// Centre of the first bin in σ: -8.
    pub first: f64,
    /// Width of a bin in σ: 0.2.
    pub width: f64,
    /// Number of values in each of 81 bins.
    pub counts: Vec<u64>,
    /// Number of values below the first bin.
    pub below: u64,
    /// Number of values above the last bin.
    pub above: u64,
    /// Tails with limits from 1 σ to 256 σ.
    pub tails: Vec<Tail>,
}

/// The values with |x| ≥ `sigmas` · σ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Tail {
    /// Lower limit of |x| in σ.
    pub sigmas: f64,
    /// Share of all values.
    pub share: f64,
}
