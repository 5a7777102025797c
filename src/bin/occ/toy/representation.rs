//! Size and error of a representation with uniform quantisers.

use occ::analysis::Uniform;
use serde::Serialize;

/// Bits of the quantisers.
pub const BITS: [u32; 5] = [2, 3, 4, 6, 8];

/// A function represented by vectors of numbers.
#[derive(Clone, Debug, Serialize)]
pub struct Representation {
    pub name: String,
    /// How many numbers represent the function.
    pub numbers: usize,
    /// With each number as an f32.
    pub exact: RatePoint,
    /// Quantised with each of [`BITS`].
    pub quantised: Vec<RatePoint>,
}

/// Size and error.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct RatePoint {
    /// Bits of the quantiser; 32 without quantisation.
    pub bits: u32,
    /// Total bytes: rANS-coded levels, four bytes per vector for the step, and side information.
    pub bytes: usize,
    /// The same with the entropy of the levels instead of their coded size, without the cost of
    /// the histogram.
    pub entropy_bytes: f64,
    /// Energy of the error on the held-out samples, relative to their energy, in decibels.
    pub error_db: f64,
    /// The share of numbers that are quantised to zero.
    pub zeros: f64,
}

impl Representation {
    /// Codes each vector with its own quantiser. `evaluate` returns the error of decoded vectors in
    /// decibels; `side_bytes` is the size of side information.
    pub fn of(
        name: impl Into<String>,
        vectors: &[Vec<f32>],
        side_bytes: usize,
        evaluate: impl Fn(&[Vec<f32>]) -> f64,
    ) -> Self {
        let numbers = vectors.iter().map(Vec::len).sum();
        let zeros = vectors.iter().flatten().filter(|&&x| x == 0.0).count();
        let bytes = side_bytes + size_of::<f32>() * numbers;
        let exact = RatePoint {
            bits: 32,
            bytes,
            entropy_bytes: bytes as f64,
            error_db: evaluate(vectors),
            zeros: zeros as f64 / numbers as f64,
        };
        let point = |bits| rate_point(vectors, bits, side_bytes, &evaluate);
        Self { name: name.into(), numbers, exact, quantised: BITS.map(point).into() }
    }

    /// The smallest error of all quantisers.
    pub fn min_error_db(&self) -> f64 {
        self.quantised.iter().fold(f64::INFINITY, |min, point| min.min(point.error_db))
    }

    /// Bytes at which the quantisers reach an error, by linear interpolation of the logarithm of
    /// bytes. `None` if no quantiser reaches it.
    pub fn bytes_at(&self, error_db: f64) -> Option<f64> {
        let reached = self.quantised.iter().position(|point| point.error_db <= error_db)?;
        let (after, bytes) = (&self.quantised[reached], self.quantised[reached].bytes as f64);
        let Some(before) = reached.checked_sub(1).map(|before| &self.quantised[before]) else {
            return Some(bytes);
        };
        let share = (before.error_db - error_db) / (before.error_db - after.error_db);
        Some((before.bytes as f64).powf(1.0 - share) * bytes.powf(share))
    }
}

fn rate_point(
    vectors: &[Vec<f32>],
    bits: u32,
    side_bytes: usize,
    evaluate: impl Fn(&[Vec<f32>]) -> f64,
) -> RatePoint {
    let (mut bytes, mut entropy_bytes) = (side_bytes, side_bytes as f64);
    let (mut zeros, mut numbers) = (0, 0);
    let mut decoded = Vec::with_capacity(vectors.len());
    for vector in vectors {
        let uniform = Uniform::symmetric(vector, bits);
        bytes += size_of::<f32>() + uniform.coded_bytes(vector);
        let entropy = uniform.entropy(vector) * vector.len() as f64 / 8.0;
        entropy_bytes += size_of::<f32>() as f64 + entropy;
        zeros += vector.iter().filter(|&&x| uniform.level(x) == 0).count();
        numbers += vector.len();
        decoded.push(quantised(vector, bits));
    }
    let zeros = zeros as f64 / numbers as f64;
    RatePoint { bits, bytes, entropy_bytes, error_db: evaluate(&decoded), zeros }
}

/// A vector after quantisation with its own quantiser.
pub fn quantised(vector: &[f32], bits: u32) -> Vec<f32> {
    let uniform = Uniform::symmetric(vector, bits);
    vector.iter().map(|&x| uniform.nearest(x)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_bits_take_more_bytes_and_reduce_the_error() {
        let mut random = fastrand::Rng::with_seed(1);
        let vector: Vec<f32> = (0..4096).map(|_| random.f32() - 0.5).collect();
        let energy: f32 = vector.iter().map(|x| x * x).sum();
        let evaluate = |decoded: &[Vec<f32>]| {
            let square = |(a, b): (&f32, &f32)| (a - b) * (a - b);
            let error: f32 = vector.iter().zip(&decoded[0]).map(square).sum();
            10.0 * f64::from((error / energy).max(1e-30)).log10()
        };
        let coded = Representation::of("x", std::slice::from_ref(&vector), 10, evaluate);
        assert_eq!((coded.exact.bits, coded.exact.bytes), (32, 16394));
        assert!(coded.exact.error_db < -299.0);
        for pair in coded.quantised.windows(2) {
            assert!(pair[0].bytes < pair[1].bytes && pair[0].error_db > pair[1].error_db);
            assert!(pair[0].zeros > pair[1].zeros);
        }
        // Uniform numbers in 2⁸ − 1 levels: an entropy of about 8 bits, an error of step² ÷ 12.
        let finest = &coded.quantised[4];
        assert!((finest.error_db - -20.0 * 254f64.log10()).abs() < 0.3, "{finest:?}");
        let entropy = 4110.0 - 254.0 / 16.0 / 2f64.ln(); // the bias of a sample's entropy (Miller, 1955)
        assert!((finest.entropy_bytes - entropy).abs() < 5.0, "{finest:?}");
        let at = coded.bytes_at(finest.error_db).unwrap();
        assert!((at - finest.bytes as f64).abs() < 1e-6);
        assert_eq!(coded.bytes_at(-60.0), None);
        assert_eq!(coded.bytes_at(0.0), Some(coded.quantised[0].bytes as f64));
    }
}
