//! How numbers are distributed, for charts.

use serde::Serialize;

/// Bins of the histogram, the middle one around 0.
pub(super) const BINS: usize = 81;

/// A bin's width in σ.
pub(super) const BIN_WIDTH: f64 = 0.2;

/// Where tails begin, in σ.
pub(super) const TAILS: [f64; 19] = [
    1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 12.0, 16.0, 24.0, 32.0, 48.0, 64.0, 96.0, 128.0,
    192.0, 256.0,
];

/// A histogram and the tails of numbers over σ, the matrix's root mean square: the same in all
/// coordinate systems.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Distribution {
    /// The middle of the first bin, in σ: -8.
    pub first: f64,
    /// From the middle of a bin to that of the next, in σ: 0.2.
    pub width: f64,
    /// Numbers in each of 81 bins.
    pub counts: Vec<u64>,
    /// Numbers below the first bin.
    pub below: u64,
    /// Numbers above the last bin.
    pub above: u64,
    /// From 1 σ to 256 σ.
    pub tails: Vec<Tail>,
}

/// Numbers far from 0, on either side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Tail {
    /// At least how far, in σ.
    pub sigmas: f64,
    /// The share of all numbers.
    pub share: f64,
}
