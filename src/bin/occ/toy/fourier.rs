//! Representation of a function by the largest coefficients of its Fourier transform.

use super::target::Split;
use rustfft::FftPlanner;
use rustfft::num_complex::Complex;

/// Fourier coefficients of a real function and their frequencies.
#[derive(Clone, Debug)]
pub struct TopK {
    samples: usize,
    frequencies: Vec<usize>,
    /// Alternating real and imaginary parts.
    pub coefficients: Vec<f32>,
}

/// The orthonormal Fourier transform up to half the sampling rate. The other half is symmetric.
pub fn spectrum(samples: &[f64]) -> Vec<Complex<f64>> {
    let scale = 1.0 / (samples.len() as f64).sqrt();
    let mut numbers: Vec<_> = samples.iter().map(|&x| Complex::new(x * scale, 0.0)).collect();
    FftPlanner::new().plan_fft_forward(samples.len()).process(&mut numbers);
    numbers.truncate(samples.len() / 2 + 1);
    numbers
}

/// The transform as real coordinates, as many as samples and of the same norm.
pub fn coordinates(spectrum: &[Complex<f64>], samples: usize) -> Vec<f32> {
    let root = 2f64.sqrt();
    let parts = spectrum.iter().enumerate().flat_map(|(frequency, c)| {
        let mirrored = frequency > 0 && 2 * frequency < samples;
        let parts = if mirrored { [c.re * root, c.im * root] } else { [c.re, 0.0] };
        parts.into_iter().take(if mirrored { 2 } else { 1 })
    });
    parts.map(|x| x as f32).collect()
}

/// Replaces held-out samples by linear interpolation of the nearest training samples, so that the
/// transform uses the same data as the networks. The function is periodic.
pub fn interpolated(samples: &[f64], split: &Split) -> Vec<f64> {
    let mut out = samples.to_vec();
    let pairs = split.training.iter().zip(split.training.iter().cycle().skip(1));
    for (&from, &to) in pairs {
        let gap = (to + samples.len() - from - 1) % samples.len() + 1;
        for step in 1..gap {
            let share = step as f64 / gap as f64;
            let between = (1.0 - share) * samples[from] + share * samples[to];
            out[(from + step) % samples.len()] = between;
        }
    }
    out
}

impl TopK {
    /// The `k` coefficients with the most energy, of a function with `samples` samples.
    pub fn of(spectrum: &[Complex<f64>], samples: usize, k: usize) -> Self {
        let mut frequencies: Vec<usize> = (0..spectrum.len()).collect();
        // All but the first and the last occur twice, with their conjugates.
        let energy = |f: usize| {
            let twice = f > 0 && 2 * f < samples;
            spectrum[f].norm_sqr() * if twice { 2.0 } else { 1.0 }
        };
        frequencies.sort_by(|&a, &b| energy(b).total_cmp(&energy(a)));
        frequencies.truncate(k);
        let parts = |&f: &usize| [spectrum[f].re as f32, spectrum[f].im as f32];
        let coefficients = frequencies.iter().flat_map(parts).collect();
        Self { samples, frequencies, coefficients }
    }

    /// Size of the frequencies, two bytes each.
    pub fn frequency_bytes(&self) -> usize {
        2 * self.frequencies.len()
    }

    /// Samples of the function with these coefficients.
    pub fn samples(&self, coefficients: &[f32]) -> Vec<f64> {
        let mut numbers = vec![Complex::default(); self.samples];
        for (&frequency, parts) in self.frequencies.iter().zip(coefficients.as_chunks().0) {
            let [re, im] = parts.map(f64::from);
            numbers[frequency] = Complex::new(re, im);
            numbers[(self.samples - frequency) % self.samples] = Complex::new(re, -im);
        }
        FftPlanner::new().plan_fft_inverse(self.samples).process(&mut numbers);
        let scale = 1.0 / (self.samples as f64).sqrt();
        numbers.into_iter().map(|number| number.re * scale).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;

    fn sinusoid(frequency: f64) -> Vec<f64> {
        (0..512).map(|i| (TAU * frequency * f64::from(i) / 512.0 + 0.3).sin()).collect()
    }

    fn error(samples: &[f64], k: usize) -> f64 {
        let top = TopK::of(&spectrum(samples), samples.len(), k);
        let back = top.samples(&top.coefficients);
        let square = |(a, b): (&f64, &f64)| (a - b) * (a - b);
        (samples.iter().zip(&back).map(square).sum::<f64>() / samples.len() as f64).sqrt()
    }

    #[test]
    fn a_sinusoid_of_integer_frequency_has_one_coefficient() {
        assert!(error(&sinusoid(17.0), 1) < 1e-7);
        assert!(error(&sinusoid(17.5), 1) > 0.1 && error(&sinusoid(17.5), 257) < 1e-7);
        let both: Vec<f64> = sinusoid(3.0).iter().zip(sinusoid(40.0)).map(|(a, b)| a + b).collect();
        assert!(error(&both, 1) > 0.5 && error(&both, 2) < 1e-7);
    }

    #[test]
    fn the_norm_is_preserved() {
        let samples = sinusoid(17.5);
        let coordinates = coordinates(&spectrum(&samples), samples.len());
        let energy: f64 = coordinates.iter().map(|&x| f64::from(x).powi(2)).sum();
        assert_eq!(coordinates.len(), samples.len());
        assert!((energy / samples.iter().map(|x| x * x).sum::<f64>() - 1.0).abs() < 1e-6);
    }

    #[test]
    fn held_out_samples_are_interpolated_linearly() {
        let split = Split { training: vec![1, 2, 5], held_out: vec![0, 3, 4, 6] };
        let samples = [9.0, 2.0, 1.0, 9.0, 9.0, 7.0, 9.0];
        let filled = interpolated(&samples, &split);
        let expected = [2.0 + 5.0 / 3.0, 2.0, 1.0, 3.0, 5.0, 7.0, 7.0 - 5.0 / 3.0];
        for (found, expected) in filled.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12, "{filled:?}");
        }
    }
}
