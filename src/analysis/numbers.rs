//! What is counted of numbers, in one pass over as many as there are.

use super::concentration::TopEnergy;
use super::distribution::{BIN_WIDTH, BINS, Distribution, TAILS, Tail};
use super::moments::Moments;
use super::outliers::Outliers;

/// Counts over numbers whose root mean square is about 1.
#[derive(Clone, Debug)]
pub(super) struct Numbers {
    moments: Moments,
    peak: f64,
    magnitudes: Vec<Magnitude>,
    bins: Vec<u64>,
    below: u64,
    above: u64,
    /// Σx², column by column.
    columns: Vec<f64>,
}

/// Numbers of about the same magnitude.
#[derive(Clone, Copy, Debug, Default)]
struct Magnitude {
    count: u64,
    energy: f64,
}

/// Magnitudes within a 64th of an octave are counted together: the exponent of an `f32`, and the
/// first six bits after the point. All below 2^-16 count as 2^-16, all beyond 2^16 as that.
const STEPS_LOG2: u32 = 6;
const LEAST: u32 = (127 - 16) << STEPS_LOG2;
const OCTAVES: u32 = 32;

fn magnitude(x: f32) -> usize {
    let number = x.abs().to_bits() >> (23 - STEPS_LOG2);
    number.saturating_sub(LEAST).min((OCTAVES << STEPS_LOG2) - 1) as usize
}

impl Numbers {
    pub(super) fn new(columns: usize) -> Self {
        Self {
            moments: Moments::default(),
            peak: 0.0,
            magnitudes: vec![Magnitude::default(); (OCTAVES << STEPS_LOG2) as usize],
            bins: vec![0; BINS],
            below: 0,
            above: 0,
            columns: vec![0.0; columns],
        }
    }

    /// Those of whole rows.
    pub(super) fn of(rows: &[f32], columns: usize) -> Self {
        let mut numbers = Self::new(columns);
        numbers.moments = Moments::of(rows);
        numbers.peak = rows.iter().fold(0f32, |peak, x| peak.max(x.abs())).into();
        for row in rows.chunks_exact(columns.max(1)) {
            for (sum, &x) in numbers.columns.iter_mut().zip(row) {
                *sum += f64::from(x) * f64::from(x);
            }
        }
        for &x in rows {
            let known = &mut numbers.magnitudes[magnitude(x)];
            known.count += 1;
            known.energy += f64::from(x) * f64::from(x);
            // From 0 at the lower end; casts cut off what is behind the point.
            let place = f64::from(x) / BIN_WIDTH + BINS as f64 / 2.0;
            match numbers.bins.get_mut(place as usize) {
                _ if place < 0.0 => numbers.below += 1,
                Some(bin) => *bin += 1,
                None => numbers.above += 1,
            }
        }
        numbers
    }

    /// Adds what was counted elsewhere.
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
        self.magnitudes.iter().map(|known| known.count).sum()
    }

    fn energy(&self) -> f64 {
        self.columns.iter().sum()
    }

    /// The largest magnitude.
    pub(super) fn peak(&self) -> f64 {
        self.peak
    }

    /// Mean squares, column by column.
    pub(super) fn variances(&self) -> Vec<f64> {
        let rows = self.count() as f64 / self.columns.len().max(1) as f64;
        self.columns.iter().map(|sum| sum / rows.max(1.0)).collect()
    }

    /// In units of which these numbers are multiples.
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

    /// The share of numbers of at least this magnitude, which is one that a step begins with.
    fn share_from(&self, least: f32) -> f64 {
        let far = &self.magnitudes[magnitude(least)..];
        far.iter().map(|known| known.count).sum::<u64>() as f64 / self.count().max(1) as f64
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
            for known in self.magnitudes.iter().rev().filter(|known| known.count > 0) {
                let taken = known.count.min(left);
                energy += known.energy * taken as f64 / known.count as f64;
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

#[cfg(test)]
mod tests {
    use super::super::concentration::top_energy;
    use super::super::rotation::normal;
    use super::*;

    fn gaussian(count: usize) -> Vec<f32> {
        let mut random = fastrand::Rng::with_seed(1);
        (0..count).map(|_| normal(&mut random) as f32).collect()
    }

    #[test]
    fn gaussian_numbers_have_gaussian_counts() {
        let numbers = gaussian(1 << 20);
        let counted = Numbers::of(&numbers, 1024);
        let outliers = counted.outliers(1.0);
        assert!((outliers.kurtosis - 3.0).abs() < 0.02, "{outliers:?}");
        assert!((outliers.beyond_3_sigma - 0.0027).abs() < 2e-4, "{outliers:?}");
        let Distribution { first, width, counts, below, above, .. } = counted.distribution();
        assert_eq!((counts.iter().sum::<u64>(), below, above), (1 << 20, 0, 0));
        // Around 0 and around 1.
        for (bin, density) in [(40, 0.39894), (45, 0.24197)] {
            let x = first + width * bin as f64;
            let share = counts[bin] as f64 / numbers.len() as f64;
            assert!((share / width - density).abs() < 0.004, "{x}: {share}");
        }
    }

    #[test]
    fn energy_of_the_top_is_that_of_sorted_numbers() {
        let mut numbers = gaussian(9000);
        numbers[70] = 60.0;
        let top = Numbers::of(&numbers, 90).top_energy();
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
    fn parts_make_the_whole() {
        let mut numbers = gaussian(6000);
        (numbers[17], numbers[5000]) = (-50.0, 8.1);
        let whole = Numbers::of(&numbers, 60);
        let mut parts = Numbers::new(60);
        numbers.chunks(1800).for_each(|part| parts.merge(&Numbers::of(part, 60)));
        assert_eq!(parts.distribution(), whole.distribution());
        assert_eq!((whole.below, whole.above), (1, 1));
        let (a, b) = (parts.outliers(2.0), whole.outliers(2.0));
        assert!((a.kurtosis - b.kurtosis).abs() < 1e-9 * b.kurtosis && a.peak == 100.0);
        assert_eq!(a.beyond_3_sigma, b.beyond_3_sigma);
    }

    /// Tails begin exactly where they say.
    #[test]
    fn tails_count_from_their_edges() {
        for edge in TAILS {
            let near = edge as f32 * 0.999_999;
            let numbers = Numbers::of(&[edge as f32, -near, 0.0, 0.5], 4);
            let tails = numbers.distribution().tails;
            let tail = tails.iter().find(|tail| tail.sigmas == edge).unwrap();
            assert_eq!(tail.share, 0.25, "{edge}");
        }
    }
}
