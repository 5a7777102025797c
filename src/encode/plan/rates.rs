//! What a tensor would take at given errors, for those who only want to know.

use super::tensor::{self, Chosen, choose, planning, step_for_noise};
use super::{TensorSource, overhead_bits};
use crate::codec::trellis::{Rate, Scaling, TransformSearch};
use crate::coordinates::BlockTransform;
use crate::encode::encoding::{Encoding, Target};
use crate::encode::matrix::{Matrix, matrix_shape};
use crate::error::Result;

/// A tensor's rates in the axes that an encoding chooses.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rated {
    pub(crate) transform: BlockTransform,
    /// For each error asked for: bits a weight with everything that goes with it, and those of
    /// them that are not the lattice's.
    pub(crate) rates: Vec<(f64, f64)>,
}

/// The rates of one tensor with several encodings, each at errors that are shares of its energy.
///
/// As [`plan`](super::plan) finds them, but that axes are chosen once, for the error that the
/// encoding promises, and that nothing is said of what the tensor would take without loss: that
/// would need all of it. `None` where the codec loses nothing.
pub(crate) fn rates(
    source: &TensorSource<'_>,
    asked: &[(Encoding, &[f64])],
) -> Result<Vec<Option<Rated>>> {
    let TensorSource { name, dtype, shape, bytes } = *source;
    let sizes: Vec<u64> = shape.iter().map(|&size| size as u64).collect();
    let Some((rows, columns)) = matrix_shape(dtype, &sizes) else {
        return Ok(vec![None; asked.len()]);
    };
    let matrix = Matrix { source: bytes, dtype, rows, columns };
    let rate = || -> Result<Vec<Option<Rated>>> {
        let effort = asked.iter().map(|(encoding, _)| planning(encoding.effort).sample).max();
        let study = TransformSearch::new(&matrix, Scaling::default(), effort.unwrap_or(0))?;
        let outlier_bits =
            study.outliers() * f64::from(tensor::OUTLIER_POSITION_BITS + dtype.bits());
        let overhead_bits = overhead_bits(name, shape.len(), rows as u64 * columns as u64);
        let rate = |(encoding, shares): &(Encoding, &[f64])| {
            rates_of(&study, encoding, shares, overhead_bits + outlier_bits)
        };
        asked.iter().map(rate).collect()
    };
    rate().map_err(|error| error.in_tensor(name))
}

/// Errors in octaves that are not worth another measurement.
const NEAR: f64 = 0.02;

/// Rates from a measurement or two each, near the error.
fn rates_of(
    study: &TransformSearch<'_>,
    encoding: &Encoding,
    shares: &[f64],
    overhead_bits: f64,
) -> Result<Option<Rated>> {
    let (effort, rms) = (planning(encoding.effort), study.rms());
    let step = |share: f64| rms * step_for_noise(encoding.effort, share).clamp(1e-4, 4.0);
    let Target::Noise(promised) = encoding.target else { return Ok(None) };
    if !shares.iter().chain([&promised]).all(|&share| tensor::is_step(step(share))) {
        return Ok(None);
    }
    let chosen = choose(study, encoding, step(promised) as f32)?;
    let Some(Chosen { choice, fitted, .. }) = chosen else { return Ok(None) };
    let rates = shares.iter().map(|&share| {
        // How far the noise is off, as a factor of the step.
        let off = |rate: &Rate| {
            (rate.noise.max(f64::MIN_POSITIVE) / (share * rms * rms)).sqrt().clamp(0.5, 2.0)
        };
        let expected = step(share);
        let mut rate = fitted.rate(expected as f32, effort, overhead_bits);
        if off(&rate).log2().abs() > NEAR {
            rate = fitted.rate((expected / off(&rate)) as f32, effort, overhead_bits);
        }
        // A little off, it costs the logarithm of that.
        ((rate.bits + off(&rate).log2()).max(rate.side + tensor::LEAST), rate.side)
    });
    Ok(Some(Rated { transform: choice.transform, rates: rates.collect() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordinates::Coordinates;
    use crate::dtype::Dtype;
    use crate::encode::Plan;

    /// Without the survey it is what planning finds.
    #[test]
    fn rates_are_those_of_plans() {
        let number =
            |i: u64| ((i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f32).sqrt() - 2730.7;
        let bytes: Vec<u8> = (0..256 * 96).flat_map(|i| number(i).to_le_bytes()).collect();
        let (shape, bytes) = ([256, 96], &bytes[..]);
        let source = TensorSource { name: "w", dtype: Dtype::F32, shape: &shape, bytes: &bytes };
        for decibels in [12.0, 24.0] {
            let encoding = Encoding::snr(decibels).coordinates(Coordinates::Hadamard);
            let share = 10f64.powf(-decibels / 10.0);
            let found = rates(&source, &[(encoding.clone(), &[share])]).unwrap();
            let (bits, side) = found[0].as_ref().unwrap().rates[0];
            let plan = Plan::of("w", Dtype::F32, &shape, bytes, &encoding).unwrap();
            let planned = 8.0 * plan.bytes as f64 / plan.weights as f64;
            assert!((bits - planned).abs() < 0.03, "{bits} for {planned}");
            assert!(side > 0.0 && side < 0.3, "{side}");
        }
        let vector = TensorSource { shape: &[256 * 96], ..source };
        assert_eq!(rates(&vector, &[(Encoding::snr(9.0), &[0.1])]).unwrap(), [None]);
    }
}
