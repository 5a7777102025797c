//! A budget for the whole file, shared by the tensors of a plan.

use super::effort::is_valid_step;
use super::planned_tensor::PlannedTensor;
use super::tensor_plan::TensorPlan;
use crate::encode::lossless_reason::LosslessReason;
use crate::encode::rate_control::{self, step_factor};
use crate::error::{Error, Result};

/// Gives the tensors that share a budget, in bits per weight of the file, the bits that the others
/// leave.
///
/// # Errors
/// `InvalidArgument` if the budget is too small.
pub(super) fn share_budget(
    planned: &mut [PlannedTensor],
    bits: f64,
    other_bytes: u64,
) -> Result<()> {
    let weights: u64 = planned.iter().map(|tensor| tensor.plan.weights).sum();
    let budget = rate_control::distributed(bits * weights as f64 / 8.0);
    check_budget(planned, bits, other_bytes)?;
    distribute(planned, |planned| {
        let fixed = planned.iter().filter(|tensor| tensor.plan.flexible().is_none());
        let fixed = other_bytes + fixed.map(|tensor| tensor.plan.bytes).sum::<u64>();
        (budget - fixed as f64) * 8.0
    });
    Ok(())
}

/// Gives the tensors that share a budget this mean rate in bits per weight, whatever the others take.
pub(super) fn set_rate(planned: &mut [PlannedTensor], bits: f64) {
    distribute(planned, |planned| bits * flexible_weights(planned) as f64);
}

fn flexible_weights(planned: &[PlannedTensor]) -> u64 {
    planned.iter().filter_map(|tensor| tensor.plan.flexible()).map(|(_, weights)| weights).sum()
}

/// The factor of all steps, as a binary logarithm, with which the tensors so far would keep to the
/// budget: headers and lossless tensors among them take bits that the first guess does not know of. If
/// they are part of several files, the share of these is not known.
pub(super) fn factor_so_far(planned: &[PlannedTensor], bits: f64, is_part: bool) -> f64 {
    let weights: u64 = planned.iter().map(|tensor| tensor.plan.weights).sum();
    let fixed = planned.iter().filter(|tensor| tensor.plan.flexible().is_none());
    let fixed: u64 = fixed.map(|tensor| tensor.plan.bytes).sum();
    let flexible = planned.iter().filter_map(|tensor| tensor.plan.flexible());
    let left = match is_part {
        true => bits * flexible_weights(planned) as f64,
        false => bits * weights as f64 - 8.0 * fixed as f64,
    };
    step_factor(&flexible, left).unwrap_or(0.0)
}

/// Changes steps by a common factor, so that the tensors take `left` bits together. These are
/// computed again when some of them become lossless.
fn distribute(planned: &mut [PlannedTensor], left: impl Fn(&[PlannedTensor]) -> f64) {
    loop {
        let flexible = planned.iter().filter_map(|tensor| tensor.plan.flexible());
        let left = left(planned);
        // Beyond the largest steps, some tensors are smaller losslessly: the budget has been checked.
        let factor = step_factor(&flexible, left).unwrap_or(rate_control::MAX_FACTOR);
        let mut all_lossy = true;
        for tensor in planned.iter_mut().filter(|tensor| tensor.plan.flexible().is_some()) {
            all_lossy &= change_step(&mut tensor.plan, tensor.lossless_bytes, factor);
        }
        // A tensor that is smaller losslessly changes the budget of the others.
        if all_lossy {
            return;
        }
    }
}

/// Checks that a budget suffices when all tensors that share it are coded as coarsely as possible.
fn check_budget(planned: &[PlannedTensor], bits: f64, other_bytes: u64) -> Result<()> {
    let weights: u64 = planned.iter().map(|tensor| tensor.plan.weights).sum();
    let (mut lossless, mut lossy) = (0.0, 0.0);
    for tensor in planned {
        let lossless_bytes = tensor.lossless_bytes as f64;
        match (&tensor.plan.lossy, tensor.plan.flexible()) {
            (None, _) => lossless += lossless_bytes,
            (Some(_), None) => lossy += tensor.plan.bytes as f64,
            (_, Some((plan, weights))) => {
                lossy += lossless_bytes.min(rate_control::least_bits(plan) * weights as f64 / 8.0);
            }
        }
    }
    let per_weight = |bytes: f64| 8.0 * bytes / weights as f64;
    let least = per_weight(other_bytes as f64 + lossless + lossy);
    // With the share of the reserve, rounded up: estimates have errors, and depend on the budget.
    let smallest = (rate_control::budget_of(least * MARGIN) * 100.0).ceil() / 100.0;
    if weights == 0 || smallest <= bits {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "a budget of {bits} bits per weight is too small: the least is {smallest:.2}, of which \
         lossless tensors take {:.3}, lossy ones at least {:.3}, headers and other files {:.3}",
        per_weight(lossless),
        per_weight(lossy),
        per_weight(other_bytes as f64),
    )))
}

/// What the least size is multiplied by, for errors of its estimate.
const MARGIN: f64 = 1.005;

/// Changes the step of a tensor by a factor, given as a binary logarithm, and its size. Makes the
/// tensor lossless where that takes no more bytes or the step is out of range. Returns whether it
/// stayed lossy.
pub(super) fn change_step(tensor: &mut TensorPlan, lossless_bytes: u64, factor: f64) -> bool {
    let Some(plan) = &mut tensor.lossy else { return true };
    let step = f64::from(plan.step).log2() + factor;
    let bytes = (plan.rate.bits_at(step) * tensor.weights as f64 / 8.0) as u64;
    let reason = match is_valid_step(step.exp2()) {
        false => Some(LosslessReason::Range),
        true => (lossless_bytes <= bytes).then_some(LosslessReason::Smaller),
    };
    if reason.is_some() {
        (tensor.lossy, tensor.lossless, tensor.bytes) = (None, reason, lossless_bytes);
        return false;
    }
    (plan.step, tensor.bytes) = (step.exp2() as f32, bytes);
    true
}
