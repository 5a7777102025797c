//! The encoder's direction: transforms of rows in floating point, and learning of bases.

mod basis;
mod integers;
mod leading_direction;
mod low_rank;
mod subspace;

use super::Transform;
use crate::arch::Kernel;
use basis::InverseBasis;
use std::sync::Arc;

pub(crate) use basis::Gram;
pub(crate) use leading_direction::LeadingDirection;
pub(crate) use low_rank::LowRankProjector;
pub(crate) use subspace::Subspace;

/// A transform with what is needed to map rows to coordinates.
pub(crate) struct ForwardTransform {
    transform: Arc<Transform>,
    /// Present for a stored basis.
    inverse: Option<InverseBasis>,
}

impl ForwardTransform {
    /// Prepares a transform. O(n · block²) for a stored basis of n columns.
    pub(crate) fn new(transform: Arc<Transform>) -> Self {
        let inverse = match &*transform {
            Transform::StoredBasis(basis) => Some(InverseBasis::new(basis)),
            Transform::Identity(_) | Transform::Hadamard(_) => None,
        };
        Self { transform, inverse }
    }

    /// The Karhunen-Loève transform (Karhunen, 1947; Loève, 1948) of the rows that were added to
    /// the Gram matrices. `None` when it cannot be stored or inverted.
    ///
    /// O(n · block²) for n columns.
    pub(crate) fn learn(gram: &Gram) -> Option<Self> {
        let basis = gram.principal_basis()?;
        let inverse = InverseBasis::new(&basis);
        let transform = Arc::new(Transform::StoredBasis(basis));
        inverse.is_finite().then_some(Self { transform, inverse: Some(inverse) })
    }

    pub(crate) fn transform(&self) -> &Arc<Transform> {
        &self.transform
    }

    /// Maps whole rows, one after the other, to coordinates, in place.
    ///
    /// O(block) for each value with a stored basis, O(log block) with a Hadamard transform.
    pub(crate) fn apply(&self, kernel: Kernel, rows: &mut [f32]) {
        match (&*self.transform, &self.inverse) {
            (Transform::Hadamard(hadamard), _) => hadamard.forward(kernel, rows),
            (Transform::StoredBasis(_), Some(inverse)) => inverse.apply(rows),
            _ => {}
        }
    }
}
