//! Line charts.

use super::axis::{Axis, FittedAxis};
use super::canvas::{Anchor, Canvas, Heading, LegendEntry, WIDTH, text_width};
use super::chart::Chart;
use super::theme::{GRID, MUTED, series_colour};

/// Height of the plot.
const HEIGHT: f64 = 222.0;
/// Height of tick labels and axis label.
const BELOW: f64 = 50.0;
const RIGHT_MARGIN: f64 = 22.0;
const TICK_LENGTH: f64 = 4.0;

/// Several series over the same axes.
pub struct LineChart {
    pub title: String,
    pub x: Axis,
    pub y: Axis,
    pub series: Vec<Series>,
}

pub struct Series {
    name: String,
    points: Vec<(f64, f64)>,
    colour: Option<usize>,
    style: Style,
}

#[derive(Clone, Copy, PartialEq)]
enum Style {
    Line,
    Dashed,
    LineWithDots,
    Dots,
    Reference,
}

impl Series {
    /// A line through points in order, interrupted at points outside of the axes.
    pub fn new(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.into(), points, colour: None, style: Style::Line }
    }

    /// A line with a dot at every point, for measurements.
    pub fn with_dots(self) -> Self {
        Self { style: Style::LineWithDots, ..self }
    }

    /// Dots without a line.
    pub fn only_dots(self) -> Self {
        Self { style: Style::Dots, ..self }
    }

    pub fn dashed(self) -> Self {
        Self { style: Style::Dashed, ..self }
    }

    /// A dashed grey line, for a reference that the other series are compared with.
    pub fn reference(self) -> Self {
        Self { style: Style::Reference, ..self }
    }

    /// Sets the number of the colour, which by default is the position in the list of series.
    pub fn coloured(self, number: usize) -> Self {
        Self { colour: Some(number), ..self }
    }

    fn colour(&self, position: usize) -> &'static str {
        match self.style {
            Style::Reference => MUTED,
            _ => series_colour(self.colour.unwrap_or(position)),
        }
    }

    fn is_dashed(&self) -> bool {
        matches!(self.style, Style::Dashed | Style::Reference)
    }

    /// The connected parts within the axes. Points above or below the vertical axis are moved to
    /// its end.
    fn parts(&self, x: &FittedAxis, y: &FittedAxis) -> Vec<Vec<(f64, f64)>> {
        let mut parts = vec![Vec::new()];
        for point in &self.points {
            match (x.position(point.0), y.position(point.1)) {
                (Some(px), Some(py)) if (0.0..=1.0).contains(&px) => {
                    let last = parts.last_mut();
                    let last = last.unwrap_or_else(|| unreachable!("there is always one"));
                    last.push((px, py.clamp(0.0, 1.0)));
                }
                _ => parts.push(Vec::new()),
            }
        }
        parts.retain(|part| !part.is_empty());
        parts
    }
}

impl LineChart {
    pub fn draw(&self) -> Chart {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let x = self.x.fit(points().map(|point| point.0));
        let y = self.y.fit(points().map(|point| point.1));
        let heading = Heading { title: &self.title, legend: self.legend(), y_label: &self.y.label };
        let (mut canvas, top) = Canvas::with_heading(&heading, HEIGHT + BELOW);
        let left = text_width(y.longest_label()) + 20.0;
        let frame = Frame { left, right: WIDTH - RIGHT_MARGIN, top, bottom: top + HEIGHT };
        frame.draw_axes(&mut canvas, &x, &y, &self.x.label);
        for (position, series) in self.series.iter().enumerate() {
            let colour = series.colour(position);
            for part in series.parts(&x, &y) {
                let points: Vec<_> = part.into_iter().map(|point| frame.place(point)).collect();
                if series.style != Style::Dots {
                    canvas.line(&points, colour, 2.0, series.is_dashed());
                }
                if matches!(series.style, Style::Dots | Style::LineWithDots) {
                    points.into_iter().for_each(|point| canvas.dot(point, colour));
                }
            }
        }
        canvas.finish()
    }

    /// Empty for a single series, which the title describes.
    fn legend(&self) -> Vec<LegendEntry<'_>> {
        if self.series.len() < 2 {
            return Vec::new();
        }
        let mut legend = Vec::new();
        for (position, series) in self.series.iter().enumerate() {
            legend.push(LegendEntry {
                name: &series.name,
                colour: series.colour(position),
                dashed: series.is_dashed(),
            });
        }
        legend
    }
}

/// The edges of the plot.
struct Frame {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

impl Frame {
    /// The point of positions on both axes, 0 to 1.
    fn place(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let x = self.left + x * (self.right - self.left);
        (x, self.bottom - y * (self.bottom - self.top))
    }

    /// Grid, axes and labels.
    fn draw_axes(&self, canvas: &mut Canvas, x: &FittedAxis, y: &FittedAxis, x_label: &str) {
        for (at, label) in x.ticks() {
            let (at, _) = self.place((at, 0.0));
            canvas.line(&[(at, self.top), (at, self.bottom)], GRID, 1.0, false);
            canvas.line(&[(at, self.bottom), (at, self.bottom + TICK_LENGTH)], MUTED, 1.0, false);
            canvas.text(label, (at, self.bottom + 15.0), MUTED, Anchor::Middle);
        }
        for (at, label) in y.ticks() {
            let (_, at) = self.place((0.0, at));
            canvas.line(&[(self.left, at), (self.right, at)], GRID, 1.0, false);
            canvas.line(&[(self.left - TICK_LENGTH, at), (self.left, at)], MUTED, 1.0, false);
            canvas.text(label, (self.left - TICK_LENGTH - 5.0, at), MUTED, Anchor::End);
        }
        let corner = (self.left, self.bottom);
        canvas.line(&[(self.left, self.top), corner, (self.right, self.bottom)], MUTED, 1.0, false);
        let middle = ((self.left + self.right) / 2.0, self.bottom + 36.0);
        canvas.text(x_label, middle, MUTED, Anchor::Middle);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart() -> LineChart {
        let curve = (0..50).map(|i| (f64::from(i), f64::from(i * i))).collect();
        LineChart {
            title: "Squares & <more>".into(),
            x: Axis::linear("number"),
            y: Axis::log("its square"),
            series: vec![
                Series::new("squares", curve),
                Series::new("one", vec![(3.0, 9.0), (7.0, 49.0)]).with_dots(),
                Series::new("bound", vec![(0.0, 2.0), (49.0, 2.0)]).reference(),
            ],
        }
    }

    #[test]
    fn charts_are_themed_scalable_and_deterministic() {
        let drawn = chart().draw();
        let (inline, file) = (drawn.inline(), drawn.file());
        for svg in [&inline, &file] {
            assert!(svg.contains("role=\"img\"") && svg.contains("viewBox=\"0 0 560 "));
            assert!(svg.contains("<title>Squares &amp; &lt;more&gt;</title>"));
            let start = svg.split_once('>').unwrap().0;
            assert!(!start.contains(" width=") && !start.contains(" height="), "{start}");
            assert!(svg.contains("var(--series-2)") && svg.contains("var(--muted)"));
            assert!(!inline.contains('#'), "colours are variables: {inline}");
        }
        assert!(!inline.contains("<style>") && file.contains("prefers-color-scheme: dark"));
        assert_eq!(chart().draw().file(), file);
    }

    #[test]
    fn a_point_without_a_position_interrupts_a_line() {
        let points = vec![(0.0, 1.0), (1.0, 10.0), (2.0, 0.0), (3.0, 1e9)];
        let x = Axis::linear("").within(0.0..4.0).fit(std::iter::empty());
        let y = Axis::log("").within(1.0..100.0).fit(std::iter::empty());
        let parts = Series::new("", points).parts(&x, &y);
        assert_eq!(parts, [vec![(0.0, 0.0), (0.25, 0.5)], vec![(0.75, 1.0)]]);
    }

    #[test]
    fn an_empty_chart_can_be_drawn() {
        let empty =
            LineChart { series: vec![Series::new("", vec![]), Series::new("", vec![])], ..chart() };
        assert!(empty.draw().inline().contains("</svg>"));
    }
}
