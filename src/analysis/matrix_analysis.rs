//! Analysis of one matrix in all coordinate systems.

use super::blocks::max_block;
use super::concentration::TopEnergy;
use super::coordinate_transform::CoordinateTransform;
use super::distribution::Distribution;
use super::outliers::Outliers;
use super::rates::{RateSample, Rates};
use super::spectrum::Spectrum;
use super::value_statistics::ValueStatistics;
use super::weights::Weights;
use crate::codec::transform::Gram;
use crate::coordinates::Coordinates;
use crate::dtype::Dtype;
use crate::error::Result;
use crate::role::TensorRole;
use rayon::prelude::*;
use serde::Serialize;

/// Statistics of a weight matrix.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct MatrixAnalysis {
    /// The tensor's name.
    pub name: String,
    /// The dtype; in JSON its name in safetensors: `BF16`.
    pub dtype: Dtype,
    /// The shape of the tensor, outermost dimension first.
    pub shape: Vec<usize>,
    /// Number of rows of the matrix. As in the codec, short rows are joined and long rows are cut.
    pub rows: usize,
    /// Number of columns of the matrix.
    pub columns: usize,
    /// Number of elements.
    pub weights: u64,
    /// Number of elements that are infinite or NaN. They are replaced by 0.
    pub not_finite: u64,
    /// The role in the model, from the name.
    pub role: TensorRole,
    /// The part of the name before the layer index, such as `model.layers`; `None` without index.
    pub stack: Option<String>,
    /// The layer index in the name; `None` without index.
    pub layer: Option<u64>,
    /// Statistics in each coordinate system, in the order of [`Coordinates::ALL`].
    pub coordinates: Vec<CoordinateAnalysis>,
    /// The singular values, which are the same in all coordinate systems.
    pub spectrum: Spectrum,
}

impl MatrixAnalysis {
    /// The statistics in a coordinate system.
    pub fn in_coordinates(&self, coordinates: Coordinates) -> Option<&CoordinateAnalysis> {
        self.coordinates.iter().find(|found| found.coordinates == coordinates)
    }
}

/// Statistics of a matrix in one coordinate system. They cover all rows, except that
/// [`rates`](Self::rates) may cover a sample.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CoordinateAnalysis {
    /// The coordinate system.
    pub coordinates: Coordinates,
    /// The largest number of columns that the transform combines.
    pub block: usize,
    /// Norms, peak and tails.
    pub outliers: Outliers,
    /// Share of the energy in the largest values.
    pub top_energy: TopEnergy,
    /// Histogram and tails of the values.
    pub distribution: Distribution,
    /// Bit rates after quantisation.
    pub rates: Rates,
}

/// The basis of a KLT is computed from about this many rows per column of a block, evenly spread.
/// With this many, it does not fit the sample better than the other rows.
const KLT_ROWS_PER_COLUMN: usize = 64;

/// The Gram matrices of the blocks of a KLT.
fn gram(weights: &Weights<'_>) -> Result<Gram> {
    let block = max_block(Coordinates::Klt, weights.columns());
    let new = || Gram::new(weights.columns(), block);
    let mut sum = new();
    let part = |rows: Vec<f32>| {
        let mut part = new();
        part.add(&rows);
        part
    };
    weights.fold(KLT_ROWS_PER_COLUMN * block, part, |part| sum.merge(&part))?;
    Ok(sum)
}

/// Approximate number of weights in the sample for rates.
const SAMPLE: usize = 1 << 20;

/// The statistics in each coordinate system, in the order of [`Coordinates::ALL`].
pub(super) fn analyze_in_all_coordinates(weights: &Weights<'_>) -> Result<Vec<CoordinateAnalysis>> {
    let columns = weights.columns();
    let gram = gram(weights)?;
    let new = |&coordinates| CoordinateTransform::new(coordinates, columns, &gram);
    let transforms: Result<Vec<CoordinateTransform>> =
        Coordinates::ALL.par_iter().map(new).collect();
    let transforms = transforms?;
    let statistics = collect(weights, &transforms)?;
    let mut sample = Vec::new();
    weights.fold(SAMPLE.div_ceil(columns), |rows| rows, |rows| sample.extend(rows))?;
    let analyze = |(transform, statistics): (&CoordinateTransform, &ValueStatistics)| {
        let mut sample = sample.clone();
        transform.apply(&mut sample);
        analyze_in(transform.coordinates(), weights, statistics, &sample)
    };
    Ok(transforms.par_iter().zip(&statistics).map(analyze).collect())
}

/// Collects statistics of all rows after each transform.
fn collect(
    weights: &Weights<'_>,
    transforms: &[CoordinateTransform],
) -> Result<Vec<ValueStatistics>> {
    let columns = weights.columns();
    let mut all = vec![ValueStatistics::new(columns); transforms.len()];
    let collect = |rows: Vec<f32>| -> Vec<ValueStatistics> {
        let transformed = transforms.iter().map(|transform| {
            let mut rows = rows.clone();
            transform.apply(&mut rows);
            ValueStatistics::of(&rows, columns)
        });
        transformed.collect()
    };
    weights.fold(weights.rows(), collect, |parts| {
        all.iter_mut().zip(&parts).for_each(|(sum, part)| sum.merge(part));
    })?;
    Ok(all)
}

fn analyze_in(
    coordinates: Coordinates,
    weights: &Weights<'_>,
    statistics: &ValueStatistics,
    sample: &[f32],
) -> CoordinateAnalysis {
    let (rows, rms, peak) = (weights.rows(), weights.rms(), statistics.peak());
    let variances = &statistics.variances();
    CoordinateAnalysis {
        coordinates,
        block: max_block(coordinates, weights.columns()),
        outliers: statistics.outliers(rms),
        top_energy: statistics.top_energy(),
        distribution: statistics.distribution(),
        rates: Rates::of(&RateSample { coordinates, values: sample, peak, variances, rows, rms }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gaussian::gaussian_noise;

    fn found(numbers: &[f32], columns: usize) -> Vec<CoordinateAnalysis> {
        let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
        let source: &[u8] = &bytes;
        let shape = (numbers.len() / columns, columns);
        analyze_in_all_coordinates(&Weights::new(&source, Dtype::F32, shape).unwrap()).unwrap()
    }

    /// Gaussian noise has the same distribution in all coordinates, except those learned from it:
    /// the relative variance of their variances is β = columns ÷ rows (Marchenko and Pastur, 1967),
    /// so the kurtosis is 3(1 + β).
    #[test]
    fn gaussian_noise_is_invariant() {
        for found in found(&gaussian_noise(1).take(4096 * 128).collect::<Vec<_>>(), 128) {
            let is_learned = matches!(found.coordinates, Coordinates::Klt | Coordinates::KltBlocks);
            let kurtosis = if is_learned { 3.0 * (1.0 + 128.0 / 4096.0) } else { 3.0 };
            let error = (found.outliers.kurtosis - kurtosis).abs();
            assert!(error < 0.03, "{:?} {error}", found.coordinates);
            assert!((4.0..6.5).contains(&found.outliers.peak_to_rms), "{:?}", found.coordinates);
            assert!((found.outliers.norm / (4096.0f64 * 128.0).sqrt() - 1.0).abs() < 0.01);
        }
    }

    /// A column of ±`spike` in noise of variance 1. A Hadamard matrix over n columns adds
    /// ±`spike` ÷ √n to each coordinate of the noise. The KLT keeps the column.
    #[test]
    fn hadamard_spreads_a_large_column_and_klt_keeps_it() {
        let (columns, spike) = (256, 100.0);
        let mut numbers = gaussian_noise(2).take(2048 * columns).collect::<Vec<_>>();
        let signs = gaussian_noise(3).take(2048).collect::<Vec<_>>();
        for (row, sign) in numbers.chunks_exact_mut(columns).zip(signs) {
            row[40] = spike * sign.signum();
        }
        let rms = ((spike * spike + 255.0) / 256.0).sqrt();
        let found = found(&numbers, columns);
        let [original, hadamard, both, klt] = [0, 2, 3, 5].map(|i| &found[i].outliers);
        assert!((original.peak_to_rms - f64::from(spike / rms)).abs() < 0.1, "{original:?}");
        let bound = f64::from(spike / 16.0 + 5.5) / f64::from(rms);
        assert!(hadamard.peak_to_rms < bound, "{} {bound}", hadamard.peak_to_rms);
        // The signs are random, so sums over rows are nearly Gaussian.
        assert!(both.peak_to_rms < 6.0, "{both:?}");
        assert!(klt.peak_to_rms > 0.9 * original.peak_to_rms);
        // 1 ÷ 256 of the values have 10⁴ ÷ (10⁴ + 255) of the energy.
        let share = found[0].top_energy.top_1_percent;
        assert!(share > 0.975 && found[2].top_energy.top_1_percent < 0.1, "{share}");
    }

    /// Outlier statistics cover all rows.
    #[test]
    fn single_outlier_is_found() {
        let mut numbers = gaussian_noise(4).take(6000 * 96).collect::<Vec<_>>();
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
