//! The Hadamard transform.

/// Multiplies every block of numbers by the orthonormal Hadamard matrix, which is its own inverse,
/// with the fast transform (Yates, 1937). `block` is a power of two.
pub fn hadamard(numbers: &mut [f32], block: usize) {
    let scale = 1.0 / (block as f32).sqrt();
    for block in numbers.chunks_exact_mut(block) {
        let mut half = 1;
        while half < block.len() {
            for pair in block.chunks_exact_mut(2 * half) {
                let (left, right) = pair.split_at_mut(half);
                for (a, b) in left.iter_mut().zip(right) {
                    (*a, *b) = (*a + *b, *a - *b);
                }
            }
            half *= 2;
        }
        block.iter_mut().for_each(|x| *x *= scale);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transform_is_its_own_inverse_and_preserves_energy() {
        let mut random = fastrand::Rng::with_seed(1);
        let original: Vec<f32> = (0..256).map(|_| random.f32() - 0.5).collect();
        for block in [1, 2, 64, 256] {
            let mut numbers = original.clone();
            hadamard(&mut numbers, block);
            let energy = |x: &[f32]| x.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>();
            assert!((energy(&numbers) / energy(&original) - 1.0).abs() < 1e-6);
            hadamard(&mut numbers, block);
            assert!(numbers.iter().zip(&original).all(|(a, b)| (a - b).abs() < 1e-6), "{block}");
        }
        let mut spike = [0.0, 0.0, 6.0, 0.0];
        hadamard(&mut spike, 4);
        assert_eq!(spike, [3.0, 3.0, -3.0, -3.0], "an outlier is distributed over the block");
    }
}
