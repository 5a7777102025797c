//! Bit rates of the codec.

use super::matrix_analysis::CoordinateAnalysis;
use super::rates::CodedRate;
use super::summary::SUMMARY_COORDINATES;
use crate::coordinates::Coordinates;
use crate::encode::{Encoding, Rated, TensorSource, rates};
use crate::error::Result;

/// Signal-to-noise ratios of the rate-distortion curve in decibels: from 1 to 5 bits per weight by
/// the bound of Shannon (1959).
pub(super) const DECIBELS: [f64; 5] = [6.0, 12.0, 18.0, 24.0, 30.0];

/// Plans the coding of a matrix in each coordinate system of the codec at a signal-to-noise ratio
/// and enters the rates in `coordinates`. Returns the rates in bits per weight along the curve, in
/// the coordinates with the lowest rate; `None` if the codec codes the matrix losslessly.
pub(super) fn enter_coded_rates(
    source: &TensorSource<'_>,
    snr_db: f64,
    coordinates: &mut [CoordinateAnalysis],
) -> Result<Option<[f64; DECIBELS.len()]>> {
    let noise_share = |decibels: f64| 10f64.powf(-decibels / 10.0);
    let (point, curve) = ([noise_share(snr_db)], DECIBELS.map(noise_share));
    let encoding = Encoding::snr(snr_db);
    let in_coordinates = |coordinates: Coordinates| {
        (encoding.clone().coordinates(coordinates).max_rank(0), &point[..])
    };
    let [identity, hadamard, klt] = SUMMARY_COORDINATES.map(in_coordinates);
    let mut found = rates(source, &[identity, hadamard, klt, (encoding.clone(), &curve)])?;
    let best = found.pop().flatten();
    for (coded, rated) in SUMMARY_COORDINATES.into_iter().zip(found) {
        if let Some(found) = coordinates.iter_mut().find(|found| found.coordinates == coded) {
            found.rates.coded = rated.map(|rated| coded_rate(&rated));
        }
    }
    Ok(best.map(|best| std::array::from_fn(|at| best.rates[at].0)))
}

fn coded_rate(rated: &Rated) -> CodedRate {
    let (bits, side_bits) = rated.rates[0];
    CodedRate { bits, side_bits, block: rated.transform.block }
}
