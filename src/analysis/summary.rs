//! Summaries over several matrices.

use super::matrix_analysis::{CoordinateAnalysis, MatrixAnalysis};
use crate::coordinates::Coordinates;
use crate::role::TensorRole;
use serde::Serialize;
use std::collections::BTreeMap;

/// The coordinate systems of summaries, in the order of results: those of the codec.
pub const SUMMARY_COORDINATES: [Coordinates; 3] =
    [Coordinates::Identity, Coordinates::Hadamard, Coordinates::Klt];

/// Summary of several matrices in one coordinate system.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CoordinateSummary {
    /// The coordinate system.
    pub coordinates: Coordinates,
    /// Median over matrices of [`peak_to_rms`](super::Outliers::peak_to_rms).
    pub median_peak_to_rms: f64,
    /// Maximum over matrices of `peak_to_rms`.
    pub worst_peak_to_rms: f64,
    /// Name of the matrix with this maximum.
    pub worst_matrix: String,
    /// Median over matrices of [`kurtosis`](super::Outliers::kurtosis).
    pub median_kurtosis: f64,
    /// Maximum over matrices of `kurtosis`.
    pub worst_kurtosis: f64,
    /// Median over matrices of [`top_1_percent`](super::TopEnergy::top_1_percent).
    pub median_top_1_percent: f64,
    /// Maximum over matrices of `top_1_percent`.
    pub worst_top_1_percent: f64,
    /// Mean over weights of the entropy at a step of ¼ σ in bits per weight.
    pub entropy: f64,
    /// Mean over weights of the [`coded`](super::Rates::coded) rate in bits per weight. Covers the
    /// matrices with such a rate in all of [`SUMMARY_COORDINATES`]; `None` if there are none.
    pub coded_bits: Option<f64>,
}

/// Summary of all matrices with the same role.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RoleSummary {
    /// The role.
    pub role: TensorRole,
    /// Number of matrices.
    pub matrices: usize,
    /// Number of their weights.
    pub weights: u64,
    /// Summaries in the order of [`SUMMARY_COORDINATES`].
    pub coordinates: Vec<CoordinateSummary>,
}

/// Summary of all matrices of a layer.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LayerSummary {
    /// The part of the tensor names before the layer index, such as `model.layers`.
    pub stack: String,
    /// The layer index.
    pub layer: u64,
    /// Number of matrices.
    pub matrices: usize,
    /// Number of their weights.
    pub weights: u64,
    /// Summaries in the order of [`SUMMARY_COORDINATES`].
    pub coordinates: Vec<CoordinateSummary>,
}

/// Summaries in each of [`SUMMARY_COORDINATES`]; empty without matrices.
pub(super) fn by_coordinates(matrices: &[&MatrixAnalysis]) -> Vec<CoordinateSummary> {
    let is_coded = |matrix: &&&MatrixAnalysis| {
        let rate = |coordinates| matrix.in_coordinates(coordinates)?.rates.coded;
        SUMMARY_COORDINATES.into_iter().all(|coordinates| rate(coordinates).is_some())
    };
    let coded: Vec<&MatrixAnalysis> = matrices.iter().filter(is_coded).copied().collect();
    let summary = |coordinates| summary(coordinates, matrices, &coded);
    SUMMARY_COORDINATES.into_iter().filter_map(summary).collect()
}

fn summary(
    coordinates: Coordinates,
    matrices: &[&MatrixAnalysis],
    coded: &[&MatrixAnalysis],
) -> Option<CoordinateSummary> {
    let all: Vec<&CoordinateAnalysis> =
        matrices.iter().filter_map(|matrix| matrix.in_coordinates(coordinates)).collect();
    let median_and_maximum = |measure: fn(&CoordinateAnalysis) -> f64| {
        let mut values: Vec<f64> = all.iter().copied().map(measure).collect();
        values.sort_unstable_by(f64::total_cmp);
        Some((values.get(values.len() / 2).copied()?, values.last().copied()?))
    };
    let peak = |matrix: &MatrixAnalysis| {
        matrix.in_coordinates(coordinates).map_or(0.0, |found| found.outliers.peak_to_rms)
    };
    // The first of several equal maxima.
    let worst = matrices.iter().rev().max_by(|a, b| peak(a).total_cmp(&peak(b)))?;
    let (median_peak_to_rms, worst_peak_to_rms) =
        median_and_maximum(|found| found.outliers.peak_to_rms)?;
    let (median_kurtosis, worst_kurtosis) = median_and_maximum(|found| found.outliers.kurtosis)?;
    let (median_top_1_percent, worst_top_1_percent) =
        median_and_maximum(|found| found.top_energy.top_1_percent)?;
    let bits = |found: &CoordinateAnalysis| found.rates.coded.map_or(0.0, |coded| coded.bits);
    Some(CoordinateSummary {
        coordinates,
        median_peak_to_rms,
        worst_peak_to_rms,
        worst_matrix: worst.name.clone(),
        median_kurtosis,
        worst_kurtosis,
        median_top_1_percent,
        worst_top_1_percent,
        entropy: mean(coordinates, matrices, |found| found.rates.fixed_step[2].entropy)?,
        coded_bits: mean(coordinates, coded, bits),
    })
}

/// The mean over weights; `None` without weights.
fn mean(
    coordinates: Coordinates,
    matrices: &[&MatrixAnalysis],
    measure: impl Fn(&CoordinateAnalysis) -> f64,
) -> Option<f64> {
    let weights: u64 = matrices.iter().map(|matrix| matrix.weights).sum();
    let weighted = matrices.iter().filter_map(|matrix| {
        Some(measure(matrix.in_coordinates(coordinates)?) * matrix.weights as f64)
    });
    let sum: f64 = weighted.sum();
    (weights > 0).then(|| sum / weights as f64)
}

pub(super) fn by_role(matrices: &[MatrixAnalysis]) -> Vec<RoleSummary> {
    let groups = grouped(matrices, |matrix| Some(matrix.role));
    let summary = |(role, members): (TensorRole, Vec<&MatrixAnalysis>)| RoleSummary {
        role,
        matrices: members.len(),
        weights: members.iter().map(|matrix| matrix.weights).sum(),
        coordinates: by_coordinates(&members),
    };
    groups.into_iter().map(summary).collect()
}

pub(super) fn by_layer(matrices: &[MatrixAnalysis]) -> Vec<LayerSummary> {
    let groups = grouped(matrices, |matrix| Some((matrix.stack.clone()?, matrix.layer?)));
    let summary = |((stack, layer), members): ((String, u64), Vec<&MatrixAnalysis>)| LayerSummary {
        stack,
        layer,
        matrices: members.len(),
        weights: members.iter().map(|matrix| matrix.weights).sum(),
        coordinates: by_coordinates(&members),
    };
    groups.into_iter().map(summary).collect()
}

/// Groups matrices by a key. Matrices without a key are left out.
fn grouped<K: Ord>(
    matrices: &[MatrixAnalysis],
    key: impl Fn(&MatrixAnalysis) -> Option<K>,
) -> BTreeMap<K, Vec<&MatrixAnalysis>> {
    let mut groups: BTreeMap<K, Vec<&MatrixAnalysis>> = BTreeMap::new();
    for matrix in matrices {
        if let Some(key) = key(matrix) {
            groups.entry(key).or_default().push(matrix);
        }
    }
    groups
}
