//! Axes: from where to where, where ticks are, and what they are called.

use crate::numbers::{grouped, raised};
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use std::ops::Range;

/// What an axis shows. Without a range of its own it takes in all data.
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

impl Axis {
    pub fn linear(label: impl Into<String>) -> Self {
        Self { label: label.into(), scale: Scale::Linear, range: None }
    }

    /// Powers of ten at equal distances. What is not above zero is not shown.
    pub fn log(label: impl Into<String>) -> Self {
        Self { label: label.into(), scale: Scale::Log, range: None }
    }

    pub fn within(self, range: Range<f64>) -> Self {
        Self { range: Some(range), ..self }
    }

    /// Where a value lies: its logarithm where the scale is; not finite where it has no place.
    pub fn place(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Linear => value,
            Scale::Log if value > 0.0 => value.log10(),
            Scale::Log => f64::NAN,
        }
    }

    /// Settles the range, given all values that are to be shown.
    pub fn fit(&self, values: impl Iterator<Item = f64>) -> Fitted {
        let places = values.map(|value| self.place(value)).filter(|place| place.is_finite());
        let all = places.fold(None, |all: Option<Range<f64>>, place| {
            Some(all.map_or(place..place, |all| all.start.min(place)..all.end.max(place)))
        });
        let asked = self.range.as_ref().map(|range| self.place(range.start)..self.place(range.end));
        let mut range = asked.clone().or(all).unwrap_or(0.0..1.0);
        if range.end - range.start < 1e-9 * (1.0 + range.end.abs()) {
            range = range.start - 0.5..range.end + 0.5;
        }
        match self.scale {
            Scale::Linear => linear(range, asked.is_some()),
            Scale::Log => log(range, asked.is_some()),
        }
    }
}

/// A settled axis; all in places.
#[derive(Clone)]
pub struct Fitted {
    pub range: Range<f64>,
    ticks: Vec<f64>,
    names: Vec<String>,
}

impl Fitted {
    /// Ticks and what they are called.
    pub fn named(&self) -> impl Iterator<Item = (f64, &str)> {
        self.ticks.iter().copied().zip(self.names.iter().map(String::as_str))
    }

    /// Characters in the longest name.
    pub fn longest(&self) -> usize {
        self.names.iter().map(|name| name.chars().count()).max().unwrap_or(0)
    }
}

impl Ranged for Fitted {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, place: &f64, (from, to): (i32, i32)) -> i32 {
        let share = (place - self.range.start) / (self.range.end - self.range.start);
        from + (share * f64::from(to - from)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        // Between ticks there are no lighter lines.
        if hint.weight().allow_light_points() { Vec::new() } else { self.ticks.clone() }
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

impl ValueFormatter<f64> for Fitted {
    fn format_ext(&self, place: &f64) -> String {
        let tick = self.named().find(|tick| tick.0 == *place);
        tick.map_or_else(String::new, |(_, name)| name.to_owned())
    }
}

/// Four to nine ticks, a round number apart; the range ends on them unless it is asked for.
fn linear(range: Range<f64>, exact: bool) -> Fitted {
    let step = round_step((range.end - range.start) / 4.0);
    let (first, last) = if exact {
        ((range.start / step - 1e-9).ceil(), (range.end / step + 1e-9).floor())
    } else {
        ((range.start / step + 1e-9).floor(), (range.end / step - 1e-9).ceil())
    };
    let ticks: Vec<f64> = (first as i64..=last as i64).map(|tick| tick as f64 * step).collect();
    let decimals = (-step.log10().floor()).max(0.0) as usize;
    let names = ticks.iter().map(|&tick| plain(tick, decimals)).collect();
    let range = if exact { range } else { first * step..last * step };
    Fitted { range, ticks, names }
}

/// The largest of 1, 2 and 5 times a power of ten that is no more than `most`.
fn round_step(most: f64) -> f64 {
    let power = 10f64.powf(most.log10().floor());
    let factor = [5.0, 2.0].into_iter().find(|factor| factor * power <= most * (1.0 + 1e-9));
    factor.unwrap_or(1.0) * power
}

/// Ticks at powers of ten, at most seven; between them at 2 and 5 times, where there are few.
fn log(range: Range<f64>, exact: bool) -> Fitted {
    let margin = if exact { 0.0 } else { 0.03 * (range.end - range.start) };
    let range = range.start - margin..range.end + margin;
    let powers = (range.start - 1e-9).ceil() as i32..=(range.end + 1e-9).floor() as i32;
    let every = (powers.clone().count() as i32).div_euclid(8) + 1;
    let factors: &[f64] = if powers.clone().count() < 3 { &[1.0, 2.0, 5.0] } else { &[1.0] };
    let (mut ticks, mut names) = (Vec::new(), Vec::new());
    for power in powers.start() - 1..=*powers.end() {
        for &factor in factors {
            let place = f64::from(power) + factor.log10();
            let within = (range.start - 1e-9..=range.end + 1e-9).contains(&place);
            if within && power.rem_euclid(every) == 0 {
                ticks.push(place);
                names.push(power_name(factor, power));
            }
        }
    }
    Fitted { range, ticks, names }
}

/// A number with its decimals, a true minus, and thousands apart.
fn plain(number: f64, decimals: usize) -> String {
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
fn power_name(factor: f64, power: i32) -> String {
    if (-3..=5).contains(&power) {
        return plain(factor * 10f64.powi(power), (-power).max(0) as usize);
    }
    let power = raised(power);
    if factor == 1.0 { format!("10{power}") } else { format!("{factor}·10{power}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(axis: &Axis, values: &[f64]) -> Vec<String> {
        axis.fit(values.iter().copied()).names
    }

    #[test]
    fn ticks_are_round_and_few() {
        let axis = Axis::linear("x");
        assert_eq!(names(&axis, &[-39.0, 1.0]), ["−40", "−30", "−20", "−10", "0", "10"]);
        assert_eq!(names(&axis, &[0.0, 1.0]), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(names(&axis, &[0.0, 4000.0])[4], "4,000");
        let fixed = axis.within(0.5..4.2);
        assert_eq!(names(&fixed, &[]), ["0.5", "1.0", "1.5", "2.0", "2.5", "3.0", "3.5", "4.0"]);
        for exponent in -8..8 {
            for most in [1.0, 1.7, 3.3, 9.9] {
                let fitted = Axis::linear("").fit([0.0, most * 10f64.powi(exponent)].into_iter());
                assert!((4..=10).contains(&fitted.ticks.len()), "{:?}", fitted.names);
            }
        }
    }

    #[test]
    fn logarithmic_ticks_are_powers_of_ten() {
        let axis = Axis::log("x");
        let decades = ["0.01", "0.1", "1", "10", "100", "1,000"];
        assert_eq!(names(&axis, &[0.01, 0.0, -3.0, 1000.0]), decades);
        assert_eq!(names(&axis, &[0.9, 24.0]), ["1", "2", "5", "10", "20"]);
        assert_eq!(names(&axis, &[1e6, 1e9]), ["10⁶", "10⁷", "10⁸", "10⁹"]);
        assert_eq!(names(&axis, &[1.5e-8, 9e-8]), ["2·10⁻⁸", "5·10⁻⁸"]);
        assert!(names(&axis, &[1e-20, 1.0]).len() <= 8);
        assert!(axis.place(0.0).is_nan() && axis.place(100.0) == 2.0);
    }

    #[test]
    fn an_axis_without_width_still_has_ticks() {
        for values in [&[][..], &[3.0], &[0.0, 0.0], &[f64::NAN]] {
            let fitted = Axis::linear("").fit(values.iter().copied());
            assert!(fitted.range.end > fitted.range.start && fitted.ticks.len() > 2, "{values:?}");
        }
    }
}
