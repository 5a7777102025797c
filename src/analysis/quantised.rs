//! What becomes of numbers that are rounded to evenly spaced levels.

/// How often each level came, and how far it was.
pub(super) struct Quantised {
    counts: Vec<u32>,
    /// Σx².
    energy: f64,
    /// Σ(x − x̂)².
    noise: f64,
}

/// The nearest of the levels −most to most, of numbers in steps.
pub(super) fn nearest(number: f64, most: i32) -> i32 {
    // Casts cut off what is behind the point, and stop at the largest integer.
    ((number + 0.5f64.copysign(number)) as i32).clamp(-most, most)
}

impl Quantised {
    /// To the nearest multiple of a step, −most to most; everything to 0 by a step of 0.
    pub(super) fn of(numbers: &[f32], step: f64, most: i32) -> Self {
        let inverse = if step > 0.0 { step.recip() } else { 0.0 };
        let mut found = Self { counts: vec![0; 2 * most as usize + 1], energy: 0.0, noise: 0.0 };
        for &x in numbers {
            let x = f64::from(x);
            let level = nearest(x * inverse, most);
            let error = x - f64::from(level) * step;
            found.counts[(level + most) as usize] += 1;
            found.energy += x * x;
            found.noise += error * error;
        }
        found
    }

    /// Bits a number that the counts hold (Shannon, 1948).
    pub(super) fn entropy(&self) -> f64 {
        let total: f64 = self.counts.iter().map(|&count| f64::from(count)).sum();
        let shares = self.counts.iter().filter(|&&count| count > 0);
        shares.fold(0.0, |bits, &count| {
            let share = f64::from(count) / total;
            bits - share * share.log2()
        })
    }

    /// Signal to noise in decibels; `None` without noise.
    pub(super) fn snr_db(&self) -> Option<f64> {
        (self.noise > 0.0).then(|| 10.0 * (self.energy / self.noise).log10())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_levels() {
        let levels = [-9.0, -1.5, -0.4, 0.5, 1.4, 2.6].map(|x| nearest(x, 2));
        assert_eq!(levels, [-2, -2, 0, 1, 1, 2]);
        let found = Quantised::of(&[0.0, 1.0, 0.0, -1.5], 1.0, 1);
        assert_eq!((found.entropy(), found.noise, found.energy), (1.5, 0.25, 3.25));
        assert_eq!(found.snr_db(), Some(10.0 * 13f64.log10()));
        let none = Quantised::of(&[], 0.0, 3);
        assert_eq!((none.entropy(), none.snr_db()), (0.0, None));
    }
}
