//! Central moments, merged over parts.

/// Count, mean, and sums of powers of the deviations from the mean.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Moments {
    count: f64,
    mean: f64,
    second: f64,
    third: f64,
    fourth: f64,
}

impl Moments {
    /// The moments of an array, in two passes.
    pub(super) fn of(numbers: &[f32]) -> Self {
        let count = numbers.len() as f64;
        let mean = numbers.iter().map(|&x| f64::from(x)).sum::<f64>() / count.max(1.0);
        let mut moments = Self { count, mean, ..Self::default() };
        for &x in numbers {
            let distance = f64::from(x) - mean;
            let square = distance * distance;
            moments.second += square;
            moments.third += square * distance;
            moments.fourth += square * square;
        }
        moments
    }

    /// The moments of the union of two parts (Pébay, 2008).
    pub(super) fn merged(self, other: Self) -> Self {
        let (a, b) = (self.count, other.count);
        if a == 0.0 || b == 0.0 {
            return if a == 0.0 { other } else { self };
        }
        let n = a + b;
        let d = other.mean - self.mean;
        let second = self.second + other.second + d * d * a * b / n;
        let third = self.third
            + other.third
            + d.powi(3) * a * b * (a - b) / (n * n)
            + 3.0 * d * (a * other.second - b * self.second) / n;
        let fourth = self.fourth
            + other.fourth
            + d.powi(4) * a * b * (a * a - a * b + b * b) / n.powi(3)
            + 6.0 * d * d * (a * a * other.second + b * b * self.second) / (n * n)
            + 4.0 * d * (a * other.third - b * self.third) / n;
        Self { count: n, mean: self.mean + d * b / n, second, third, fourth }
    }

    /// The fourth central moment ÷ the square of the second; 0 if all numbers are equal.
    pub(super) fn kurtosis(&self) -> f64 {
        let square = self.second * self.second;
        if square > 0.0 { self.fourth * self.count / square } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merged_moments_equal_those_of_all_numbers() {
        let numbers: Vec<f32> = (0..1000).map(|i| ((i * i) % 97) as f32 - 20.0).collect();
        let whole = Moments::of(&numbers);
        for cut in [0, 1, 300, 1000] {
            let (a, b) = numbers.split_at(cut);
            let both = Moments::of(a).merged(Moments::of(b));
            for (x, y) in [
                (both.mean, whole.mean),
                (both.second, whole.second),
                (both.third, whole.third),
                (both.fourth, whole.fourth),
            ] {
                assert!((x - y).abs() < 1e-9 * y.abs(), "{x} {y}");
            }
        }
    }
}
