//! What numbers take, coded with a uniform quantiser, and what that does to a function.

use occ::analysis::Uniform;
use serde::Serialize;

pub const BITS: [u32; 5] = [2, 3, 4, 6, 8];

/// A function, described by vectors of numbers.
#[derive(Clone, Debug, Serialize)]
pub struct Coded {
    pub name: String,
    /// Numbers that describe it.
    pub numbers: usize,
    /// Each number as an f32.
    pub exact: Point,
    /// For each number of [`BITS`].
    pub quantised: Vec<Point>,
}

/// A point in the plane of rate and distortion.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Point {
    /// Bits of the quantiser; 32 without.
    pub bits: u32,
    /// Bytes in all: what rANS makes of the levels, four for each vector's step, and what else
    /// there is to know.
    pub bytes: usize,
    /// The same, if levels took what the entropy of their histogram is, and the histogram nothing.
    pub entropy_bytes: f64,
    /// Error on the samples held out, relative to their energy, in decibels.
    pub error_db: f64,
    /// The share of numbers that became zero.
    pub zeros: f64,
}

impl Coded {
    /// Codes each vector with a quantiser of its own; `evaluate` tells the error of what comes
    /// back, `aside_bytes` what must be known besides.
    pub fn of(
        name: impl Into<String>,
        vectors: &[Vec<f32>],
        aside_bytes: usize,
        evaluate: impl Fn(&[Vec<f32>]) -> f64,
    ) -> Self {
        let numbers = vectors.iter().map(Vec::len).sum();
        let zeros = vectors.iter().flatten().filter(|&&x| x == 0.0).count();
        let bytes = aside_bytes + size_of::<f32>() * numbers;
        let exact = Point {
            bits: 32,
            bytes,
            entropy_bytes: bytes as f64,
            error_db: evaluate(vectors),
            zeros: zeros as f64 / numbers as f64,
        };
        let point = |bits| point(vectors, bits, aside_bytes, &evaluate);
        Self { name: name.into(), numbers, exact, quantised: BITS.map(point).into() }
    }

    /// The least error of any quantiser.
    pub fn least_error_db(&self) -> f64 {
        self.quantised.iter().fold(f64::INFINITY, |least, point| least.min(point.error_db))
    }

    /// Bytes at which quantisers reach an error, on the line between quantisers, their bytes on a
    /// logarithmic scale; none where no quantiser reaches it.
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

fn point(
    vectors: &[Vec<f32>],
    bits: u32,
    aside_bytes: usize,
    evaluate: impl Fn(&[Vec<f32>]) -> f64,
) -> Point {
    let (mut bytes, mut entropy_bytes) = (aside_bytes, aside_bytes as f64);
    let (mut zeros, mut numbers) = (0, 0);
    let mut back = Vec::with_capacity(vectors.len());
    for vector in vectors {
        let uniform = Uniform::symmetric(vector, bits);
        bytes += size_of::<f32>() + uniform.coded_bytes(vector);
        let entropy = uniform.entropy(vector) * vector.len() as f64 / 8.0;
        entropy_bytes += size_of::<f32>() as f64 + entropy;
        zeros += vector.iter().filter(|&&x| uniform.level(x) == 0).count();
        numbers += vector.len();
        back.push(quantised(vector, bits));
    }
    let zeros = zeros as f64 / numbers as f64;
    Point { bits, bytes, entropy_bytes, error_db: evaluate(&back), zeros }
}

/// A vector as a quantiser of its own gives it back.
pub fn quantised(vector: &[f32], bits: u32) -> Vec<f32> {
    let uniform = Uniform::symmetric(vector, bits);
    vector.iter().map(|&x| uniform.nearest(x)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_bits_cost_more_and_err_less() {
        let mut random = fastrand::Rng::with_seed(1);
        let vector: Vec<f32> = (0..4096).map(|_| random.f32() - 0.5).collect();
        let energy: f32 = vector.iter().map(|x| x * x).sum();
        let evaluate = |back: &[Vec<f32>]| {
            let square = |(a, b): (&f32, &f32)| (a - b) * (a - b);
            let error: f32 = vector.iter().zip(&back[0]).map(square).sum();
            10.0 * f64::from((error / energy).max(1e-30)).log10()
        };
        let coded = Coded::of("x", std::slice::from_ref(&vector), 10, evaluate);
        assert_eq!((coded.exact.bits, coded.exact.bytes), (32, 16394));
        assert!(coded.exact.error_db < -299.0);
        for pair in coded.quantised.windows(2) {
            assert!(pair[0].bytes < pair[1].bytes && pair[0].error_db > pair[1].error_db);
            assert!(pair[0].zeros > pair[1].zeros);
        }
        // Uniform numbers over 2⁸ − 1 levels: eight bits each, an error of step² ÷ 12.
        let finest = &coded.quantised[4];
        assert!((finest.error_db - -20.0 * 254f64.log10()).abs() < 0.3, "{finest:?}");
        let entropy = 4110.0 - 254.0 / 16.0 / 2f64.ln(); // a sample's is lower (Miller, 1955)
        assert!((finest.entropy_bytes - entropy).abs() < 5.0, "{finest:?}");
        let at = coded.bytes_at(finest.error_db).unwrap();
        assert!((at - finest.bytes as f64).abs() < 1e-6);
        assert_eq!(coded.bytes_at(-60.0), None);
        assert_eq!(coded.bytes_at(0.0), Some(coded.quantised[0].bytes as f64));
    }
}
