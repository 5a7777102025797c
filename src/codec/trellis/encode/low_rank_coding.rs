//! The low-rank part with the coding of its coefficients.

use crate::codec::entropy::{Alphabet, Coset, MagnitudeCounts, MagnitudeDistribution};
use crate::codec::transform::{LowRank, LowRankProjector};
use crate::codec::trellis::parameters::LowRankPart;
use std::sync::Arc;

/// A low-rank part, and the bits of one row's coefficients.
pub(super) struct CodedLowRank {
    pub(super) low_rank: Arc<LowRankPart>,
    pub(super) projector: LowRankProjector,
    pub(super) row_bits: f64,
}

impl CodedLowRank {
    /// Subtracts a low-rank part from a sample of rows, and trains the tables of its coefficients.
    pub(super) fn subtract(part: LowRank, rows: &mut [f32]) -> Self {
        let projector = LowRankProjector::new(&part);
        let all = projector.subtract_from(&part, rows);
        let mut row_bits = 0.0;
        let coefficients = (0..part.rank())
            .map(|vector| {
                let values = all.iter().map(|row| row[vector].into());
                let (bypass, profile, bits) = coefficient_table(values);
                row_bits += bits;
                (bypass, profile)
            })
            .collect();
        Self { low_rank: Arc::new(LowRankPart { part, coefficients }), projector, row_bits }
    }

    /// Subtracts a low-rank part with known tables from a sample of rows.
    pub(super) fn subtract_known(
        low_rank: Arc<LowRankPart>,
        row_bits: f64,
        rows: &mut [f32],
    ) -> Self {
        let projector = LowRankProjector::new(&low_rank.part);
        projector.subtract_from(&low_rank.part, rows);
        Self { low_rank, projector, row_bits }
    }
}

/// Bypass bits and profile for a sample of coefficients, and the bits of one of them.
fn coefficient_table(
    values: impl Iterator<Item = i32> + Clone,
) -> (u32, MagnitudeDistribution, f64) {
    let escaped = |bypass: u32| values.clone().filter(|k| (k >> bypass).abs() > 60).count();
    let total = values.clone().count();
    let bypass = (0..8).find(|&bypass| escaped(bypass) * 64 <= total).unwrap_or(8);
    let alphabet = Alphabet { coset: Coset::Whole, bypass };
    let mut counts = MagnitudeCounts::default();
    values.clone().for_each(|k| counts.add(alphabet.magnitude_of(k)));
    let profile = MagnitudeDistribution::from_counts(&counts, bypass > 0, false);
    let table = profile.frequencies(alphabet);
    let bits: f64 = values.map(|k| f64::from(profile.bits(&table, alphabet, k))).sum();
    (bypass, profile, bits / total.max(1) as f64 + f64::from(bypass))
}
