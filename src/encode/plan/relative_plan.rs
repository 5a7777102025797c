//! Whether two tensors are similar, and how the plan of one follows from that of the other.

use super::tensor_plan::LossyPlan;
use crate::codec::trellis::{RateStatistics, TransformSearch};
use crate::codec::{ColumnScales, RowScales};
use crate::encode::encoding::Encoding;
use crate::error::Result;

/// Statistics of a tensor that has or may become a representative.
#[derive(Clone, Copy, Debug)]
pub(super) struct Features {
    scales: (RowScales, ColumnScales),
    /// The RMS of the weights, the unit of the step.
    rms: f64,
    rates: RateStatistics,
}

impl Features {
    /// `None` for tensors that are similar to no other: many of their weights are equal, they have
    /// outliers, or a low-rank part may pay.
    pub(super) fn of(
        search: &TransformSearch<'_>,
        scales: (RowScales, ColumnScales),
        encoding: &Encoding,
    ) -> Result<Option<Self>> {
        if search.has_repeated_values() || search.outliers() > 0.0 {
            return Ok(None);
        }
        if encoding.max_rank > 0 && search.worthwhile(encoding.max_rank)? != (false, 0) {
            return Ok(None);
        }
        Ok(Some(Self { scales, rms: search.rms(), rates: search.rate_statistics() }))
    }

    pub(super) fn is_similar_to(&self, other: &Self) -> bool {
        self.scales == other.scales && self.rates.is_close_to(&other.rates)
    }
}

/// How the plan of a tensor follows from that of its representative.
#[derive(Clone, Copy, Debug)]
pub(super) struct RelativePlan {
    /// The position of the representative among all tensors.
    pub(super) representative: usize,
    /// Binary logarithms of the ratios of steps and of the steps of equal rates.
    step: f64,
    rate_step: f64,
    /// What the rate is higher by, in bits per weight.
    bits: f64,
}

impl RelativePlan {
    /// Of a tensor and its representative; the rate is higher by `bits` per weight.
    pub(super) fn new(number: usize, features: &Features, other: &Features, bits: f64) -> Self {
        Self {
            representative: number,
            step: (features.rms / other.rms).log2(),
            rate_step: (features.rates.rms / other.rates.rms).log2(),
            bits,
        }
    }

    /// The ratio of the steps.
    pub(super) fn step_ratio(&self) -> f64 {
        self.step.exp2()
    }

    /// The plan, from that of the representative.
    pub(super) fn plan(&self, representative: &LossyPlan) -> LossyPlan {
        let mut plan = representative.clone();
        plan.step = (f64::from(plan.step).log2() + self.step).exp2() as f32;
        for (step, bits) in &mut plan.rate.points {
            (*step, *bits) = (*step + self.rate_step, *bits + self.bits);
        }
        plan.rate.min_bits += self.bits;
        plan
    }
}
