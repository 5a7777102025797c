//! Line charts.

use super::Picture;
use super::axis::{Axis, Fitted};
use super::canvas::{Area, Drawn, Entry, FINE, Heading, line, picture, text, text_width};
use super::theme::{self, GRID, MUTED};
use occ::Result;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

/// Height of plot and what stands below it.
const HEIGHT: i32 = 272;

/// Several series over the same axes.
pub struct Lines {
    pub title: String,
    pub x: Axis,
    pub y: Axis,
    pub series: Vec<Series>,
}

/// One of them.
pub struct Series {
    name: String,
    points: Vec<(f64, f64)>,
    colour: Option<usize>,
    look: Look,
}

#[derive(Clone, Copy, PartialEq)]
enum Look {
    Line,
    Dashed,
    /// A line with a dot at every point.
    Dotted,
    /// Dots alone.
    Dots,
    Reference,
}

impl Series {
    /// A line through points, in the order of them; where one cannot be shown it is broken.
    pub fn new(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.into(), points, colour: None, look: Look::Line }
    }

    /// With a dot at every point, for measurements.
    pub fn dotted(self) -> Self {
        Self { look: Look::Dotted, ..self }
    }

    /// Dots without a line.
    pub fn dots(self) -> Self {
        Self { look: Look::Dots, ..self }
    }

    pub fn dashed(self) -> Self {
        Self { look: Look::Dashed, ..self }
    }

    /// Dashed and without a colour, for what the others are to be compared to.
    pub fn reference(self) -> Self {
        Self { look: Look::Reference, ..self }
    }

    /// In the colour of that number, which otherwise is the series' place in the list.
    pub fn coloured(self, number: usize) -> Self {
        Self { colour: Some(number), ..self }
    }
}

impl Lines {
    pub fn draw(&self) -> Result<Picture> {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let x = self.x.fit(points().map(|point| point.0));
        let y = self.y.fit(points().map(|point| point.1));
        let heading = Heading { title: &self.title, legend: self.legend(), y_label: &self.y.label };
        picture(&heading, HEIGHT, |area, top| {
            let mut frame = Frame::draw(area, top, (&x, &y), &self.x.label)?;
            for (number, series) in self.series.iter().enumerate() {
                let colour = series_colour(series, number);
                for run in self.runs(series, &x, &y) {
                    frame.series(&run, colour, series.look)?;
                }
            }
            Ok(())
        })
    }

    /// None for a single line: the title says what it is.
    fn legend(&self) -> Vec<Entry<'_>> {
        if self.series.len() < 2 {
            return Vec::new();
        }
        let mut legend = Vec::new();
        for (number, series) in self.series.iter().enumerate() {
            legend.push(Entry {
                name: &series.name,
                colour: series_colour(series, number),
                dashed: matches!(series.look, Look::Dashed | Look::Reference),
            });
        }
        legend
    }

    /// The parts of a series that can be shown; what is too high or low runs along the edge.
    fn runs(&self, series: &Series, x: &Fitted, y: &Fitted) -> Vec<Vec<(f64, f64)>> {
        let mut runs = vec![Vec::new()];
        for point in &series.points {
            let place = (self.x.place(point.0), self.y.place(point.1));
            let shown = (x.range.start..=x.range.end).contains(&place.0) && !place.1.is_nan();
            if shown {
                let place = (place.0, place.1.clamp(y.range.start, y.range.end));
                runs.last_mut().unwrap_or_else(|| unreachable!("there is always one")).push(place);
            } else {
                runs.push(Vec::new());
            }
        }
        runs.retain(|run| !run.is_empty());
        runs
    }
}

fn series_colour(series: &Series, number: usize) -> RGBColor {
    match series.look {
        Look::Reference => MUTED,
        _ => theme::series(series.colour.unwrap_or(number)),
    }
}

/// Axes that are drawn, for series to be drawn over.
struct Frame<'a, 'b>(ChartContext<'a, SVGBackend<'b>, Cartesian2d<Fitted, Fitted>>);

impl<'a, 'b> Frame<'a, 'b> {
    /// Draws grid, ticks and names.
    fn draw(
        area: &'a Area<'b>,
        top: i32,
        (x, y): (&Fitted, &Fitted),
        x_label: &str,
    ) -> Drawn<Self> {
        let mut chart = ChartBuilder::on(area)
            .margin_top(top * FINE)
            .margin_right(22 * FINE)
            .margin_bottom(6 * FINE)
            .x_label_area_size(44 * FINE)
            .y_label_area_size((text_width(y.longest()) + 20) * FINE)
            .build_cartesian_2d(x.clone(), y.clone())?;
        chart
            .configure_mesh()
            .bold_line_style(line(GRID, 1.0))
            .axis_style(line(MUTED, 1.0))
            .set_all_tick_mark_size(4 * FINE)
            .label_style(text(MUTED, HPos::Center, VPos::Center))
            .axis_desc_style(text(MUTED, HPos::Center, VPos::Center))
            .x_desc(x_label)
            .draw()?;
        Ok(Self(chart))
    }

    fn series(&mut self, places: &[(f64, f64)], colour: RGBColor, look: Look) -> Drawn {
        let points = || places.iter().copied();
        match look {
            Look::Line | Look::Dotted => {
                self.0.draw_series(LineSeries::new(points(), line(colour, 2.0)))?;
            }
            Look::Dashed | Look::Reference => {
                let (dash, gap) = (5 * FINE, 3 * FINE);
                let style = line(colour, 2.0);
                self.0.draw_series(DashedLineSeries::new(points(), dash, gap, style))?;
            }
            Look::Dots => {}
        }
        if matches!(look, Look::Dotted | Look::Dots) {
            let dot = |place| Circle::new(place, 4 * FINE, ShapeStyle::from(&colour).filled());
            self.0.draw_series(points().map(dot))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart() -> Lines {
        let curve = (0..50).map(|i| (f64::from(i), f64::from(i * i))).collect();
        Lines {
            title: "Squares & <more>".into(),
            x: Axis::linear("number"),
            y: Axis::log("its square"),
            series: vec![
                Series::new("squares", curve),
                Series::new("one", vec![(3.0, 9.0), (7.0, 49.0)]).dotted(),
                Series::new("bound", vec![(0.0, 2.0), (49.0, 2.0)]).reference(),
            ],
        }
    }

    #[test]
    fn pictures_are_themed_scaled_and_always_the_same() {
        let picture = chart().draw().unwrap();
        let (inline, file) = (picture.inline(), picture.file());
        for svg in [&inline, &file] {
            assert!(svg.contains("role=\"img\"") && svg.contains("viewBox=\"0 0 5600 "));
            assert!(svg.contains("<title>Squares &amp; &lt;more&gt;</title>"));
            let start = svg.split_once('>').unwrap().0;
            assert!(!start.contains(" width=") && !start.contains(" height="), "{start}");
            assert!(svg.contains("var(--series-2)") && svg.contains("var(--muted)"));
            assert!(!svg.contains("#0CC0"));
        }
        assert!(!inline.contains("<style>") && file.contains("prefers-color-scheme: dark"));
        assert_eq!(chart().draw().unwrap().file(), file);
    }

    #[test]
    fn what_has_no_place_breaks_a_line() {
        let points = vec![(0.0, 1.0), (1.0, 10.0), (2.0, 0.0), (3.0, 1e9)];
        let lines = Lines { y: Axis::log("").within(1.0..100.0), ..chart() };
        let x = lines.x.fit([0.0, 3.0].into_iter());
        let y = lines.y.fit(std::iter::empty());
        let runs = lines.runs(&Series::new("", points), &x, &y);
        assert_eq!(runs, [vec![(0.0, 0.0), (1.0, 1.0)], vec![(3.0, 2.0)]]);
    }

    #[test]
    fn nothing_can_be_drawn() {
        let nothing =
            Lines { series: vec![Series::new("", vec![]), Series::new("", vec![])], ..chart() };
        assert!(nothing.draw().unwrap().inline().contains("</svg>"));
    }
}
