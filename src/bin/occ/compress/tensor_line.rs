//! The line of a tensor that `--verbose` prints.

use crate::inspect::transform_name;
use crate::numbers::{Bytes, bits_per_weight};
use occ::{Codec, TensorPlan, TensorStats};

/// How a tensor was written: codec or transform, reason, rate, error, size.
pub fn tensor_line(
    name: &str,
    codec: Codec,
    stats: &TensorStats,
    plan: Option<&TensorPlan>,
) -> String {
    let lossy = plan.and_then(|plan| plan.lossy.as_ref()).filter(|_| codec == Codec::Trellis);
    let form = match (lossy, plan.and_then(|plan| plan.lossless)) {
        (Some(lossy), _) => transform_name(lossy.transform, lossy.mean, lossy.rank),
        (None, Some(reason)) => format!("{} ({})", codec.name(), reason.description()),
        (None, None) => codec.name().to_owned(),
    };
    let snr = stats.snr_db().map_or_else(String::new, |snr| format!(", SNR {snr:.2} dB"));
    format!(
        "{}: {form}, {:.3} bits/weight{snr}, {}",
        name.escape_debug(),
        bits_per_weight(stats.bytes, stats.weights),
        Bytes(stats.bytes)
    )
}
