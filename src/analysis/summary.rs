//! Many matrices in a few lines.

use super::kinds::Kind;
use super::matrix::{InCoordinates, MatrixAnalysis};
use crate::coordinates::Coordinates;
use serde::Serialize;
use std::collections::BTreeMap;

/// What rotations do to a distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Regime {
    /// The weights as they are: [`Coordinates::Identity`].
    Original,
    /// Every number a mixture of many: [`Coordinates::Hadamard`].
    Flattened,
    /// As much as possible in as few as possible: [`Coordinates::Klt`].
    Concentrated,
}

impl Regime {
    /// All of them, in the order of results.
    pub const ALL: [Self; 3] = [Self::Original, Self::Flattened, Self::Concentrated];

    /// The system that stands for it.
    pub fn system(self) -> Coordinates {
        match self {
            Self::Original => Coordinates::Identity,
            Self::Flattened => Coordinates::Hadamard,
            Self::Concentrated => Coordinates::Klt,
        }
    }

    /// As in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Original => "original",
            Self::Flattened => "flattened",
            Self::Concentrated => "concentrated",
        }
    }
}

/// Several matrices in one regime.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RegimeSummary {
    /// Which one.
    pub regime: Regime,
    /// The median over matrices of [`peak_to_rms`](super::Outliers::peak_to_rms).
    pub median_peak_to_rms: f64,
    /// The largest.
    pub worst_peak_to_rms: f64,
    /// The name of the matrix that has it.
    pub worst_matrix: String,
    /// The median over matrices of [`kurtosis`](super::Outliers::kurtosis).
    pub median_kurtosis: f64,
    /// The largest.
    pub worst_kurtosis: f64,
    /// The median over matrices of the share of energy in the largest 1 % of numbers.
    pub median_top_1_percent: f64,
    /// The largest.
    pub worst_top_1_percent: f64,
    /// The mean over weights of the entropy at a step of ¼ σ, in bits.
    pub entropy: f64,
    /// The mean over weights of what `occ` would spend at equal distortion, in bits; of the
    /// matrices that it codes with loss in every regime. `null` where there are none.
    pub coded_bits: Option<f64>,
}

/// All matrices of a kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct KindSummary {
    /// Which one.
    pub kind: Kind,
    /// How many there are.
    pub matrices: usize,
    /// Their weights.
    pub weights: u64,
    /// In the order of [`Regime::ALL`].
    pub regimes: Vec<RegimeSummary>,
}

/// All matrices of a layer.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LayerSummary {
    /// What the names have before the number.
    pub stack: String,
    /// The number.
    pub layer: u64,
    /// How many there are.
    pub matrices: usize,
    /// Their weights.
    pub weights: u64,
    /// In the order of [`Regime::ALL`].
    pub regimes: Vec<RegimeSummary>,
}

/// All three regimes over some matrices; none without matrices.
pub(super) fn regimes(matrices: &[&MatrixAnalysis]) -> Vec<RegimeSummary> {
    let coded_everywhere = |matrix: &&&MatrixAnalysis| {
        let coded = |regime: Regime| matrix.in_system(regime.system())?.rates.coded;
        Regime::ALL.into_iter().all(|regime| coded(regime).is_some())
    };
    let coded: Vec<&MatrixAnalysis> = matrices.iter().filter(coded_everywhere).copied().collect();
    Regime::ALL.into_iter().filter_map(|regime| summary(regime, matrices, &coded)).collect()
}

fn summary(
    regime: Regime,
    matrices: &[&MatrixAnalysis],
    coded: &[&MatrixAnalysis],
) -> Option<RegimeSummary> {
    let found = |matrix: &&MatrixAnalysis| matrix.in_system(regime.system()).cloned();
    let all: Vec<InCoordinates> = matrices.iter().filter_map(found).collect();
    let sorted = |measure: fn(&InCoordinates) -> f64| {
        let mut values: Vec<f64> = all.iter().map(measure).collect();
        values.sort_unstable_by(f64::total_cmp);
        Some((values.get(values.len() / 2).copied()?, values.last().copied()?))
    };
    let peak = |matrix: &MatrixAnalysis| {
        matrix.in_system(regime.system()).map_or(0.0, |found| found.outliers.peak_to_rms)
    };
    // Of several that are as bad, the first.
    let worst = matrices.iter().rev().max_by(|a, b| peak(a).total_cmp(&peak(b)))?;
    let (median_peak_to_rms, worst_peak_to_rms) = sorted(|found| found.outliers.peak_to_rms)?;
    let (median_kurtosis, worst_kurtosis) = sorted(|found| found.outliers.kurtosis)?;
    let (median_top_1_percent, worst_top_1_percent) =
        sorted(|found| found.top_energy.top_1_percent)?;
    let bits = |found: &InCoordinates| found.rates.coded.map_or(0.0, |coded| coded.bits);
    Some(RegimeSummary {
        regime,
        median_peak_to_rms,
        worst_peak_to_rms,
        worst_matrix: worst.name.clone(),
        median_kurtosis,
        worst_kurtosis,
        median_top_1_percent,
        worst_top_1_percent,
        entropy: mean(regime, matrices, |found| found.rates.fixed_step[2].entropy)?,
        coded_bits: mean(regime, coded, bits),
    })
}

/// The mean over weights.
fn mean(
    regime: Regime,
    matrices: &[&MatrixAnalysis],
    measure: impl Fn(&InCoordinates) -> f64,
) -> Option<f64> {
    let weights: u64 = matrices.iter().map(|matrix| matrix.weights).sum();
    let sum: f64 = matrices
        .iter()
        .filter_map(|matrix| {
            Some(measure(matrix.in_system(regime.system())?) * matrix.weights as f64)
        })
        .sum();
    (weights > 0).then(|| sum / weights as f64)
}

pub(super) fn kinds(matrices: &[MatrixAnalysis]) -> Vec<KindSummary> {
    let groups = grouped(matrices, |matrix| Some(matrix.kind));
    let summary = |(kind, members): (Kind, Vec<&MatrixAnalysis>)| KindSummary {
        kind,
        matrices: members.len(),
        weights: members.iter().map(|matrix| matrix.weights).sum(),
        regimes: regimes(&members),
    };
    groups.into_iter().map(summary).collect()
}

pub(super) fn layers(matrices: &[MatrixAnalysis]) -> Vec<LayerSummary> {
    let groups = grouped(matrices, |matrix| Some((matrix.stack.clone()?, matrix.layer?)));
    let summary = |((stack, layer), members): ((String, u64), Vec<&MatrixAnalysis>)| LayerSummary {
        stack,
        layer,
        matrices: members.len(),
        weights: members.iter().map(|matrix| matrix.weights).sum(),
        regimes: regimes(&members),
    };
    groups.into_iter().map(summary).collect()
}

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
