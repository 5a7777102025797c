//! The steps of tensors that share a budget, relative to each other.

use crate::encode::encoding::{Encoding, TensorTarget, Weighting};
use crate::encode::source::TensorSource;
use crate::role::TensorRole;

/// What the guess of the step of a tensor that shares a budget depends on.
#[derive(Clone, Copy)]
pub(super) struct StepGuess {
    /// The mean of [`shared_step`] over all tensors.
    pub(super) mean: f64,
    /// The binary logarithm of the ratio of the expected steps and the provisional ones.
    pub(super) factor: f64,
}

/// The geometric mean over weights of [`shared_step`], of the tensors that may share a budget.
pub(super) fn mean_shared_step(sources: &[TensorSource<'_>], encoding: &Encoding) -> f64 {
    let (mut sum, mut weights) = (0.0, 0.0);
    for source in sources {
        let shares = matches!(encoding.target_for(source.name), TensorTarget::SharedBits(_));
        if shares && source.matrix().is_some() {
            sum += source.elements() as f64 * shared_step(encoding.weighting, source).log2();
            weights += source.elements() as f64;
        }
    }
    (sum / f64::max(weights, 1.0)).exp2()
}

/// The step of a tensor relative to its RMS, compared to that of other tensors that share a budget.
pub(super) fn shared_step(weighting: Weighting, source: &TensorSource<'_>) -> f64 {
    if weighting == Weighting::RelativeError {
        return 1.0;
    }
    let by_size = (source.elements() as f64 / MANY).min(1.0).powf(0.125);
    match TensorRole::of(source.name, source.shape.len()) {
        TensorRole::PositionEmbedding => by_size * POSITION_STEP,
        _ => by_size,
    }
}

/// The number of weights from which the step grows no further.
const MANY: f64 = (1 << 22) as f64;

/// The step of position embeddings: they have few weights, and their errors are part of the inputs of
/// all layers for all tokens.
const POSITION_STEP: f64 = 0.5;
