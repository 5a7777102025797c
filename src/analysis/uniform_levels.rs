//! Entropy and error of numbers rounded to evenly spaced levels.

/// Counts of levels, and energies of numbers and errors.
pub(super) struct UniformLevels {
    counts: Vec<u32>,
    /// Σx².
    energy: f64,
    /// Σ(x − x̂)².
    noise: f64,
}

/// The nearest level from −most to most of a number in units of the step.
pub(super) fn nearest_level(number: f64, most: i32) -> i32 {
    // The cast truncates and saturates.
    ((number + 0.5f64.copysign(number)) as i32).clamp(-most, most)
}

impl UniformLevels {
    /// Rounds to the nearest multiple of a step, from −most to most. A step of 0 gives level 0.
    pub(super) fn of(numbers: &[f32], step: f64, most: i32) -> Self {
        let inverse = if step > 0.0 { step.recip() } else { 0.0 };
        let mut found = Self { counts: vec![0; 2 * most as usize + 1], energy: 0.0, noise: 0.0 };
        for &x in numbers {
            let x = f64::from(x);
            let level = nearest_level(x * inverse, most);
            let error = x - f64::from(level) * step;
            found.counts[(level + most) as usize] += 1;
            found.energy += x * x;
            found.noise += error * error;
        }
        found
    }

    /// Entropy of the levels in bits per number (Shannon, 1948).
    pub(super) fn entropy(&self) -> f64 {
        let total: f64 = self.counts.iter().map(|&count| f64::from(count)).sum();
        let shares = self.counts.iter().filter(|&&count| count > 0);
        shares.fold(0.0, |bits, &count| {
            let share = f64::from(count) / total;
            bits - share * share.log2()
        })
    }

    /// Signal-to-noise ratio in decibels; `None` without errors.
    pub(super) fn snr_db(&self) -> Option<f64> {
        (self.noise > 0.0).then(|| 10.0 * (self.energy / self.noise).log10())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_levels() {
        let levels = [-9.0, -1.5, -0.4, 0.5, 1.4, 2.6].map(|x| nearest_level(x, 2));
        assert_eq!(levels, [-2, -2, 0, 1, 1, 2]);
        let found = UniformLevels::of(&[0.0, 1.0, 0.0, -1.5], 1.0, 1);
        assert_eq!((found.entropy(), found.noise, found.energy), (1.5, 0.25, 3.25));
        assert_eq!(found.snr_db(), Some(10.0 * 13f64.log10()));
        let none = UniformLevels::of(&[], 0.0, 3);
        assert_eq!((none.entropy(), none.snr_db()), (0.0, None));
    }
}
