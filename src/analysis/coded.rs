//! What the codec would spend.

use super::matrix::InCoordinates;
use super::rates::CodedRate;
use crate::coordinates::Coordinates;
use crate::encode::{Encoding, Rated, TensorSource, rates};
use crate::error::Result;

/// Signal-to-noise ratios of the rate-distortion curve: about 1 to 5 bits by Shannon's bound.
pub(super) const DECIBELS: [f64; 5] = [6.0, 12.0, 18.0, 24.0, 30.0];

/// The systems that the codec has.
const CODED: [Coordinates; 3] = [Coordinates::Identity, Coordinates::Hadamard, Coordinates::Klt];

/// Tells what a matrix takes in each system at a signal-to-noise ratio; returns bits a weight, in
/// whatever takes least, along the curve. `None` where the codec loses nothing.
pub(super) fn spend(
    source: &TensorSource<'_>,
    snr_db: f64,
    coordinates: &mut [InCoordinates],
) -> Result<Option<[f64; DECIBELS.len()]>> {
    let share = |decibels: f64| 10f64.powf(-decibels / 10.0);
    let (once, curve) = ([share(snr_db)], DECIBELS.map(share));
    let encoding = Encoding::snr(snr_db);
    let in_system = |coordinates: Coordinates| {
        (encoding.clone().coordinates(coordinates).max_rank(0), &once[..])
    };
    let [identity, hadamard, klt] = CODED.map(in_system);
    let mut found = rates(source, &[identity, hadamard, klt, (encoding.clone(), &curve)])?;
    let best = found.pop().flatten();
    for (system, rated) in CODED.into_iter().zip(found) {
        if let Some(found) = coordinates.iter_mut().find(|found| found.system == system) {
            found.rates.coded = rated.map(|rated| coded(&rated));
        }
    }
    Ok(best.map(|best| std::array::from_fn(|at| best.rates[at].0)))
}

fn coded(rated: &Rated) -> CodedRate {
    let (bits, side_bits) = rated.rates[0];
    CodedRate { bits, side_bits, block: rated.transform.block }
}
