//! Estimated rates of a tensor at given errors, for the analysis.

use super::effort::{is_valid_step, planning_effort, step_for_noise};
use super::frame_sizes::frame_bytes;
use super::planned_tensor::overhead_bits;
use super::transform_choice::{Chosen, MIN_BITS, choose, outlier_bits};
use crate::codec::trellis::{Rate, Scaling, TransformSearch};
use crate::coordinates::BlockTransform;
use crate::encode::encoding::{Encoding, FileTarget};
use crate::encode::source::TensorSource;
use crate::error::Result;

/// The rates of a tensor in the coordinates that an encoding chooses.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rated {
    pub(crate) transform: BlockTransform,
    /// For each error: all bits per weight, and the side information among them.
    pub(crate) rates: Vec<(f64, f64)>,
}

/// The rates of one tensor with several encodings, each at errors given as shares of the sum of
/// squares of the tensor. `None` where the tensor is stored losslessly.
///
/// The estimates are those of [`Plan`](super::Plan), but the transform is chosen once, at the error
/// bound of the encoding, and lossless coding is not considered, since this needs all elements.
pub(crate) fn rates(
    source: &TensorSource<'_>,
    requests: &[(Encoding, &[f64])],
) -> Result<Vec<Option<Rated>>> {
    let Some(matrix) = source.matrix() else { return Ok(vec![None; requests.len()]) };
    let rate = || -> Result<Vec<Option<Rated>>> {
        let samples = requests.iter().map(|(encoding, _)| planning_effort(encoding.effort).sample);
        let search =
            TransformSearch::new(&matrix, &Scaling::default(), None, samples.max().unwrap_or(0))?;
        let frame = frame_bytes(std::slice::from_ref(source), &[None])?.iter().sum();
        let overhead_bits = overhead_bits(source, frame) + outlier_bits(&search, source.dtype);
        let rate = |(encoding, shares): &(Encoding, &[f64])| {
            rates_of(&search, encoding, shares, overhead_bits)
        };
        requests.iter().map(rate).collect()
    };
    rate().map_err(|error| source.locate(error))
}

/// The binary logarithm of the ratio of steps below which a rate is not measured again.
const TOLERANCE: f64 = 0.02;

/// The rates at errors, from one or two measurements each.
fn rates_of(
    search: &TransformSearch<'_>,
    encoding: &Encoding,
    shares: &[f64],
    overhead_bits: f64,
) -> Result<Option<Rated>> {
    let rms = search.rms();
    let step = |level, share: f64| rms * step_for_noise(level, share).clamp(1e-4, 4.0);
    let FileTarget::Noise(bound) = encoding.target else { return Ok(None) };
    if !shares.iter().chain([&bound]).all(|&share| is_valid_step(step(encoding.effort, share))) {
        return Ok(None);
    }
    let chosen = choose(search, encoding, step(encoding.effort, bound) as f32)?;
    let Some(Chosen { choice, candidate, effort: level, .. }) = chosen else { return Ok(None) };
    let effort = planning_effort(level);
    let rates = shares.iter().map(|&share| {
        // The ratio of the measured to the wanted error, as a factor of the step.
        let ratio = |rate: &Rate| {
            (rate.noise.max(f64::MIN_POSITIVE) / (share * rms * rms)).sqrt().clamp(0.5, 2.0)
        };
        let expected = step(level, share);
        let mut rate = candidate.rate(expected as f32, effort, overhead_bits);
        if ratio(&rate).log2().abs() > TOLERANCE {
            rate = candidate.rate((expected / ratio(&rate)) as f32, effort, overhead_bits);
        }
        // The rate falls by the logarithm of the step.
        ((rate.bits + ratio(&rate).log2()).max(rate.side + MIN_BITS), rate.side)
    });
    Ok(Some(Rated { transform: choice.transform, rates: rates.collect() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordinates::Coordinates;
    use crate::dtype::Dtype;
    use crate::encode::plan::Plan;

    #[test]
    fn rates_are_those_of_plans() {
        let number =
            |i: u64| ((i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f32).sqrt() - 2730.7;
        let bytes: Vec<u8> = (0..256 * 96).flat_map(|i| number(i).to_le_bytes()).collect();
        let (shape, bytes) = ([256, 96], &bytes[..]);
        let source = TensorSource::new("w", Dtype::F32, &shape, &bytes);
        for decibels in [12.0, 24.0] {
            let encoding = Encoding::snr(decibels).coordinates(Coordinates::Hadamard);
            let share = 10f64.powf(-decibels / 10.0);
            let found = rates(&source, &[(encoding.clone(), &[share])]).unwrap();
            let (bits, side) = found[0].as_ref().unwrap().rates[0];
            let plan = Plan::of(&source, &encoding).unwrap();
            let planned = 8.0 * plan.bytes as f64 / plan.weights as f64;
            assert!((bits - planned).abs() < 0.03, "{bits} for {planned}");
            assert!(side > 0.0 && side < 0.3, "{side}");
        }
        let vector = TensorSource::new("w", Dtype::F32, &[256 * 96], &bytes);
        assert_eq!(rates(&vector, &[(Encoding::snr(9.0), &[0.1])]).unwrap(), [None]);
    }
}
