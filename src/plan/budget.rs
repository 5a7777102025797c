//! Spreading a budget over tensors, before they are coded and while they are.

use super::tensor::{LossyPlan, TensorPlan};

/// Binary logarithms of a factor of all steps that a budget may lead to.
const FACTORS: (f64, f64) = (-24.0, 10.0);

/// The binary logarithm of the factor by which steps must grow so that tensors take `bits` bits
/// in all: equal slope, since the λ of each goes with the square of its step. `None` when even
/// the largest steps take more.
pub(super) fn spread<'p>(
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

/// Bits a weight when the step grows by a factor, given as a binary logarithm.
fn bits_with(plan: &LossyPlan, factor: f64) -> f64 {
    plan.bits_at(f64::from(plan.step).log2() + factor)
}

/// Keeps a file to its budget while it is written: what one tensor takes more or less than
/// expected, those after it make up for.
pub(crate) struct Steering {
    budget: u64,
    /// Tensors not yet written, the next one last.
    rest: Vec<TensorPlan>,
}

/// What the next tensor may take.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Allowance {
    /// Its plan, with the step that suits the budget.
    pub(crate) plan: LossyPlan,
    /// Bytes it may take, if it must be measured before it is written, because not enough comes
    /// after it that could make up for it.
    pub(crate) bytes: Option<u64>,
}

/// The part of the budget that is aimed at; the rest is for what cannot be foreseen.
const AIM: f64 = 0.9985;

/// What a tensor that loses nothing may take beyond its estimate: a thousandth, and the padding
/// before one that is stored raw, which depends on its place.
const SPARE_SHARE: u64 = 1000;
const PADDING: u64 = 255;

impl Steering {
    /// For tensors in the order of writing, and all bytes of the file.
    pub(crate) fn new(budget: u64, tensors: impl DoubleEndedIterator<Item = TensorPlan>) -> Self {
        Self { budget, rest: tensors.rev().collect() }
    }

    /// What the next tensor may take, when the file would be `length` bytes long without it and
    /// all after it; `None` when it is not free to change. `Err` tells how many bytes are missing.
    pub(crate) fn next(&mut self, length: u64) -> Result<Option<Allowance>, u64> {
        let Some(tensor) = self.rest.pop() else { return Ok(None) };
        let Some(plan) = tensor.lossy.filter(|plan| plan.shares_budget) else { return Ok(None) };
        let fixed = || self.rest.iter().filter(|t| flexible(t).is_none());
        let left = self.budget.saturating_sub(length);
        let left = left.saturating_sub(fixed().map(|t| t.bytes).sum());
        let after = || self.rest.iter().filter_map(flexible);
        let all = || std::iter::once((&plan, tensor.weights)).chain(after());
        let aim = left as f64 * 8.0 * AIM;
        let factor = spread(&all(), aim).ok_or_else(|| {
            let least: f64 =
                all().map(|(plan, weights)| bits_with(plan, FACTORS.1) * weights as f64).sum();
            ((least - aim) / 8.0).max(1.0) as u64
        })?;
        let later: f64 = after().map(|(plan, n)| bits_with(plan, factor) * n as f64 / 8.0).sum();
        let alone = (later as u64) < left / 4;
        // Nothing after it makes up for what cannot be foreseen.
        let spare = fixed().map(|t| t.bytes / SPARE_SHARE + PADDING).sum();
        let bytes = alone.then(|| (left - later as u64).saturating_sub(spare));
        let step = (f64::from(plan.step).log2() + factor).exp2() as f32;
        let plan = LossyPlan { step, ..plan };
        Ok(Some(Allowance { plan, bytes }))
    }
}

fn flexible(tensor: &TensorPlan) -> Option<(&LossyPlan, u64)> {
    let plan = tensor.lossy.as_ref().filter(|plan| plan.shares_budget)?;
    Some((plan, tensor.weights))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::codec::lossy::{Axes, RowScales};

    /// A tensor of variance 1 whose rate is that of a Gaussian's at high rates.
    fn gaussian(weights: u64) -> TensorPlan {
        let curve = [-1.6, -1.0, -0.4].map(|step| (step, 1.0 - step));
        let lossy = LossyPlan {
            step: 0.5,
            axes: Axes::Identity,
            mean: false,
            rank: 0,
            row_scales: RowScales::None,
            column_scales: false,
            effort: 5,
            gain: 0.0,
            max_noise: None,
            shares_budget: true,
            floor: 0.0,
            curve,
        };
        TensorPlan { weights, bytes: weights / 4, lossy: Some(lossy) }
    }

    #[test]
    fn steps_grow_until_the_budget_suffices() {
        let tensors = [gaussian(1000), gaussian(3000)];
        let all = || tensors.iter().map(|t| (t.lossy.as_ref().unwrap(), t.weights));
        // 2 bits at step 1/2, so 3 bits at 1/4.
        assert!((spread(&all(), 12_000.0).unwrap() + 1.0).abs() < 1e-9);
        assert!(spread(&all(), -1.0).is_none());
    }

    #[test]
    fn later_tensors_make_up_for_earlier_ones() {
        let small = TensorPlan { weights: 10, bytes: 40, lossy: None };
        let tensors = [gaussian(8000), small, gaussian(80_000), gaussian(800)];
        let mut steering = Steering::new(22_240, tensors.into_iter());
        let first = steering.next(0).unwrap().unwrap();
        assert!((f64::from(first.plan.step) - 0.5).abs() < 0.02 && first.bytes.is_none());
        assert!(steering.next(3000).unwrap().is_none());
        // The first took half as much again: the next ones must do with less.
        let next = steering.next(3040).unwrap().unwrap();
        assert!(next.plan.step > 0.52 && next.bytes.is_some_and(|bytes| bytes < 20_000));
        let last = steering.next(22_000).unwrap().unwrap();
        assert_eq!(last.bytes, Some(240));
        assert!(steering.next(23_000).unwrap().is_none());
    }
}
