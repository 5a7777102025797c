//! The choice of what is counted, from a sample of the tensor.

use super::pairs;
use super::plane_choice::MIN_SAVING;
use super::statistics::PlaneStatistics;
use crate::codec::entropy::{Histogram, entropy_bits};
use crate::codec::planes::Plane;
use crate::codec::planes::split::Split;
use crate::dtype::Dtype;

/// The fewest words of a tensor whose planes of noise and pairs may be sampled.
const MIN_SAMPLED_WORDS: u64 = 1 << 20;

impl PlaneStatistics {
    /// `sample` is a part of a tensor of so many `bytes`, in whole words. With an empty sample, pairs
    /// are not considered, and all planes are counted.
    pub(crate) fn of_sample(dtype: Dtype, sample: &[u8], bytes: u64) -> Self {
        let mut plain = Self::of_all(dtype);
        let split = plain.split;
        let words = bytes / split.width as u64;
        // Only exponents of floats are concentrated enough.
        if !split.rotate || sample.is_empty() {
            return plain;
        }
        plain.count(sample);
        let (last, all) = (split.width - 1, vec![false; split.width]);
        let low_bits = Split::bits_below_exponent(dtype);
        let pairing = pairs::pairing(&plain.plane(last), low_bits);
        if words >= MIN_SAMPLED_WORDS && pairing.is_some() {
            let mut paired = Self::new(split, pairing, all.clone());
            paired.count(sample);
            if matches!(Plane::choose(&paired, last), Plane::Paired(..)) {
                let is_sampled = |plane: usize| plane == last || is_noise(&plain.plane(plane));
                return Self::new(split, pairing, (0..split.width).map(is_sampled).collect());
            }
        }
        Self::new(split, pairing, all)
    }
}

/// Whether a plane is not worth coding.
fn is_noise(histogram: &Histogram) -> bool {
    let total = histogram.total();
    entropy_bits(histogram) >= 8 * (total - total / MIN_SAVING)
}
