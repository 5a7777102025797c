//! Outliers: weights that are stored unchanged, because they would dominate all statistics.

/// A weight is an outlier when its magnitude exceeds the typical one by this factor.
const OUTLIER_FACTOR: f32 = 1e4;

/// The magnitude above which weights are outliers, from a sample: a multiple of the 90th percentile
/// of magnitudes. O(n) expected for n weights.
pub(super) fn outlier_threshold(sample: &[f32]) -> f32 {
    let mut magnitudes: Vec<f32> =
        sample.iter().map(|x| x.abs()).filter(|x| x.is_finite()).collect();
    if magnitudes.is_empty() {
        return f32::MAX;
    }
    let at = magnitudes.len() * 9 / 10;
    let (_, typical, _) = magnitudes.select_nth_unstable_by(at, f32::total_cmp);
    if *typical > 0.0 { *typical * OUTLIER_FACTOR } else { f32::MAX }
}

/// Sets outliers and NaN to 0 and calls `masked` with their positions, in order.
pub(super) fn mask_outliers(weights: &mut [f32], threshold: f32, mut masked: impl FnMut(usize)) {
    for (position, x) in weights.iter_mut().enumerate() {
        if x.is_nan() || x.abs() > threshold {
            *x = 0.0;
            masked(position);
        }
    }
}
