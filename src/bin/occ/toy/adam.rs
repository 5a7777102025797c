//! The optimiser Adam (Kingma and Ba, 2014).

/// The state of the optimiser.
pub struct Adam {
    /// Moving averages of gradients and of squared gradients.
    first: Vec<f32>,
    second: Vec<f32>,
    /// β₁ and β₂ to the power of the number of steps.
    powers: (f64, f64),
}

const BETA: (f64, f64) = (0.9, 0.999);
const EPSILON: f32 = 1e-8;

impl Adam {
    pub fn new(parameters: usize) -> Self {
        Self { first: vec![0.0; parameters], second: vec![0.0; parameters], powers: (1.0, 1.0) }
    }

    /// Moves each parameter against its gradient, by about `rate`.
    pub fn step(&mut self, parameters: &mut [f32], gradient: &[f32], rate: f64) {
        self.powers = (self.powers.0 * BETA.0, self.powers.1 * BETA.1);
        // Corrects the bias of averages that start at zero.
        let rate = (rate / (1.0 - self.powers.0)) as f32;
        let correction = (1.0 / (1.0 - self.powers.1)) as f32;
        let (keep_first, keep_second) = (BETA.0 as f32, BETA.1 as f32);
        let averages = self.first.iter_mut().zip(&mut self.second);
        for ((x, &g), (first, second)) in parameters.iter_mut().zip(gradient).zip(averages) {
            *first = keep_first * *first + (1.0 - keep_first) * g;
            *second = keep_second * *second + (1.0 - keep_second) * g * g;
            *x -= rate * *first / ((correction * *second).sqrt() + EPSILON);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_step_has_the_size_of_the_rate() {
        let mut x = [1.0, 1.0, 1.0];
        Adam::new(3).step(&mut x, &[1e-3, -70.0, 0.0], 0.25);
        assert!((x[0] - 0.75).abs() < 1e-4 && (x[1] - 1.25).abs() < 1e-4 && x[2] == 1.0, "{x:?}");
    }

    #[test]
    fn the_minimum_of_a_quadratic_is_found() {
        // Σ c·(x − m)² with very different curvatures.
        let (c, m) = ([100.0, 1.0, 0.01], [3.0, -2.0, 0.5]);
        let mut x = [0f32; 3];
        let mut adam = Adam::new(3);
        for step in 0..4000 {
            let gradient: [f32; 3] = std::array::from_fn(|i| 2.0 * c[i] * (x[i] - m[i]));
            adam.step(&mut x, &gradient, 0.05 * (1.0 - f64::from(step) / 4000.0));
        }
        assert!(x.iter().zip(m).all(|(x, m)| (x - m).abs() < 1e-3), "{x:?}");
    }
}
