//! Horizontal bars, in groups, with their values.

use super::Picture;
use super::axis::Axis;
use super::canvas::{Area, Drawn, Entry, FINE, Heading, line, picture, text, text_width};
use super::theme::{self, GRID, INK, MUTED};
use occ::Result;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

/// Heights of a bar, and of the space between groups.
const BAR: i32 = 18;
const SPACE: i32 = 10;
/// What stands below the bars: ticks' names and the axis's label.
const BELOW: i32 = 44;
const RIGHT: i32 = 22;
const WIDTH: i32 = 560;

/// Groups of bars, one of each group for each series.
pub struct Bars {
    pub title: String,
    /// From 0, or from the left end of a range.
    pub x: Axis,
    /// What the bars of each group are, in order.
    pub series: Vec<String>,
    pub groups: Vec<Bar>,
    /// A value to compare with, and its name.
    pub reference: Option<(String, f64)>,
    /// How values are written.
    pub format: fn(f64) -> String,
}

/// One group.
pub struct Bar {
    pub label: String,
    /// One for each series.
    pub values: Vec<f64>,
}

impl Bars {
    pub fn draw(&self) -> Result<Picture> {
        let group_height = BAR * self.series.len() as i32 + SPACE;
        let height = group_height * self.groups.len() as i32 + BELOW;
        let heading = Heading { title: &self.title, legend: self.legend(), y_label: "" };
        picture(&heading, height, |area, top| self.plot(area, top, group_height))
    }

    fn legend(&self) -> Vec<Entry<'_>> {
        let entry = |(number, name)| Entry { name, colour: theme::series(number), dashed: false };
        let names = self.series.iter().map(String::as_str).enumerate().map(entry);
        let mut legend: Vec<Entry<'_>> = names.filter(|_| self.series.len() > 1).collect();
        if let Some((name, _)) = &self.reference {
            legend.push(Entry { name, colour: MUTED, dashed: true });
        }
        legend
    }

    fn plot(&self, area: &Area<'_>, top: i32, group_height: i32) -> Drawn {
        let values = self.groups.iter().flat_map(|group| &group.values).copied();
        let reference = self.reference.iter().map(|(_, value)| *value);
        let zero = Some(0.0).into_iter(); // no place on a logarithmic axis
        let x = self.x.fit(values.chain(reference).chain(zero));
        let labels = self.groups.iter().map(|group| group.label.chars().count());
        let left = text_width(labels.max().unwrap_or(0)) + 18;
        // Room for the value at the end of the longest bar.
        let width = WIDTH - left - RIGHT - text_width(7);
        let bottom = top + group_height * self.groups.len() as i32;
        let along = |place: f64| {
            let share = (place - x.range.start) / (x.range.end - x.range.start);
            left * FINE + (share.clamp(0.0, 1.0) * f64::from(width * FINE)) as i32
        };
        let upright =
            |at: i32, style| PathElement::new(vec![(at, top * FINE), (at, bottom * FINE)], style);
        for (tick, name) in x.named() {
            area.draw(&upright(along(tick), line(GRID, 1.0)))?;
            let style = text(MUTED, HPos::Center, VPos::Center);
            area.draw_text(name, &style, (along(tick), (bottom + 12) * FINE))?;
        }
        let middle = ((left + width / 2) * FINE, (bottom + 32) * FINE);
        area.draw_text(&self.x.label, &text(MUTED, HPos::Center, VPos::Center), middle)?;
        let y_of = |number: usize| top + group_height * number as i32 + SPACE / 2;
        let end_of = |value: f64| {
            let place = self.x.place(value);
            along(if place.is_nan() { x.range.start } else { place })
        };
        for (number, group) in self.groups.iter().enumerate() {
            for (series, &value) in group.values.iter().enumerate() {
                let y = y_of(number) + BAR * series as i32;
                let corners =
                    [(left * FINE, (y + 1) * FINE), (end_of(value), (y + BAR - 1) * FINE)];
                area.draw(&Rectangle::new(corners, theme::series(series).filled()))?;
            }
        }
        area.draw(&upright(left * FINE, line(MUTED, 1.0)))?;
        if let Some((_, value)) = &self.reference {
            let at = along(self.x.place(*value));
            for from in (top..bottom).step_by(8) {
                let ends = vec![(at, from * FINE), (at, (from + 5).min(bottom) * FINE)];
                area.draw(&PathElement::new(ends, line(MUTED, 2.0)))?;
            }
        }
        for (number, group) in self.groups.iter().enumerate() {
            let y = y_of(number);
            let label = ((left - 8) * FINE, (y + (group_height - SPACE) / 2) * FINE);
            area.draw_text(&group.label, &text(INK, HPos::Right, VPos::Center), label)?;
            for (series, &value) in group.values.iter().enumerate() {
                let at =
                    (end_of(value) + 5 * FINE, (2 * (y + BAR * series as i32) + BAR) * FINE / 2);
                let style = text(INK, HPos::Left, VPos::Center);
                area.draw_text(&(self.format)(value), &style, at)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_their_values() {
        let bar =
            |label: &str, values: &[f64]| Bar { label: label.into(), values: values.to_vec() };
        let bars = Bars {
            title: "t".into(),
            x: Axis::linear("x"),
            series: vec!["before".into(), "after".into()],
            groups: vec![bar("one", &[4.0, 1.0]), bar("two", &[2.0, 0.0])],
            reference: Some(("three".into(), 3.0)),
            format: |value| format!("{value:.1}!"),
        };
        let svg = bars.draw().unwrap().inline();
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
