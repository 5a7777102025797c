//! What all pictures have: title, legend, size, and the way from a drawing to SVG.

use super::Picture;
use super::theme::{self, INK, MUTED};
use occ::Result;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::error::Error;

/// Units of the drawing for each unit of the design, which is 560 wide: points lie at whole ones.
pub const FINE: i32 = 10;

const WIDTH: i32 = 560;
const MARGIN: i32 = 12;
const TITLE_HEIGHT: i32 = 28;
const ROW_HEIGHT: i32 = 20;

/// How wide a character of the usual size is, on average.
const CHARACTER: i32 = 8;
const SWATCH: i32 = 22;

pub type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
pub type Drawn<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// What stands above the plot.
pub struct Heading<'a> {
    pub title: &'a str,
    pub legend: Vec<Entry<'a>>,
    /// What the numbers on the left are; may be empty.
    pub y_label: &'a str,
}

/// A series in the legend.
#[derive(Clone, Copy)]
pub struct Entry<'a> {
    pub name: &'a str,
    pub colour: RGBColor,
    pub dashed: bool,
}

/// Draws heading and plot. `plot` gets the whole area, and how far down it begins.
pub fn picture(
    heading: &Heading<'_>,
    plot_height: i32,
    plot: impl FnOnce(&Area<'_>, i32) -> Drawn,
) -> Result<Picture> {
    let rows = legend_rows(&heading.legend);
    let label_height = if heading.y_label.is_empty() { 4 } else { ROW_HEIGHT + 6 };
    let top = TITLE_HEIGHT + rows.len() as i32 * ROW_HEIGHT + label_height;
    let (width, height) = (WIDTH * FINE, (top + plot_height) * FINE);
    let mut svg = String::new();
    let draw = || -> Drawn {
        let backend = SVGBackend::with_string(&mut svg, (width as u32, height as u32));
        let area = backend.into_drawing_area();
        write_heading(&area, heading, &rows)?;
        plot(&area, top)?;
        area.present()?;
        Ok(())
    };
    draw().map_err(|error| std::io::Error::other(error.to_string()))?;
    Ok(Picture {
        attributes: format!(
            "viewBox=\"0 0 {width} {height}\" role=\"img\" stroke-linejoin=\"round\""
        ),
        content: format!("<title>{}</title>\n{}", escaped(heading.title), drawn(&svg)),
    })
}

/// Plain text of the usual size.
pub fn text(colour: RGBColor, horizontal: HPos, vertical: VPos) -> TextStyle<'static> {
    text_of(14, colour, horizontal, vertical)
}

fn text_of(size: i32, colour: RGBColor, horizontal: HPos, vertical: VPos) -> TextStyle<'static> {
    // The backend draws fonts smaller than asked for, by this factor.
    let size = f64::from(size * FINE) * 1.24;
    ("sans-serif", size).into_font().color(&colour).pos(Pos::new(horizontal, vertical))
}

/// Units of the design that so many characters take.
pub fn text_width(characters: usize) -> i32 {
    CHARACTER * characters as i32
}

/// A line's style.
pub fn line(colour: RGBColor, width: f64) -> ShapeStyle {
    ShapeStyle::from(&colour).stroke_width((width * f64::from(FINE)) as u32)
}

fn entry_width(entry: &Entry<'_>) -> i32 {
    SWATCH + 6 + text_width(entry.name.chars().count()) + 14
}

/// Entries, as many side by side as fit.
fn legend_rows<'a>(legend: &[Entry<'a>]) -> Vec<Vec<Entry<'a>>> {
    let mut rows: Vec<Vec<Entry<'a>>> = Vec::new();
    let mut left = 0;
    for entry in legend {
        let width = entry_width(entry);
        match rows.last_mut().filter(|_| width <= left) {
            Some(row) => row.push(*entry),
            None => {
                left = WIDTH - 2 * MARGIN + 14;
                rows.push(vec![*entry]);
            }
        }
        left -= width;
    }
    rows
}

fn write_heading(area: &Area<'_>, heading: &Heading<'_>, rows: &[Vec<Entry<'_>>]) -> Drawn {
    let at = |x: i32, y: i32| (x * FINE, y * FINE);
    let bold = text_of(16, INK, HPos::Left, VPos::Center);
    let bold = TextStyle { font: bold.font.style(FontStyle::Bold), ..bold };
    area.draw_text(heading.title, &bold, at(MARGIN, TITLE_HEIGHT / 2 + 2))?;
    let mut y = TITLE_HEIGHT + ROW_HEIGHT / 2;
    for row in rows {
        let mut x = MARGIN;
        for entry in row {
            let dashes: &[(i32, i32)] = if entry.dashed {
                &[(0, 5), (8, 13), (16, 21)] // as long as those in the plot
            } else {
                &[(0, SWATCH)]
            };
            for &(from, to) in dashes {
                let points = vec![at(x + from, y), at(x + to, y)];
                area.draw(&PathElement::new(points, line(entry.colour, 3.0)))?;
            }
            let style = text(INK, HPos::Left, VPos::Center);
            area.draw_text(entry.name, &style, at(x + SWATCH + 6, y))?;
            x += entry_width(entry);
        }
        y += ROW_HEIGHT;
    }
    let style = text(MUTED, HPos::Left, VPos::Center);
    area.draw_text(heading.y_label, &style, at(MARGIN, y))?;
    Ok(())
}

/// What was drawn, without the element around it, in the colours and the font of where it stands.
fn drawn(svg: &str) -> String {
    let inside = svg.split_once('\n').map_or("", |(_, inside)| inside);
    let inside = inside.trim_end().trim_end_matches("</svg>");
    let inside = inside.replace(" font-family=\"sans-serif\"", "").replace(" opacity=\"1\"", "");
    theme::with_variables(&inside)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
