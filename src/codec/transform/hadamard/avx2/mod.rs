//! Walsh-Hadamard transforms with AVX2.
#![allow(unsafe_code)]

/// Defines the butterfly stages with distances of at least one vector, for one type of vector.
///
/// `$stages` runs all stages whose distance is at least `stride` vectors, three in each pass over
/// memory.
macro_rules! butterfly_stages {
    ($stages:ident, $pass:ident, [$number:ty; $width:literal], $vector:ty,
     $load:ident, $store:ident, $add:ident, $sub:ident) => {
        #[target_feature(enable = "avx2")]
        fn $stages(vectors: &mut [[$number; $width]], mut stride: usize) {
            while 8 * stride <= vectors.len() {
                $pass::<8>(vectors, stride);
                stride *= 8;
            }
            match vectors.len() / stride {
                4 => $pass::<4>(vectors, stride),
                2 => $pass::<2>(vectors, stride),
                _ => {}
            }
        }

        /// Transforms of length `R` over vectors with distance `stride`.
        #[target_feature(enable = "avx2")]
        fn $pass<const R: usize>(vectors: &mut [[$number; $width]], stride: usize) {
            for group in vectors.chunks_exact_mut(R * stride) {
                for at in 0..stride {
                    let at = |i: usize| i * stride + at;
                    let mut values: [$vector; R] = std::array::from_fn(|i| {
                        // SAFETY: a vector is read from as many numbers, at any alignment.
                        unsafe { $load(group[at(i)].as_ptr().cast()) }
                    });
                    let mut half = 1;
                    while half < R {
                        for i in (0..R).filter(|i| i & half == 0) {
                            let (a, b) = (values[i], values[i + half]);
                            values[i] = $add(a, b);
                            values[i + half] = $sub(a, b);
                        }
                        half *= 2;
                    }
                    for (i, value) in values.into_iter().enumerate() {
                        // SAFETY: a vector is written over as many numbers, at any alignment.
                        unsafe { $store(group[at(i)].as_mut_ptr().cast(), value) };
                    }
                }
            }
        }
    };
}

#[cfg(feature = "encode")]
mod forward;
mod inverse;

#[cfg(feature = "encode")]
pub(super) use forward::forward_block;
pub(super) use inverse::inverse_block;
