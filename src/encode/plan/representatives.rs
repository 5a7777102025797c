//! Small tensors that are similar, as experts and adapters are: one of them, the representative, is
//! planned for all.

use super::budget::change_step;
use super::planned_tensor::PlannedTensor;
use super::relative_plan::{Features, RelativePlan};
use super::tensor_plan::{Learned, LossyPlan, TensorPlan};
use crate::codec::trellis::candidate_transforms;
use crate::coordinates::Coordinates;
use crate::dtype::Dtype;
use crate::encode::encoding::{Encoding, TensorTarget};
use crate::encode::source::TensorSource;
use crate::role::TensorRole;
use std::collections::HashMap;

/// The most weights of a tensor whose plan may follow from that of another. Planning larger ones takes less
/// time than encoding them.
const MAX_WEIGHTS: u64 = 1 << 16;

/// The most representatives of a kind. Tensors that are similar to none of them have plans of their own.
const MAX_REPRESENTATIVES: usize = 64;

/// What tensors with one representative have in common, and is known before their values are read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Kind<'s> {
    role: TensorRole,
    dtype: Dtype,
    shape: &'s [usize],
}

impl<'s> Kind<'s> {
    /// `None` for tensors with plans of their own: large ones, ones that share no budget, or have
    /// statistics, and matrices for which a basis may pay.
    pub(super) fn of(source: &TensorSource<'s>, encoding: &Encoding) -> Option<Self> {
        if source.elements() > MAX_WEIGHTS || encoding.calibration.0.is_some() {
            return None;
        }
        let matrix = source.matrix()?;
        let is_basis = |coordinates| coordinates == Coordinates::Klt;
        let candidates = candidate_transforms(matrix.rows, matrix.columns);
        let shares = matches!(encoding.target_for(source.name), TensorTarget::SharedBits(_));
        if !shares || candidates.iter().any(|candidate| is_basis(candidate.coordinates)) {
            return None;
        }
        let (dtype, shape) = (source.dtype, source.shape);
        Some(Self { role: TensorRole::of(source.name, shape.len()), dtype, shape })
    }
}

/// A tensor that the plans of others follow from.
struct Representative {
    /// Its position among all tensors.
    number: usize,
    features: Features,
    plan: LossyPlan,
    lossless_bytes: u64,
    overhead_bits: f64,
    unit_step: f64,
}

/// The representatives so far, by kind.
#[derive(Default)]
pub(super) struct Representatives<'s>(HashMap<Kind<'s>, Vec<Representative>>);

impl<'s> Representatives<'s> {
    /// Which tensors are to be planned before others of their group: the first of each kind without
    /// a representative.
    pub(super) fn firsts<'k>(
        &mut self,
        kinds: impl Iterator<Item = Option<&'k Kind<'s>>>,
    ) -> Vec<bool>
    where
        's: 'k,
    {
        let mut is_first = |kind: &Kind<'s>| {
            let known = self.0.len();
            // Known from now on, whether the first of them becomes a representative or not.
            self.0.entry(kind.clone()).or_default();
            self.0.len() > known
        };
        kinds.map(|kind| kind.is_some_and(&mut is_first)).collect()
    }

    /// A tensor with a plan of its own may become a representative. `number` is its position among
    /// all tensors.
    pub(super) fn add(&mut self, kind: Option<&Kind<'s>>, number: usize, planned: &PlannedTensor) {
        let (Some(kind), Some(features)) = (kind, planned.features) else { return };
        let Some(plan) = &planned.plan.lossy else { return };
        let of_kind = self.0.entry(kind.clone()).or_default();
        if of_kind.len() < MAX_REPRESENTATIVES {
            of_kind.push(Representative {
                number,
                features,
                plan: plan.clone(),
                lossless_bytes: planned.lossless_bytes,
                overhead_bits: planned.overhead_bits,
                unit_step: planned.unit_step,
            });
        }
    }

    /// The plan of a tensor that is similar to a representative: the first of those. Without statistics of
    /// byte planes: the lossless size is that of the representative.
    pub(super) fn similar_plan(
        &self,
        kind: &Kind<'s>,
        features: &Features,
        weights: u64,
        overhead_bits: f64,
    ) -> Option<PlannedTensor> {
        let of_kind = self.0.get(kind)?;
        let found = of_kind.iter().find(|other| features.is_similar_to(&other.features))?;
        let bits = (overhead_bits - found.overhead_bits) / weights as f64;
        let relative = RelativePlan::new(found.number, features, &found.features, bits);
        let lossless_bytes = found.lossless_bytes;
        let mut plan = TensorPlan {
            weights,
            bytes: lossless_bytes,
            lossy: Some(relative.plan(&found.plan)),
            lossless: None,
            learned: Learned::default(),
        };
        change_step(&mut plan, lossless_bytes, 0.0);
        Some(PlannedTensor {
            unit_step: found.unit_step * relative.step_ratio(),
            relative: Some(relative),
            ..PlannedTensor::new(plan, lossless_bytes, overhead_bits)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::plan::{Plan, TensorPlan};
    use crate::gaussian::gaussian_noise;

    /// The plan of the last of several tensors of 64 × 64, after others with normal weights.
    fn planned(last: impl Fn(usize, f32) -> f32) -> (TensorPlan, TensorPlan) {
        let tensor = |number: u64, weight: &dyn Fn(usize, f32) -> f32| -> Vec<u8> {
            let weights = gaussian_noise(number).take(64 * 64).enumerate();
            weights.flat_map(|(at, x)| weight(at, x).to_le_bytes()).collect()
        };
        let mut data: Vec<Vec<u8>> = (0..12).map(|i| tensor(i, &|_, x| x)).collect();
        data.push(tensor(12, &last));
        let names: Vec<String> = (0..data.len()).map(|i| format!("experts.{i}.w")).collect();
        let sources: Vec<_> = names
            .iter()
            .zip(&data)
            .map(|(name, data)| TensorSource::new(name, Dtype::F32, &[64, 64], data))
            .collect();
        let mut plan = Plan::of_tensors(&sources, &Encoding::bits(3.0)).unwrap();
        let mut take = |number: usize| plan.tensors.remove(&names[number]).unwrap();
        (take(0), take(12))
    }

    /// The rates at the three steps, without the bits of the name.
    fn rates(plan: &TensorPlan) -> [f64; 3] {
        let rate = &plan.lossy.as_ref().unwrap().rate;
        rate.points.map(|(_, bits)| bits - rate.min_bits)
    }

    fn are_near(a: [f64; 3], b: [f64; 3], tolerance: f64) -> bool {
        a.into_iter().zip(b).all(|(a, b)| (a - b).abs() <= tolerance)
    }

    #[test]
    fn tensors_of_one_distribution_share_rates() {
        let (first, last) = planned(|_, x| 0.01 * x);
        assert!(are_near(rates(&first), rates(&last), 1e-9), "{first:?} {last:?}");
        let step = |plan: &TensorPlan| f64::from(plan.lossy.as_ref().unwrap().step).log2();
        assert!((step(&first) - step(&last) - 100f64.log2()).abs() < 0.05);
    }

    #[test]
    fn unlike_tensors_have_rates_of_their_own() {
        let cubic = |_, x: f32| x * x * x;
        let loud_columns = |at: usize, x: f32| if at.is_multiple_of(2) { 4.0 * x } else { x };
        let loud_rows = |at: usize, x: f32| if (at / 64).is_multiple_of(2) { 4.0 * x } else { x };
        for last in [&cubic as &dyn Fn(usize, f32) -> f32, &loud_columns, &loud_rows] {
            let (first, last) = planned(last);
            assert!(!are_near(rates(&first), rates(&last), 0.05), "{first:?} {last:?}");
        }
        // A low-rank part.
        let (_, last) = planned(|at, x| x + ((at / 64) as f32 - 31.5) * ((at % 64) as f32 - 31.5));
        let lossy = last.lossy.unwrap();
        assert!(lossy.rank == 1 || lossy.mean, "{lossy:?}");
        // Few different values are stored losslessly, or with other rates.
        let (first, last) = planned(|_, x| x.round());
        assert!(last.lossy.is_none() || !are_near(rates(&first), rates(&last), 0.05));
    }
}
