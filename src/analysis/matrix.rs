//! One matrix, in every coordinate system.

use super::blocks::max_block;
use super::concentration::TopEnergy;
use super::distribution::Distribution;
use super::kinds::Kind;
use super::numbers::Numbers;
use super::outliers::Outliers;
use super::rates::{Rates, Sampled};
use super::rotation::Rotation;
use super::spectrum::Spectrum;
use super::weights::Weights;
use crate::codec::transform::Gram;
use crate::coordinates::Coordinates;
use crate::dtype::Dtype;
use crate::error::Result;
use rayon::prelude::*;
use serde::{Serialize, Serializer};

/// What was found out about a weight matrix.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct MatrixAnalysis {
    /// The tensor's name.
    pub name: String,
    /// The type of its elements, as in safetensors: `BF16`.
    #[serde(serialize_with = "dtype_name")]
    pub dtype: Dtype,
    /// Its dimensions, outermost first.
    pub shape: Vec<usize>,
    /// Rows of the matrix that it is taken for, as the codec does.
    pub rows: usize,
    /// Columns of that matrix.
    pub columns: usize,
    /// All its elements.
    pub weights: u64,
    /// Elements that are infinite or no numbers; they count as 0.
    pub not_finite: u64,
    /// Its part in a layer, by its name.
    pub kind: Kind,
    /// What its name has before the number of its layer: `model.layers`; `null` without one.
    pub stack: Option<String>,
    /// The number of its layer, by its name; `null` without one.
    pub layer: Option<u64>,
    /// What the rows look like in every system, in the order of [`Coordinates::ALL`].
    pub coordinates: Vec<InCoordinates>,
    /// Its singular values, which no rotation changes.
    pub spectrum: Spectrum,
}

fn dtype_name<S: Serializer>(dtype: &Dtype, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(dtype.name())
}

impl MatrixAnalysis {
    /// What it looks like in a system.
    pub fn in_system(&self, system: Coordinates) -> Option<&InCoordinates> {
        self.coordinates.iter().find(|found| found.system == system)
    }
}

/// A matrix in one coordinate system: all of its rows, but for [`rates`](Self::rates).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct InCoordinates {
    /// Which one.
    pub system: Coordinates,
    /// Columns that are mixed at once, at most.
    pub block: usize,
    /// How far the largest numbers stand out.
    pub outliers: Outliers,
    /// How much of the energy the largest numbers hold.
    pub top_energy: TopEnergy,
    /// How the numbers are distributed.
    pub distribution: Distribution,
    /// What they take when they are quantised.
    pub rates: Rates,
}

/// Rows that principal axes are learned from, at most about: 64 for each column of a block, evenly
/// spread. With so many they fit other rows of the matrix as well.
const ROWS_FOR_AXES: usize = 64;

/// The sums that principal axes are learned from.
fn gram(weights: &Weights<'_>) -> Result<Gram> {
    let block = max_block(Coordinates::Klt, weights.columns());
    let new = || Gram::new(weights.columns(), block);
    let mut sum = new();
    let part = |rows: Vec<f32>| {
        let mut part = new();
        part.add(&rows);
        part
    };
    weights.fold(ROWS_FOR_AXES * block, part, |part| sum.merge(&part))?;
    Ok(sum)
}

/// Weights whose rates are measured, about.
const SAMPLE: usize = 1 << 20;

/// What weights look like in every system.
pub(super) fn in_all_systems(weights: &Weights<'_>) -> Result<Vec<InCoordinates>> {
    let columns = weights.columns();
    let gram = gram(weights)?;
    let rotations: Result<Vec<Rotation>> =
        Coordinates::ALL.par_iter().map(|&system| Rotation::new(system, columns, &gram)).collect();
    let rotations = rotations?;
    let numbers = count(weights, &rotations)?;
    let mut sample = Vec::new();
    weights.fold(SAMPLE.div_ceil(columns), |rows| rows, |rows| sample.extend(rows))?;
    let describe = |(rotation, numbers): (&Rotation, &Numbers)| {
        let mut sample = sample.clone();
        rotation.turn(&mut sample);
        describe(weights, rotation.system(), numbers, &sample)
    };
    Ok(rotations.par_iter().zip(&numbers).map(describe).collect())
}

/// Counts all numbers of all rows, after each rotation.
fn count(weights: &Weights<'_>, rotations: &[Rotation]) -> Result<Vec<Numbers>> {
    let columns = weights.columns();
    let mut all = vec![Numbers::new(columns); rotations.len()];
    let count = |rows: Vec<f32>| -> Vec<Numbers> {
        let turned = rotations.iter().map(|rotation| {
            let mut rows = rows.clone();
            rotation.turn(&mut rows);
            Numbers::of(&rows, columns)
        });
        turned.collect()
    };
    weights.fold(weights.rows(), count, |parts| {
        all.iter_mut().zip(&parts).for_each(|(sum, part)| sum.merge(part));
    })?;
    Ok(all)
}

fn describe(
    weights: &Weights<'_>,
    system: Coordinates,
    numbers: &Numbers,
    sample: &[f32],
) -> InCoordinates {
    let (rows, rms, peak) = (weights.rows(), weights.rms(), numbers.peak());
    let variances = &numbers.variances();
    InCoordinates {
        system,
        block: max_block(system, weights.columns()),
        outliers: numbers.outliers(rms),
        top_energy: numbers.top_energy(),
        distribution: numbers.distribution(),
        rates: Rates::of(&Sampled { system, numbers: sample, peak, variances, rows, rms }),
    }
}

#[cfg(test)]
mod tests {
    use super::super::rotation::normal;
    use super::*;

    fn found(numbers: &[f32], columns: usize) -> Vec<InCoordinates> {
        let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
        let source: &[u8] = &bytes;
        let shape = (numbers.len() / columns, columns);
        in_all_systems(&Weights::new(&source, Dtype::F32, shape).unwrap()).unwrap()
    }

    fn gaussian(seed: u64, count: usize) -> Vec<f32> {
        let mut random = fastrand::Rng::with_seed(seed);
        (0..count).map(|_| normal(&mut random) as f32).collect()
    }

    /// Gaussian noise is the same in all coordinates, but for the axes that fit its chances: their
    /// variances vary by β = columns ÷ rows (Marchenko and Pastur, 1967), so kurtosis is 3(1 + β).
    #[test]
    fn noise_looks_the_same_everywhere() {
        for found in found(&gaussian(1, 4096 * 128), 128) {
            let is_learned = matches!(found.system, Coordinates::Klt | Coordinates::KltBlocks);
            let kurtosis = if is_learned { 3.0 * (1.0 + 128.0 / 4096.0) } else { 3.0 };
            let error = (found.outliers.kurtosis - kurtosis).abs();
            assert!(error < 0.03, "{:?} {error}", found.system);
            assert!((4.0..6.5).contains(&found.outliers.peak_to_rms), "{:?}", found.system);
            assert!((found.outliers.norm / (4096.0f64 * 128.0).sqrt() - 1.0).abs() < 0.01);
        }
    }

    /// A column that is `spike` times as loud as the others: in the original its numbers stand
    /// out; a Hadamard matrix of n columns gives each coordinate a share of ±1 ÷ √n of it. With
    /// |x| ≤ a elsewhere, no coordinate is beyond (spike·a + (n − 1)·a) ÷ √n; noise adds up like
    /// noise, to spike·a ÷ √n and a few deviations.
    #[test]
    fn hadamard_spreads_a_loud_column_and_alignment_gathers_it() {
        let (columns, spike) = (256, 100.0);
        let mut numbers = gaussian(2, 2048 * columns);
        let signs = gaussian(3, 2048);
        for (row, sign) in numbers.chunks_exact_mut(columns).zip(signs) {
            row[40] = spike * sign.signum();
        }
        let rms = ((spike * spike + 255.0) / 256.0).sqrt();
        let found = found(&numbers, columns);
        let [original, hadamard, both, aligned] = [0, 2, 3, 5].map(|i| &found[i].outliers);
        assert!((original.peak_to_rms - f64::from(spike / rms)).abs() < 0.1, "{original:?}");
        let bound = f64::from(spike / 16.0 + 5.5) / f64::from(rms);
        assert!(hadamard.peak_to_rms < bound, "{} {bound}", hadamard.peak_to_rms);
        // Signs of chance: over rows they add up as noise does.
        assert!(both.peak_to_rms < 6.0, "{both:?}");
        assert!(aligned.peak_to_rms > 0.9 * original.peak_to_rms);
        // 1 ÷ 256 of all numbers hold 10⁴ ÷ (10⁴ + 255) of the energy.
        let share = found[0].top_energy.top_1_percent;
        assert!(share > 0.975 && found[2].top_energy.top_1_percent < 0.1, "{share}");
    }

    /// Every row is looked at, however many there are: one weight of 100 000 shows.
    #[test]
    fn the_one_outlier_is_seen() {
        let mut numbers = gaussian(4, 6000 * 96);
        numbers[5987 * 96 + 11] = 100.0;
        let original = &found(&numbers, 96)[0];
        assert!((original.outliers.peak - 100.0).abs() < 1e-4);
        assert_eq!(original.distribution.tails.iter().filter(|tail| tail.share > 0.0).count(), 16);
    }

    #[test]
    fn zeros_have_no_outliers() {
        for found in found(&[0.0; 4096], 64) {
            assert_eq!(found.outliers, Outliers::default());
            assert_eq!(found.top_energy, TopEnergy::default());
        }
    }
}
