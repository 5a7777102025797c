//! Statistics of the values of a matrix, collected in one pass and merged over parts.

use super::concentration::TopEnergy;
use super::distribution::{BIN_WIDTH, BINS, Distribution, TAILS, Tail};
use super::moments::Moments;
use super::outliers::Outliers;

/// Statistics of values whose root mean square is about 1.
#[derive(Clone, Debug)]
pub(super) struct ValueStatistics {
    moments: Moments,
    peak: f64,
    magnitudes: Vec<MagnitudeBin>,
    bins: Vec<u64>,
    below: u64,
    above: u64,
    /// Σx² of each column.
    columns: Vec<f64>,
}

/// Count and energy of the values in a range of magnitudes.
#[derive(Clone, Copy, Debug, Default)]
struct MagnitudeBin {
    count: u64,
    energy: f64,
}

/// Bins of magnitudes: 64 per octave, given by the exponent and the first six mantissa bits of an
/// `f32`. The first bin includes all magnitudes below 2^-16, the last all above 2^16.
const BINS_PER_OCTAVE_LOG2: u32 = 6;
const FIRST_BIN: u32 = (127 - 16) << BINS_PER_OCTAVE_LOG2;
const OCTAVES: u32 = 32;

fn magnitude_bin(x: f32) -> usize {
    let bin = x.abs().to_bits() >> (23 - BINS_PER_OCTAVE_LOG2);
    bin.saturating_sub(FIRST_BIN).min((OCTAVES << BINS_PER_OCTAVE_LOG2) - 1) as usize
}

impl ValueStatistics {
    pub(super) fn new(columns: usize) -> Self {
        Self {
            moments: Moments::default(),
            peak: 0.0,
            magnitudes: vec![MagnitudeBin::default(); (OCTAVES << BINS_PER_OCTAVE_LOG2) as usize],
            bins: vec![0; BINS],
            below: 0,
            above: 0,
            columns: vec![0.0; columns],
        }
    }

    /// The statistics of whole rows.
    pub(super) fn of(rows: &[f32], columns: usize) -> Self {
        let mut statistics = Self::new(columns);
        statistics.moments = Moments::of(rows);
        statistics.peak = rows.iter().fold(0f32, |peak, x| peak.max(x.abs())).into();
        for row in rows.chunks_exact(columns.max(1)) {
            for (sum, &x) in statistics.columns.iter_mut().zip(row) {
                *sum += f64::from(x) * f64::from(x);
            }
        }
        for &x in rows {
            let bin = &mut statistics.magnitudes[magnitude_bin(x)];
            bin.count += 1;
            bin.energy += f64::from(x) * f64::from(x);
            // 0 at the lower end. The cast truncates.
            let position = f64::from(x) / BIN_WIDTH + BINS as f64 / 2.0;
            match statistics.bins.get_mut(position as usize) {
                _ if position < 0.0 => statistics.below += 1,
                Some(bin) => *bin += 1,
                None => statistics.above += 1,
            }
        }
        statistics
    }

    /// Adds the statistics of other rows.
    pub(super) fn merge(&mut self, other: &Self) {
        self.moments = self.moments.merged(other.moments);
        self.peak = self.peak.max(other.peak);
        for (sum, other) in self.magnitudes.iter_mut().zip(&other.magnitudes) {
            sum.count += other.count;
            sum.energy += other.energy;
        }
        self.bins.iter_mut().zip(&other.bins).for_each(|(sum, other)| *sum += other);
        self.below += other.below;
        self.above += other.above;
        self.columns.iter_mut().zip(&other.columns).for_each(|(sum, other)| *sum += other);
    }

    fn count(&self) -> u64 {
        self.magnitudes.iter().map(|bin| bin.count).sum()
    }

    fn energy(&self) -> f64 {
        self.columns.iter().sum()
    }

    /// The largest magnitude.
    pub(super) fn peak(&self) -> f64 {
        self.peak
    }

    /// The mean square of each column.
    pub(super) fn variances(&self) -> Vec<f64> {
        let rows = self.count() as f64 / self.columns.len().max(1) as f64;
        self.columns.iter().map(|sum| sum / rows.max(1.0)).collect()
    }

    /// The outlier statistics of the values times `unit`.
    pub(super) fn outliers(&self, unit: f64) -> Outliers {
        if self.peak == 0.0 {
            return Outliers::default();
        }
        let count = self.count() as f64;
        let norm = self.energy().sqrt();
        Outliers {
            norm: norm * unit,
            peak: self.peak * unit,
            peak_to_norm: self.peak / norm,
            peak_to_rms: self.peak / (norm / count.sqrt()),
            beyond_3_sigma: self.share_from(3.0),
            kurtosis: self.moments.kurtosis(),
        }
    }

    /// The share of values of at least a magnitude, which must be the lower end of a bin.
    fn share_from(&self, least: f32) -> f64 {
        let bins = &self.magnitudes[magnitude_bin(least)..];
        bins.iter().map(|bin| bin.count).sum::<u64>() as f64 / self.count().max(1) as f64
    }

    pub(super) fn top_energy(&self) -> TopEnergy {
        let percent = |percent: u64| (self.count() * percent).div_ceil(100);
        TopEnergy {
            top_1: self.share_of_top(1),
            top_8: self.share_of_top(8),
            top_32: self.share_of_top(32),
            top_1_percent: self.share_of_top(percent(1)),
            top_10_percent: self.share_of_top(percent(10)),
        }
    }

    fn share_of_top(&self, k: u64) -> f64 {
        let (mut left, mut energy) = (k, 0.0);
        if k == 1 {
            energy = self.peak * self.peak;
        } else {
            for bin in self.magnitudes.iter().rev().filter(|bin| bin.count > 0) {
                let taken = bin.count.min(left);
                energy += bin.energy * taken as f64 / bin.count as f64;
                left -= taken;
            }
        }
        let total = self.energy();
        if total > 0.0 { (energy / total).min(1.0) } else { 0.0 }
    }

    pub(super) fn distribution(&self) -> Distribution {
        let tail = |sigmas: f64| Tail { sigmas, share: self.share_from(sigmas as f32) };
        Distribution {
            first: -BIN_WIDTH * (BINS / 2) as f64,
            width: BIN_WIDTH,
            counts: self.bins.clone(),
            below: self.below,
            above: self.above,
            tails: TAILS.map(tail).to_vec(),
        }
    }
}

impl Outliers {
    /// The outlier statistics of finite values. O(n).
    pub fn of(values: &[f32]) -> Self {
        let energy: f64 = values.iter().map(|&x| f64::from(x).powi(2)).sum();
        let rms = (energy / values.len().max(1) as f64).sqrt();
        if rms == 0.0 {
            return Self::default();
        }
        let relative: Vec<f32> = values.iter().map(|&x| (f64::from(x) / rms) as f32).collect();
        ValueStatistics::of(&relative, relative.len()).outliers(rms)
    }
}

#[cfg(test)]
mod tests {
    use super::super::concentration::top_energy;
    use super::*;
    use crate::gaussian::gaussian_noise;

    #[test]
    fn gaussian_noise_has_gaussian_statistics() {
        let numbers = gaussian_noise(1).take(1 << 20).collect::<Vec<_>>();
        let statistics = ValueStatistics::of(&numbers, 1024);
        let outliers = statistics.outliers(1.0);
        assert!((outliers.kurtosis - 3.0).abs() < 0.02, "{outliers:?}");
        assert!((outliers.beyond_3_sigma - 0.0027).abs() < 2e-4, "{outliers:?}");
        let Distribution { first, width, counts, below, above, .. } = statistics.distribution();
        assert_eq!((counts.iter().sum::<u64>(), below, above), (1 << 20, 0, 0));
        // At 0 and at 1.
        for (bin, density) in [(40, 0.39894), (45, 0.24197)] {
            let x = first + width * bin as f64;
            let share = counts[bin] as f64 / numbers.len() as f64;
            assert!((share / width - density).abs() < 0.004, "{x}: {share}");
        }
    }

    #[test]
    fn top_energy_matches_sorting() {
        let mut numbers = gaussian_noise(1).take(9000).collect::<Vec<_>>();
        numbers[70] = 60.0;
        let top = ValueStatistics::of(&numbers, 90).top_energy();
        for (k, share) in [
            (1, top.top_1),
            (8, top.top_8),
            (32, top.top_32),
            (90, top.top_1_percent),
            (900, top.top_10_percent),
        ] {
            assert!((share - top_energy(&numbers, k)).abs() < 1e-4, "{k}: {share}");
        }
    }

    #[test]
    fn merged_statistics_equal_those_of_all_rows() {
        let mut numbers = gaussian_noise(1).take(6000).collect::<Vec<_>>();
        (numbers[17], numbers[5000]) = (-50.0, 8.1);
        let whole = ValueStatistics::of(&numbers, 60);
        let mut parts = ValueStatistics::new(60);
        numbers.chunks(1800).for_each(|part| parts.merge(&ValueStatistics::of(part, 60)));
        assert_eq!(parts.distribution(), whole.distribution());
        assert_eq!((whole.below, whole.above), (1, 1));
        let (a, b) = (parts.outliers(2.0), whole.outliers(2.0));
        assert!((a.kurtosis - b.kurtosis).abs() < 1e-9 * b.kurtosis && a.peak == 100.0);
        assert_eq!(a.beyond_3_sigma, b.beyond_3_sigma);
    }

    /// The limits of tails are lower ends of bins.
    #[test]
    fn tails_include_their_limits() {
        for edge in TAILS {
            let near = edge as f32 * 0.999_999;
            let numbers = ValueStatistics::of(&[edge as f32, -near, 0.0, 0.5], 4);
            let tails = numbers.distribution().tails;
            let tail = tails.iter().find(|tail| tail.sigmas == edge).unwrap();
            assert_eq!(tail.share, 0.25, "{edge}");
        }
    }
}
