//! SVG elements, and the title and legend of all charts. Units are CSS pixels.

use super::chart::Chart;
use super::theme::{INK, MUTED};
use std::fmt::{Display, Write};

pub const WIDTH: f64 = 560.0;
const MARGIN: f64 = 12.0;
const TITLE_HEIGHT: f64 = 28.0;
const ROW_HEIGHT: f64 = 20.0;
/// Width of the line of a legend entry.
const SWATCH: f64 = 22.0;
const FONT_SIZE: u32 = 14;
/// Dashes and gaps of dashed lines.
const DASHES: &str = " stroke-dasharray=\"5 3\"";

/// An entry of the legend.
#[derive(Clone, Copy)]
pub struct LegendEntry<'a> {
    pub name: &'a str,
    pub colour: &'static str,
    pub dashed: bool,
}

/// What stands above the plot.
pub struct Heading<'a> {
    pub title: &'a str,
    pub legend: Vec<LegendEntry<'a>>,
    /// Label of the vertical axis; can be empty.
    pub y_label: &'a str,
}

/// The horizontal position of text relative to its point.
#[derive(Clone, Copy)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

/// SVG elements under construction. Colours are names of CSS variables.
pub struct Canvas {
    svg: String,
    height: f64,
}

impl Canvas {
    /// Draws the heading. The plot gets `plot_height` below it, from the returned y on.
    pub fn with_heading(heading: &Heading<'_>, plot_height: f64) -> (Self, f64) {
        let rows = legend_rows(&heading.legend);
        let label_height = if heading.y_label.is_empty() { 4.0 } else { ROW_HEIGHT + 6.0 };
        let top = TITLE_HEIGHT + rows.len() as f64 * ROW_HEIGHT + label_height;
        let mut canvas = Self { svg: String::new(), height: top + plot_height };
        let title = escaped(heading.title);
        canvas.element(format_args!("<title>{title}</title>"));
        canvas.text_with(
            &format!("font-size=\"16\" font-weight=\"bold\" fill=\"var({INK})\""),
            heading.title,
            (MARGIN, TITLE_HEIGHT / 2.0 + 2.0),
        );
        let mut y = TITLE_HEIGHT + ROW_HEIGHT / 2.0;
        for row in &rows {
            let mut x = MARGIN;
            for entry in row {
                let line = [(x, y), (x + SWATCH, y)];
                canvas.line(&line, entry.colour, 3.0, entry.dashed);
                canvas.text(entry.name, (x + SWATCH + 6.0, y), INK, Anchor::Start);
                x += entry_width(entry);
            }
            y += ROW_HEIGHT;
        }
        if !heading.y_label.is_empty() {
            canvas.text(heading.y_label, (MARGIN, y), MUTED, Anchor::Start);
        }
        (canvas, top)
    }

    pub fn finish(self) -> Chart {
        Chart {
            attributes: format!(
                "viewBox=\"0 0 {WIDTH} {}\" role=\"img\" stroke-linejoin=\"round\"",
                Number(self.height)
            ),
            content: self.svg,
        }
    }

    /// A line through points.
    pub fn line(&mut self, points: &[(f64, f64)], colour: &str, width: f64, dashed: bool) {
        let mut path = String::new();
        for (x, y) in points {
            let _ = write!(path, "{},{} ", Number(*x), Number(*y));
        }
        let dashes = if dashed { DASHES } else { "" };
        self.element(format_args!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"var({colour})\" \
             stroke-width=\"{width}\"{dashes}/>",
            path.trim_end(),
        ));
    }

    /// A filled rectangle from its upper left corner.
    pub fn rectangle(&mut self, (x, y): (f64, f64), width: f64, height: f64, colour: &str) {
        let [x, y, width, height] = [x, y, width, height].map(Number);
        self.element(format_args!(
            "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" \
             fill=\"var({colour})\"/>"
        ));
    }

    pub fn dot(&mut self, (x, y): (f64, f64), colour: &str) {
        let [x, y] = [x, y].map(Number);
        self.element(format_args!(
            "<circle cx=\"{x}\" cy=\"{y}\" r=\"4\" fill=\"var({colour})\"/>"
        ));
    }

    /// Text, vertically centred on a point.
    pub fn text(&mut self, text: &str, at: (f64, f64), colour: &str, anchor: Anchor) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let attributes = format!("font-size=\"{FONT_SIZE}\" fill=\"var({colour})\"{anchor}");
        self.text_with(&attributes, text, at);
    }

    fn text_with(&mut self, attributes: &str, text: &str, (x, y): (f64, f64)) {
        let [x, y] = [x, y].map(Number);
        let text = escaped(text);
        self.element(format_args!(
            "<text x=\"{x}\" y=\"{y}\" dy=\"0.35em\" {attributes}>{text}</text>"
        ));
    }

    fn element(&mut self, element: impl Display) {
        let _ = writeln!(self.svg, "{element}");
    }
}

/// A coordinate with at most two decimals.
struct Number(f64);

impl Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", (100.0 * self.0).round() / 100.0 + 0.0)
    }
}

/// The approximate width of a number of characters.
pub fn text_width(characters: usize) -> f64 {
    8.0 * characters as f64
}

fn entry_width(entry: &LegendEntry<'_>) -> f64 {
    SWATCH + 6.0 + text_width(entry.name.chars().count()) + 14.0
}

/// The legend in rows, each with as many entries as fit.
fn legend_rows<'a>(legend: &[LegendEntry<'a>]) -> Vec<Vec<LegendEntry<'a>>> {
    let mut rows: Vec<Vec<LegendEntry<'a>>> = Vec::new();
    let mut free = 0.0;
    for entry in legend {
        let width = entry_width(entry);
        match rows.last_mut().filter(|_| width <= free) {
            Some(row) => row.push(*entry),
            None => {
                free = WIDTH - 2.0 * MARGIN + 14.0;
                rows.push(vec![*entry]);
            }
        }
        free -= width;
    }
    rows
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
