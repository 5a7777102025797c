//! Axes: ranges, ticks and their labels.

use crate::numbers::{grouped, superscript};
use std::ops::Range;

/// An axis. Without a range of its own it covers all data.
#[derive(Clone)]
pub struct Axis {
    pub label: String,
    scale: Scale,
    range: Option<Range<f64>>,
}

#[derive(Clone, Copy, PartialEq)]
enum Scale {
    Linear,
    Log,
}

impl Scale {
    /// A value on the scale, or its logarithm. `None` if it has none.
    fn apply(self, value: f64) -> Option<f64> {
        match self {
            Self::Linear => Some(value).filter(|value| !value.is_nan()),
            Self::Log => Some(value).filter(|value| *value > 0.0).map(f64::log10),
        }
    }
}

impl Axis {
    pub fn linear(label: impl Into<String>) -> Self {
        Self { label: label.into(), scale: Scale::Linear, range: None }
    }

    /// A logarithmic axis. Values that are not positive are not shown.
    pub fn log(label: impl Into<String>) -> Self {
        Self { label: label.into(), scale: Scale::Log, range: None }
    }

    pub fn within(self, range: Range<f64>) -> Self {
        Self { range: Some(range), ..self }
    }

    /// Chooses range and ticks, given all values.
    pub fn fit(&self, values: impl Iterator<Item = f64>) -> FittedAxis {
        let scaled = values.filter_map(|value| self.scale.apply(value));
        let data =
            scaled.filter(|value| value.is_finite()).fold(None, |data: Option<Range<f64>>, x| {
                Some(data.map_or(x..x, |data| data.start.min(x)..data.end.max(x)))
            });
        let requested = self
            .range
            .as_ref()
            .and_then(|range| Some(self.scale.apply(range.start)?..self.scale.apply(range.end)?));
        let is_requested = requested.is_some();
        let mut range = requested.or(data).unwrap_or(0.0..1.0);
        if range.end - range.start < 1e-9 * (1.0 + range.end.abs()) {
            range = range.start - 0.5..range.end + 0.5;
        }
        let (range, ticks) = match self.scale {
            Scale::Linear => linear_ticks(range, is_requested),
            Scale::Log => log_ticks(range, is_requested),
        };
        FittedAxis { scale: self.scale, range, ticks }
    }
}

/// An axis with range and ticks. On a logarithmic axis these are logarithms.
#[derive(Clone)]
pub struct FittedAxis {
    scale: Scale,
    range: Range<f64>,
    /// Values on the scale, and labels.
    ticks: Vec<(f64, String)>,
}

impl FittedAxis {
    /// The position of a value: 0 at the start of the axis, 1 at its end. `None` for values that
    /// cannot be shown.
    pub fn position(&self, value: f64) -> Option<f64> {
        self.scale.apply(value).map(|scaled| self.share(scaled))
    }

    fn share(&self, scaled: f64) -> f64 {
        (scaled - self.range.start) / (self.range.end - self.range.start)
    }

    /// Positions and labels of ticks.
    pub fn ticks(&self) -> impl Iterator<Item = (f64, &str)> {
        self.ticks.iter().map(|(scaled, label)| (self.share(*scaled), label.as_str()))
    }

    /// Characters in the longest label.
    pub fn longest_label(&self) -> usize {
        self.ticks.iter().map(|(_, label)| label.chars().count()).max().unwrap_or(0)
    }
}

type Ticks = (Range<f64>, Vec<(f64, String)>);

/// Four to nine ticks at a round distance. The range is extended to ticks unless it is exact.
fn linear_ticks(range: Range<f64>, exact: bool) -> Ticks {
    let step = round_step((range.end - range.start) / 4.0);
    let (first, last) = if exact {
        ((range.start / step - 1e-9).ceil(), (range.end / step + 1e-9).floor())
    } else {
        ((range.start / step + 1e-9).floor(), (range.end / step - 1e-9).ceil())
    };
    let decimals = (-step.log10().floor()).max(0.0) as usize;
    let tick = |number: i64| (number as f64 * step, decimal(number as f64 * step, decimals));
    let range = if exact { range } else { first * step..last * step };
    (range, (first as i64..=last as i64).map(tick).collect())
}

/// The largest of 1, 2 and 5 times a power of ten that is at most `most`.
fn round_step(most: f64) -> f64 {
    let power = 10f64.powf(most.log10().floor());
    let factor = [5.0, 2.0].into_iter().find(|factor| factor * power <= most * (1.0 + 1e-9));
    factor.unwrap_or(1.0) * power
}

/// At most seven ticks at powers of ten. If there are few, also at 2 and 5 times powers of ten.
fn log_ticks(range: Range<f64>, exact: bool) -> Ticks {
    let margin = if exact { 0.0 } else { 0.03 * (range.end - range.start) };
    let range = range.start - margin..range.end + margin;
    let powers = (range.start - 1e-9).ceil() as i32..=(range.end + 1e-9).floor() as i32;
    let every = (powers.clone().count() as i32).div_euclid(8) + 1;
    let factors: &[f64] = if powers.clone().count() < 3 { &[1.0, 2.0, 5.0] } else { &[1.0] };
    let mut ticks = Vec::new();
    for power in powers.start() - 1..=*powers.end() {
        for &factor in factors {
            let place = f64::from(power) + factor.log10();
            let within = (range.start - 1e-9..=range.end + 1e-9).contains(&place);
            if within && power.rem_euclid(every) == 0 {
                ticks.push((place, power_label(factor, power)));
            }
        }
    }
    (range, ticks)
}

/// A number with decimals, a minus sign and thousands separators.
fn decimal(number: f64, decimals: usize) -> String {
    let digits = format!("{:.decimals$}", number.abs());
    let sign = if number < 0.0 && digits.bytes().any(|b| b.is_ascii_digit() && b != b'0') {
        "−"
    } else {
        ""
    };
    let (whole, rest) = digits.split_once('.').map_or((&*digits, None), |(w, r)| (w, Some(r)));
    let whole = whole.parse().map_or_else(|_| whole.to_owned(), grouped);
    rest.map_or_else(|| format!("{sign}{whole}"), |rest| format!("{sign}{whole}.{rest}"))
}

/// `0.01`, `1`, `5,000`, `10⁷`, `2·10⁻⁵`.
fn power_label(factor: f64, power: i32) -> String {
    if (-3..=5).contains(&power) {
        return decimal(factor * 10f64.powi(power), (-power).max(0) as usize);
    }
    let power = superscript(power);
    if factor == 1.0 { format!("10{power}") } else { format!("{factor}·10{power}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis, values: &[f64]) -> Vec<String> {
        let axis = axis.fit(values.iter().copied());
        axis.ticks.into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn ticks_are_round_and_few() {
        let axis = Axis::linear("x");
        assert_eq!(labels(&axis, &[-39.0, 1.0]), ["−40", "−30", "−20", "−10", "0", "10"]);
        assert_eq!(labels(&axis, &[0.0, 1.0]), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(labels(&axis, &[0.0, 4000.0])[4], "4,000");
        let fixed = axis.within(0.5..4.2);
        assert_eq!(labels(&fixed, &[]), ["0.5", "1.0", "1.5", "2.0", "2.5", "3.0", "3.5", "4.0"]);
        for exponent in -8..8 {
            for most in [1.0, 1.7, 3.3, 9.9] {
                let axis = Axis::linear("").fit([0.0, most * 10f64.powi(exponent)].into_iter());
                assert!((4..=10).contains(&axis.ticks.len()), "{:?}", axis.ticks);
            }
        }
    }

    #[test]
    fn logarithmic_ticks_are_powers_of_ten() {
        let axis = Axis::log("x");
        let decades = ["0.01", "0.1", "1", "10", "100", "1,000"];
        assert_eq!(labels(&axis, &[0.01, 0.0, -3.0, 1000.0]), decades);
        assert_eq!(labels(&axis, &[0.9, 24.0]), ["1", "2", "5", "10", "20"]);
        assert_eq!(labels(&axis, &[1e6, 1e9]), ["10⁶", "10⁷", "10⁸", "10⁹"]);
        assert_eq!(labels(&axis, &[1.5e-8, 9e-8]), ["2·10⁻⁸", "5·10⁻⁸"]);
        assert!(labels(&axis, &[1e-20, 1.0]).len() <= 8);
        assert!(axis.fit([1.0, 1e4].into_iter()).position(0.0).is_none());
    }

    #[test]
    fn an_axis_of_one_value_has_a_range_and_ticks() {
        for values in [&[][..], &[3.0], &[0.0, 0.0], &[f64::NAN]] {
            let axis = Axis::linear("").fit(values.iter().copied());
            assert!(axis.range.end > axis.range.start && axis.ticks.len() > 2, "{values:?}");
        }
    }
}
