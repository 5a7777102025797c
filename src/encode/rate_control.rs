//! Distribution of a budget over tensors, when they are planned and while they are written.

use super::plan::{LossyPlan, TensorPlan};
use std::collections::VecDeque;

/// The range of the binary logarithm of the common factor of all steps.
const FACTORS: (f64, f64) = (-24.0, 10.0);

/// The binary logarithm of the factor of all steps at which the tensors take `bits` bits together,
/// by bisection. A common factor keeps the slopes of the rate-distortion curves equal, since λ is
/// proportional to the square of the step (Shoham and Gersho, 1988). `None` when the largest steps
/// take more.
pub(super) fn step_factor<'p>(
    tensors: &(impl Iterator<Item = (&'p LossyPlan, u64)> + Clone),
    bits: f64,
) -> Option<f64> {
    let total = |factor: f64| -> f64 {
        tensors.clone().map(|(plan, weights)| bits_with(plan, factor) * weights as f64).sum()
    };
    let (mut low, mut high) = FACTORS;
    if total(high) > bits {
        return None;
    }
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if total(middle) > bits { low = middle } else { high = middle }
    }
    Some(high)
}

/// Bits per weight when the step is multiplied by a factor, given as a binary logarithm.
fn bits_with(plan: &LossyPlan, factor: f64) -> f64 {
    plan.rate.bits_at(f64::from(plan.step).log2() + factor)
}

/// Keeps a file within its budget while it is written: later tensors compensate for the difference
/// between expected and actual size of earlier ones.
pub(crate) struct RateController {
    budget: u64,
    /// Tensors without a decision, the next one last.
    rest: Vec<TensorPlan>,
    /// Expected bytes of the tensors that are decided but not written, in order.
    in_flight: VecDeque<u64>,
}

/// The budget of one tensor.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BitBudget {
    /// The plan of the tensor, with a step for the budget.
    pub(crate) plan: LossyPlan,
    /// The most bytes of the file with this tensor, index and trailer included, when the tensors
    /// after it are too small to compensate for a difference: its size is then measured before it
    /// is written.
    pub(crate) file_bytes: Option<u64>,
}

/// The share of the budget that is distributed; the rest is a reserve for estimation errors.
const AIM: f64 = 0.9985;

/// The reserve for a lossless tensor after the last lossy one: a thousandth of its estimated size,
/// and the largest padding before a raw payload.
const RESERVE_FRACTION: u64 = 1000;
const PADDING: u64 = 255;

impl RateController {
    /// `tensors` are in the order of writing; `budget` is in bytes of the whole file.
    pub(crate) fn new(budget: u64, tensors: impl DoubleEndedIterator<Item = TensorPlan>) -> Self {
        Self { budget, rest: tensors.rev().collect(), in_flight: VecDeque::new() }
    }

    /// Removes the oldest decided tensor, whose frame has been written.
    pub(crate) fn written(&mut self) {
        self.in_flight.pop_front();
    }

    /// The budget of the next tensor; `None` when its step may not be changed. `length` is the
    /// length of the file if it ended after the written tensors. O(tensors without a decision).
    ///
    /// # Errors
    /// The number of bytes that the budget is too small by.
    pub(crate) fn next(&mut self, length: u64) -> Result<Option<BitBudget>, u64> {
        let Some(tensor) = self.rest.pop() else { return Ok(None) };
        let length = length + self.in_flight.iter().sum::<u64>();
        let Some(plan) = tensor.lossy.filter(|plan| plan.shares_budget) else {
            self.in_flight.push_back(tensor.bytes);
            return Ok(None);
        };
        let fixed = || self.rest.iter().filter(|t| t.flexible().is_none());
        let left = self.budget.saturating_sub(length);
        let left = left.saturating_sub(fixed().map(|t| t.bytes).sum());
        let after = || self.rest.iter().filter_map(TensorPlan::flexible);
        let all = || std::iter::once((&plan, tensor.weights)).chain(after());
        let aim = left as f64 * 8.0 * AIM;
        let factor = step_factor(&all(), aim).ok_or_else(|| {
            let least: f64 =
                all().map(|(plan, weights)| bits_with(plan, FACTORS.1) * weights as f64).sum();
            ((least - aim) / 8.0).max(1.0) as u64
        })?;
        let later: f64 = after().map(|(plan, n)| bits_with(plan, factor) * n as f64 / 8.0).sum();
        let alone = (later as u64) < left / 4;
        let reserve = fixed().map(|t| t.bytes / RESERVE_FRACTION + PADDING).sum();
        let bytes = alone.then(|| (left - later as u64).saturating_sub(reserve));
        let expected = (bits_with(&plan, factor) * tensor.weights as f64 / 8.0) as u64;
        self.in_flight.push_back(bytes.unwrap_or(expected));
        let step = (f64::from(plan.step).log2() + factor).exp2() as f32;
        let plan = LossyPlan { step, ..plan };
        Ok(Some(BitBudget { plan, file_bytes: bytes.map(|bytes| length + bytes) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{ColumnScales, RowScales};
    use crate::coordinates::BlockTransform;
    use crate::encode::plan::{Learned, RateCurve};

    /// A tensor of variance 1 with the rate of a Gaussian source at high resolution.
    fn gaussian(weights: u64) -> TensorPlan {
        let points = [-1.6, -1.0, -0.4].map(|step| (step, 1.0 - step));
        let lossy = LossyPlan {
            step: 0.5,
            transform: BlockTransform::IDENTITY,
            mean: false,
            rank: 0,
            row_scales: RowScales::None,
            column_scales: ColumnScales::None,
            effort: 5,
            gain: 0.0,
            max_noise: None,
            max_output_noise: None,
            statistics: Vec::new(),
            shares_budget: true,
            rate: RateCurve { min_bits: 0.0, points },
        };
        TensorPlan { weights, bytes: weights / 4, lossy: Some(lossy), learned: Learned::default() }
    }

    #[test]
    fn the_step_factor_meets_the_budget() {
        let tensors = [gaussian(1000), gaussian(3000)];
        let all = || tensors.iter().map(|t| (t.lossy.as_ref().unwrap(), t.weights));
        // 2 bits at step 1/2, so 3 bits at 1/4.
        assert!((step_factor(&all(), 12_000.0).unwrap() + 1.0).abs() < 1e-9);
        assert!(step_factor(&all(), -1.0).is_none());
    }

    #[test]
    fn later_tensors_compensate_for_earlier_ones() {
        let small = TensorPlan { weights: 10, bytes: 40, lossy: None, learned: Learned::default() };
        let tensors = [gaussian(8000), small, gaussian(80_000), gaussian(800)];
        let mut controller = RateController::new(22_240, tensors.into_iter());
        let first = controller.next(0).unwrap().unwrap();
        assert!((f64::from(first.plan.step) - 0.5).abs() < 0.02 && first.file_bytes.is_none());
        assert!(controller.next(0).unwrap().is_none());
        controller.written();
        controller.written();
        // The first took half as much again: the next ones must do with less.
        let next = controller.next(3040).unwrap().unwrap();
        assert!(next.plan.step > 0.52 && next.file_bytes.is_some_and(|bytes| bytes < 23_040));
        controller.written();
        let last = controller.next(22_000).unwrap().unwrap();
        assert_eq!(last.file_bytes, Some(22_240));
        controller.written();
        assert!(controller.next(23_000).unwrap().is_none());
    }

    #[test]
    fn tensors_in_flight_count_as_expected() {
        let tensors = || [gaussian(8000), gaussian(80_000), gaussian(8000)].into_iter();
        let (mut behind, mut ahead) =
            (RateController::new(24_000, tensors()), RateController::new(24_000, tensors()));
        let first = ahead.next(0).unwrap().unwrap();
        assert_eq!(behind.next(0).unwrap(), Some(first.clone()));
        behind.written();
        let expected = first.plan.rate.bits_at(f64::from(first.plan.step).log2()) * 1000.0;
        let second = ahead.next(0).unwrap().unwrap();
        let known = behind.next(expected as u64).unwrap().unwrap();
        // But for a byte, which is rounded.
        assert!((second.plan.step / known.plan.step - 1.0).abs() < 2e-4);
        assert!(second.file_bytes.unwrap().abs_diff(known.file_bytes.unwrap()) <= 1);
    }
}
