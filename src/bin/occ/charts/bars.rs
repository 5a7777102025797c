//! Horizontal bars in groups, with their values.

use super::axis::Axis;
use super::canvas::{Anchor, Canvas, Heading, LegendEntry, WIDTH, text_width};
use super::chart::Chart;
use super::theme::{GRID, INK, MUTED, series_colour};

const BAR_HEIGHT: f64 = 18.0;
/// Space between groups.
const GAP: f64 = 10.0;
/// Height of tick labels and axis label.
const BELOW: f64 = 44.0;
const RIGHT_MARGIN: f64 = 22.0;
/// Characters of the longest value, which stands at the end of its bar.
const VALUE_LENGTH: usize = 7;

/// Groups of bars, with one bar per series in each group.
pub struct BarChart {
    pub title: String,
    /// Bars start at 0, or at the start of the axis.
    pub x: Axis,
    /// Names of the series.
    pub series: Vec<String>,
    pub groups: Vec<BarGroup>,
    /// The name and value of a reference line.
    pub reference: Option<(String, f64)>,
    /// The format of values.
    pub format: fn(f64) -> String,
}

pub struct BarGroup {
    pub label: String,
    /// A value per series.
    pub values: Vec<f64>,
}

impl BarChart {
    pub fn draw(&self) -> Chart {
        let group_height = BAR_HEIGHT * self.series.len() as f64 + GAP;
        let plot_height = group_height * self.groups.len() as f64;
        let heading = Heading { title: &self.title, legend: self.legend(), y_label: "" };
        let (mut canvas, top) = Canvas::with_heading(&heading, plot_height + BELOW);
        let bottom = top + plot_height;

        let values = self.groups.iter().flat_map(|group| &group.values).copied();
        let reference = self.reference.iter().map(|(_, value)| *value);
        let x = self.x.fit(values.chain(reference).chain([0.0]));
        let labels = self.groups.iter().map(|group| group.label.chars().count());
        let left = text_width(labels.max().unwrap_or(0)) + 18.0;
        let width = WIDTH - left - RIGHT_MARGIN - text_width(VALUE_LENGTH);
        let at = |value: f64| left + x.position(value).unwrap_or(0.0).clamp(0.0, 1.0) * width;

        for (position, label) in x.ticks() {
            let x = left + position * width;
            canvas.line(&[(x, top), (x, bottom)], GRID, 1.0, false);
            canvas.text(label, (x, bottom + 12.0), MUTED, Anchor::Middle);
        }
        canvas.text(&self.x.label, (left + width / 2.0, bottom + 32.0), MUTED, Anchor::Middle);
        for (number, group) in self.groups.iter().enumerate() {
            let y = top + group_height * number as f64 + GAP / 2.0;
            for (series, &value) in group.values.iter().enumerate() {
                let corner = (left, y + BAR_HEIGHT * series as f64 + 1.0);
                let colour = series_colour(series);
                canvas.rectangle(corner, at(value) - left, BAR_HEIGHT - 2.0, colour);
            }
        }
        canvas.line(&[(left, top), (left, bottom)], MUTED, 1.0, false);
        if let Some((_, value)) = &self.reference {
            canvas.line(&[(at(*value), top), (at(*value), bottom)], MUTED, 2.0, true);
        }
        // Text is drawn last, over the reference line.
        for (number, group) in self.groups.iter().enumerate() {
            let y = top + group_height * number as f64 + GAP / 2.0;
            let middle = y + (group_height - GAP) / 2.0;
            canvas.text(&group.label, (left - 8.0, middle), INK, Anchor::End);
            for (series, &value) in group.values.iter().enumerate() {
                let middle = y + BAR_HEIGHT * (series as f64 + 0.5);
                let end = at(value) + 5.0;
                canvas.text(&(self.format)(value), (end, middle), INK, Anchor::Start);
            }
        }
        canvas.finish()
    }

    fn legend(&self) -> Vec<LegendEntry<'_>> {
        let entry =
            |(number, name)| LegendEntry { name, colour: series_colour(number), dashed: false };
        let names = self.series.iter().map(String::as_str).enumerate().map(entry);
        let mut legend: Vec<_> = names.filter(|_| self.series.len() > 1).collect();
        if let Some((name, _)) = &self.reference {
            legend.push(LegendEntry { name, colour: MUTED, dashed: true });
        }
        legend
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bar_lengths_are_proportional_to_values() {
        let group =
            |label: &str, values: &[f64]| BarGroup { label: label.into(), values: values.to_vec() };
        let bars = BarChart {
            title: "t".into(),
            x: Axis::linear("x"),
            series: vec!["before".into(), "after".into()],
            groups: vec![group("one", &[4.0, 1.0]), group("two", &[2.0, 0.0])],
            reference: Some(("three".into(), 3.0)),
            format: |value| format!("{value:.1}!"),
        };
        let svg = bars.draw().inline();
        let widths = |series: &str| -> Vec<f64> {
            let rects =
                svg.lines().filter(|line| line.starts_with("<rect") && line.contains(series));
            let width = |line: &str| {
                let (_, rest) = line.split_once("width=\"").unwrap();
                rest.split_once('"').unwrap().0.parse().unwrap()
            };
            rects.map(width).collect()
        };
        let (before, after) = (widths("--series-1"), widths("--series-2"));
        assert!((before[0] / before[1] - 2.0).abs() < 0.01, "{before:?}");
        assert!((before[0] / after[0] - 4.0).abs() < 0.01 && after[1] == 0.0, "{after:?}");
        for needed in ["4.0!", "two", "before", "three"] {
            assert!(svg.contains(needed), "{needed} in {svg}");
        }
    }
}
