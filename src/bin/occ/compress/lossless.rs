//! The tensors that lossy compression leaves lossless.

use crate::numbers::{Bytes, counted};
use occ::convert::EncodeReport;
use occ::{LosslessReason, Plan};
use std::collections::BTreeMap;

/// How many tensors of a lossy file are lossless, why, and what they take; `None` if there are none,
/// or if no tensor is lossy.
pub fn summary(plan: &Plan, encoded: &EncodeReport) -> Option<String> {
    if plan.tensors.values().all(|tensor| tensor.lossy.is_none()) {
        return None;
    }
    let mut groups = BTreeMap::<LosslessReason, (u64, u64)>::new();
    for (name, stats) in &encoded.tensors {
        if let Some(reason) = plan.get(name).and_then(|tensor| tensor.lossless) {
            let (tensors, bytes) = groups.entry(reason).or_default();
            *tensors += 1;
            *bytes += stats.bytes;
        }
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|&(reason, (_, bytes))| (std::cmp::Reverse(bytes), reason));
    let (tensors, bytes) = groups
        .iter()
        .fold((0, 0), |(count, sum), (_, (tensors, bytes))| (count + tensors, sum + bytes));
    let reasons: Vec<String> = groups
        .iter()
        .map(|(reason, (tensors, bytes))| {
            format!("{}: {tensors} ({})", reason.description(), Bytes(*bytes))
        })
        .collect();
    let reasons = reasons.join(", ");
    (tensors > 0)
        .then(|| format!("lossless: {} in {}; {reasons}", counted(tensors, "tensor"), Bytes(bytes)))
}
