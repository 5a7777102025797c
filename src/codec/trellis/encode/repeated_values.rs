//! Tensors with many equal weights: pruned or quantised ones.

/// Weights that are looked at.
const SAMPLE: usize = 2048;

/// The share of different values below which a tensor is quantised. Gaussian weights in BF16 have
/// half as many different values as there are weights in the sample.
const FEW: usize = 5;

/// The share of one value above which a tensor is pruned.
const OFTEN: usize = 50;

/// Whether many weights of a sample are equal. O(1).
pub(super) fn has_repeated_values(sample: &[f32]) -> bool {
    let stride = sample.len().div_ceil(SAMPLE).max(1);
    // An odd stride visits all columns of matrices with widths that are powers of two.
    let mut bits: Vec<u32> = sample.iter().step_by(stride | 1).map(|x| x.to_bits()).collect();
    bits.sort_unstable();
    let runs = bits.chunk_by(|a, b| a == b);
    let (mut different, mut most) = (0, 0);
    for run in runs {
        (different, most) = (different + 1, run.len().max(most));
    }
    different * FEW < bits.len() || most * OFTEN > bits.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pruned_and_quantised_weights_are_found() {
        let number = |i: usize| ((i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f32;
        let smooth = |i: usize| (number(i) / 16_777_216.0 - 0.5) * 0.1;
        let found = |value: &dyn Fn(usize) -> f32| {
            has_repeated_values(&(0..100_000).map(value).collect::<Vec<_>>())
        };
        assert!(!found(&smooth) && !found(&|i| half::bf16::from_f32(smooth(i)).to_f32()));
        assert!(found(&|i| if number(i) < 1e6 { 0.0 } else { smooth(i) }));
        assert!(found(&|i| (smooth(i) * 1000.0).round()));
        assert!(!has_repeated_values(&[]) && has_repeated_values(&[1.0]));
    }
}
