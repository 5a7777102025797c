//! Distribution of a budget over tensors, when they are planned and while they are written.

use super::plan::{LossyPlan, TensorPlan};
use crate::format::{MAX_DEFAULT_PADDING, MIN_ALIGNED_BYTES};
use std::collections::VecDeque;
use std::ops::RangeInclusive;

/// The range of the binary logarithm of the common factor of all steps.
const FACTORS: (f64, f64) = (-24.0, MAX_FACTOR);
pub(super) const MAX_FACTOR: f64 = 10.0;

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

/// The bytes of a budget that are distributed; the rest is a reserve for errors of estimates.
pub(super) fn distributed(budget: f64) -> f64 {
    budget * (1.0 - 1.0 / RESERVE as f64)
}

/// The budget of which this many bytes are distributed.
pub(super) fn budget_of(distributed: f64) -> f64 {
    distributed / (1.0 - 1.0 / RESERVE as f64)
}

/// Bits per weight with the largest steps.
pub(super) fn least_bits(plan: &LossyPlan) -> f64 {
    bits_with(plan, FACTORS.1)
}

/// Bits per weight when the step is multiplied by a factor, given as a binary logarithm.
fn bits_with(plan: &LossyPlan, factor: f64) -> f64 {
    plan.rate.bits_at(f64::from(plan.step).log2() + factor)
}

/// The bits of tensors as a function of the factor of their steps, at some factors.
struct TotalRate {
    bits: [f64; FACTOR_COUNT],
}

/// Factors at which totals are known: a few times as many near 0, where they are needed.
const FACTOR_COUNT: usize = 81;

/// The factor of a number, from `FACTORS.0` to `FACTORS.1`.
fn numbered_factor(number: usize) -> f64 {
    let position = number as f64 / (FACTOR_COUNT - 1) as f64 * 2.0 - 1.0;
    let limit = if position < 0.0 { -FACTORS.0 } else { FACTORS.1 };
    // Near 0 the factors are 1/100 apart.
    let near = 0.4;
    position * near + (limit - near) * position.powi(5)
}

impl TotalRate {
    fn new<'p>(tensors: impl Iterator<Item = (&'p LossyPlan, u64)>) -> Self {
        let mut total = Self { bits: [0.0; FACTOR_COUNT] };
        for (plan, weights) in tensors {
            total.add(plan, weights as f64);
        }
        total
    }

    /// Adds a tensor with a number of weights, or removes it if the number is negative.
    fn add(&mut self, plan: &LossyPlan, weights: f64) {
        for (number, bits) in self.bits.iter_mut().enumerate() {
            *bits += bits_with(plan, numbered_factor(number)) * weights;
        }
    }

    /// The bits with the largest steps.
    fn least(&self) -> f64 {
        self.bits[FACTOR_COUNT - 1]
    }

    /// The factor at which the tensors take `bits` bits together, interpolated; the largest one where
    /// they take more.
    fn factor_at(&self, bits: f64) -> f64 {
        let above = self.bits.partition_point(|&total| total > bits);
        let Some(&low) = self.bits.get(above) else { return FACTORS.1 };
        let Some(before) = above.checked_sub(1) else { return FACTORS.0 };
        let share = (self.bits[before] - bits) / (self.bits[before] - low);
        let (first, second) = (numbered_factor(before), numbered_factor(above));
        first + share * (second - first)
    }
}

/// Keeps a file within its budget while it is written: later tensors compensate for the difference
/// between expected and actual size of earlier ones, all by the same factor of their steps.
pub(crate) struct RateController {
    budget: u64,
    /// Tensors without a decision, the next one last.
    rest: Vec<TensorPlan>,
    /// Those of them whose steps may be changed.
    flexible: TotalRate,
    /// Bytes of the others, and the reserve for errors of these bytes.
    fixed: FixedBytes,
    /// Tensors that are decided but not written, in order.
    in_flight: VecDeque<Decided>,
    /// The sum of their expected bytes.
    in_flight_bytes: u64,
    /// Estimated and actual bytes of the tensors that were written as estimated.
    estimated: f64,
    actual: f64,
    /// The factor of the last tensor.
    factor: Option<f64>,
}

/// Bytes of tensors whose size is not changed.
#[derive(Clone, Copy, Debug, Default)]
struct FixedBytes {
    bytes: u64,
    reserve: u64,
}

impl FixedBytes {
    /// The reserve is a thousandth of the estimated size, what the estimate of a frame header may
    /// lack, and the largest padding before a raw payload.
    fn of(tensor: &TensorPlan) -> Self {
        let bytes = tensor.bytes;
        let padding = if bytes < MIN_ALIGNED_BYTES { 0 } else { MAX_DEFAULT_PADDING };
        Self { bytes, reserve: bytes / 1000 + HEADER_RESERVE + padding }
    }
}

/// Bytes that the estimate of a frame header may lack.
const HEADER_RESERVE: u64 = 8;

/// A tensor that is decided.
struct Decided {
    expected: u64,
    /// Estimated bytes at its step, if the step follows from the estimate.
    estimated: Option<f64>,
}

/// The budget of one tensor.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BitBudget {
    /// The plan of the tensor, with a step for the budget.
    pub(crate) plan: LossyPlan,
    /// The length of the file with this tensor, index and trailer included, when the tensors after
    /// it are too small to compensate for a difference: its size is then measured before it is
    /// written.
    pub(crate) file_bytes: Option<RangeInclusive<u64>>,
}

/// The share of the budget that is kept for errors of estimates, so that the last tensors do not pay
/// for them.
const RESERVE: u64 = 2000;

/// The share of the budget that may be left in the end.
const UNUSED: u64 = 1000;

/// The last tensors, with this share of the budget together, keep the factor of those before them as
/// far as the budget allows: they use the reserve, and some bytes may be left.
const TAIL: u64 = 20;

/// The largest decrease of a factor in the tail: 0.3 dB.
const TAIL_DECREASE: f64 = 0.05;

/// The share of the budget that may be missing at the largest steps by the estimates.
const MAX_DEFICIT: u64 = 100;

/// The share of the budget from which on the ratio of actual to estimated sizes is trusted.
const TRUSTED: f64 = 50.0;

impl RateController {
    /// `tensors` are in the order of writing; `budget` is in bytes of the whole file.
    /// O(tensors).
    pub(crate) fn new(budget: u64, tensors: impl DoubleEndedIterator<Item = TensorPlan>) -> Self {
        let rest: Vec<TensorPlan> = tensors.rev().collect();
        let mut fixed = FixedBytes::default();
        for tensor in rest.iter().filter(|tensor| tensor.flexible().is_none()) {
            let FixedBytes { bytes, reserve } = FixedBytes::of(tensor);
            fixed.bytes = fixed.bytes.saturating_add(bytes);
            fixed.reserve = fixed.reserve.saturating_add(reserve);
        }
        Self {
            budget,
            flexible: TotalRate::new(rest.iter().filter_map(TensorPlan::flexible)),
            rest,
            fixed,
            in_flight: VecDeque::new(),
            in_flight_bytes: 0,
            estimated: 0.0,
            actual: 0.0,
            factor: None,
        }
    }

    /// Removes the oldest decided tensor, whose frame has been written with this number of bytes.
    pub(crate) fn written(&mut self, bytes: u64) {
        let Some(Decided { expected, estimated }) = self.in_flight.pop_front() else { return };
        self.in_flight_bytes -= expected;
        if let Some(estimated) = estimated {
            self.estimated += estimated;
            self.actual += bytes as f64;
        }
    }

    /// The ratio of actual to estimated sizes, so far.
    fn bias(&self) -> f64 {
        let trusted = self.budget as f64 / TRUSTED;
        (self.actual + trusted) / (self.estimated + trusted)
    }

    fn decide(&mut self, expected: u64, estimated: Option<f64>) {
        self.in_flight_bytes = self.in_flight_bytes.saturating_add(expected);
        self.in_flight.push_back(Decided { expected, estimated });
    }

    /// The budget of the next tensor; `None` when its step may not be changed. `length` is the
    /// length of the file if it ended after the written tensors. O(1).
    ///
    /// # Errors
    /// The number of bytes that the budget is too small by.
    pub(crate) fn next(&mut self, length: u64) -> Result<Option<BitBudget>, u64> {
        let Some(tensor) = self.rest.pop() else { return Ok(None) };
        let length = length.saturating_add(self.in_flight_bytes);
        let (weights, bytes) = (tensor.weights, tensor.bytes);
        let fixed = FixedBytes::of(&tensor);
        let Some(plan) = tensor.lossy.filter(|plan| plan.shares_budget) else {
            self.fixed.bytes = self.fixed.bytes.saturating_sub(fixed.bytes);
            self.fixed.reserve = self.fixed.reserve.saturating_sub(fixed.reserve);
            self.decide(bytes, None);
            return Ok(None);
        };
        let known = length.saturating_add(self.fixed.bytes);
        let left = self.budget.saturating_sub(known);
        // The last tensors are measured: a small error of estimates is no failure before.
        let least = known.saturating_add((self.flexible.least() / 8.0) as u64);
        if least > self.budget + self.budget / MAX_DEFICIT {
            return Err(least - self.budget);
        }
        let bias = self.bias();
        let factor_at = |bytes: u64| self.flexible.factor_at(bytes as f64 * 8.0 / bias);
        let aim = left.saturating_sub(self.budget / RESERVE);
        let mut factor = factor_at(aim);
        if let Some(last) = self.factor.filter(|_| aim < self.budget / TAIL) {
            factor = factor.clamp(last - TAIL_DECREASE, factor_at(left).max(last));
        }
        self.factor = Some(factor);
        self.flexible.add(&plan, -(weights as f64));
        let estimated = bits_with(&plan, factor) * weights as f64 / 8.0;
        let own = (estimated * bias) as u64;
        let later = aim.saturating_sub(own);
        let is_last = self.rest.iter().rev().all(|tensor| tensor.flexible().is_none());
        let step = (f64::from(plan.step).log2() + factor).exp2() as f32;
        let plan = LossyPlan { step, ..plan };
        if !is_last && later >= own {
            self.decide(own, Some(estimated));
            return Ok(Some(BitBudget { plan, file_bytes: None }));
        }
        // Some of the reserve, or all of it, is for this tensor.
        let (most, unused) = match is_last {
            true => (left.saturating_sub(self.fixed.reserve), self.budget / UNUSED),
            false => (own + self.budget / RESERVE / 2, self.budget / RESERVE),
        };
        let fewest = if own < self.budget / TAIL { 0 } else { most.saturating_sub(unused) };
        self.decide(own, None);
        Ok(Some(BitBudget { plan, file_bytes: Some(length + fewest..=length + most) }))
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
            quantization_scales: None,
            effort: 5,
            gain: 0.0,
            max_noise: None,
            max_output_noise: None,
            statistics: Vec::new(),
            shares_budget: true,
            rate: RateCurve { min_bits: 0.0, points },
        };
        TensorPlan {
            weights,
            bytes: weights / 4,
            lossy: Some(lossy),
            lossless: None,
            learned: Learned::default(),
        }
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
    fn totals_give_the_step_factor() {
        let tensors = [gaussian(1000), gaussian(3000)];
        let all = || tensors.iter().map(|t| (t.lossy.as_ref().unwrap(), t.weights));
        let mut total = TotalRate::new(all());
        for bits in [4000.0, 7500.0, 8000.0, 8200.0, 12_000.0, 40_000.0] {
            let expected = step_factor(&all(), bits).unwrap();
            assert!((total.factor_at(bits) - expected).abs() < 0.02, "{bits}");
        }
        assert_eq!((total.factor_at(-1.0), total.factor_at(1e9)), (FACTORS.1, FACTORS.0));
        let (plan, weights) = all().next_back().unwrap();
        total.add(plan, -(weights as f64));
        assert!((total.factor_at(3000.0) + 1.0).abs() < 0.02);
    }

    #[test]
    fn later_tensors_compensate_for_earlier_ones() {
        let small = TensorPlan {
            weights: 10,
            bytes: 40,
            lossy: None,
            lossless: None,
            learned: Learned::default(),
        };
        let tensors = [gaussian(80_000), small, gaussian(800_000), gaussian(8000)];
        let mut controller = RateController::new(222_062, tensors.into_iter());
        let first = controller.next(0).unwrap().unwrap();
        assert!((f64::from(first.plan.step) - 0.5).abs() < 0.001 && first.file_bytes.is_none());
        assert!(controller.next(0).unwrap().is_none());
        controller.written(20_500);
        controller.written(40);
        // The first took more than expected: the next one, which is most of the rest, must do with
        // less, and is measured.
        let next = controller.next(20_540).unwrap().unwrap();
        assert!((0.505..0.52).contains(&next.plan.step));
        let length = next.file_bytes.unwrap();
        assert!(length.contains(&219_950) && *length.end() < 220_100, "{length:?}");
        controller.written(199_460);
        // The last one keeps the step of those before it, if the reserve suffices.
        let last = controller.next(220_000).unwrap().unwrap();
        assert!((last.plan.step / next.plan.step - 1.0).abs() < 0.01);
        assert_eq!(last.file_bytes, Some(220_000..=222_062));
        controller.written(2000);
        assert!(controller.next(222_000).unwrap().is_none());
    }

    /// Small tensors whose size is underestimated: all pay for it, not only the last ones.
    #[test]
    fn all_tensors_compensate_for_biased_estimates() {
        for (bias, at_most) in [(1.01, 0.3), (1.03, 0.5), (0.97, 0.5)] {
            let count = 1000;
            let tensors = (0..count).map(|_| gaussian(4096));
            let budget = 1024 * count;
            let mut controller = RateController::new(budget, tensors);
            let (mut length, mut steps) = (0u64, Vec::new());
            while let Some(BitBudget { plan, .. }) = controller.next(length).unwrap() {
                let step = f64::from(plan.step).log2();
                let bytes = (plan.rate.bits_at(step) * 512.0 * bias) as u64;
                length += bytes;
                steps.push(step * 6.02);
                controller.written(bytes);
            }
            assert_eq!(steps.len() as u64, count);
            let (least, most) =
                steps.iter().fold((0.0, -9.0), |(a, b): (f64, f64), &s| (a.min(s), b.max(s)));
            assert!(most - least < at_most, "{bias}: {least} to {most} dB");
            assert!((0.999..=1.0).contains(&(length as f64 / budget as f64)), "{bias}: {length}");
        }
    }

    #[test]
    fn tensors_in_flight_count_as_expected() {
        let tensors = || [gaussian(8000), gaussian(80_000), gaussian(80_000)].into_iter();
        let (mut behind, mut ahead) =
            (RateController::new(44_000, tensors()), RateController::new(44_000, tensors()));
        let first = ahead.next(0).unwrap().unwrap();
        assert_eq!(behind.next(0).unwrap(), Some(first.clone()));
        let expected = first.plan.rate.bits_at(f64::from(first.plan.step).log2()) * 1000.0;
        behind.written(expected as u64);
        let second = ahead.next(0).unwrap().unwrap();
        let known = behind.next(expected as u64).unwrap().unwrap();
        // But for a byte, which is rounded.
        assert!((second.plan.step / known.plan.step - 1.0).abs() < 2e-4);
    }

    #[test]
    fn impossible_budgets_are_rejected_at_once() {
        let fixed = TensorPlan {
            weights: 10,
            bytes: 400,
            lossy: None,
            lossless: None,
            learned: Learned::default(),
        };
        let mut controller = RateController::new(300, [gaussian(8000), fixed].into_iter());
        assert!(matches!(controller.next(0), Err(100 | 101)));
    }
}
